//! What a transport owes the session: the two kinds of stream, datagrams, and an ending with a reason.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;

/// The stream code of a half that nobody wants any more: CANCELLED (draft-14 §10.4.3, draft-16 §13.4.4). The drafts have no
/// table for STOP_SENDING; the same code says the same thing there.
pub(crate) const CANCELLED: u32 = 0x1;

/// Which transport carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// QUIC itself, the draft agreed by ALPN (`moqt://` URLs).
    Quic,
    /// WebTransport over HTTP/3, the draft agreed by `wt-protocol` (`https://` URLs).
    WebTransport,
    /// Two ends in one process.
    Memory,
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
            Self::Memory => "memory",
        })
    }
}

/// A connection that carries one session.
pub(crate) trait Transport: Clone + Send + Sync + 'static {
    type Send: SendHalf;
    type Recv: RecvHalf;

    /// Opens a unidirectional stream, waiting for the peer's stream credit. Never await this in a loop that must progress.
    fn open_uni(&self) -> impl Future<Output = Result<Self::Send, Lost>> + Send;
    /// Opens a bidirectional stream, waiting for the peer's stream credit.
    fn open_bi(&self) -> impl Future<Output = Result<(Self::Send, Self::Recv), Lost>> + Send;
    /// The next unidirectional stream of the peer's. The order need not be the order of opening.
    fn accept_uni(&self) -> impl Future<Output = Result<Self::Recv, Lost>> + Send;
    /// The next bidirectional stream of the peer's. The order need not be the order of opening.
    fn accept_bi(&self) -> impl Future<Output = Result<(Self::Send, Self::Recv), Lost>> + Send;

    /// The next datagram.
    fn read_datagram(&self) -> impl Future<Output = Result<Bytes, Lost>> + Send;
    /// Sends a datagram, waiting for room in the send buffer rather than pushing an older one out of it.
    fn send_datagram(&self, payload: Bytes) -> impl Future<Output = Result<(), DatagramError>> + Send;
    /// The largest payload that `send_datagram` takes now, in bytes; 0 if the peer takes none. It may shrink at any time.
    fn max_datagram_size(&self) -> usize;

    /// Closes with an application code and a reason. Data that is not acknowledged is lost: await `SendHalf::stopped` before.
    fn close(&self, code: u32, reason: &str);
    /// Waits for the end and says why. After `close` it returns once the peer was told, or could not be.
    fn closed(&self) -> impl Future<Output = Lost> + Send;
    /// Waits until the last packets have left, so that the process may end. Only a client's connection on a socket of its own
    /// has any to wait for.
    fn drained(&self) -> impl Future<Output = ()> + Send;

    /// The name agreed by ALPN or `wt-protocol`.
    fn protocol(&self) -> Option<String>;
    fn kind(&self) -> TransportKind;
    /// QUIC's original destination connection id in lower-case hex: the same at both ends, and what a qlog is filed under.
    fn connection_id(&self) -> Option<String>;
    fn remote_address(&self) -> Option<SocketAddr>;
    /// How many bytes all streams together may hold unread; 0 if they share no such window.
    fn receive_window(&self) -> usize;
    /// The certificate that the peer has shown, in DER.
    fn peer_certificate(&self) -> Option<Bytes>;
}

/// The half of a stream that is written.
pub(crate) trait SendHalf: Send {
    /// Writes as much as flow control allows, at least one byte. Chunks that were taken whole are left empty and one that
    /// was taken in part keeps its rest, so that the same slice can be offered again.
    fn write(&mut self, chunks: &mut [Bytes]) -> impl Future<Output = Result<Written, StreamError>> + Send;
    /// Ends the stream cleanly. It may be called once everything was taken.
    fn finish(&mut self);
    /// Abandons the stream with a code.
    fn reset(&mut self, code: u32);
    /// Higher goes first; 0 at the start.
    fn set_priority(&mut self, order: i32);
    /// Waits until the peer stops the stream (its code) or has acknowledged everything up to the end (`None`).
    fn stopped(&self) -> impl Future<Output = Result<Option<u64>, Lost>> + Send;
}

/// The half of a stream that is read.
pub(crate) trait RecvHalf: Send {
    /// Fills as many of `chunks` as are ready: how many it filled, or `None` at the clean end. If there is nothing yet, `cx`
    /// is woken when there is.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, StreamError>>;
    /// Asks the peer to send no more, with a code, and discards what is unread.
    fn stop(&mut self, code: u32);
}

/// How much [`SendHalf::write`] took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes taken.
    pub(crate) bytes: usize,
    /// Chunks taken whole, from the front.
    pub(crate) chunks: usize,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The peer closed, with its application's code and reason.
    Peer { code: u64, reason: String },
    /// This side closed.
    Local,
    /// Nothing was heard from the peer for the idle timeout.
    TimedOut,
    /// The transport itself failed, in its own words.
    Transport(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { code, reason } if reason.is_empty() => {
                write!(f, "the peer closed with code {code:#x}")
            }
            Self::Peer { code, reason } => write!(f, "the peer closed with code {code:#x}: {reason}"),
            Self::Local => f.write_str("closed on this side"),
            Self::TimedOut => f.write_str("the peer fell silent (idle timeout)"),
            Self::Transport(text) => write!(f, "the transport failed: {text}"),
        }
    }
}

impl std::error::Error for Lost {}

/// Why a stream cannot be written or read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamError {
    /// The peer abandoned what it was sending, with this code.
    Reset(u64),
    /// The peer wants no more of what we were sending, with this code.
    Stopped(u64),
    /// This side already finished, reset or stopped the stream.
    Closed,
    /// The connection is gone.
    Lost(Lost),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(code) => write!(f, "the peer reset the stream with code {code:#x}"),
            Self::Stopped(code) => write!(f, "the peer stopped the stream with code {code:#x}"),
            Self::Closed => f.write_str("the stream was already ended on this side"),
            Self::Lost(lost) => lost.fmt(f),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<Lost> for StreamError {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// How a receive half ended other than cleanly. quinn says so once and then reports a clean end, which truncated data must
/// never look like.
#[derive(Debug, Default)]
pub(super) struct Ended {
    error: Option<StreamError>,
    /// Whether nothing is left to be stopped.
    over: bool,
}

impl Ended {
    /// Remembers that this side stopped the stream.
    pub(super) fn stop(&mut self) {
        self.over = true;
        self.error.get_or_insert(StreamError::Closed);
    }

    /// Remembers that the stream has come to its clean end.
    pub(super) const fn finish(&mut self) {
        self.over = true;
    }

    /// Whether nothing is left to be stopped: it has ended, or was stopped.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Remembers the first failure.
    pub(super) fn fail(&mut self, error: StreamError) -> StreamError {
        self.over |= matches!(error, StreamError::Reset(_));
        self.error.get_or_insert(error).clone()
    }

    /// The failure, if there was one.
    pub(super) fn check(&self) -> Result<(), StreamError> {
        self.error.clone().map_or(Ok(()), Err)
    }
}

/// Why a datagram was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DatagramError {
    /// It is larger than `max_datagram_size` is now.
    TooLarge,
    /// The peer takes no datagrams at all.
    Unsupported,
    /// The connection is gone.
    Lost(Lost),
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the datagram is larger than the path allows"),
            Self::Unsupported => f.write_str("the peer takes no datagrams"),
            Self::Lost(lost) => lost.fmt(f),
        }
    }
}

impl std::error::Error for DatagramError {}
