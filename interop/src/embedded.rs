//! A relay within the program, to run the cases against where none is given.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use moqingbird::{
    BindError, CertificateHash, ClientOptions, EventLog, Server, ServerOptions, ServerUrl, ServerUrlError,
    TransportKind, Trust, Version,
};
use moqingbird_relay::{Relay, RelayOptions};
use tokio::task::JoinHandle;

use crate::Target;

/// A relay on a free loopback port, in every draft and over both transports. Dropping it stops it.
#[derive(Debug)]
pub struct EmbeddedRelay {
    address: SocketAddr,
    certificate: CertificateHash,
    quic: ServerUrl,
    web: ServerUrl,
    running: Mutex<Option<JoinHandle<()>>>,
    log: Option<EventLog>,
}

impl EmbeddedRelay {
    /// Starts a relay. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// There is no port to be had.
    pub fn start() -> Result<Self, EmbeddedRelayError> {
        Self::start_logged(None)
    }

    /// As [`EmbeddedRelay::start`]; its sessions, and those of its targets, are logged.
    ///
    /// # Errors
    /// There is no port to be had.
    pub fn start_logged(log: Option<EventLog>) -> Result<Self, EmbeddedRelayError> {
        let mut server = Server::bind(&ServerOptions::default())?;
        if let Some(log) = &log {
            server = server.with_event_log(log.clone());
        }
        let address = *server.local_addrs().first().ok_or(BindError::NoAddress)?;
        let certificate = server.certificate_sha256();
        let (quic, web) = (format!("moqt://{address}").parse()?, format!("https://{address}/").parse()?);
        let running = Mutex::new(Some(tokio::spawn(serve(server))));
        Ok(Self { address, certificate, quic, web, running, log })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A session with it, over this transport and in this draft only.
    pub fn target(&self, transport: TransportKind, draft: Version) -> Target {
        let mut options = ClientOptions::default();
        options.connect.versions = vec![draft];
        options.connect.trust = Trust::Pinned(vec![self.certificate]);
        options.event_log = self.log.clone();
        let url = if transport == TransportKind::WebTransport { &self.web } else { &self.quic };
        Target::new(url.clone(), options)
    }

    /// Stops it: its sessions end, and nobody answers at its port.
    pub fn stop(&self) {
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            running.abort();
        }
    }
}

impl Drop for EmbeddedRelay {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(server: Server) {
    Relay::new(RelayOptions::default()).run(&server).await;
}

/// Why there is no embedded relay.
#[derive(Debug)]
#[non_exhaustive]
pub enum EmbeddedRelayError {
    /// Its port or certificate could not be had.
    Bind(BindError),
    /// Its address makes no URL.
    Url(ServerUrlError),
}

impl fmt::Display for EmbeddedRelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Url(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EmbeddedRelayError {}

impl From<BindError> for EmbeddedRelayError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<ServerUrlError> for EmbeddedRelayError {
    fn from(error: ServerUrlError) -> Self {
        Self::Url(error)
    }
}
