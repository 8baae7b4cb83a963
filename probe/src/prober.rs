//! A real session for each draft at an endpoint, one draft after another.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moqingbird::wire::model::SessionErrorCode;
use moqingbird::{
    ClientOptions, ConnectFailure, Examination, Pem, ServerUrl, Session, SessionError, Sockets,
    TransportKind, Trust, Version,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::explain::{Cause, Failure};
use crate::knock::{Knock, knock, tcp};
use crate::list::{Endpoint, Relay};
use crate::report::{DraftReport, EndpointReport, RelayReport, draft_name};
use crate::{certificate, deep, path, stamp};

/// How long a handshake runs before the port is knocked at: a dead one need not be waited for.
const HEAD_START: Duration = Duration::from_millis(500);
/// How long an answer to a knock is waited for, of UDP and of TCP.
const KNOCK: Duration = Duration::from_secs(1);
/// How long a server has to take our farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a probe is done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProbeOptions {
    /// The drafts to try, in this order.
    pub versions: Vec<Version>,
    /// How long a connection may take, and SETUP after it; and each answer of `deep`.
    pub timeout: Duration,
    /// Whether each session is asked for a track and for namespaces.
    pub deep: bool,
    /// Whether no certificate is reported as untrusted.
    pub insecure: bool,
    /// Files of root certificates to trust besides the system's.
    pub roots: Vec<PathBuf>,
    /// How many relays are probed at the same time.
    pub parallel: usize,
}

impl Default for ProbeOptions {
    /// Every draft, oldest first; 8 s; 16 relays at a time.
    fn default() -> Self {
        Self {
            versions: Version::ALL.iter().rev().copied().collect(),
            timeout: Duration::from_secs(8),
            deep: false,
            insecure: false,
            roots: Vec::new(),
            parallel: 16,
        }
    }
}

/// Probes relays. Clones are the same prober.
#[derive(Clone, Debug)]
pub struct Prober {
    options: Arc<ProbeOptions>,
    /// How many relays are being taken leave of in the background.
    farewells: watch::Sender<usize>,
}

impl Prober {
    /// A prober with these options.
    pub fn new(options: ProbeOptions) -> Self {
        Self { options: Arc::new(options), farewells: watch::Sender::new(0) }
    }

    /// How it probes.
    pub fn options(&self) -> &ProbeOptions {
        &self.options
    }

    /// Probes every endpoint of a relay, one after another.
    pub async fn relay(&self, relay: &Relay) -> RelayReport {
        self.relay_from(relay, &Sockets::new()).await
    }

    /// As `relay`, from sockets that are this relay's alone: whatever it sends there is nobody else's trouble.
    pub(crate) async fn relay_from(&self, relay: &Relay, sockets: &Sockets) -> RelayReport {
        let mut reports = Vec::new();
        for endpoint in &relay.endpoints {
            match endpoint.url.parse() {
                Ok(url) => reports.push(self.endpoint(endpoint, &url, sockets).await),
                Err(error) => {
                    let error: moqingbird::ServerUrlError = error;
                    return RelayReport::failed(relay, error.to_string());
                }
            }
        }
        let tried: Vec<_> = self.options.versions.iter().map(|version| version.number()).collect();
        RelayReport::new(relay, reports, &tried)
    }

    /// Waits until every server has heard our farewells, or had time enough.
    pub async fn settled(&self) {
        // The sender is `self`.
        let _ = self.farewells.subscribe().wait_for(|left| *left == 0).await;
    }

    async fn endpoint(&self, endpoint: &Endpoint, url: &ServerUrl, sockets: &Sockets) -> EndpointReport {
        let started = Instant::now();
        let (mut probes, mut address, mut tls) = (Vec::new(), None, None);
        let mut hopeless: Option<Failure> = None;
        let mut closed = Vec::new();
        for version in &self.options.versions {
            if let Some(failure) = &hopeless {
                probes.push(dead(*version, failure.clone()));
                continue;
            }
            let (probe, examined, session) = self.draft(url, *version, sockets).await;
            closed.extend(session);
            hopeless = probe.failure.clone().filter(Failure::concerns_every_draft);
            probes.push(probe);
            address = address.or(examined.address);
            tls = tls.or_else(|| {
                let waived = !endpoint.verify || self.options.insecure;
                examined.certificate.as_ref().map(|seen| certificate::report(seen, url, waived))
            });
        }
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if url.transport() == TransportKind::WebTransport {
            path::judge(url, &self.client(self.options.versions.clone(), sockets).connect, &mut probes).await;
        }
        self.take_leave(closed, sockets);

        let live: Vec<_> = probes.iter().filter(|probe| probe.live).map(|probe| probe.offered).collect();
        EndpointReport {
            url: endpoint.url.clone(),
            transport: if url.transport() == TransportKind::Quic { "QUIC" } else { "H3/WT" },
            host: url.host().to_owned(),
            port: url.port(),
            live: !live.is_empty(),
            drafts: live.iter().map(|number| draft_name(*number)).collect(),
            draft: live.first().map(|number| draft_name(*number)),
            latency_ms,
            error: probes.last().filter(|_| live.is_empty()).and_then(|probe| probe.error.clone()),
            probes,
            newest_draft: live.iter().max().copied(),
            draft_numbers: live,
            address: address.map(|address| address.to_string()),
            tls,
        }
    }

    /// One draft, what was seen of the server, and the session, closed, if there was one.
    async fn draft(
        &self,
        url: &ServerUrl,
        version: Version,
        sockets: &Sockets,
    ) -> (DraftReport, moqingbird::Seen, Option<Session>) {
        let options = self.client(vec![version], sockets);
        let Examination { seen, outcome, .. } = tokio::select! {
            biased;
            examination = moqingbird::examine(url, &options) => examination,
            failure = hopeless(url) => return (dead(version, failure), moqingbird::Seen::default(), None),
        };
        let timings = DraftReport {
            offered: version.number(),
            handshake_ms: seen.handshake.map(stamp::milliseconds),
            setup_ms: seen.setup.map(stamp::milliseconds),
            ..DraftReport::default()
        };
        match outcome {
            Ok(session) => (self.live(url, &session, timings).await, seen, Some(session)),
            Err(error) => {
                let failure = match &error {
                    SessionError::Connect(connect) if seen.handshake.is_none() => match connect.failure() {
                        ConnectFailure::TimedOut { after } => unanswered(url, *after).await,
                        _ => Failure::of(&error, version),
                    },
                    _ => Failure::of(&error, version),
                };
                (DraftReport { error: Some(failure.error()), failure: Some(failure), ..timings }, seen, None)
            }
        }
    }

    /// The server has answered SETUP. Closes the session.
    async fn live(&self, url: &ServerUrl, session: &Session, timings: DraftReport) -> DraftReport {
        let deep = if self.options.deep { deep::ask(session).await } else { None };
        session.close(SessionErrorCode::NoError, "");
        let version = session.version();
        let implementation = session.peer_setup().implementation.as_deref();
        DraftReport {
            live: true,
            draft: Some(version.to_string()),
            version_hex: Some(format!("{:#010x}", 0xff00_0000_u32 + u32::from(version.number()))),
            alpn: Some(if url.transport() == TransportKind::Quic { version.protocol() } else { "h3" }),
            protocol: session.protocol(),
            implementation: implementation.map(|name| String::from_utf8_lossy(name).into_owned()),
            deep,
            ..timings
        }
    }

    /// Waits in the background until the server knows that these sessions are closed.
    fn take_leave(&self, closed: Vec<Session>, sockets: &Sockets) {
        if closed.is_empty() {
            return;
        }
        let (farewells, sockets) = (self.farewells.clone(), sockets.clone());
        farewells.send_modify(|left| *left += 1);
        tokio::spawn(async move {
            let told = async {
                for session in closed {
                    session.drained().await;
                }
                sockets.drained().await;
            };
            // A server that does not take it finds out by itself.
            let _ = timeout(FAREWELL, told).await;
            farewells.send_modify(|left| *left -= 1);
        });
    }

    fn client(&self, versions: Vec<Version>, sockets: &Sockets) -> ClientOptions {
        let mut options = ClientOptions::default();
        options.connect.sockets = Some(sockets.clone());
        options.connect.versions = versions;
        options.connect.timeout = self.options.timeout;
        options.connect.trust = Trust::Observe {
            system: true,
            extra: self.options.roots.iter().cloned().map(Pem::Path).collect(),
        };
        options.session.setup_timeout = self.options.timeout;
        options.session.response_timeout = self.options.timeout;
        options
    }
}

impl Failure {
    /// Whether every other draft would fail likewise: what was found lies below the drafts.
    fn concerns_every_draft(&self) -> bool {
        matches!(
            self.cause,
            Cause::UnknownHost
                | Cause::NoRoute
                | Cause::NothingListening
                | Cause::NotQuic
                | Cause::LocalError
        )
    }
}

fn dead(version: Version, failure: Failure) -> DraftReport {
    DraftReport {
        offered: version.number(),
        error: Some(failure.error()),
        failure: Some(failure),
        ..DraftReport::default()
    }
}

/// Is done only if it is certain that no QUIC server is at the port.
async fn hopeless(url: &ServerUrl) -> Failure {
    sleep(HEAD_START).await;
    match knock(url, KNOCK).await {
        Knock::Refused => Failure::nothing_listening(url, tcp(url, KNOCK).await),
        Knock::Echo => Failure::echo(url),
        _ => std::future::pending().await,
    }
}

/// The handshake was not answered: why.
async fn unanswered(url: &ServerUrl, after: Duration) -> Failure {
    let (knock, tcp) = tokio::join!(knock(url, KNOCK), tcp(url, KNOCK));
    Failure::unanswered(url, &format!("{after:.1?}"), knock, tcp)
}
