//! Where sessions come from: connecting, serving, and two ends in memory.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::model::SessionErrorCode;

use crate::api::{Place, Session};
use crate::backoff::Backoff;
use crate::log::EventLog;
use crate::session::{Closed, Config, Side};
use crate::transport::{
    self, Accepted, BindError, CertificateHash, ConnectError, ConnectOptions, Connected, Seen,
    ServerCertificate, ServerOptions, ServerUrl, TransportKind,
};

/// How a client connects, and what it says at the start.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Transport and trust.
    pub connect: ConnectOptions,
    /// The session's settings. PATH and AUTHORITY are taken from the URL.
    pub session: Config,
    /// Where the session is logged; `None`: nowhere.
    pub event_log: Option<EventLog>,
    /// How a [`Client`](crate::Client) waits between attempts; [`connect`] tries once.
    pub backoff: Backoff,
}

/// Connects to a server and exchanges SETUP with it.
///
/// # Errors
/// See [`SessionError`]; its text says what was tried, what came back and what to try next.
pub async fn connect(url: &ServerUrl, options: &ClientOptions) -> Result<Session, SessionError> {
    examine(url, options).await.outcome
}

/// What [`examine`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examination {
    /// What was seen of the server, as far as it came.
    pub seen: Seen,
    /// The session, or why there is none.
    pub outcome: Result<Session, SessionError>,
}

/// As [`connect`], and tells what was seen of the server on the way, a failure's way too. It ends by itself, within the
/// connection's timeout and that of SETUP.
pub async fn examine(url: &ServerUrl, options: &ClientOptions) -> Examination {
    let mut seen = Seen::default();
    let outcome = establish(url, options, &mut seen).await;
    Examination { seen, outcome }
}

async fn establish(
    url: &ServerUrl,
    options: &ClientOptions,
    seen: &mut Seen,
) -> Result<Session, SessionError> {
    let Connected { connection, version } =
        transport::connect_seeing(url, &options.connect, seen).await.map_err(SessionError::Connect)?;
    let mut config = options.session.clone();
    // Over WebTransport the CONNECT request says both (draft-14 §9.3.2, draft-16 §9.3.1).
    if url.transport() == TransportKind::Quic {
        config.path = Some(Bytes::from(url.path()));
        config.authority = Some(Bytes::copy_from_slice(url.authority().as_bytes()));
    }
    let session = Session::start_logged(
        connection,
        version,
        Side::Client,
        config,
        Place::default(),
        options.event_log.as_ref(),
    )
    .await
    .map_err(|closed| SessionError::Setup { url: Box::new(url.clone()), version, closed })?;
    seen.set_up();
    Ok(session)
}

/// Why there is no session.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionError {
    /// The transport could not be set up.
    Connect(ConnectError),
    /// The session ended before the server's SETUP.
    Setup {
        /// The server.
        url: Box<ServerUrl>,
        /// The draft that was agreed.
        version: Version,
        /// How it ended.
        closed: Closed,
    },
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Setup { url, version, closed } => {
                write!(f, "{url} agreed on {version} over {}, but SETUP failed: {closed}", url.transport())
            }
        }
    }
}

impl Error for SessionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            Self::Setup { closed, .. } => Some(closed),
        }
    }
}

/// A server: raw QUIC in every draft and WebTransport, on each of its UDP ports.
#[derive(Debug)]
pub struct Server {
    listener: transport::Listener,
    session: Config,
    event_log: Option<EventLog>,
}

impl Server {
    /// Binds the addresses of `options`. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// An address cannot be bound, or the certificate cannot be used; the text names it.
    pub fn bind(options: &ServerOptions) -> Result<Self, BindError> {
        Ok(Self {
            listener: transport::Listener::bind(options)?,
            session: Config::default(),
            event_log: None,
        })
    }

    /// Gives every session these settings.
    #[must_use]
    pub fn with_session(mut self, config: Config) -> Self {
        self.session = config;
        self
    }

    /// Logs every session, or those that the log samples.
    #[must_use]
    pub fn with_event_log(mut self, event_log: EventLog) -> Self {
        self.event_log = Some(event_log);
        self
    }

    /// The bound addresses, with the ports that the system chose.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.listener.local_addrs()
    }

    /// The SHA-256 of the server's certificate.
    pub fn certificate_sha256(&self) -> CertificateHash {
        self.listener.certificate_sha256()
    }

    /// Shows newcomers this certificate from now on, read anew if it is in files; sessions that there are go on. Its
    /// SHA-256 is given.
    ///
    /// # Errors
    /// The certificate cannot be used: the old one stays.
    pub fn show_certificate(&self, certificate: &ServerCertificate) -> Result<CertificateHash, BindError> {
        self.listener.show(certificate)
    }

    /// The next client, its handshake not yet begun; `None` once the server is closed. Cancel-safe.
    pub async fn accept(&self) -> Option<Incoming> {
        let incoming = self.listener.accept().await?;
        Some(Incoming { incoming, session: self.session.clone(), event_log: self.event_log.clone() })
    }

    /// Takes no more clients, and closes every connection. Sessions over WebTransport hear the code only if they are
    /// closed before, one by one.
    pub fn close(&self, code: SessionErrorCode, reason: &str) {
        // Session codes are the same in every draft of this crate; a connection's draft does not matter here.
        let code = Version::ALL.first().map_or(0, |version| version.draft().session_code(code));
        self.listener.close(u32::try_from(code).unwrap_or(u32::MAX), reason);
    }

    /// Waits until every connection has ended and its last packets have left.
    pub async fn drained(&self) {
        self.listener.drained().await;
    }
}

/// A client that knocks.
#[derive(Debug)]
pub struct Incoming {
    incoming: transport::Incoming,
    session: Config,
    event_log: Option<EventLog>,
}

impl Incoming {
    /// Where the client is.
    pub fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Tells this client another name of the implementation in SETUP.
    #[must_use]
    pub fn with_implementation(mut self, name: impl Into<Bytes>) -> Self {
        self.session.implementation = Some(name.into());
        self
    }

    /// Whether the client has shown, by an earlier token of ours, that it is at that address.
    pub fn is_validated(&self) -> bool {
        self.incoming.is_validated()
    }

    /// Has the client show that it is at its address (QUIC's Retry, RFC 9000 §8.1.2): it comes again, validated. This costs
    /// no memory. One that is validated already is turned away.
    pub fn retry(self) {
        self.incoming.retry();
    }

    /// Turns the client away (CONNECTION_REFUSED).
    pub fn refuse(self) {
        self.incoming.refuse();
    }

    /// Forgets the client without a word, which costs least: it will try again for a while.
    pub fn ignore(self) {
        self.incoming.ignore();
    }

    /// Finishes the handshake and exchanges SETUP. To be awaited in a task of its own, so that a slow client holds up
    /// nobody.
    ///
    /// # Errors
    /// The handshake failed, or the session ended before the client's SETUP.
    pub async fn accept(self) -> Result<Session, AcceptError> {
        let accepted = self
            .incoming
            .handshake()
            .await
            .map_err(|error| AcceptError { remote: error.remote, kind: AcceptFailed::Handshake(error) })?;
        let Accepted { connection, version, path, authority, remote } = accepted;
        let mut config = self.session;
        // Over WebTransport the CONNECT request has said both (draft-14 §9.3.2, draft-16 §9.3.1).
        config.accept_path = connection.kind() == TransportKind::Quic;
        Session::start_logged(
            connection,
            version,
            Side::Server,
            config,
            Place { path, authority },
            self.event_log.as_ref(),
        )
        .await
        .map_err(|closed| AcceptError { remote, kind: AcceptFailed::Setup { version, closed } })
    }
}

/// Why a client has no session. Its text tells who, and what went wrong.
#[derive(Debug)]
pub struct AcceptError {
    remote: SocketAddr,
    kind: AcceptFailed,
}

#[derive(Debug)]
enum AcceptFailed {
    Handshake(transport::AcceptError),
    Setup { version: Version, closed: Closed },
}

impl AcceptError {
    /// The client.
    pub const fn remote_address(&self) -> SocketAddr {
        self.remote
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            AcceptFailed::Handshake(error) => error.fmt(f),
            AcceptFailed::Setup { version, closed } => {
                write!(f, "{} agreed on {version}, but SETUP failed: {closed}", self.remote)
            }
        }
    }
}

impl Error for AcceptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            AcceptFailed::Handshake(error) => Some(error),
            AcceptFailed::Setup { closed, .. } => Some(closed),
        }
    }
}

/// Two sessions with each other in one process: the client's and the server's. For tests, and for programs that embed
/// both ends.
///
/// # Errors
/// SETUP failed, which a default configuration does not.
pub async fn memory_pair(version: Version) -> Result<(Session, Session), Closed> {
    memory_pair_with(version, Config::default(), Config::default()).await
}

/// As [`memory_pair`], each end with settings of its own.
///
/// # Errors
/// As [`memory_pair`].
pub async fn memory_pair_with(
    version: Version,
    client: Config,
    server: Config,
) -> Result<(Session, Session), Closed> {
    let (client_end, server_end) = transport::pair(Some(version.protocol()));
    tokio::try_join!(
        Session::start(client_end, version, Side::Client, client, Place::default()),
        Session::start(server_end, version, Side::Server, server, Place::default()),
    )
}
