//! Why a client has no connection, said so that a person knows what to try next.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use moqingbird_wire::Version;

use super::tls::{CertificateError, CertificateHash, Distrust, DistrustKind};
use super::web::UpgradeError;
use super::{Lost, ServerUrl, TransportKind};

/// A connection that did not come about: what was tried, and how it failed.
#[derive(Debug)]
pub struct ConnectError {
    details: Box<Details>,
}

#[derive(Debug)]
struct Details {
    url: ServerUrl,
    versions: Vec<Version>,
    address: Option<SocketAddr>,
    failure: ConnectFailure,
}

/// How a connection failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The host's name has no address; with what the resolver said.
    Resolve(String),
    /// The root certificates that were named cannot be used, or there are none.
    Certificates(CertificateError),
    /// The system gives no UDP socket for the address.
    Socket(io::Error),
    /// Nobody answered in time.
    TimedOut {
        /// How long it was tried.
        after: Duration,
    },
    /// The server's certificate is not trusted.
    Untrusted {
        /// The SHA-256 of the certificate that it showed.
        certificate: CertificateHash,
        /// What kind of thing is wrong with it.
        kind: DistrustKind,
        /// What is wrong with it.
        reason: String,
    },
    /// The server knows none of the ALPN protocols that were offered.
    NoCommonProtocol,
    /// The server turned the connection away during the handshake; with its reason.
    Refused(String),
    /// The handshake failed in another way.
    Handshake(String),
    /// The server answered the WebTransport request with this HTTP status.
    WebTransport {
        /// The status: 400 from a server that knows none of the drafts offered, 404 where the path is wrong.
        status: u16,
    },
    /// HTTP/3 failed before the WebTransport session was there.
    Http(String),
    /// The server's `wt-protocol` answer is not a quoted string (a structured field, RFC 9651 §3.3.3).
    MalformedProtocol,
    /// The server chose a draft that was not offered.
    VersionMismatch {
        /// The protocol that it named, if it named one.
        answered: Option<String>,
    },
}

impl ConnectError {
    pub(super) fn new(
        url: &ServerUrl,
        versions: &[Version],
        address: Option<SocketAddr>,
        failure: ConnectFailure,
    ) -> Self {
        let (url, versions) = (url.clone(), versions.to_vec());
        Self { details: Box::new(Details { url, versions, address, failure }) }
    }

    /// How it failed.
    pub fn failure(&self) -> &ConnectFailure {
        &self.details.failure
    }

    /// What was to be reached.
    pub fn url(&self) -> &ServerUrl {
        &self.details.url
    }

    /// The drafts that were offered, newest first.
    pub fn versions(&self) -> &[Version] {
        &self.details.versions
    }

    /// The address that was tried, once one was.
    pub fn address(&self) -> Option<SocketAddr> {
        self.details.address
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { url, versions, address, failure } = &*self.details;
        let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
        write!(f, "cannot connect to {url} ({}, {}", url.transport(), versions.join(" or "))?;
        if let Some(address) = address {
            write!(f, ", at {address}")?;
        }
        write!(f, "): {failure}; {}", failure.advice(url))
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.details.failure {
            ConnectFailure::Socket(error) => Some(error),
            ConnectFailure::Certificates(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(reason) => write!(f, "the name has no address ({reason})"),
            Self::Certificates(error) => error.fmt(f),
            Self::Socket(error) => write!(f, "no UDP socket ({error})"),
            Self::TimedOut { after } => write!(f, "nobody answered within {:.1} s", after.as_secs_f32()),
            Self::Untrusted { certificate, reason, .. } => {
                write!(f, "the server's certificate is not trusted ({reason}; its SHA-256 is {certificate})")
            }
            Self::NoCommonProtocol => f.write_str("the server knows none of the protocols offered (ALPN)"),
            Self::Refused(reason) => write!(f, "the server turned the connection away ({reason})"),
            Self::Handshake(reason) => write!(f, "the handshake failed ({reason})"),
            Self::WebTransport { status } => {
                write!(f, "the server answered the WebTransport request with HTTP status {status}")
            }
            Self::Http(reason) => write!(f, "HTTP/3 failed ({reason})"),
            Self::MalformedProtocol => {
                f.write_str("the server's wt-protocol answer is malformed (it must be a quoted string)")
            }
            Self::VersionMismatch { answered: Some(name) } => {
                write!(f, "the server chose `{name}`, which was not offered")
            }
            Self::VersionMismatch { answered: None } => f.write_str(
                "the server named no protocol, which stands for an older draft than those allowed",
            ),
        }
    }
}

impl ConnectFailure {
    /// What to try next.
    fn advice(&self, url: &ServerUrl) -> &'static str {
        let quic = url.transport() == TransportKind::Quic;
        match self {
            Self::Resolve(_) => "check the spelling of the host",
            Self::Certificates(_) => "check the certificates that this client was told to trust",
            Self::Socket(_) => "check that this machine has a route to the address",
            Self::TimedOut { .. } => {
                "check host and port, that the server runs, and that UDP is not blocked on the way"
            }
            Self::Untrusted { .. } => {
                "name its root certificate, pin that SHA-256 if it is the server's own, or turn verification off for a test"
            }
            Self::NoCommonProtocol if quic => "try an https:// URL, or allow other drafts",
            Self::NoCommonProtocol => "the server speaks no HTTP/3 here: try a moqt:// URL",
            Self::Refused(_) => "it may be full or shutting down: try again later",
            Self::Handshake(_) => "check that host and port belong to a QUIC server",
            Self::WebTransport { status: 404 } => "check the path of the URL",
            Self::WebTransport { .. } => {
                "check the path of the URL, allow other drafts, or try a moqt:// URL"
            }
            Self::Http(_) => "the server may not serve WebTransport here: try a moqt:// URL",
            Self::MalformedProtocol => "report it to the server's authors, or try a moqt:// URL",
            Self::VersionMismatch { .. } => "allow the draft that the server speaks",
        }
    }

    /// What the end of a QUIC handshake means; `refusal` is what this side had against the certificate.
    pub(super) fn handshake(
        error: quinn::ConnectionError,
        refusal: Option<(CertificateHash, Distrust)>,
        timeout: Duration,
    ) -> Self {
        use quinn::ConnectionError as Quic;
        if let Some((certificate, Distrust { kind, reason })) = refusal {
            return Self::Untrusted { certificate, kind, reason };
        }
        let code = match &error {
            Quic::TransportError(error) => Some(error.code),
            Quic::ConnectionClosed(close) => Some(close.error_code),
            _ => None,
        };
        match error {
            _ if code == Some(quinn::TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL)) => {
                Self::NoCommonProtocol
            }
            Quic::ConnectionClosed(_) if code == Some(quinn::TransportErrorCode::CONNECTION_REFUSED) => {
                Self::Refused("QUIC: connection refused".to_owned())
            }
            Quic::ApplicationClosed(close) => Self::Refused(close.to_string()),
            Quic::TimedOut => Self::TimedOut { after: timeout },
            error => Self::Handshake(error.to_string()),
        }
    }

    /// What the failure of a WebTransport request means.
    pub(super) fn upgrade(error: UpgradeError, timeout: Duration) -> Self {
        match error {
            UpgradeError::Status(status) => Self::WebTransport { status },
            UpgradeError::Protocol(name) => Self::VersionMismatch { answered: Some(name) },
            UpgradeError::MalformedProtocol => Self::MalformedProtocol,
            UpgradeError::Lost(Lost::TimedOut) => Self::TimedOut { after: timeout },
            UpgradeError::Lost(lost) => Self::Http(lost.to_string()),
            UpgradeError::Http(reason) => Self::Http(reason),
        }
    }
}

/// TLS's alert for an ALPN list without a common name (RFC 7301 §3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;
