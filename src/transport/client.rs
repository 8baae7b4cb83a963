//! A client's way to a connection: the name's addresses, a QUIC handshake, and over HTTP/3 a WebTransport session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moqingbird_wire::Version;
use tokio::time::{Instant, timeout_at};

use super::config::Limits;
use super::connect_error::{ConnectError, ConnectFailure};
use super::sockets::Sockets;
use super::tls::{self, ClientCertificate, ClientKey, Rule, SeenCertificate, Trust, Verifier};
use super::web::UpgradeError;
use super::{CongestionControl, Connection, ServerUrl, TransportKind, config, negotiate, quic, race, web};

/// The session code of a peer that chose a draft which was not offered: VERSION_NEGOTIATION_FAILED (draft-14 §3.4,
/// draft-16 §13.4.1).
const VERSION_NEGOTIATION_FAILED: u32 = 0x15;

/// How a client connects.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The drafts to offer, in any order: the newest is preferred. An empty list offers every draft of this crate, which is
    /// the default.
    pub versions: Vec<Version>,
    /// By what the server is recognised; by default the system's root certificates.
    pub trust: Trust,
    /// What is shown to a server that asks for a certificate; by default nothing.
    pub certificate: Option<ClientCertificate>,
    /// How fast may be sent; CUBIC by default.
    pub congestion: CongestionControl,
    /// How long all of it may take, from the name's resolution to a connection that agreed on a draft; 10 s by default.
    pub timeout: Duration,
    /// The size asked of the system for the socket's buffer in each direction, in bytes; 4 MiB by default. The system may
    /// grant less.
    pub socket_buffer: usize,
    /// Sockets to share with other connections; by default each has one of its own.
    pub sockets: Option<Sockets>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            versions: Vec::new(),
            trust: Trust::default(),
            certificate: None,
            congestion: CongestionControl::default(),
            timeout: config::HANDSHAKE_TIMEOUT,
            socket_buffer: config::SOCKET_BUFFER,
            sockets: None,
        }
    }
}

/// A connection, and the draft to speak on it. draft-14 over raw QUIC still checks the list inside CLIENT_SETUP.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    pub(crate) version: Version,
}

/// What a client has seen of a server on the way to a session, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// The address that answered.
    pub address: Option<SocketAddr>,
    /// How long QUIC's handshake with that address took, from its first packet.
    pub handshake: Option<Duration>,
    /// How long it took from there to the server's SETUP, the WebTransport request included.
    pub setup: Option<Duration>,
    /// The server's certificate.
    pub certificate: Option<SeenCertificate>,
    shaken: Option<Instant>,
}

impl Seen {
    fn shake(&mut self, handshake: &Handshake) {
        self.address = Some(handshake.connection.remote_address());
        self.handshake = Some(handshake.took);
        self.certificate.clone_from(&handshake.certificate);
        self.shaken = Some(Instant::now());
    }

    /// The server's SETUP has come.
    pub(crate) fn set_up(&mut self) {
        self.setup = self.shaken.map(|shaken| shaken.elapsed());
    }
}

/// Connects to a server, trying every address of its name, and keeps what it sees of it.
pub(crate) async fn connect_seeing(
    url: &ServerUrl,
    options: &ConnectOptions,
    seen: &mut Seen,
) -> Result<Connected, ConnectError> {
    let plan = Plan::new(url, options);
    let addresses = plan.addresses().await?;
    plan.connect(addresses, seen).await
}

/// What a server answered to a WebTransport request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebTransportAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The protocol that it chose, if it named one.
    pub protocol: Option<String>,
}

/// Asks for a WebTransport session at an `https://` URL, offering protocols of any names, and ends it at once. For tools
/// that find out why a server refuses.
///
/// # Errors
/// Whatever keeps the server from answering, among it an answer that cannot be read and a protocol that was not offered.
pub async fn ask_web_transport(
    url: &ServerUrl,
    options: &ConnectOptions,
    offer: &[&str],
) -> Result<WebTransportAnswer, ConnectError> {
    let plan = Plan::new(url, options);
    let addresses = plan.addresses().await?;
    let handshake = plan.quic(addresses, &[web::ALPN]).await?;
    let address = handshake.connection.remote_address();
    let Handshake { connection, connection_id, endpoint, .. } = handshake;
    let asked = web::connect(connection, url.as_url(), offer, connection_id, endpoint);
    let failure = match timeout_at(plan.deadline, asked).await {
        Ok(Ok(session)) => {
            let connection = Connection::from(session);
            let protocol = connection.protocol();
            connection.close(0, "");
            return Ok(WebTransportAnswer { status: 200, protocol });
        }
        Ok(Err(UpgradeError::Status(status))) => return Ok(WebTransportAnswer { status, protocol: None }),
        Ok(Err(error)) => ConnectFailure::upgrade(error, options.timeout),
        Err(_) => plan.timed_out(),
    };
    Err(plan.error(Some(address), failure))
}

/// Connects to a server.
#[cfg(test)]
pub(crate) async fn connect(url: &ServerUrl, options: &ConnectOptions) -> Result<Connected, ConnectError> {
    connect_seeing(url, options, &mut Seen::default()).await
}

/// Connects to a server at given addresses, in their order, whatever its name resolves to.
#[cfg(test)]
pub(super) async fn connect_at(
    url: &ServerUrl,
    addresses: Vec<SocketAddr>,
    options: &ConnectOptions,
) -> Result<Connected, ConnectError> {
    Plan::new(url, options).connect(addresses, &mut Seen::default()).await
}

async fn resolve(url: &ServerUrl) -> Result<Vec<SocketAddr>, ConnectFailure> {
    let addresses = tokio::net::lookup_host((url.host(), url.port()))
        .await
        .map_err(|error| ConnectFailure::Resolve(error.to_string()))?
        .collect::<Vec<_>>();
    if addresses.is_empty() {
        return Err(ConnectFailure::Resolve("the resolver knows none".to_owned()));
    }
    Ok(addresses)
}

/// One call of `connect`.
struct Plan<'a> {
    url: &'a ServerUrl,
    options: &'a ConnectOptions,
    versions: Vec<Version>,
    deadline: Instant,
}

impl<'a> Plan<'a> {
    fn new(url: &'a ServerUrl, options: &'a ConnectOptions) -> Self {
        let versions = negotiate::newest_first(&options.versions);
        Self { url, options, versions, deadline: Instant::now() + options.timeout }
    }

    /// The addresses of the server's name, in the order in which they are tried.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let addresses = match timeout_at(self.deadline, resolve(self.url)).await {
            Ok(addresses) => addresses.map_err(|failure| self.error(None, failure))?,
            Err(_) => return Err(self.error(None, self.timed_out())),
        };
        Ok(race::interleave(addresses))
    }

    async fn connect(self, addresses: Vec<SocketAddr>, seen: &mut Seen) -> Result<Connected, ConnectError> {
        let handshake = self.quic(addresses, &self.protocols()).await?;
        let address = handshake.connection.remote_address();
        seen.shake(&handshake);
        match timeout_at(self.deadline, self.session(handshake)).await {
            Ok(connected) => connected.map_err(|failure| self.error(Some(address), failure)),
            Err(_) => Err(self.error(Some(address), self.timed_out())),
        }
    }

    /// A QUIC connection to the first of the addresses that answers.
    async fn quic(
        &self,
        addresses: Vec<SocketAddr>,
        protocols: &[&'static str],
    ) -> Result<Handshake, ConnectError> {
        let (rule, key) = self.credentials().await.map_err(|failure| self.error(None, failure))?;
        let attempt = Attempt {
            host: self.url.host().into(),
            protocols: protocols.into(),
            rule,
            key,
            congestion: self.options.congestion,
            timeout: self.options.timeout,
            socket_buffer: self.options.socket_buffer,
            sockets: self.options.sockets.clone(),
        };
        let first = addresses.first().copied();
        let mut failures = Vec::new();
        let race = race::first(addresses, &mut failures, |address| attempt.clone().run(address));
        let winner = timeout_at(self.deadline, race).await.ok().flatten();
        winner.ok_or_else(|| {
            let (address, failure) = most_telling(failures)
                .map_or_else(|| (first, self.timed_out()), |(address, failure)| (Some(address), failure));
            self.error(address, failure)
        })
    }

    /// Whom to trust, and what to show. Reading the system's roots takes long enough to keep it off the runtime's threads.
    async fn credentials(&self) -> Result<(Rule, Option<Arc<ClientKey>>), ConnectFailure> {
        let (trust, certificate) = (self.options.trust.clone(), self.options.certificate.clone());
        let load =
            move || Ok((trust.load()?, certificate.map(|certificate| certificate.load()).transpose()?));
        match tokio::task::spawn_blocking(load).await {
            Ok(loaded) => loaded.map_err(ConnectFailure::Certificates),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// The ALPN list.
    fn protocols(&self) -> Vec<&'static str> {
        match self.url.transport() {
            TransportKind::WebTransport => vec![web::ALPN],
            _ => negotiate::names(&self.versions),
        }
    }

    /// What carries the session: the connection itself, or a WebTransport session on it.
    async fn session(&self, handshake: Handshake) -> Result<Connected, ConnectFailure> {
        let Handshake { connection, connection_id, endpoint, .. } = handshake;
        quic::require_datagrams(&connection).map_err(|lost| ConnectFailure::Handshake(lost.to_string()))?;
        let connection: Connection = match self.url.transport() {
            TransportKind::WebTransport => {
                let offer = negotiate::web_offer(&self.versions);
                web::connect(connection, self.url.as_url(), &offer, connection_id, endpoint)
                    .await
                    .map_err(|error| ConnectFailure::upgrade(error, self.options.timeout))?
                    .into()
            }
            _ => quic::Quic::new(connection, connection_id, endpoint, Limits::default()).into(),
        };
        let answered = connection.protocol();
        match negotiate::agreed(answered.as_deref(), &self.versions) {
            Some(version) => Ok(Connected { connection, version }),
            None => {
                connection.close(VERSION_NEGOTIATION_FAILED, "a draft that was not offered");
                Err(ConnectFailure::VersionMismatch { answered })
            }
        }
    }

    fn timed_out(&self) -> ConnectFailure {
        ConnectFailure::TimedOut { after: self.options.timeout }
    }

    fn error(&self, address: Option<SocketAddr>, failure: ConnectFailure) -> ConnectError {
        ConnectError::new(self.url, &self.versions, address, failure)
    }
}

/// The first failure that is more than silence: of several addresses, the one that answered knows most.
fn most_telling(mut failures: Vec<(SocketAddr, ConnectFailure)>) -> Option<(SocketAddr, ConnectFailure)> {
    let silent = |failure: &ConnectFailure| {
        matches!(failure, ConnectFailure::TimedOut { .. } | ConnectFailure::Socket(_))
    };
    let telling = failures.iter().position(|(_, failure)| !silent(failure)).unwrap_or(0);
    (telling < failures.len()).then(|| failures.swap_remove(telling))
}

/// A QUIC connection, not yet a session.
struct Handshake {
    connection: quinn::Connection,
    connection_id: String,
    /// Its own endpoint, if it shares none.
    endpoint: Option<quinn::Endpoint>,
    took: Duration,
    certificate: Option<SeenCertificate>,
}

/// What a handshake with any of the addresses needs.
#[derive(Clone)]
struct Attempt {
    host: Arc<str>,
    protocols: Arc<[&'static str]>,
    rule: Rule,
    key: Option<Arc<ClientKey>>,
    congestion: CongestionControl,
    timeout: Duration,
    socket_buffer: usize,
    sockets: Option<Sockets>,
}

impl Attempt {
    async fn run(self, address: SocketAddr) -> Result<Handshake, ConnectFailure> {
        let tls_failure = |error: rustls::Error| ConnectFailure::Handshake(error.to_string());
        let verifier = Verifier::new(self.rule.clone());
        let id = tls::connection_id().map_err(tls_failure)?;
        let tls = tls::client(&self.protocols, verifier.clone(), self.key.as_deref()).map_err(tls_failure)?;
        let mut config = quinn::ClientConfig::new(tls);
        config
            .transport_config(config::transport(self.congestion, Limits::default()))
            .initial_dst_cid_provider(Arc::new(move || id));

        let Begun { endpoint, started, connecting } = self.begin(&config, address)?;
        let connection = connecting
            .await
            .map_err(|error| ConnectFailure::handshake(error, verifier.refusal(), self.timeout))?;
        Ok(Handshake {
            connection,
            connection_id: id.to_string(),
            endpoint: self.sockets.is_none().then_some(endpoint),
            took: started.elapsed(),
            certificate: verifier.seen(),
        })
    }

    fn begin(&self, config: &quinn::ClientConfig, address: SocketAddr) -> Result<Begun, ConnectFailure> {
        let begin = |endpoint: io::Result<quinn::Endpoint>| {
            let endpoint = endpoint.map_err(ConnectFailure::Socket)?;
            let started = Instant::now();
            let connecting = endpoint.connect_with(config.clone(), address, &self.host);
            Ok(connecting.map(|connecting| Begun { endpoint, started, connecting }))
        };
        let begun = match &self.sockets {
            None => begin(config::client_endpoint(address, self.socket_buffer))?,
            Some(sockets) => match begin(sockets.endpoint(address, self.socket_buffer))? {
                Err(quinn::ConnectError::EndpointStopping) => {
                    begin(sockets.replacement(address, self.socket_buffer))?
                }
                begun => begun,
            },
        };
        begun.map_err(|error| ConnectFailure::Handshake(error.to_string()))
    }
}

/// A handshake under way.
struct Begun {
    endpoint: quinn::Endpoint,
    started: Instant,
    connecting: quinn::Connecting,
}
