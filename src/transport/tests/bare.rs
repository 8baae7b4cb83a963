//! What a peer that is not ours sees of the transport: the offers in TLS, QUIC's transport parameters, and how a session
//! ends.

use std::sync::{Arc, Mutex};

use bytes::Buf;
use moqingbird_ledger::covers;
use quinn::{ApplicationClose, ConnectionError, TransportConfig};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::h3_server::H3Server;
use super::*;

/// Accepts every client, and notes the ALPN list of each.
#[derive(Debug)]
struct Offers {
    key: Arc<CertifiedKey>,
    seen: Mutex<Vec<Vec<String>>>,
}

impl ResolvesServerCert for Offers {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let names = hello.alpn().into_iter().flatten();
        self.seen
            .lock()
            .unwrap()
            .push(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect());
        Some(self.key.clone())
    }
}

/// A QUIC server and nothing above it.
struct BareServer {
    endpoint: quinn::Endpoint,
    hash: CertificateHash,
    offers: Arc<Offers>,
}

impl BareServer {
    fn bind(protocol: &str, transport: TransportConfig) -> Self {
        let (key, hash) = ServerCertificate::Development.load().unwrap();
        let offers = Arc::new(Offers { key: key.into(), seen: Mutex::default() });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(offers.clone());
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        config.transport_config(Arc::new(transport));
        let endpoint = config::endpoint("127.0.0.1:0".parse().unwrap(), 65_536, Some(config)).unwrap();
        Self { endpoint, hash, offers }
    }

    /// Our client's attempt, and what became of it here.
    async fn meets(
        &self,
        scheme: &str,
        versions: &[Version],
    ) -> (Result<Connected, ConnectError>, Result<quinn::Connection, ConnectionError>) {
        let trust = Trust::Pinned(vec![self.hash]);
        let options = ConnectOptions { trust, versions: versions.to_vec(), ..ConnectOptions::default() };
        let url = format!("{scheme}://{}/", self.endpoint.local_addr().unwrap()).parse().unwrap();
        let accept = async { self.endpoint.accept().await.unwrap().await };
        within(async { tokio::join!(connect(&url, &options), accept) }).await
    }

    fn offered(&self) -> Vec<String> {
        self.offers.seen.lock().unwrap().pop().unwrap()
    }
}

/// A QUIC client and nothing above it, and what our server makes of it.
async fn bare_client(
    listener: &Listener,
    protocol: &str,
    transport: TransportConfig,
) -> (Result<quinn::Connection, ConnectionError>, Result<Accepted, AcceptError>) {
    let tls = tls::client(&[protocol], tls::Verifier::new(Trust::Insecure.load().unwrap()), None).unwrap();
    let mut config = quinn::ClientConfig::new(tls);
    config.transport_config(Arc::new(transport));
    let endpoint = config::endpoint("127.0.0.1:0".parse().unwrap(), 65_536, None).unwrap();
    let connecting = endpoint.connect_with(config, listener.local_addrs()[0], "localhost").unwrap();
    let accept = async { listener.accept().await.unwrap().handshake().await };
    within(async { tokio::join!(connecting, accept) }).await
}

fn without_datagrams() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.datagram_receive_buffer_size(None);
    transport
}

#[tokio::test]
async fn the_client_hello_offers_each_draft_by_its_name() {
    covers!("D14-3.1.2-02");
    for version in [Version::Draft14, Version::Draft16] {
        let server = BareServer::bind(version.protocol(), TransportConfig::default());
        let (connected, _server) = server.meets("moqt", &[]).await;
        assert_eq!(connected.unwrap().version, version);
        assert_eq!(server.offered(), ["moqt-16", "moq-00"]);
        let (_client, _server) = server.meets("moqt", &[version]).await;
        assert_eq!(server.offered(), [version.protocol()]);
    }
    // And a server that knows none of the names ends the handshake.
    let (connected, accepted) = BareServer::bind("chat", TransportConfig::default()).meets("moqt", &[]).await;
    assert!(matches!(connected.unwrap_err().failure(), ConnectFailure::NoCommonProtocol));
    assert!(accepted.is_err());
}

#[tokio::test]
async fn the_server_takes_the_drafts_names_and_no_others() {
    covers!("D16-3.1-02");
    let server = BareServer::bind("moqt-16", TransportConfig::default());
    let (connected, _server) = server.meets("moqt", &[Version::Draft16]).await;
    assert_eq!(server.offered(), ["moqt-16"]);
    assert_eq!(connected.unwrap().version, Version::Draft16);

    let listener = server_of(&[]);
    let (client, accepted) = bare_client(&listener, "moqt-16", TransportConfig::default()).await;
    assert_eq!(quic::alpn(&client.unwrap()).as_deref(), Some("moqt-16"));
    assert_eq!(accepted.unwrap().version, Version::Draft16);
    // RFC 7301 §3.2: no_application_protocol.
    let (client, accepted) = bare_client(&listener, "moqt-15", TransportConfig::default()).await;
    let Err(ConnectionError::ConnectionClosed(close)) = client else { panic!("{client:?}") };
    assert_eq!(close.error_code, quinn::TransportErrorCode::crypto(120));
    assert!(accepted.is_err());
}

#[tokio::test]
async fn datagrams_are_negotiated_by_either_side() {
    covers!("D14-3.1-01", "D16-3.1-01");
    for version in [Version::Draft14, Version::Draft16] {
        // Each side's transport parameter is what the bare other side may send.
        let listener = server_of(&[version]);
        let (client, _accepted) =
            bare_client(&listener, version.protocol(), TransportConfig::default()).await;
        assert!(client.unwrap().max_datagram_size().is_some_and(|size| size > 1000));
        let server = BareServer::bind(version.protocol(), TransportConfig::default());
        let (_connected, accepted) = server.meets("moqt", &[version]).await;
        assert!(accepted.unwrap().max_datagram_size().is_some_and(|size| size > 1000));

        // A peer whose parameter says none is sent away.
        let (client, accepted) = bare_client(&listener, version.protocol(), without_datagrams()).await;
        assert!(accepted.unwrap_err().to_string().contains("takes no QUIC datagrams"));
        assert_violation(within(client.unwrap().closed()).await);
        let server = BareServer::bind(version.protocol(), without_datagrams());
        let (connected, accepted) = server.meets("moqt", &[version]).await;
        assert!(connected.unwrap_err().to_string().contains("takes no QUIC datagrams"));
        assert_violation(within(accepted.unwrap().closed()).await);
    }
}

#[tokio::test]
async fn webtransport_needs_datagrams_below_it() {
    let listener = server_of(&[]);
    let (client, accepted) = bare_client(&listener, web::ALPN, without_datagrams()).await;
    assert!(accepted.unwrap_err().to_string().contains("takes no QUIC datagrams"));
    within(client.unwrap().closed()).await;
    let server = BareServer::bind(web::ALPN, without_datagrams());
    let (connected, _accepted) = server.meets("https", &[]).await;
    assert!(connected.unwrap_err().to_string().contains("takes no QUIC datagrams"));
    assert_eq!(server.offered(), ["h3"]);
}

fn assert_violation(error: ConnectionError) {
    let ConnectionError::ApplicationClosed(ApplicationClose { error_code, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error_code.into_inner(), 0x3);
}

#[tokio::test]
async fn over_quic_a_close_is_a_connection_close_of_the_application() {
    covers!("D16-3.4-01");
    let listener = server_of(&[]);
    let (client, accepted) = bare_client(&listener, "moqt-16", TransportConfig::default()).await;
    accepted.unwrap().connection.close(0x3, "a violation");
    assert_application_close(within(client.unwrap().closed()).await);
    let server = BareServer::bind("moqt-16", TransportConfig::default());
    let (connected, accepted) = server.meets("moqt", &[]).await;
    connected.unwrap().connection.close(0x3, "a violation");
    assert_application_close(within(accepted.unwrap().closed()).await);
}

fn assert_application_close(error: ConnectionError) {
    let ConnectionError::ApplicationClosed(close) = error else { panic!("{error:?}") };
    assert_eq!((close.error_code.into_inner(), &close.reason[..]), (0x3, &b"a violation"[..]));
}

#[tokio::test]
async fn over_webtransport_a_close_is_a_capsule_on_the_connect_stream() {
    covers!("D16-3.4-02");
    within(assert_capsule()).await;
}

#[tokio::test]
async fn draft_14_closes_as_its_transport_does() {
    covers!("D14-3.4-03");
    let server = BareServer::bind("moq-00", TransportConfig::default());
    let (connected, accepted) = server.meets("moqt", &[Version::Draft14]).await;
    connected.unwrap().connection.close(0x3, "a violation");
    assert_application_close(within(accepted.unwrap().closed()).await);
    within(assert_capsule()).await;
}

/// Our client closes, and an independent HTTP/3 server reads what comes on the CONNECT stream.
async fn assert_capsule() {
    let server = H3Server::bind();
    let trust = Trust::Pinned(vec![CertificateHash::of(server.certificate())]);
    let options = ConnectOptions { trust, ..ConnectOptions::default() };
    let url = format!("https://{}/", server.address()).parse().unwrap();
    let accept = async {
        let (_request, mut stream, http) = server.request().await;
        stream.send_response(http::Response::new(())).await.unwrap();
        (stream, http)
    };
    let (connected, (mut stream, mut http)) = tokio::join!(connect(&url, &options), accept);
    connected.unwrap().connection.close(0x3, "a violation");
    let read = async {
        let mut data = Vec::new();
        while let Some(mut part) = stream.recv_data().await.unwrap() {
            data.extend_from_slice(&part.copy_to_bytes(part.remaining()));
        }
        data
    };
    // The connection moves only while its next request is awaited, of which there is none.
    let drive = async {
        let _ = http.accept().await;
        std::future::pending::<()>().await;
    };
    let data = tokio::select! {
        data = read => data,
        () = drive => unreachable!("it is awaited for ever"),
    };
    // CLOSE_WEBTRANSPORT_SESSION (0x2843), its length, 32 bits of code, and the reason.
    let mut expected = vec![0x68, 0x43, 15, 0, 0, 0, 3];
    expected.extend_from_slice(b"a violation");
    assert_eq!(data, expected);
}

#[tokio::test]
async fn a_moqt_url_without_a_port_is_tried_at_443() {
    covers!("D16-3.1.2-02");
    // An address of the loopback's net at which nobody listens.
    let url: ServerUrl = "moqt://127.43.210.99/".parse().unwrap();
    let timeout = Duration::from_millis(100);
    let options = ConnectOptions { timeout, trust: Trust::Insecure, ..ConnectOptions::default() };
    let error = within(connect(&url, &options)).await.unwrap_err();
    assert_eq!(error.address(), Some("127.43.210.99:443".parse().unwrap()));
}
