//! What became of a case: for people, for TAP, and for whoever must find the session in a relay's log.

use std::time::Duration;

use moqingbird::{Session, TransportKind, Version};

/// What became of one point of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The case's name, with what distinguishes the point if the case runs more than once.
    pub name: String,
    /// Who defined the case.
    pub origin: Origin,
    /// The revision of the case's specification, if that counts them.
    pub revision: Option<u32>,
    /// From before the first connection until the last was closed.
    pub duration: Duration,
    /// The sessions that came about, in their order, even if the case failed later.
    pub sessions: Vec<SessionFacts>,
    /// Whether it passed, and on what.
    pub verdict: Verdict,
}

/// The decisive message of a case that passed, or why it did not.
pub type Verdict = Result<String, NotPassed>;

/// How a case ends that does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPassed {
    /// The draft, or what the relay is, cannot show it; why.
    Skipped(String),
    /// It failed.
    Failed(Failure),
}

impl From<Failure> for NotPassed {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Who defined a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The interop runner.
    Runner,
    /// aiomoqt's interop client.
    Aiomoqt,
    /// This client.
    Moqingbird,
}

impl Origin {
    /// Its name in diagnostics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runner => "moq-interop-runner",
            Self::Aiomoqt => "aiomoqt",
            Self::Moqingbird => "moqingbird",
        }
    }
}

/// How a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The message that was awaited.
    pub expected: String,
    /// What came instead, in a word or a message's name: `timeout` if nothing came.
    pub received: String,
    /// The same for people, in one sentence.
    pub message: String,
    /// What the runner is to make of it.
    pub cause: Cause,
}

/// What a failure tells of the cases that have not run yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Nothing.
    Answer,
    /// Nobody answered when the connection was tried.
    Silence,
    /// No case can run: the relay has no address, or the client no sockets or certificates.
    Hopeless,
}

/// What a session is in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The only session of the case.
    Client,
    /// The session that publishes.
    Publisher,
    /// The session that subscribes.
    Subscriber,
}

impl Role {
    /// The role's name in diagnostics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
        }
    }
}

/// What a session agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// What it is in the case.
    pub role: Role,
    /// The draft that was negotiated.
    pub version: Version,
    /// The transport.
    pub transport: TransportKind,
    /// The ALPN protocol of raw QUIC, or WebTransport's `wt-protocol` if one was agreed.
    pub protocol: Option<String>,
    /// QUIC's original destination connection id, in hexadecimal.
    pub connection_id: Option<String>,
}

impl SessionFacts {
    pub(crate) fn of(role: Role, session: &Session) -> Self {
        Self {
            role,
            version: session.version(),
            transport: session.transport(),
            protocol: session.protocol(),
            connection_id: session.connection_id(),
        }
    }
}
