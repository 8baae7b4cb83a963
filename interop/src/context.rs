//! What a case works with: connections, time limits, and the words for what went wrong.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use moqingbird::session::Closed;
use moqingbird::wire::model::{RequestKind, SessionErrorCode};
use moqingbird::{ClientOptions, ConnectFailure, RequestFailed, ServerUrl, Session, SessionError, Version};
use tokio::time::{Instant, timeout, timeout_at};

use crate::names;
use crate::report::{Cause, Failure, Role, SessionFacts};

/// A connection with SETUP: the contract's limit of `setup-only`.
const SETUP_LIMIT: Duration = Duration::from_secs(2);
/// An answer, after its request was sent.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// How long the last packets of a session have to leave.
const FAREWELL: Duration = Duration::from_millis(200);
/// Longer than any case.
const NEVER: Duration = Duration::from_secs(3600);

/// A server, and how a session with it is to be made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// The server.
    pub url: ServerUrl,
    /// The drafts that may be agreed on, and whom to trust.
    pub options: ClientOptions,
}

impl Target {
    /// A server, and how a session with it is to be made.
    pub fn new(url: ServerUrl, options: ClientOptions) -> Self {
        Self { url, options }
    }
}

/// Where the sessions of a case go.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Targets {
    /// The session that publishes, or the only one.
    pub publisher: Target,
    /// The session that subscribes.
    pub subscriber: Target,
}

impl Targets {
    /// Publisher and subscriber each with its own target.
    pub fn new(publisher: Target, subscriber: Target) -> Self {
        Self { publisher, subscriber }
    }

    /// One target for both.
    pub fn same(target: Target) -> Self {
        Self { publisher: target.clone(), subscriber: target }
    }

    fn of(&self, role: Role) -> &Target {
        match role {
            Role::Client | Role::Publisher => &self.publisher,
            Role::Subscriber => &self.subscriber,
        }
    }
}

/// One run of one case.
#[derive(Debug)]
pub struct Context {
    targets: Targets,
    deadline: Instant,
    patience: u32,
    sessions: Mutex<Vec<SessionFacts>>,
}

impl Context {
    pub(crate) fn new(targets: Targets, deadline: Instant, patience: u32) -> Self {
        Self { targets, deadline, patience, sessions: Mutex::default() }
    }

    /// The sessions that have come about.
    pub(crate) fn into_sessions(self) -> Vec<SessionFacts> {
        self.sessions.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session in a role, SETUP done, in a draft that is allowed.
    pub(crate) async fn connect(&self, role: Role) -> Result<Session, Failure> {
        let target = self.targets.of(role).clone();
        let deadline = self.deadline_of(SETUP_LIMIT);
        let expected = "SERVER_SETUP";
        let mut options = target.options.clone();
        options.connect.timeout = deadline.saturating_duration_since(Instant::now());
        // The engine would report the peer's silence as a refusal; here silence is silence.
        options.session.response_timeout = NEVER;
        options.session.setup_timeout = NEVER;
        let session = match timeout_at(deadline, moqingbird::connect(&target.url, &options)).await {
            Ok(session) => session.map_err(|error| connect_failure(expected, &error))?,
            Err(_) => return Err(Failure { cause: Cause::Silence, ..silence(expected, SETUP_LIMIT) }),
        };
        self.note(SessionFacts::of(role, &session));
        allowed(&session, &options.connect.versions)?;
        Ok(session)
    }

    /// Adds a session to the report.
    pub(crate) fn note(&self, facts: SessionFacts) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(facts);
    }

    /// The server to which the session of a role goes.
    pub(crate) fn url(&self, role: Role) -> &ServerUrl {
        &self.targets.of(role).url
    }

    /// The grant of a request, which the peer may take `limit` to send.
    pub(crate) async fn granted<T>(
        &self,
        session: &Session,
        kind: RequestKind,
        limit: Duration,
        answer: impl Future<Output = Result<T, RequestFailed>>,
    ) -> Result<T, Failure> {
        let expected = names::granted(session.version(), kind);
        let answer = self.within(&expected, limit, answer).await?;
        answer.map_err(|failed| request_failure(expected, session.version(), kind, &failed))
    }

    /// Something that takes `limit` at most, and in any case no longer than the case may.
    pub(crate) async fn within<T>(
        &self,
        expected: &str,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let now = Instant::now();
        let deadline = self.deadline_of(limit);
        timeout_at(deadline, future)
            .await
            .map_err(|_| silence(expected, deadline.saturating_duration_since(now)))
    }

    /// Something that takes as long as the case may.
    pub(crate) async fn until_end<T>(
        &self,
        expected: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        self.within(expected, Duration::MAX, future).await
    }

    /// Ends a session that must still be open.
    pub(crate) async fn close(&self, session: Session) -> Result<(), Failure> {
        let expected = "open session";
        session.close(SessionErrorCode::NoError, "");
        match session.closed().await {
            Closed::Local { code: SessionErrorCode::NoError, .. } => {
                // The next case begins when the relay has been told. What QUIC waits for behind that is no matter.
                let _ = timeout(FAREWELL, session.drained()).await;
                Ok(())
            }
            closed => Err(closed_failure(expected, &closed)),
        }
    }

    fn deadline_of(&self, limit: Duration) -> Instant {
        let limit = limit.checked_mul(self.patience).and_then(|limit| Instant::now().checked_add(limit));
        limit.map_or(self.deadline, |limit| self.deadline.min(limit))
    }
}

/// Whether the draft that was negotiated is one of those that may be.
fn allowed(session: &Session, drafts: &[Version]) -> Result<(), Failure> {
    let version = session.version();
    if drafts.is_empty() || drafts.contains(&version) {
        return Ok(());
    }
    let expected = drafts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    let message = format!("{version} was negotiated although only {expected} was allowed");
    Err(Failure { expected, received: version.to_string(), message, cause: Cause::Answer })
}

/// The peer said nothing in time.
fn silence(expected: &str, limit: Duration) -> Failure {
    Failure {
        expected: expected.to_owned(),
        received: "timeout".to_owned(),
        message: format!("no {expected} after {} ms", limit.as_millis()),
        cause: Cause::Answer,
    }
}

/// The peer said something else.
pub(crate) fn mismatch(expected: &str, received: impl Into<String>, message: impl Into<String>) -> Failure {
    Failure {
        expected: expected.to_owned(),
        received: received.into(),
        message: message.into(),
        cause: Cause::Answer,
    }
}

/// The session was over when it should not have been.
pub(crate) fn closed_failure(expected: &str, closed: &Closed) -> Failure {
    mismatch(expected, "session closed", closed.to_string())
}

/// A request was not granted.
pub(crate) fn request_failure(
    expected: String,
    version: Version,
    kind: RequestKind,
    failed: &RequestFailed,
) -> Failure {
    match failed {
        RequestFailed::Rejected(_) => {
            mismatch(&expected, declined(version, kind, failed), failed.to_string())
        }
        RequestFailed::Closed(closed) => closed_failure(&expected, closed),
        _ => mismatch(&expected, "nothing", format!("the {kind} was not sent: {failed}")),
    }
}

/// `REQUEST_ERROR DOES_NOT_EXIST (0x10)`.
pub(crate) fn declined(version: Version, kind: RequestKind, failed: &RequestFailed) -> String {
    let message = names::declined(version, kind);
    match failed {
        RequestFailed::Rejected(rejected) => match rejected.wire_code {
            Some(number) => format!("{message} {} ({number:#x})", rejected.error.code),
            None => format!("{message} {}", rejected.error.code),
        },
        _ => message,
    }
}

fn connect_failure(expected: &str, error: &SessionError) -> Failure {
    let SessionError::Connect(connect) = error else {
        return mismatch(expected, "session closed", error.to_string());
    };
    let (received, cause) = match connect.failure() {
        ConnectFailure::TimedOut { .. } => ("timeout", Cause::Silence),
        ConnectFailure::Resolve(_) => ("no address", Cause::Hopeless),
        ConnectFailure::Certificates(_) | ConnectFailure::Socket(_) => ("nothing", Cause::Hopeless),
        ConnectFailure::Untrusted { .. } => ("untrusted certificate", Cause::Answer),
        ConnectFailure::NoCommonProtocol | ConnectFailure::VersionMismatch { .. } => {
            ("no common draft", Cause::Answer)
        }
        ConnectFailure::WebTransport { .. } => ("WebTransport refused", Cause::Answer),
        _ => ("connection failed", Cause::Answer),
    };
    Failure { cause, ..mismatch(expected, received, error.to_string()) }
}
