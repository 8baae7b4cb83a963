//! What comes and goes below a prefix.

use std::sync::Arc;

use moqingbird_wire::model::TrackNamespace;

use super::state::{Listening, Shared};
use crate::api::NamespaceEvent;

/// Namespaces as they come and go, beginning with those that are there. Made by
/// [`Origin::announced`](super::Origin::announced).
#[derive(Debug)]
pub struct Announced {
    prefix: TrackNamespace,
    listening: Listening,
}

impl Announced {
    pub(super) fn new(shared: &Arc<Shared>, prefix: TrackNamespace) -> Self {
        Self { listening: shared.listen(prefix.clone(), false), prefix }
    }

    /// The prefix.
    pub const fn prefix(&self) -> &TrackNamespace {
        &self.prefix
    }

    /// The next namespace that comes or goes, whole. One that came and went since the last call is not told of.
    /// Cancel-safe.
    pub async fn next(&mut self) -> NamespaceEvent {
        self.listening.changes.next().await.into()
    }

    /// As [`Announced::next`], without waiting.
    pub fn try_next(&mut self) -> Option<NamespaceEvent> {
        self.listening.changes.take().map(Into::into)
    }
}
