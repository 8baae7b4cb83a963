//! Where the fate of each request is told: a queue of notes for what comes in order, a status for what holds now.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use moqingbird_wire::model::{
    AuthorizationToken, DEFAULT_PRIORITY, Datagram, PublishDone, PublishOk, Request, RequestError, RequestId,
    RequestUpdate, Response, SubscriptionFilter, TrackNamespace,
};
use tokio::sync::Notify;

use super::notes::Notes;
use super::{Change, Changes, DataStream};
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
    Stream(DataStream),
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
    /// The tokens of the last update that had some.
    pub(crate) tokens: Option<Arc<[AuthorizationToken]>>,
    /// Whether, and how, it is over.
    pub(crate) end: Option<Box<End>>,
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
        Self { forward, priority, filter, new_group: (0, 0), tokens: None, end: None }
    }

    /// Takes over what an update states.
    fn update(&mut self, update: &RequestUpdate) {
        self.forward = update.forward.unwrap_or(self.forward);
        self.priority = update.subscriber_priority.unwrap_or(self.priority);
        self.filter = update.filter.or(self.filter);
        if !update.authorization_tokens.is_empty() {
            self.tokens = Some(update.authorization_tokens.as_slice().into());
        }
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

/// What both halves share. A relay has one for each subscription, so it is small.
#[derive(Debug)]
struct Board {
    notes: Notes,
    status: Mutex<Status>,
    /// The status has changed.
    changed: Notify,
    /// Only few requests hear of namespaces.
    namespaces: OnceLock<Box<Changes>>,
}

impl Board {
    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn namespaces(&self) -> &Changes {
        self.namespaces.get_or_init(Box::default)
    }
}

/// The driver's half of a request's listener. Dropped, it ends the notes and the request.
#[derive(Debug)]
pub(super) struct Listener(Arc<Board>);

/// The owner's half. Dropped, it drops the notes.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) standing: Standing,
}

/// What is left to an owner who wants no notes: what holds for the request.
#[derive(Debug)]
pub(crate) struct Standing(Arc<Board>);

impl Listener {
    /// A listener for a request that begins with this status.
    pub(super) fn new(status: Status) -> (Self, Listening) {
        let board = Arc::new(Board {
            notes: Notes::default(),
            status: Mutex::new(status),
            changed: Notify::new(),
            namespaces: OnceLock::new(),
        });
        (Self(board.clone()), Listening { standing: Standing(board) })
    }

    /// Adds a note. A receiver that is gone wants none.
    pub(super) fn tell(&self, note: Note) {
        self.0.notes.send(note);
    }

    /// Adds a stream. Says whether another may wait for the reader; if not, it is dropped.
    pub(super) fn tell_stream(&self, stream: DataStream) -> bool {
        self.0.notes.send_stream(stream)
    }

    /// The subscriber's priority.
    pub(super) fn priority(&self) -> u8 {
        self.0.status().priority
    }

    pub(super) fn accepted(&self, response: Response) {
        if let Response::Publish(ok) = &response {
            self.change(|status| status.grant(ok));
        }
        self.tell(Note::Accepted(Box::new(response)));
    }

    pub(super) fn namespace(&self, namespace: TrackNamespace, came: bool) {
        self.0.namespaces().add(namespace, came);
    }

    pub(super) fn new_group(&self, group: u64) {
        self.change(|status| status.new_group = (status.new_group.0 + 1, group));
    }

    pub(super) fn update(&self, update: &RequestUpdate) {
        self.change(|status| status.update(update));
    }

    pub(super) fn end(&self, end: End) {
        self.change(|status| {
            status.end.get_or_insert_with(|| Box::new(end));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.status());
        self.0.changed.notify_waiters();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.notes.end();
        self.end(End::Cancelled);
    }
}

impl Listening {
    /// The next note. Cancel-safe.
    pub(crate) async fn note(&mut self) -> Option<Note> {
        self.standing.0.notes.recv().await
    }

    /// The next note, if there is one now.
    pub(crate) fn try_note(&mut self) -> Option<Note> {
        self.standing.0.notes.try_recv()
    }

    /// The namespaces that come and go.
    pub(crate) fn namespaces(&self) -> &Changes {
        self.standing.0.namespaces()
    }

    /// The next namespace that comes or goes; or else the next note. Cancel-safe.
    pub(crate) async fn namespace_or_note(&mut self) -> Result<Change, Option<Note>> {
        let Board { notes, .. } = &*self.standing.0;
        tokio::select! {
            biased;
            change = self.namespaces().next() => Ok(change),
            note = notes.recv() => Err(note),
        }
    }

    /// What holds for the request, to be looked at elsewhere too.
    pub(crate) fn standing(&self) -> Standing {
        Standing(self.standing.0.clone())
    }

    /// Listens to no more notes.
    pub(crate) fn into_standing(self) -> Standing {
        Standing(self.standing.0.clone())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.standing.0.notes.abandon();
    }
}

impl Standing {
    /// Looks at what holds now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Status) -> T) -> T {
        look(&self.0.status())
    }

    /// Waits until what holds is worth something. Cancel-safe.
    pub(crate) async fn wait<T>(&self, mut look: impl FnMut(&Status) -> Option<T>) -> T {
        loop {
            let changed = self.0.changed.notified();
            if let Some(found) = self.look(&mut look) {
                return found;
            }
            changed.await;
        }
    }

    /// How the request has ended without its owner's doing, if it has.
    pub(crate) fn end(&self) -> Option<End> {
        self.look(|status| status.end.as_deref().cloned())
    }

    /// Waits until it has.
    pub(crate) async fn ended(&self) -> End {
        self.wait(|status| status.end.as_deref().cloned()).await
    }
}

/// A request of the peer on its way to the application.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) id: RequestId,
    pub(crate) request: Request,
    pub(crate) listening: Listening,
}
