//! A small WebTransport server on h3, h3-quinn and h3-webtransport: an HTTP/3 stack that shares no code with the one that
//! moqingbird uses. It answers every CONNECT with 200 and no `wt-protocol`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h3_webtransport::server::{AcceptedBi, WebTransportSession};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};

/// A listening server with a certificate of its own.
pub(crate) struct H3Server {
    endpoint: quinn::Endpoint,
    certificate: CertificateDer<'static>,
}

impl H3Server {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn bind() -> Self {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        let endpoint = quinn::Endpoint::server(config, ([127, 0, 0, 1], 0).into()).unwrap();
        Self { endpoint, certificate }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    /// The server's certificate in DER, for clients to pin.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The next client's session.
    pub(crate) async fn accept(&self) -> H3Session {
        let (request, stream, http) = self.request().await;
        H3Session { inner: WebTransportSession::accept(request, stream, http).await.unwrap() }
    }

    /// The next client's CONNECT request, unanswered, with its stream and its connection.
    pub(crate) async fn request(&self) -> (http::Request<()>, RequestStream, HttpConnection) {
        let connection = self.endpoint.accept().await.unwrap().await.unwrap();
        let mut http = h3::server::builder()
            .enable_webtransport(true)
            .enable_extended_connect(true)
            .enable_datagram(true)
            .max_webtransport_sessions(1)
            .build(h3_quinn::Connection::new(connection))
            .await
            .unwrap();
        let (request, stream) = http.accept().await.unwrap().unwrap().resolve_request().await.unwrap();
        (request, stream, http)
    }
}

/// The stream of a request.
pub(crate) type RequestStream = h3::server::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;
/// An HTTP/3 connection of the independent stack.
pub(crate) type HttpConnection = h3::server::Connection<h3_quinn::Connection, Bytes>;

/// A session on the independent stack.
pub(crate) struct H3Session {
    inner: WebTransportSession<h3_quinn::Connection, Bytes>,
}

impl H3Session {
    /// The client's next bidirectional stream.
    pub(crate) async fn accept_bi(&self) -> impl AsyncRead + AsyncWrite + Unpin {
        match self.inner.accept_bi().await.unwrap().unwrap() {
            AcceptedBi::BidiStream(_, stream) => stream,
            AcceptedBi::Request(..) => panic!("an ordinary request on a WebTransport connection"),
        }
    }

    /// The client's next unidirectional stream.
    pub(crate) async fn accept_uni(&self) -> impl AsyncRead + Unpin {
        self.inner.accept_uni().await.unwrap().unwrap().1
    }

    /// A unidirectional stream to the client.
    pub(crate) async fn open_uni(&self) -> impl AsyncWrite + Unpin {
        self.inner.open_uni(self.inner.session_id()).await.unwrap()
    }
}
