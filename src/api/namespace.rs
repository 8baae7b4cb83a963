//! Namespaces: announced, heard of, and told.

use moqingbird_wire::model::{RequestError, TrackNamespace};

use super::session::{Granted, Leave, OwnedRequest};
use crate::driver::{Change, End, Listening, Note, Standing};
use crate::session::Misuse;

/// A namespace that we have announced. Dropping it withdraws it (PUBLISH_NAMESPACE_DONE).
#[derive(Debug)]
pub struct PublishedNamespace {
    owned: OwnedRequest,
    standing: Standing,
    namespace: TrackNamespace,
}

impl PublishedNamespace {
    pub(super) fn new(Granted { owned, listening }: Granted, namespace: TrackNamespace) -> Self {
        Self { owned, standing: listening.into_standing(), namespace }
    }

    /// The namespace.
    pub const fn namespace(&self) -> &TrackNamespace {
        &self.namespace
    }

    /// Waits until the peer takes the namespace no more, and says why; `None` if the session ended instead.
    pub async fn revoked(&mut self) -> Option<RequestError> {
        match self.standing.ended().await {
            End::Revoked(error) => {
                self.owned.leave_by(Leave::Silently);
                Some(error)
            }
            _ => None,
        }
    }

    /// Withdraws the namespace, as dropping it does.
    pub fn done(self) {}
}

/// A prefix below which we hear of namespaces. Dropping it ends that.
#[derive(Debug)]
pub struct NamespaceSubscription {
    owned: OwnedRequest,
    listening: Listening,
    prefix: TrackNamespace,
    ended: bool,
}

/// A namespace has come or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceEvent {
    /// This namespace has come.
    Namespace(TrackNamespace),
    /// This namespace has gone.
    NamespaceDone(TrackNamespace),
}

impl NamespaceSubscription {
    pub(super) fn new(Granted { owned, listening }: Granted, prefix: TrackNamespace) -> Self {
        Self { owned, listening, prefix, ended: false }
    }

    /// The prefix.
    pub const fn prefix(&self) -> &TrackNamespace {
        &self.prefix
    }

    /// The next namespace that comes or goes, whole; `None` once the session, or the peer's answer, has ended. A
    /// namespace that came and went before this was called is not told of. Cancel-safe.
    pub async fn next(&mut self) -> Option<NamespaceEvent> {
        loop {
            if self.ended {
                return self.listening.namespaces().take().map(Into::into);
            }
            match self.listening.namespace_or_note().await {
                Ok(change) => return Some(change.into()),
                Err(Some(Note::Rejected(_))) => {
                    self.owned.leave_by(Leave::Silently);
                    self.ended = true;
                }
                Err(Some(_)) => {}
                Err(None) => self.ended = true,
            }
        }
    }
}

impl From<Change> for NamespaceEvent {
    fn from(Change { namespace, came }: Change) -> Self {
        if came { Self::Namespace(namespace) } else { Self::NamespaceDone(namespace) }
    }
}

/// A namespace that the peer has announced to us. Dropping it tells the peer that we take it no more
/// (PUBLISH_NAMESPACE_CANCEL).
#[derive(Debug)]
pub struct PeerNamespace {
    owned: OwnedRequest,
    standing: Standing,
    namespace: TrackNamespace,
    taken: bool,
}

impl PeerNamespace {
    pub(super) fn new(Granted { owned, listening }: Granted, namespace: TrackNamespace) -> Self {
        Self { owned, standing: listening.into_standing(), namespace, taken: true }
    }

    /// The namespace.
    pub const fn namespace(&self) -> &TrackNamespace {
        &self.namespace
    }

    /// Waits until the peer withdraws the namespace, or the session ends.
    pub async fn withdrawn(&self) {
        self.standing.ended().await;
    }

    /// Tells the peer that we take the namespace no more, and why.
    pub fn revoke(mut self, error: RequestError) {
        self.tell(error);
    }

    fn tell(&mut self, error: RequestError) {
        if std::mem::take(&mut self.taken) {
            // It fails if the peer has withdrawn the namespace meanwhile, which is as good.
            let _ = self.owned.shared().run(|session, now| session.revoke(now, self.owned.id, error));
        }
    }
}

impl Drop for PeerNamespace {
    fn drop(&mut self) {
        use moqingbird_wire::model::RequestErrorCode;
        self.tell(RequestError::new(RequestErrorCode::Uninterested, "the namespace is no longer used"));
    }
}

/// The peer's wish to hear of namespaces below a prefix, which we have granted.
#[derive(Debug)]
pub struct NamespaceSubscriber {
    owned: OwnedRequest,
    standing: Standing,
    prefix: TrackNamespace,
}

impl NamespaceSubscriber {
    pub(super) fn new(Granted { owned, listening }: Granted, prefix: TrackNamespace) -> Self {
        Self { owned, standing: listening.into_standing(), prefix }
    }

    /// The prefix.
    pub const fn prefix(&self) -> &TrackNamespace {
        &self.prefix
    }

    /// Tells the peer of a namespace that has come.
    ///
    /// # Errors
    /// The namespace does not begin with the prefix, or the peer does not listen any more.
    pub fn namespace(&self, namespace: TrackNamespace) -> Result<(), Misuse> {
        self.owned.shared().run(|session, now| session.namespace(now, self.owned.id, namespace))
    }

    /// Tells the peer of a namespace that has gone.
    ///
    /// # Errors
    /// The peer was not told of it, or does not listen any more.
    pub fn namespace_done(&self, namespace: &TrackNamespace) -> Result<(), Misuse> {
        self.owned.shared().run(|session, now| session.namespace_done(now, self.owned.id, namespace))
    }

    /// Waits until the peer does not listen any more.
    pub async fn cancelled(&self) {
        self.standing.ended().await;
    }

    /// Tells the peer that it hears of nothing more: the stream of its request ends (draft-16 §6.1).
    ///
    /// # Errors
    /// The draft in use has no way to say it, or the peer does not listen any more.
    pub fn finish(self) -> Result<(), Misuse> {
        self.owned.shared().run(|session, now| session.end_prefix(now, self.owned.id))
    }
}
