//! A session with a server, for those subcommands that need one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use moqingbird::wire::model::{FullTrackName, TrackNamespace};
use moqingbird::{
    CertificateHash, Client, ClientOptions, ConnectFailure, EventLog, Pem, Server, ServerCertificate,
    ServerOptions, ServerUrl, Session, SessionError, Trust, Version,
};
use moqingbird_interop::Drafts;

use crate::exit::{Failure, Outcome};
use crate::link::Link;
use crate::mlog::{self, MlogArgs};
use crate::signals::Signals;
use crate::target::Peer;

/// How long a peer has to learn that we leave.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// Which drafts are spoken, and by what the server is recognised.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConnectionArgs {
    /// Allow only these drafts
    #[arg(long, value_name = "14|16|14,16")]
    draft: Option<Drafts>,
    /// Trust any certificate: only for tests on one's own machine
    #[arg(long, conflicts_with_all = ["ca", "pin"])]
    insecure: bool,
    /// Trust the root certificates in this PEM file, besides the system's; may be repeated
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Trust only the certificate of this SHA-256, as `moqt relay` prints it; may be repeated
    #[arg(long, value_name = "SHA256", conflicts_with = "ca")]
    pin: Vec<CertificateHash>,
    #[command(flatten)]
    mlog: MlogArgs,
}

/// What a program that stays does without its session.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct ReconnectArgs {
    /// End when the session is lost. Without it, the server is tried again and again, with growing pauses, and what was
    /// missed is made good
    #[arg(long)]
    no_reconnect: bool,
}

/// Where sessions come from.
#[derive(Debug)]
pub(crate) enum Peers<'a> {
    /// The session with a server, and the next if it is lost.
    Server(&'a mut Link),
    /// Those who connect to us.
    Clients(Box<Server>),
}

/// A track as the command line names it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TrackArgs {
    /// The namespace, its fields between slashes: live/cam
    #[arg(value_parser = namespace)]
    namespace: TrackNamespace,
    /// The track's name in the namespace
    track: String,
}

impl TrackArgs {
    pub(crate) fn name(self) -> Result<FullTrackName, Failure> {
        track_name(self.namespace, self.track)
    }
}

pub(crate) fn track_name(namespace: TrackNamespace, track: String) -> Result<FullTrackName, Failure> {
    FullTrackName::new(namespace, track).map_err(Failure::input)
}

/// draft-14 and draft-16 §2.4.1: a namespace has at least one field.
pub(crate) fn namespace(text: &str) -> Result<TrackNamespace, String> {
    let namespace = TrackNamespace::from_path(text).map_err(|error| error.to_string())?;
    if namespace.fields().is_empty() {
        return Err("a namespace has at least one field, such as `live` or `live/cam`".to_owned());
    }
    Ok(namespace)
}

impl ConnectionArgs {
    fn options(&self, log: Option<EventLog>) -> ClientOptions {
        let mut options = ClientOptions::default();
        options.event_log = log;
        options.connect.versions = self.versions();
        options.connect.trust = if self.insecure {
            Trust::Insecure
        } else if !self.pin.is_empty() {
            Trust::Pinned(self.pin.clone())
        } else {
            Trust::Roots { system: true, extra: self.ca.iter().cloned().map(Pem::Path).collect() }
        };
        options
    }

    /// Connects, does `work`, and takes leave of the server; also when a signal ends the work.
    pub(crate) async fn with_session(
        &self,
        url: &ServerUrl,
        work: impl AsyncFnOnce(Session) -> Result<(), Failure>,
    ) -> Outcome {
        let once = ReconnectArgs { no_reconnect: true };
        self.with_link(url, once, async |link| work(link.session().clone()).await).await
    }

    /// As [`ConnectionArgs::with_session`], with a session that is replaced when it is lost.
    pub(crate) async fn with_link(
        &self,
        url: &ServerUrl,
        reconnect: ReconnectArgs,
        work: impl AsyncFnOnce(&mut Link) -> Result<(), Failure>,
    ) -> Outcome {
        let mut signals = Signals::listen()?;
        let log = self.mlog.open()?;
        let session = tokio::select! {
            session = self.connect(url, log.clone()) => session?,
            signal = signals.end() => return Ok(interrupted(signal)),
        };
        let keep = || Client::adopt(session.clone(), url.clone(), self.options(log.clone()));
        let client = (!reconnect.no_reconnect).then(keep);
        let mut link = Link::new(session, client);
        let outcome = tokio::select! {
            done = work(&mut link) => done.map(|()| ExitCode::SUCCESS),
            signal = signals.end() => Ok(interrupted(signal)),
        };
        link.close().await;
        mlog::finish(log).await;
        outcome
    }

    /// As [`ConnectionArgs::with_session`], with a server, or with those who connect to us.
    pub(crate) async fn with_peers(
        &self,
        peer: &Peer,
        reconnect: ReconnectArgs,
        work: impl AsyncFnOnce(Peers<'_>) -> Result<(), Failure>,
    ) -> Outcome {
        match peer {
            Peer::Server(url) => {
                self.with_link(url, reconnect, async |link| work(Peers::Server(link)).await).await
            }
            Peer::Clients { address, certificate } => self.listen(*address, certificate, work).await,
        }
    }

    async fn listen(
        &self,
        address: SocketAddr,
        certificate: &ServerCertificate,
        work: impl AsyncFnOnce(Peers<'_>) -> Result<(), Failure>,
    ) -> Outcome {
        let mut signals = Signals::listen()?;
        let log = self.mlog.open()?;
        let mut options = ServerOptions::default();
        options.addresses = vec![address];
        options.versions = self.versions();
        options.certificate = certificate.clone();
        let mut server = Server::bind(&options).map_err(Failure::input)?;
        if let Some(log) = &log {
            server = server.with_event_log(log.clone());
        }
        for address in server.local_addrs() {
            tracing::info!("listening {address} certificate-sha256 {}", server.certificate_sha256());
        }
        let outcome = tokio::select! {
            done = work(Peers::Clients(Box::new(server))) => done.map(|()| ExitCode::SUCCESS),
            signal = signals.end() => Ok(interrupted(signal)),
        };
        mlog::finish(log).await;
        outcome
    }

    fn versions(&self) -> Vec<Version> {
        self.draft.clone().unwrap_or_else(Drafts::all).versions().to_vec()
    }

    async fn connect(&self, url: &ServerUrl, log: Option<EventLog>) -> Result<Session, Failure> {
        let options = self.options(log);
        let session = moqingbird::connect(url, &options).await.map_err(|error| session_failure(&error))?;
        tracing::info!("connected to {url}: {} over {}", session.version(), session.transport());
        Ok(session)
    }
}

fn session_failure(error: &SessionError) -> Failure {
    if let SessionError::Connect(connect) = error
        && let ConnectFailure::Certificates(files) = connect.failure()
    {
        return Failure::input(files);
    }
    Failure::failed(error)
}

/// The status by which shells know a program that ended by a signal.
fn interrupted(signal: u8) -> ExitCode {
    ExitCode::from(128 + signal)
}
