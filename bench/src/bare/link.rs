//! Connections of bare QUIC and bare WebTransport, with the windows and buffers that sessions have.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ConnectionError, Endpoint, EndpointConfig, TokioRuntime, TransportConfig};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use url::Url;
use web_transport_quinn::proto::ConnectRequest;

use super::streams::HEADER;
use crate::workload::{Congestion, Transport};
use crate::{Error, stamp};

/// What sessions ask of the system, in bytes.
const SOCKET_BUFFER: usize = 4 << 20;
const HOST: &str = "localhost";

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Side {
    Publisher,
    Subscriber,
}

impl Side {
    /// The ALPN of raw QUIC, and the path of WebTransport.
    const fn name(self) -> &'static str {
        match self {
            Self::Publisher => "bare-publisher",
            Self::Subscriber => "bare-subscriber",
        }
    }
}

/// A connection of either kind.
#[derive(Clone, Debug)]
pub(crate) enum Connection {
    Quic(quinn::Connection),
    Web(Box<web_transport_quinn::Session>),
}

/// A listening port.
pub(crate) struct Listener {
    endpoint: Endpoint,
    transport: Transport,
    certificate: CertificateDer<'static>,
}

/// How many streams a peer may open, unidirectional and bidirectional: QUIC keeps a place for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams(u32, u32);

impl Streams {
    /// What a session permits while its peer opens none.
    pub(crate) const IDLE: Self = Self(128, 32);
    /// What it permits then.
    pub(crate) const BUSY: Self = Self(10_000, 1_000);
}

fn settings(congestion: Congestion, Streams(uni, bidi): Streams) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .stream_receive_window((8_u32 << 20).into())
        .receive_window((16_u32 << 20).into())
        .send_window(16 << 20)
        .max_concurrent_uni_streams(uni.into())
        .max_concurrent_bidi_streams(bidi.into())
        .datagram_receive_buffer_size(Some(1 << 20))
        .datagram_send_buffer_size(256 << 10);
    match congestion {
        Congestion::Cubic => {
            config.congestion_controller_factory(Arc::new(quinn::congestion::CubicConfig::default()))
        }
        Congestion::Bbr => {
            config.congestion_controller_factory(Arc::new(quinn::congestion::BbrConfig::default()))
        }
        Congestion::NewReno => {
            config.congestion_controller_factory(Arc::new(quinn::congestion::NewRenoConfig::default()))
        }
    };
    Arc::new(config)
}

fn endpoint(server: Option<quinn::ServerConfig>) -> Result<Endpoint, Error> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(Endpoint::new(EndpointConfig::default(), server, socket.into(), Arc::new(TokioRuntime))?)
}

fn protocols(transport: Transport, sides: &[Side]) -> Vec<Vec<u8>> {
    match transport {
        Transport::Quic => sides.iter().map(|side| side.name().as_bytes().to_vec()).collect(),
        Transport::WebTransport => vec![web_transport_quinn::ALPN.as_bytes().to_vec()],
    }
}

impl Listener {
    pub(crate) fn bind(
        transport: Transport,
        congestion: Congestion,
        streams: Streams,
    ) -> Result<Self, Error> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)?;
        tls.alpn_protocols = protocols(transport, &[Side::Publisher, Side::Subscriber]);
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        config.transport_config(settings(congestion, streams));
        Ok(Self { endpoint: endpoint(Some(config))?, transport, certificate })
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, Error> {
        Ok(self.endpoint.local_addr()?)
    }

    /// What clients trust, in hexadecimal.
    pub(crate) fn certificate(&self) -> String {
        self.certificate.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The next client, and what it is.
    pub(crate) async fn accept(&self) -> Result<(Side, Connection), Error> {
        let incoming = self.endpoint.accept().await.ok_or("the port was closed")?;
        let connection = incoming.await?;
        let (name, connection) = match self.transport {
            Transport::Quic => (alpn(&connection), Connection::Quic(connection)),
            Transport::WebTransport => {
                let request = web_transport_quinn::Request::accept(connection).await?;
                let name = request.url.path().trim_start_matches('/').to_owned();
                (name, Connection::Web(Box::new(request.ok().await?)))
            }
        };
        let side = if name == Side::Publisher.name() { Side::Publisher } else { Side::Subscriber };
        Ok((side, connection))
    }
}

fn alpn(connection: &quinn::Connection) -> String {
    let data = connection
        .handshake_data()
        .and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?.protocol);
    String::from_utf8(data.unwrap_or_default()).unwrap_or_default()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn unhex(text: &str) -> Result<CertificateDer<'static>, Error> {
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap_or("?"), 16);
    Ok(CertificateDer::from((0..text.len()).step_by(2).map(byte).collect::<Result<Vec<_>, _>>()?))
}

impl Connection {
    /// Connects to a listener that shows `certificate`.
    pub(crate) async fn open(
        address: SocketAddr,
        certificate: &str,
        side: Side,
        transport: Transport,
        congestion: Congestion,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(unhex(certificate)?)?;
        let mut tls = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = protocols(transport, &[side]);
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(settings(congestion, Streams::BUSY));
        let connection = endpoint(None)?.connect_with(config, address, HOST)?.await?;
        Ok(match transport {
            Transport::Quic => Self::Quic(connection),
            Transport::WebTransport => {
                let url = Url::parse(&format!("https://{HOST}:{}/{}", address.port(), side.name()))?;
                let session =
                    web_transport_quinn::Session::connect(connection, ConnectRequest::new(url)).await?;
                Self::Web(Box::new(session))
            }
        })
    }

    pub(crate) async fn open_uni(&self) -> Result<SendStream, Error> {
        Ok(match self {
            Self::Quic(connection) => SendStream::Quic(connection.open_uni().await?),
            Self::Web(session) => SendStream::Web(session.open_uni().await?),
        })
    }

    pub(crate) async fn accept_uni(&self) -> Result<RecvStream, Error> {
        Ok(match self {
            Self::Quic(connection) => RecvStream::Quic(connection.accept_uni().await?),
            Self::Web(session) => RecvStream::Web(session.accept_uni().await?),
        })
    }

    pub(crate) async fn send_datagram(&self, payload: Bytes) -> Result<(), Error> {
        match self {
            Self::Quic(connection) => connection.send_datagram_wait(payload).await?,
            Self::Web(session) => session.send_datagram_wait(payload).await?,
        }
        Ok(())
    }

    pub(crate) async fn read_datagram(&self) -> Result<Bytes, Error> {
        Ok(match self {
            Self::Quic(connection) => connection.read_datagram().await?,
            Self::Web(session) => session.read_datagram().await?,
        })
    }

    pub(crate) fn close(&self) {
        match self {
            Self::Quic(connection) => connection.close(0_u32.into(), b"the run is over"),
            Self::Web(session) => session.close(0, b"the run is over"),
        }
    }

    pub(crate) async fn closed(&self) {
        match self {
            Self::Quic(connection) => {
                let _: ConnectionError = connection.closed().await;
            }
            Self::Web(session) => {
                let _ = session.closed().await;
            }
        }
    }
}

/// The half of a stream that is written.
#[derive(Debug)]
pub(crate) enum SendStream {
    Quic(quinn::SendStream),
    Web(web_transport_quinn::SendStream),
}

impl SendStream {
    /// Writes all chunks, and leaves none.
    pub(crate) async fn write_all(&mut self, chunks: &mut Vec<Bytes>) -> Result<(), Error> {
        match self {
            Self::Quic(stream) => stream.write_all_chunks(chunks).await?,
            Self::Web(stream) => stream.write_all_chunks(chunks).await?,
        }
        chunks.clear();
        Ok(())
    }

    pub(crate) fn finish(&mut self) {
        // It fails on a stream that the peer has stopped: nobody wants its end.
        match self {
            Self::Quic(stream) => drop(stream.finish()),
            Self::Web(stream) => drop(stream.finish()),
        }
    }
}

/// The half of a stream that is read.
#[derive(Debug)]
pub(crate) enum RecvStream {
    Quic(quinn::RecvStream),
    Web(web_transport_quinn::RecvStream),
}

impl RecvStream {
    /// Fills as many chunks as have come; `None` at the end.
    pub(crate) async fn read(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, Error> {
        Ok(match self {
            Self::Quic(stream) => stream.read_chunks(chunks).await?,
            Self::Web(stream) => stream.read_chunks(chunks).await?,
        })
    }

    /// Group and index at the beginning.
    pub(crate) async fn header(&mut self) -> Result<(u64, u64), Error> {
        let mut header = [0; HEADER];
        match self {
            Self::Quic(stream) => stream.read_exact(&mut header).await?,
            Self::Web(stream) => stream.read_exact(&mut header).await?,
        }
        let number = |at: usize| stamp::read(&header[at..]).unwrap_or(0);
        Ok((number(0), number(8)))
    }
}
