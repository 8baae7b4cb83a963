//! A server's side: one UDP port for raw QUIC in every draft and for WebTransport, told apart by ALPN.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use moqingbird_wire::Version;
use tokio::time::{Instant, timeout_at};

use super::config::Limits;
use super::tls::{self, CertificateError, CertificateHash, ClientCertificates, Reloading, ServerCertificate};
use super::web::UpgradeError;
use super::{CongestionControl, Connection, Lost, config, negotiate, quic, web};

/// How a server listens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The UDP addresses to listen on; by default any free port of 127.0.0.1.
    pub addresses: Vec<SocketAddr>,
    /// The drafts to speak, in any order: the newest that a client offers is taken. An empty list allows every draft of this
    /// crate, which is the default.
    pub versions: Vec<Version>,
    /// What to show clients; by default a fresh development certificate. Files are read anew when they have changed on
    /// disk: connections that begin from then on, a second later at most, are shown the new certificate.
    pub certificate: ServerCertificate,
    /// Whether clients are asked for certificates of their own; by default not.
    pub client_certificates: ClientCertificates,
    /// How fast may be sent; CUBIC by default.
    pub congestion: CongestionControl,
    /// How long a client's handshake may take, the WebTransport request included; 10 s by default.
    pub handshake_timeout: Duration,
    /// The size asked of the system for each socket's buffer in each direction, in bytes; 4 MiB by default. The system may
    /// grant less.
    pub socket_buffer: usize,
    /// How many data streams each client may have open at a time; 10,000 by default. Memory is set aside for every stream that
    /// is permitted, so a client is permitted 128 at first, and more as it opens some.
    pub max_streams: u32,
    /// How many bytes of each client are held that nobody has read yet; 16 MiB by default. It is also the most that a
    /// client sends within one round trip.
    pub max_unread_bytes: u32,
    /// How many clients may wait for [`Server::accept`](crate::Server::accept); 1,024 by default. Further ones are refused.
    pub max_waiting: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            addresses: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)],
            versions: Vec::new(),
            certificate: ServerCertificate::default(),
            client_certificates: ClientCertificates::default(),
            congestion: CongestionControl::default(),
            handshake_timeout: config::HANDSHAKE_TIMEOUT,
            socket_buffer: config::SOCKET_BUFFER,
            max_streams: config::UNI_STREAMS,
            max_unread_bytes: config::CONNECTION_WINDOW,
            max_waiting: config::WAITING,
        }
    }
}

/// The listening sockets. Once it is dropped newcomers are left unanswered; connections that were accepted live on.
#[derive(Debug)]
pub(crate) struct Listener {
    endpoints: Vec<quinn::Endpoint>,
    addresses: Vec<SocketAddr>,
    certificate: Arc<Reloading>,
    versions: Arc<[Version]>,
    handshake_timeout: Duration,
    limits: Limits,
}

impl Listener {
    /// Binds every address. Must be called within a Tokio runtime.
    pub(crate) fn bind(options: &ServerOptions) -> Result<Self, BindError> {
        let certificate = Reloading::new(options.certificate.clone()).map_err(BindError::Certificate)?;
        let clients = options.client_certificates.load().map_err(BindError::Certificate)?;
        let versions = negotiate::newest_first(&options.versions);
        let mut protocols = negotiate::names(&versions);
        protocols.push(web::ALPN);
        let tls = tls::server(&protocols, certificate.clone(), clients)
            .map_err(|error| BindError::Tls(error.to_string()))?;
        let mut config = quinn::ServerConfig::with_crypto(tls);
        let limits = Limits { max_streams: options.max_streams, max_unread_bytes: options.max_unread_bytes };
        config.transport_config(config::transport(options.congestion, limits));
        config
            .max_incoming(options.max_waiting)
            .incoming_buffer_size(config::WAITING_BYTES)
            .incoming_buffer_size_total(config::ALL_WAITING_BYTES);

        let mut endpoints = Vec::new();
        let mut addresses = Vec::new();
        for address in &options.addresses {
            let fail = |error| BindError::Address { address: *address, error };
            let endpoint =
                config::endpoint(*address, options.socket_buffer, Some(config.clone())).map_err(fail)?;
            addresses.push(endpoint.local_addr().map_err(fail)?);
            endpoints.push(endpoint);
        }
        if endpoints.is_empty() {
            return Err(BindError::NoAddress);
        }
        let (versions, handshake_timeout) = (versions.into(), options.handshake_timeout);
        Ok(Self { endpoints, addresses, certificate, versions, handshake_timeout, limits })
    }

    /// Shows newcomers another certificate. Connections that there are keep the old one.
    pub(crate) fn show(&self, certificate: &ServerCertificate) -> Result<CertificateHash, BindError> {
        self.certificate.show(certificate.clone()).map_err(BindError::Certificate)
    }

    /// The bound addresses, in the order of the options, with the ports that the system chose.
    pub(crate) fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The SHA-256 of the certificate that is shown now.
    pub(crate) fn certificate_sha256(&self) -> CertificateHash {
        self.certificate.hash()
    }

    /// The next client at any of the addresses, its handshake not yet begun; `None` once closed. Cancel-safe.
    pub(crate) async fn accept(&self) -> Option<Incoming> {
        let mut accepts: Vec<Pin<Box<quinn::Accept<'_>>>> =
            self.endpoints.iter().map(|endpoint| Box::pin(endpoint.accept())).collect();
        let incoming = poll_fn(|cx| {
            let mut waiting = Vec::with_capacity(accepts.len());
            for mut accept in accepts.drain(..) {
                match accept.as_mut().poll(cx) {
                    Poll::Ready(Some(incoming)) => return Poll::Ready(Some(incoming)),
                    Poll::Ready(None) => {}
                    Poll::Pending => waiting.push(accept),
                }
            }
            accepts = waiting;
            if accepts.is_empty() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await?;
        let received = Instant::now();
        Some(Incoming {
            incoming,
            versions: self.versions.clone(),
            deadline: received + self.handshake_timeout,
            limits: self.limits,
        })
    }

    /// Closes the sockets and every connection on them with an application code. Sessions over WebTransport are told a code
    /// of their own only by `Connection::close`: close them first.
    pub(crate) fn close(&self, code: u32, reason: &str) {
        for endpoint in &self.endpoints {
            endpoint.close(code.into(), reason.as_bytes());
        }
    }

    /// Waits until every connection has ended and its last packets have left.
    pub(crate) async fn drained(&self) {
        for endpoint in &self.endpoints {
            endpoint.wait_idle().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The sockets stay for the connections that they carry; without this, newcomers would queue up unseen.
        for endpoint in &self.endpoints {
            endpoint.set_server_config(None);
        }
    }
}

/// A client that knocks.
#[derive(Debug)]
pub(crate) struct Incoming {
    incoming: quinn::Incoming,
    versions: Arc<[Version]>,
    deadline: Instant,
    limits: Limits,
}

/// A client whose handshake is done, and the draft to speak with it.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) connection: Connection,
    pub(crate) version: Version,
    /// Path and query of a WebTransport request; raw QUIC says it in CLIENT_SETUP.
    pub(crate) path: Option<String>,
    /// Authority of a WebTransport request; raw QUIC says it in CLIENT_SETUP.
    pub(crate) authority: Option<String>,
    pub(crate) remote: SocketAddr,
}

impl Incoming {
    /// Where the client is.
    pub(crate) fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Whether the client has shown that it is where it says.
    pub(crate) fn is_validated(&self) -> bool {
        self.incoming.remote_address_validated()
    }

    /// Has the client show that it is where it says, by coming again with what it is sent now. False: it has shown it,
    /// and is dropped.
    pub(crate) fn retry(self) -> bool {
        self.incoming.retry().is_ok()
    }

    /// Turns the client away.
    pub(crate) fn refuse(self) {
        self.incoming.refuse();
    }

    /// Forgets the client without a word.
    pub(crate) fn ignore(self) {
        self.incoming.ignore();
    }

    /// Finishes the handshake. Each client has a future of its own, so that a slow one holds up nobody.
    pub(crate) async fn handshake(self) -> Result<Accepted, AcceptError> {
        let (remote, deadline) = (self.remote_address(), self.deadline);
        let done = timeout_at(deadline, self.shake()).await.unwrap_or(Err(AcceptFailure::TimedOut));
        done.map_err(|failure| AcceptError { remote, failure })
    }

    async fn shake(self) -> Result<Accepted, AcceptFailure> {
        let connection_id = self.incoming.orig_dst_cid().to_string();
        let connection = self.incoming.accept().map_err(AcceptFailure::quic)?.await;
        let connection = connection.map_err(AcceptFailure::quic)?;
        quic::require_datagrams(&connection).map_err(AcceptFailure::Quic)?;
        let remote = connection.remote_address();
        match quic::alpn(&connection) {
            Some(name) if name == web::ALPN => {
                upgrade(connection, connection_id, &self.versions, remote, self.limits).await
            }
            name => {
                // rustls agrees only on a name of our list.
                let version = name.as_deref().and_then(|name| negotiate::agreed(Some(name), &self.versions));
                let version =
                    version.ok_or(AcceptFailure::NoCommonVersion { offered: name.into_iter().collect() })?;
                let connection = quic::Quic::new(connection, connection_id, None, self.limits).into();
                Ok(Accepted { connection, version, path: None, authority: None, remote })
            }
        }
    }
}

/// Answers the CONNECT request of an HTTP/3 connection.
async fn upgrade(
    connection: quinn::Connection,
    connection_id: String,
    versions: &[Version],
    remote: SocketAddr,
    limits: Limits,
) -> Result<Accepted, AcceptFailure> {
    let request = web::receive(connection).await.map_err(AcceptFailure::WebTransport)?;
    let Some((version, answer)) = negotiate::choose(request.offered(), versions) else {
        let offered = request.offered().to_vec();
        tracing::warn!(
            %remote, ?offered, speaks = ?negotiate::names(versions),
            "refused a WebTransport client that offers no protocol spoken here"
        );
        request.refuse().await.map_err(AcceptFailure::WebTransport)?;
        return Err(AcceptFailure::NoCommonVersion { offered });
    };
    let (path, authority) = (Some(request.path()), Some(request.authority()));
    let web = request.accept(answer, connection_id, limits).await.map_err(AcceptFailure::WebTransport)?;
    Ok(Accepted { connection: web.into(), version, path, authority, remote })
}

/// Why a server does not listen.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The certificate or its key cannot be used.
    Certificate(CertificateError),
    /// TLS refuses the configuration.
    Tls(String),
    /// The address is taken or not this machine's.
    Address {
        /// Which one.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The options name no address.
    NoAddress,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => error.fmt(f),
            Self::Tls(reason) => write!(f, "TLS cannot be set up: {reason}"),
            Self::Address { address, error } => {
                let advice = match error.kind() {
                    io::ErrorKind::AddrInUse => "choose another port, or end the program that holds this one",
                    io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
                    io::ErrorKind::PermissionDenied => {
                        "choose a port above 1023, or run with the right to bind it"
                    }
                    _ => "choose another address",
                };
                write!(f, "cannot listen on UDP {address}: {error}; {advice}")
            }
            Self::NoAddress => f.write_str("no address to listen on was given"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Certificate(error) => Some(error),
            Self::Address { error, .. } => Some(error),
            Self::Tls(_) | Self::NoAddress => None,
        }
    }
}

/// A client that was not accepted.
#[derive(Debug)]
pub(crate) struct AcceptError {
    pub(crate) remote: SocketAddr,
    pub(crate) failure: AcceptFailure,
}

/// Why a client was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AcceptFailure {
    /// The handshake took too long.
    TimedOut,
    /// QUIC's or TLS's handshake failed.
    Quic(Lost),
    /// HTTP/3 or the WebTransport request failed.
    WebTransport(UpgradeError),
    /// The WebTransport client offered only protocols that are not spoken here.
    NoCommonVersion { offered: Vec<String> },
}

impl AcceptFailure {
    fn quic(error: quinn::ConnectionError) -> Self {
        Self::Quic(error.into())
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no session with {}: ", self.remote)?;
        match &self.failure {
            AcceptFailure::TimedOut => f.write_str("the handshake took too long"),
            AcceptFailure::Quic(lost) => write!(f, "the handshake failed: {lost}"),
            AcceptFailure::WebTransport(error) => write!(f, "no WebTransport session: {error}"),
            AcceptFailure::NoCommonVersion { offered } => {
                write!(f, "it offers only protocols that are not spoken here: {offered:?}")
            }
        }
    }
}

impl std::error::Error for AcceptError {}
