//! What happens to a session.

use bytes::Bytes;
use moqingbird_wire::DecodeError;
use moqingbird_wire::model::{Opening, RequestId};

use super::Fact;

/// A stream of the session, bidirectional or not, opened by us or by the peer. Numbers come from
/// [`Session::new_stream`](super::Session::new_stream) and are never used again in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(super) u64);

impl StreamId {
    /// The stream of this number.
    #[cfg(all(test, feature = "net"))]
    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number, as logs show it.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What the transport, or the clock, did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// Bytes arrived on a bidirectional stream; `fin`: no more will. The first input of a stream that the peer opened.
    Lane {
        /// The stream.
        stream: StreamId,
        /// What arrived; may be empty with `fin`.
        data: Bytes,
        /// Whether the peer has finished its half.
        fin: bool,
    },
    /// The peer reset its half of a bidirectional stream.
    LaneReset {
        /// The stream.
        stream: StreamId,
        /// The application's code.
        code: u64,
    },
    /// The peer does not read our half of a bidirectional stream any more.
    LaneStopped {
        /// The stream.
        stream: StreamId,
        /// The application's code.
        code: u64,
    },
    /// The peer opened a data stream, and this is its header. Answered by [`Output::Deliver`](super::Output::Deliver)
    /// or [`Output::Stop`](super::Output::Stop), now or later; until then nothing more is read from it.
    Data {
        /// The stream.
        stream: StreamId,
        /// Its header.
        opening: Opening,
        /// How many bytes of memory are kept by what has come behind the header; a receive buffer counts whole.
        pinned: usize,
    },
    /// A data stream that was delivered has ended.
    DataEnded {
        /// The stream.
        stream: StreamId,
        /// How.
        how: StreamEnd,
    },
    /// Objects on a data stream of ours wait for the transport, or a finished one for its acknowledgement. It may be told
    /// again while they do. After the subscription's delivery timeout the answer is
    /// [`Output::Reset`](super::Output::Reset).
    DataWaits {
        /// The stream.
        stream: StreamId,
    },
    /// The transport has taken all objects that there are on a data stream of ours.
    DataTaken {
        /// The stream.
        stream: StreamId,
    },
    /// A data stream of ours has nothing more to send.
    DataSettled {
        /// The stream.
        stream: StreamId,
        /// How.
        how: StreamEnd,
    },
    /// A reader of a subscription or fetch by which we receive has seen something that other streams of the track may
    /// contradict.
    Fact {
        /// The subscription or fetch.
        of: RequestId,
        /// What.
        fact: Fact,
    },
    /// A datagram arrived.
    Datagram(Bytes),
    /// Bytes of a data stream break the draft.
    Violation(DecodeError),
    /// The transport's connection is gone.
    Lost(Lost),
    /// The moment given by [`Session::poll_timeout`](super::Session::poll_timeout) has come.
    Timeout,
}

/// How a data stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// With FIN: everything was received, or acknowledged.
    Finished,
    /// The sender reset it with this code.
    Reset(u64),
    /// The receiver stopped it with this code.
    Stopped(u64),
}

/// How a connection was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The peer's code, if the peer closed the session.
    pub code: Option<u64>,
    /// What the peer or the transport says of it.
    pub reason: String,
}
