//! What the tests probe: relays, and ports that are none.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use moqingbird::{Pem, Server, ServerCertificate, ServerOptions, Version};
use moqingbird_probe::{EndpointReport, ProbeOptions, Prober, Relay};

#[path = "../../../tests/support/h3_server.rs"]
#[expect(dead_code, reason = "other tests run whole sessions on it, here only requests are answered")]
mod h3_server;

use h3_server::H3Server;

/// A probe's timeout where silence is the expected answer.
pub(crate) const SHORT: Duration = Duration::from_millis(1500);

/// A relay of these drafts, or of all.
pub(crate) fn relay(versions: &[Version]) -> SocketAddr {
    relay_with(versions, ServerCertificate::Development)
}

pub(crate) fn relay_with(versions: &[Version], certificate: ServerCertificate) -> SocketAddr {
    let mut options = ServerOptions::default();
    options.versions = versions.to_vec();
    options.certificate = certificate;
    let server = Server::bind(&options).unwrap();
    let address = server.local_addrs()[0];
    let relay = moqingbird_relay::Relay::new(moqingbird_relay::RelayOptions::default());
    tokio::spawn(async move { relay.run(&server).await });
    address
}

/// A certificate for 127.0.0.1, and the file of its chain.
pub(crate) struct Certificate {
    pub(crate) pair: ServerCertificate,
    pub(crate) file: PathBuf,
}

impl Certificate {
    pub(crate) fn valid() -> Self {
        Self::made(rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap())
    }

    /// Its time was over in 2001.
    pub(crate) fn expired() -> Self {
        let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        Self::made(params)
    }

    fn made(params: rcgen::CertificateParams) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let file = scratch("pem");
        std::fs::write(&file, &chain).unwrap();
        let (chain, key) = (chain.into_bytes(), key.serialize_pem().into_bytes());
        let pair = ServerCertificate::Pem { chain: Pem::Text(chain), key: Pem::Text(key) };
        Self { pair, file }
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// A name in the system's temporary folder that nothing has.
pub(crate) fn scratch(extension: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("moqingbird-probe-{}-{number}.{extension}", std::process::id()))
}

/// A port on which nothing listens. A free one that the system chose might be chosen for another test a moment later.
pub(crate) fn dead_port() -> SocketAddr {
    ([127, 0, 0, 1], 1).into()
}

/// A port that TCP listens on and UDP does not, outside of those that the system chooses.
pub(crate) fn tcp_only() -> (TcpListener, SocketAddr) {
    let ports = (20_000..30_000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let found = ports.filter(|address| UdpSocket::bind(address).is_ok());
    let mut found = found.filter_map(|address| Some((TcpListener::bind(address).ok()?, address)));
    found.next().unwrap()
}

/// A port that sends back what it is sent, or `answer` if that is something.
pub(crate) async fn udp_service(answer: &'static [u8]) -> SocketAddr {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let answer = if answer.is_empty() { &packet[..length] } else { answer };
            let _ = socket.send_to(answer, from).await;
        }
    });
    address
}

/// A QUIC server of these ALPN protocols that says nothing on its connections.
pub(crate) fn silent_quic(protocols: &[&str]) -> SocketAddr {
    quic(protocols, b"")
}

/// A QUIC server of these ALPN protocols that answers the first bidirectional stream with these bytes, whatever it hears.
pub(crate) fn quic(protocols: &[&str], answer: &'static [u8]) -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    tls.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let endpoint = quinn::Endpoint::server(config, ([127, 0, 0, 1], 0).into()).unwrap();
    let address = endpoint.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connection) = incoming.await else { continue };
            if !answer.is_empty()
                && let Ok((mut send, recv)) = connection.accept_bi().await
            {
                send.write_all(answer).await.unwrap();
                kept.push((connection, Some((send, recv))));
            } else {
                kept.push((connection, None));
            }
        }
    });
    address
}

/// An HTTP/3 server that answers a WebTransport request of these protocols with a status and a `wt-protocol` header, as
/// written.
pub(crate) fn http(answer: impl Fn(&str) -> (u16, Option<&'static str>) + Send + 'static) -> SocketAddr {
    let server = H3Server::bind();
    let address = server.address();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (request, mut stream, connection) = server.request().await;
            let offered = request.headers().get("wt-available-protocols");
            let offered = offered.and_then(|value| value.to_str().ok()).unwrap_or_default();
            let (status, protocol) = answer(offered);
            let mut response = http::Response::builder().status(status);
            if let Some(protocol) = protocol {
                response = response.header("wt-protocol", protocol);
            }
            // A client that has gone needs no answer.
            let _ = stream.send_response(response.body(()).unwrap()).await;
            kept.push((stream, connection));
        }
    });
    address
}

pub(crate) fn options() -> ProbeOptions {
    let mut options = ProbeOptions::default();
    options.timeout = Duration::from_secs(20);
    options
}

pub(crate) fn brief() -> ProbeOptions {
    let mut options = ProbeOptions::default();
    options.timeout = SHORT;
    options
}

/// What a probe finds at a URL.
pub(crate) async fn probe(url: &str, options: ProbeOptions) -> EndpointReport {
    let prober = Prober::new(options);
    let report = prober.relay(&Relay::at(url)).await;
    prober.settled().await;
    report.endpoints.unwrap_or_else(|| panic!("{:?}", report.error)).remove(0)
}
