//! Where what has been published of a track is found.

use super::*;

/// Where the past of a track is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    /// The track, if it has a source; and whether that sends us objects now.
    pub(crate) track: Option<(TrackKey, bool)>,
    /// Whether anybody publishes the track, announces its namespace, or may have it upstream.
    pub(crate) is_published: bool,
    /// Whom to ask, the likeliest first: the sources, publishers, other relays.
    pub(crate) peers: Vec<PeerId>,
    /// What another relay is to be told of the way of the request.
    pub(crate) path: Path,
}

impl Core {
    /// Whether anybody publishes a track, announces its namespace, or may have it upstream.
    pub(crate) fn is_published(&self, name: &FullTrackName) -> bool {
        let route = self.routes.get(name);
        route.is_some_and(|route| self.sources_of(route).any(Source::is_established))
            || self.announcers(&name.namespace).next().is_some()
            || self.upstreams().next().is_some()
    }

    /// Where `peer` finds the past of a track, asking by way of `path`; `None` if it asks in a circle.
    pub(crate) fn past(&self, peer: PeerId, name: &FullTrackName, path: &Path) -> Option<Past> {
        if path.contains(&self.id) {
            return None;
        }
        let route = self.routes.get(name);
        let sources =
            || route.into_iter().flat_map(|route| self.sources_of(route)).filter(|it| it.is_established());
        let is_live = sources().any(|it| !matches!(it.kind, SourceKind::Published { forward: false }));
        let track = route.filter(|_| sources().next().is_some()).map(|route| (route.track, is_live));
        let mut announcing: Vec<_> =
            self.announcers(&name.namespace).map(|it| (it.path.len(), it.peer, it.path.clone())).collect();
        announcing.sort_by_key(|(length, ..)| *length);
        let known: Vec<_> = sources()
            .map(|it| (it.peer, it.path.clone()))
            .chain(announcing.into_iter().map(|(_, peer, path)| (peer, path)))
            .collect();
        let is_published = self.is_published(name);
        let mut peers = Vec::new();
        for (from, by) in known.into_iter().chain(self.upstreams()) {
            if self.may_go(from, &by, peer) && !peers.contains(&from) {
                peers.push(from);
            }
        }
        Some(Past { track, is_published, peers, path: path.iter().copied().chain([self.id]).collect() })
    }
}
