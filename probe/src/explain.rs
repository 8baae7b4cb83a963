//! Why a draft is not live, in a word, in words, and what to try next.

use moqingbird::session::Closed;
use moqingbird::wire::model::SessionErrorCode;
use moqingbird::{ConnectError, ConnectFailure, ServerUrl, SessionError, TransportKind, Version};
use serde::{Serialize, Serializer};

use crate::knock::Knock;

/// What happened, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The host's name has no address.
    UnknownHost,
    /// This machine has no socket for the address.
    NoRoute,
    /// The host says that nothing listens on the UDP port.
    NothingListening,
    /// Nothing came back.
    Silence,
    /// Something came back that is not QUIC.
    NotQuic,
    /// A QUIC server is there, and did not finish the handshake in time.
    HandshakeTimeout,
    /// The server knows none of the ALPN protocols that were offered.
    NoCommonAlpn,
    /// The server turned the connection away.
    Refused,
    /// QUIC's or TLS's handshake failed in another way.
    HandshakeFailed,
    /// QUIC was there, and no answer to the WebTransport request came in time.
    NoWebTransportAnswer,
    /// HTTP/3 failed.
    NoWebTransport,
    /// The server refused the WebTransport request because of its path.
    PathRefused,
    /// The server refused the WebTransport request because of the draft's protocol.
    DraftRefused,
    /// The server refused the WebTransport request, because of the path or the draft.
    WebTransportRefused,
    /// The server's `wt-protocol` header cannot be read.
    InvalidWtProtocol,
    /// The server chose another draft than the one that was offered.
    VersionMismatch,
    /// No SETUP came in time.
    SetupTimeout,
    /// The session ended before SETUP.
    SetupFailed,
    /// This machine could not do what was asked.
    LocalError,
}

impl Cause {
    /// As people say it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown host",
            Self::NoRoute => "no route",
            Self::NothingListening => "nothing listening",
            Self::Silence => "silence",
            Self::NotQuic => "not QUIC",
            Self::HandshakeTimeout => "handshake timeout",
            Self::NoCommonAlpn => "no common ALPN",
            Self::Refused => "refused",
            Self::HandshakeFailed => "handshake failed",
            Self::NoWebTransportAnswer => "no answer over WebTransport",
            Self::NoWebTransport => "no WebTransport",
            Self::PathRefused => "WebTransport path refused",
            Self::DraftRefused => "WebTransport draft refused",
            Self::WebTransportRefused => "WebTransport path or draft refused",
            Self::InvalidWtProtocol => "invalid wt-protocol header",
            Self::VersionMismatch => "version mismatch",
            Self::SetupTimeout => "SETUP timeout",
            Self::SetupFailed => "SETUP failed",
            Self::LocalError => "local error",
        }
    }

    /// As reports have it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown-host",
            Self::NoRoute => "no-route",
            Self::NothingListening => "nothing-listening",
            Self::Silence => "silence",
            Self::NotQuic => "not-quic",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::NoCommonAlpn => "no-common-alpn",
            Self::Refused => "refused",
            Self::HandshakeFailed => "handshake-failed",
            Self::NoWebTransportAnswer => "no-webtransport-answer",
            Self::NoWebTransport => "no-webtransport",
            Self::PathRefused => "path-refused",
            Self::DraftRefused => "draft-refused",
            Self::WebTransportRefused => "webtransport-refused",
            Self::InvalidWtProtocol => "invalid-wt-protocol",
            Self::VersionMismatch => "version-mismatch",
            Self::SetupTimeout => "setup-timeout",
            Self::SetupFailed => "setup-failed",
            Self::LocalError => "local-error",
        }
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Why a draft is not live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// In a word.
    pub cause: Cause,
    /// In words.
    pub what: String,
    /// What to try next.
    #[serde(rename = "try")]
    pub advice: String,
    /// The status of a WebTransport request that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
}

impl Failure {
    pub(crate) fn new(cause: Cause, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { cause, what: what.into(), advice: advice.into(), http_status: None }
    }

    /// As the `error` of relay_probe 0.9.8 has it: `timeout`, `connect: ..`, or `TYPE: ..`.
    pub fn error(&self) -> String {
        match self.cause {
            Cause::Silence | Cause::HandshakeTimeout | Cause::NoWebTransportAnswer => "timeout".to_owned(),
            Cause::SetupTimeout => "timeout: no SETUP".to_owned(),
            Cause::UnknownHost | Cause::NoRoute | Cause::NothingListening | Cause::Refused => {
                format!("connect: {}", self.what)
            }
            cause => format!("{}: {}", cause.words(), self.what),
        }
    }

    /// Nothing listens on the UDP port, but perhaps on TCP's.
    pub(crate) fn nothing_listening(url: &ServerUrl, tcp: bool) -> Self {
        let port = url.port();
        let what = format!("nothing listens on UDP port {port} of {}", url.host());
        let (what, advice) = if tcp {
            (
                format!("{what}; TCP port {port} is open"),
                "have the relay listen on UDP: MoQT needs QUIC, and what listens there speaks TCP only",
            )
        } else {
            (what, "start the relay, or check the port")
        };
        Self::new(Cause::NothingListening, what, advice)
    }

    /// The port sends back what it is sent.
    pub(crate) fn echo(url: &ServerUrl) -> Self {
        Self::new(
            Cause::NotQuic,
            format!("UDP port {} sends back what it is sent", url.port()),
            "check the port: an echo service listens there, no relay",
        )
    }

    /// The handshake took too long; with what a knock found.
    pub(crate) fn unanswered(url: &ServerUrl, after: &str, knock: Knock, tcp: bool) -> Self {
        let port = url.port();
        match knock {
            Knock::Refused => Self::nothing_listening(url, tcp),
            Knock::Silence if tcp => Self::new(
                Cause::Silence,
                format!(
                    "UDP port {port} of {} gave no answer within {after}; TCP port {port} is open",
                    url.host()
                ),
                "check that the relay listens on UDP too, and that no firewall drops it",
            ),
            Knock::Silence => Self::new(
                Cause::Silence,
                format!("UDP port {port} of {} gave no answer within {after}", url.host()),
                "check the host and the port, that the relay runs, and that no firewall drops UDP",
            ),
            Knock::Echo => Self::echo(url),
            Knock::Stranger => Self::new(
                Cause::NotQuic,
                format!("what answers on UDP port {port} does not speak QUIC"),
                "check the port: another service listens there",
            ),
            Knock::Quic => Self::new(
                Cause::HandshakeTimeout,
                format!("a QUIC server is there, but did not finish the handshake within {after}"),
                "try a longer --timeout; the relay may be overloaded, or large packets are lost on the way",
            ),
        }
    }

    /// What there is to say without a knock. Silence before the handshake is not for here.
    pub(crate) fn of(error: &SessionError, version: Version) -> Self {
        match error {
            SessionError::Connect(error) => Self::connect(error, version),
            SessionError::Setup { closed, .. } => Self::setup(closed, version),
            error => Self::new(Cause::SetupFailed, error.to_string(), "read the relay's log"),
        }
    }

    fn connect(error: &ConnectError, version: Version) -> Self {
        let quic = error.url().transport() == TransportKind::Quic;
        let what = error.failure().to_string();
        match error.failure() {
            ConnectFailure::Resolve(_) => Self::new(
                Cause::UnknownHost,
                what,
                "check the spelling of the host, and this machine's resolver",
            ),
            ConnectFailure::Socket(_) => {
                Self::new(Cause::NoRoute, what, "check that this machine has a route to the address")
            }
            ConnectFailure::TimedOut { after } => Self::new(
                Cause::NoWebTransportAnswer,
                format!("QUIC was there, but no answer to the WebTransport request came within {after:.1?}"),
                "check that the relay serves WebTransport here; a moqt:// URL asks for raw QUIC",
            ),
            ConnectFailure::NoCommonProtocol if quic => Self::new(
                Cause::NoCommonAlpn,
                format!(
                    "the server knows no protocol `{}` (ALPN): it does not speak {version} over raw QUIC",
                    version.protocol()
                ),
                format!(
                    "enable {version} at the relay, or ask for another draft; an https:// URL asks for WebTransport"
                ),
            ),
            ConnectFailure::NoCommonProtocol => Self::new(
                Cause::NoCommonAlpn,
                "the server knows no protocol `h3` (ALPN): it does not speak WebTransport",
                "enable WebTransport at the relay, or try a moqt:// URL",
            ),
            ConnectFailure::Refused(_) => {
                Self::new(Cause::Refused, what, "it may be full or shutting down: try again later")
            }
            ConnectFailure::WebTransport { status } => {
                let what = format!("the server answered the WebTransport request with HTTP status {status}");
                let advice = "check the path of the URL, and which drafts the relay speaks over WebTransport";
                Self { http_status: Some(*status), ..Self::new(Cause::WebTransportRefused, what, advice) }
            }
            ConnectFailure::Http(_) => Self::new(
                Cause::NoWebTransport,
                what,
                "the server may speak HTTP/3 without WebTransport: try a moqt:// URL",
            ),
            ConnectFailure::MalformedProtocol => Self::new(
                Cause::InvalidWtProtocol,
                "the server's wt-protocol header is not a quoted string (RFC 9651 §3.3.3)",
                "tell the relay's authors: the value needs its quotation marks",
            ),
            ConnectFailure::VersionMismatch { answered } => Self::mismatch(answered.as_deref(), version),
            ConnectFailure::Certificates(_) => {
                Self::new(Cause::LocalError, what, "check the files named by --ca")
            }
            _ => Self::new(Cause::HandshakeFailed, what, "check that host and port belong to a QUIC server"),
        }
    }

    fn mismatch(answered: Option<&str>, version: Version) -> Self {
        let offered = version.protocol();
        let what = match answered {
            Some(name) => format!("the server chose `{name}` although `{offered}` was offered"),
            None => format!(
                "the server took no notice of `{offered}`: it speaks a draft older than protocol names"
            ),
        };
        Self::new(
            Cause::VersionMismatch,
            what,
            format!("enable {version} at the relay, or ask for another draft"),
        )
    }

    fn setup(closed: &Closed, version: Version) -> Self {
        match closed {
            Closed::Local { code: SessionErrorCode::ControlMessageTimeout, reason } => Self::new(
                Cause::SetupTimeout,
                format!("{version} was agreed and its SETUP sent, but the server sent none ({reason})"),
                "read the relay's log; it may wait for something that SETUP does not need",
            ),
            Closed::Local { code: SessionErrorCode::VersionNegotiationFailed, reason }
            | Closed::Peer { code: SessionErrorCode::VersionNegotiationFailed, reason } => Self::new(
                Cause::VersionMismatch,
                format!("the two did not agree on {version} in SETUP ({reason})"),
                format!("enable {version} at the relay, or ask for another draft"),
            ),
            Closed::Local { .. } => Self::new(
                Cause::SetupFailed,
                format!("the server broke a rule of {version} before SETUP was done: {closed}"),
                "tell the relay's authors",
            ),
            Closed::Peer { .. } => Self::new(
                Cause::SetupFailed,
                closed.to_string(),
                "check path, authority and rights of the URL",
            ),
            closed => Self::new(Cause::SetupFailed, closed.to_string(), "read the relay's log"),
        }
    }
}
