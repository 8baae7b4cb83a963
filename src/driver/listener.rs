//! Where the fate of each request is told: a queue of notes for what comes in order, a status for what holds now.

use std::sync::Arc;

use moqingbird_wire::model::{
    DEFAULT_PRIORITY, Datagram, PublishDone, PublishOk, Request, RequestError, RequestId, RequestUpdate,
    Response, SubscriptionFilter, TrackNamespace,
};
use tokio::sync::watch;

use super::notes::{self, NoteReceiver, NoteSender};
use super::{Changes, DataStream};
use crate::session::Closed;

/// Something that happened to a request, in order. Bounded by the limits of streams and datagrams in the
/// [queue](super::notes), and by there being one answer and one end.
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
    /// How often a new group was asked for, and from which on the last time.
    pub(crate) new_group: (u64, u64),
    /// Whether, and how, it is over.
    pub(crate) end: Option<End>,
}

impl Status {
    /// The status with which a request of either side begins.
    pub(crate) fn of(request: &Request) -> Self {
        let (forward, priority, filter) = match request {
            Request::Subscribe(s) | Request::TrackStatus(s) => (s.forward, s.subscriber_priority, s.filter),
            Request::Publish(publish) => (publish.forward, DEFAULT_PRIORITY, None),
            Request::Fetch(fetch) => (true, fetch.subscriber_priority, None),
            _ => (true, DEFAULT_PRIORITY, None),
        };
        Self { forward, priority, filter, new_group: (0, 0), end: None }
    }

    /// Takes over what an update states.
    fn update(&mut self, update: &RequestUpdate) {
        self.forward = update.forward.unwrap_or(self.forward);
        self.priority = update.subscriber_priority.unwrap_or(self.priority);
        self.filter = update.filter.or(self.filter);
    }

    /// Takes over what the subscriber says of our PUBLISH.
    fn grant(&mut self, ok: &PublishOk) {
        self.forward = ok.forward;
        self.priority = ok.subscriber_priority;
        self.filter = ok.filter;
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
    notes: NoteSender,
    status: watch::Sender<Status>,
    changes: Arc<Changes>,
}

/// The owner's half.
#[derive(Debug)]
pub(crate) struct Listening {
    notes: NoteReceiver,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) changes: Arc<Changes>,
}

impl Listener {
    /// A listener for a request that begins with this status.
    pub(super) fn new(status: Status) -> (Self, Listening) {
        let (note_sender, notes) = notes::queue();
        let (status_sender, status) = watch::channel(status);
        let changes = Arc::<Changes>::default();
        let listener = Self { notes: note_sender, status: status_sender, changes: changes.clone() };
        (listener, Listening { notes, status, changes })
    }

    /// Adds a note. A receiver that is gone wants none.
    pub(super) fn tell(&self, note: Note) {
        self.notes.send(note);
    }

    /// Whether another stream may wait for the reader.
    pub(super) fn takes_streams(&self) -> bool {
        self.notes.takes_streams()
    }

    /// The subscriber's priority.
    pub(super) fn priority(&self) -> u8 {
        self.status.borrow().priority
    }

    pub(super) fn accepted(&self, response: Response) {
        if let Response::Publish(ok) = &response {
            self.status.send_modify(|status| status.grant(ok));
        }
        self.tell(Note::Accepted(Box::new(response)));
    }

    pub(super) fn namespace(&self, namespace: TrackNamespace, came: bool) {
        self.changes.add(namespace, came);
    }

    pub(super) fn new_group(&self, group: u64) {
        self.status.send_modify(|status| status.new_group = (status.new_group.0 + 1, group));
    }

    pub(super) fn update(&self, update: &RequestUpdate) {
        self.status.send_modify(|status| status.update(update));
    }

    pub(super) fn end(&self, end: End) {
        self.status.send_modify(|status| {
            status.end.get_or_insert(end);
        });
    }
}

impl Listening {
    /// The next note. Cancel-safe.
    pub(crate) async fn note(&mut self) -> Option<Note> {
        self.notes.recv().await
    }

    /// The next note, if there is one now.
    pub(crate) fn try_note(&mut self) -> Option<Note> {
        self.notes.try_recv()
    }
}

/// A request of the peer on its way to the application.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) id: RequestId,
    pub(crate) request: Request,
    pub(crate) listening: Listening,
}
