//! Whom a client trusts, and what a server can show.

use std::path::{Path, PathBuf};

use super::super::client::connect_at;
use super::*;

async fn with_trust(
    listener: &Listener,
    kind: TransportKind,
    trust: Trust,
) -> Result<Connected, ConnectError> {
    let options = ConnectOptions { trust, ..ConnectOptions::default() };
    let (connected, _accepted) = meet(listener, kind, &options).await;
    connected
}

#[tokio::test]
async fn a_pinned_certificate_is_accepted() {
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let listener = server_of(&[]);
        let trust = Trust::Pinned(vec![CertificateHash::of(b"another"), listener.certificate_sha256()]);
        assert!(with_trust(&listener, kind, trust).await.is_ok());
    }
}

#[tokio::test]
async fn another_certificate_than_the_pinned_one_is_refused_and_named() {
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let listener = server_of(&[]);
        let trust = Trust::Pinned(vec![CertificateHash::of(b"another")]);
        let error = with_trust(&listener, kind, trust).await.unwrap_err();
        let ConnectFailure::Untrusted { certificate, .. } = error.failure() else { panic!("{error}") };
        assert_eq!(*certificate, listener.certificate_sha256());
        assert!(error.to_string().contains(&certificate.to_string()), "{error}");
    }
}

#[tokio::test]
async fn any_certificate_is_accepted_without_verification() {
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let listener = server_of(&[]);
        let log =
            warnings(async { assert!(with_trust(&listener, kind, Trust::Insecure).await.is_ok()) }).await;
        assert!(log.contains("WARN") && log.contains("CERTIFICATE VERIFICATION IS OFF"), "{log}");
    }
}

/// What an observer with these roots sees of a server with the development certificate or this one, by this host's name.
async fn observed(certificate: ServerCertificate, extra: Vec<Pem>, host: &str) -> Seen {
    let options = ServerOptions { certificate, ..ServerOptions::default() };
    let listener = Listener::bind(&options).unwrap();
    let trust = Trust::Observe { system: false, extra };
    let options = ConnectOptions { trust, ..ConnectOptions::default() };
    let url = format!("moqt://{host}:{}", listener.local_addrs()[0].port()).parse().unwrap();
    let mut seen = Seen::default();
    let accept = async { listener.accept().await.unwrap().handshake().await };
    let (connected, _accepted) =
        within(async { tokio::join!(connect_seeing(&url, &options, &mut seen), accept) }).await;
    connected.unwrap();
    assert_eq!(seen.certificate.as_ref().unwrap().sha256(), listener.certificate_sha256());
    assert_eq!(seen.address, Some(listener.local_addrs()[0]));
    assert!(seen.handshake.is_some());
    seen
}

fn distrust(seen: &Seen) -> Option<DistrustKind> {
    seen.certificate.as_ref().unwrap().distrust.as_ref().map(|distrust| distrust.kind)
}

#[tokio::test]
async fn an_observer_accepts_any_certificate_and_tells_what_the_roots_have_against_it() {
    let own = Files::new("observed-own");
    let other = Files::new("observed-other");
    let expired = Files::expired("observed-expired");
    let root = |files: &Files| vec![Pem::Path(files.chain.clone())];
    let cases = [
        (own.certificate(), root(&own), "127.0.0.1", None),
        (own.certificate(), root(&own), "localhost", Some(DistrustKind::WrongName)),
        (own.certificate(), root(&other), "127.0.0.1", Some(DistrustKind::UnknownIssuer)),
        (expired.certificate(), root(&expired), "127.0.0.1", Some(DistrustKind::Expired)),
        (expired.certificate(), root(&other), "127.0.0.1", Some(DistrustKind::Expired)),
        (own.certificate(), vec![], "127.0.0.1", Some(DistrustKind::NoRoots)),
    ];
    for (certificate, roots, host, kind) in cases {
        assert_eq!(distrust(&observed(certificate, roots, host).await), kind);
    }
}

#[test]
fn both_sides_log_their_keys_where_the_environment_asks_for_it() {
    // The environment belongs to the whole process, so a process of its own runs an ordinary handshake.
    let files = Files::new("keys");
    let log = files.folder.join("keys.log");
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "transport::tests::drafts::raw_quic_leaves_path_and_authority_to_the_setup_message",
        ])
        .env("SSLKEYLOGFILE", &log)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let keys = std::fs::read_to_string(&log).unwrap();
    let secrets: Vec<_> = keys.lines().filter(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")).collect();
    assert_eq!(secrets.len(), 2, "{keys}");
    assert_eq!(secrets[0], secrets[1], "the two sides of one connection");
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_by_roots_that_do_not_lead_to_it() {
    let listener = server_of(&[]);
    let files = Files::new("unknown-root");
    let trust = Trust::Roots { system: false, extra: vec![Pem::Path(files.chain.clone())] };
    let error = with_trust(&listener, TransportKind::Quic, trust).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::Untrusted { .. }), "{error}");
}

#[tokio::test]
async fn a_root_of_ones_own_is_accepted() {
    let files = Files::new("own-root");
    let certificate =
        ServerCertificate::Pem { chain: Pem::Path(files.chain.clone()), key: Pem::Path(files.key.clone()) };
    let listener = Listener::bind(&ServerOptions { certificate, ..ServerOptions::default() }).unwrap();
    let trust = Trust::Roots { system: false, extra: vec![Pem::Path(files.chain.clone())] };
    assert!(with_trust(&listener, TransportKind::Quic, trust).await.is_ok());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let files = Files::new("other-name");
    let certificate =
        ServerCertificate::Pem { chain: Pem::Path(files.chain.clone()), key: Pem::Path(files.key.clone()) };
    let listener = Listener::bind(&ServerOptions { certificate, ..ServerOptions::default() }).unwrap();
    let trust = Trust::Roots { system: false, extra: vec![Pem::Path(files.chain.clone())] };
    let options = ConnectOptions { trust, ..ConnectOptions::default() };
    let url = format!("moqt://relay.example:{}", listener.local_addrs()[0].port()).parse().unwrap();
    let accept = async { listener.accept().await.unwrap().handshake().await };
    let connect = connect_at(&url, listener.local_addrs().to_vec(), &options);
    let (connected, _accepted) = within(async { tokio::join!(connect, accept) }).await;
    let error = connected.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::Untrusted { .. }), "{error}");
}

#[tokio::test]
async fn no_roots_at_all_is_said_before_anything_is_sent() {
    let options =
        ConnectOptions { trust: Trust::Roots { system: false, extra: vec![] }, ..ConnectOptions::default() };
    let url = "moqt://127.0.0.1:9".parse().unwrap();
    let error = within(connect(&url, &options)).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::Certificates(CertificateError::NoRoots)), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let files = Files::new("missing");
    let error = load(Path::new("/nonexistent/chain.pem"), &files.key);
    assert!(matches!(error, CertificateError::Unreadable { .. }));
    assert!(error.to_string().contains("/nonexistent/chain.pem"), "{error}");
}

#[test]
fn a_file_without_a_certificate_is_named() {
    let files = Files::new("no-certificate");
    let error = load(&files.key, &files.key);
    assert!(matches!(error, CertificateError::NoCertificate { .. }));
    assert!(error.to_string().contains(files.key.to_str().unwrap()), "{error}");
}

#[test]
fn a_file_without_a_key_is_named() {
    let files = Files::new("no-key");
    let error = load(&files.chain, &files.chain);
    assert!(matches!(error, CertificateError::NoKey { .. }));
    assert!(error.to_string().contains(files.chain.to_str().unwrap()), "{error}");
}

#[test]
fn a_key_of_another_certificate_is_named_with_it() {
    let (one, other) = (Files::new("mismatch-one"), Files::new("mismatch-other"));
    let error = load(&one.chain, &other.key);
    assert!(matches!(error, CertificateError::KeyMismatch { .. }));
    let text = error.to_string();
    assert!(
        text.contains(one.chain.to_str().unwrap()) && text.contains(other.key.to_str().unwrap()),
        "{text}"
    );
}

#[test]
fn a_broken_file_is_named() {
    let files = Files::new("broken");
    std::fs::write(&files.chain, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").unwrap();
    let error = load(&files.chain, &files.key);
    assert!(matches!(error, CertificateError::Malformed { .. }), "{error:?}");
    assert!(error.to_string().contains(files.chain.to_str().unwrap()), "{error}");
}

/// How a server with these files fails.
fn load(chain: &Path, key: &Path) -> CertificateError {
    let certificate = ServerCertificate::Pem { chain: Pem::Path(chain.into()), key: Pem::Path(key.into()) };
    match Listener::bind(&ServerOptions { certificate, ..ServerOptions::default() }) {
        Err(BindError::Certificate(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// A fresh certificate for 127.0.0.1 and its key, as files that go away.
#[tokio::test]
async fn a_certificate_that_changes_on_disk_is_shown_to_those_who_come_then() {
    let files = Files::new("reload");
    let other = Files::new("reload-other");
    let options = ServerOptions { certificate: files.certificate(), ..ServerOptions::default() };
    let listener = Listener::bind(&options).unwrap();
    let before = listener.certificate_sha256();
    assert!(with_trust(&listener, TransportKind::Quic, Trust::Pinned(vec![before])).await.is_ok());

    std::fs::copy(&other.chain, &files.chain).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(listener.certificate_sha256(), before, "the key does not belong to it yet");
    std::fs::copy(&other.key, &files.key).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let after = listener.certificate_sha256();
    assert_ne!(after, before);
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        assert!(with_trust(&listener, kind, Trust::Pinned(vec![after])).await.is_ok());
    }
}

#[tokio::test]
async fn a_client_that_must_show_a_certificate_shows_one() {
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let client = Files::client("shown");
        let stranger = Files::client("stranger");
        let client_certificates = ClientCertificates::Required(vec![Pem::Path(client.chain.clone())]);
        let options = ServerOptions { client_certificates, ..ServerOptions::default() };
        let listener = Listener::bind(&options).unwrap();
        let shows = |files: Option<&Files>| ConnectOptions {
            trust: Trust::Insecure,
            certificate: files.map(|files| ClientCertificate {
                chain: Pem::Path(files.chain.clone()),
                key: Pem::Path(files.key.clone()),
            }),
            ..ConnectOptions::default()
        };
        let (_connected, accepted) = meet(&listener, kind, &shows(Some(&client))).await;
        let shown = accepted.unwrap().connection.peer_certificate().unwrap();
        assert_eq!(CertificateHash::of(&shown), client.hash());
        for files in [None, Some(&stranger)] {
            let (_connected, accepted) = meet(&listener, kind, &shows(files)).await;
            assert!(accepted.is_err());
        }
    }
}

#[tokio::test]
async fn a_client_may_show_a_certificate_or_none() {
    let client = Files::client("optional");
    let client_certificates = ClientCertificates::Optional(vec![Pem::Path(client.chain.clone())]);
    let listener =
        Listener::bind(&ServerOptions { client_certificates, ..ServerOptions::default() }).unwrap();
    let options = ConnectOptions { trust: Trust::Insecure, ..ConnectOptions::default() };
    let (_connected, accepted) = meet(&listener, TransportKind::Quic, &options).await;
    assert_eq!(accepted.unwrap().connection.peer_certificate(), None);
}

#[tokio::test]
async fn a_connection_works_under_every_congestion_control() {
    for congestion in CongestionControl::ALL.iter().copied() {
        let listener = Listener::bind(&ServerOptions { congestion, ..ServerOptions::default() }).unwrap();
        let options = ConnectOptions { trust: Trust::Insecure, congestion, ..ConnectOptions::default() };
        let (connected, accepted) = meet(&listener, TransportKind::Quic, &options).await;
        assert!(connected.is_ok() && accepted.is_ok());
    }
}

struct Files {
    folder: PathBuf,
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(name: &str) -> Self {
        Self::made(name, rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap())
    }

    /// A certificate whose time was over in the year 2001.
    fn expired(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        Self::made(name, params)
    }

    /// A certificate for a client, and a root for itself.
    fn client(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::new([format!("{name}.example")]).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        Self::made(name, params)
    }

    fn made(name: &str, mut params: rcgen::CertificateParams) -> Self {
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let folder = std::env::temp_dir().join(format!("moqingbird-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        std::fs::write(&chain, params.self_signed(&signing_key).unwrap().pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        Self { folder, chain, key }
    }

    fn hash(&self) -> CertificateHash {
        self.certificate().load().unwrap().1
    }

    fn certificate(&self) -> ServerCertificate {
        ServerCertificate::Pem { chain: Pem::Path(self.chain.clone()), key: Pem::Path(self.key.clone()) }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
