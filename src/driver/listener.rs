//! Where the fate of each request is told: a queue of notes for what comes in order, a status for what holds now.

use moqingbird_wire::model::{
    Datagram, PublishDone, Request, RequestError, RequestId, RequestUpdate, Response, SubscriptionFilter,
    TrackNamespace,
};
use tokio::sync::{mpsc, watch};

use super::DataStream;
use crate::session::Closed;

/// Something that happened to a request, in order.
#[derive(Debug)]
pub(crate) enum Note {
    /// Granted.
    Accepted(Box<Response>),
    /// Declined.
    Rejected(RequestError),
    /// A data stream that answers it.
    Stream(Box<DataStream>),
    /// A datagram of it.
    Datagram(Datagram),
    /// PUBLISH_DONE, and nothing more will come.
    Ended(PublishDone),
    /// A namespace has come.
    Namespace(TrackNamespace),
    /// A namespace has gone.
    NamespaceDone(TrackNamespace),
}

/// What holds for a request now.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// Whether objects are wanted.
    pub(crate) forward: bool,
    /// The subscriber's priority.
    pub(crate) priority: u8,
    /// The subscriber's filter.
    pub(crate) filter: Option<SubscriptionFilter>,
    /// Whether, and how, it is over.
    pub(crate) end: Option<End>,
}

impl Status {
    /// Takes over what an update states.
    pub(super) fn apply(&mut self, update: &RequestUpdate) {
        self.forward = update.forward.unwrap_or(self.forward);
        self.priority = update.subscriber_priority.unwrap_or(self.priority);
        self.filter = update.filter.or(self.filter);
    }
}

/// How a request ended without its owner's doing.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The peer withdrew it, or left it.
    Cancelled,
    /// The peer takes the namespace no more.
    Revoked(RequestError),
    /// With its session.
    Closed(Closed),
}

/// The driver's half of a request's listener.
#[derive(Debug)]
pub(super) struct Listener {
    notes: mpsc::UnboundedSender<Note>,
    status: watch::Sender<Status>,
}

/// The owner's half.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) notes: mpsc::UnboundedReceiver<Note>,
    pub(crate) status: watch::Receiver<Status>,
}

impl Listener {
    /// A listener for a request that begins with this status.
    pub(super) fn new(status: Status) -> (Self, Listening) {
        let (note_sender, notes) = mpsc::unbounded_channel();
        let (status_sender, status) = watch::channel(status);
        (Self { notes: note_sender, status: status_sender }, Listening { notes, status })
    }

    /// Adds a note. A receiver that is gone wants none.
    pub(super) fn tell(&self, note: Note) {
        let _ = self.notes.send(note);
    }

    pub(super) fn update(&self, update: &RequestUpdate) {
        self.status.send_modify(|status| status.apply(update));
    }

    pub(super) fn end(&self, end: End) {
        self.status.send_modify(|status| {
            status.end.get_or_insert(end);
        });
    }
}

/// A request of the peer on its way to the application.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) id: RequestId,
    pub(crate) request: Request,
    pub(crate) listening: Listening,
}
