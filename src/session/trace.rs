//! What a session says and hears, for whoever keeps a log of it ([`Config::tap`](super::Config::tap)).

use bytes::Bytes;
use moqingbird_wire::model::{Datagram, Message, Opening};

use super::{Output, Session, StreamId};

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer.
    Received,
    /// To the peer.
    Sent,
}

/// Something that was said or heard: what was heard comes before what follows from it, what is said before
/// [`Output::Write`]. Tokens do not show their values when they are printed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Trace {
    /// A control message.
    Message {
        /// Which way.
        direction: Direction,
        /// The bidirectional stream.
        stream: StreamId,
        /// What is meant.
        message: Box<Message>,
    },
    /// A control message of a registered type.
    Other {
        /// Which way.
        direction: Direction,
        /// The control stream.
        stream: StreamId,
        /// Its type.
        kind: u64,
        /// What it carries.
        payload: Bytes,
    },
    /// The opening of a data stream.
    Stream {
        /// Which way.
        direction: Direction,
        /// The stream.
        stream: StreamId,
        /// Its first bytes.
        opening: Opening,
    },
    /// A datagram.
    Datagram {
        /// Which way.
        direction: Direction,
        /// The object, as it stands on the wire.
        datagram: Datagram,
    },
}

impl Session {
    /// Shows something to whoever listens. It is made only then.
    pub(super) fn trace(&mut self, trace: impl FnOnce() -> Trace) {
        if self.config.tap {
            self.outputs.push_back(Output::Trace(trace()));
        }
    }

    pub(super) fn trace_stream(&mut self, direction: Direction, stream: StreamId, opening: &Opening) {
        self.trace(|| Trace::Stream { direction, stream, opening: opening.clone() });
    }

    pub(super) fn trace_datagram(&mut self, direction: Direction, datagram: &Datagram) {
        self.trace(|| Trace::Datagram { direction, datagram: datagram.clone() });
    }
}
