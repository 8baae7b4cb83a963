//! One session that shares an origin: what we announce to its peer, and what the peer announces to us.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use moqingbird_wire::model::{
    FullTrackName, Publish, PublishNamespace, SubscribeNamespace, SubscribeOptions, TrackAlias,
    TrackExtensions, TrackNamespace,
};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::requests::{self, MAX_SUBGROUPS};
use super::state::{Heard, Member, SessionKey, Shared};
use crate::api::{NamespaceEvent, NamespaceSubscription, RequestFailed, Session};
use crate::driver::Change;
use crate::session::Closed;
use crate::track::{self, Track};

/// How long two ends may say nothing before a hint is given why that may be.
const SILENCE: Duration = Duration::from_secs(2);

/// What a peer hears of an origin unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Whether every broadcast is announced (PUBLISH_NAMESPACE). Default: yes.
    pub announce: bool,
    /// Whether every track is offered (PUBLISH). Default: no; peers that ask by SUBSCRIBE_NAMESPACE for tracks get them.
    pub publish: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { announce: true, publish: false }
    }
}

impl ServeOptions {
    /// Announces broadcasts, or not.
    #[must_use]
    pub const fn announce(mut self, announce: bool) -> Self {
        self.announce = announce;
        self
    }

    /// Offers tracks, or not.
    #[must_use]
    pub const fn publish(mut self, publish: bool) -> Self {
        self.publish = publish;
        self
    }
}

/// A session that is served in the background. Dropped, it is not served any more.
#[derive(Debug)]
pub struct Attached {
    task: Option<JoinHandle<Closed>>,
}

impl Attached {
    pub(super) fn new(shared: Arc<Shared>, session: Session, options: ServeOptions) -> Self {
        // A member from now on, and not only when the task first runs.
        let member = shared.add_session(session.clone());
        Self { task: Some(tokio::spawn(run(shared, session, options, member))) }
    }

    /// Waits until the session has ended. `None` if the runtime has.
    pub async fn closed(&mut self) -> Option<Closed> {
        let closed = self.task.as_mut()?.await.ok();
        self.task = None;
        closed
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

pub(super) async fn serve(shared: Arc<Shared>, session: Session, options: ServeOptions) -> Closed {
    let member = shared.add_session(session.clone());
    run(shared, session, options, member).await
}

async fn run(shared: Arc<Shared>, session: Session, options: ServeOptions, member: Member) -> Closed {
    let mut version = shared.watch();
    let ours = shared.listen(TrackNamespace::empty(), true);
    let mut peer = Peer {
        shared,
        session,
        member,
        work: JoinSet::new(),
        announced: BTreeMap::new(),
        asked: BTreeMap::new(),
    };
    if options.publish {
        peer.work.spawn(publish_all(
            peer.shared.clone(),
            peer.session.clone(),
            TrackNamespace::empty(),
            true,
        ));
    }
    peer.ask();
    let (mut silent, mut leaves) = (true, false);
    let hint = tokio::time::sleep(SILENCE);
    tokio::pin!(hint);
    loop {
        tokio::select! {
            request = peer.session.next_request() => match request {
                Some(request) => {
                    silent = false;
                    let (shared, session) = (peer.shared.clone(), peer.session.clone());
                    peer.work.spawn(requests::answer(shared, session, peer.member.key, request));
                }
                None => return peer.session.closed().await,
            },
            Change { namespace, came } = ours.changes.next(), if options.announce => peer.announce(namespace, came),
            _ = version.changed() => peer.ask(),
            Some(_) = peer.work.join_next() => {}
            uri = peer.session.goaway(), if !leaves => {
                leaves = true;
                if uri.is_some() {
                    peer.member.leaves();
                }
            }
            () = &mut hint, if silent => {
                silent = false;
                peer.hint();
            }
        }
    }
}

struct Peer {
    shared: Arc<Shared>,
    session: Session,
    member: Member,
    /// Everything that goes on for this session; it ends with it.
    work: JoinSet<()>,
    /// Our broadcasts as they are announced to it.
    announced: BTreeMap<TrackNamespace, AbortHandle>,
    /// The prefixes for which it was asked.
    asked: BTreeMap<TrackNamespace, AbortHandle>,
}

impl Peer {
    fn announce(&mut self, namespace: TrackNamespace, came: bool) {
        // Aborting the task drops what it holds, which withdraws the announcement.
        if let Some(task) = self.announced.remove(&namespace) {
            task.abort();
        }
        if came {
            let task = self.work.spawn(announce(self.session.clone(), namespace.clone()));
            self.announced.insert(namespace, task);
        }
    }

    /// Asks for the prefixes that are wanted now, and for no others.
    fn ask(&mut self) {
        let wanted: BTreeSet<TrackNamespace> = self.shared.wanted();
        self.asked.retain(|prefix, task| {
            let keep = wanted.contains(prefix);
            if !keep {
                task.abort();
            }
            keep
        });
        for prefix in wanted {
            if !self.asked.contains_key(&prefix) {
                let (shared, key) = (self.shared.clone(), self.member.key);
                let task = self.work.spawn(hear(shared, self.session.clone(), key, prefix.clone()));
                self.asked.insert(prefix, task);
            }
        }
    }

    /// Nothing has been heard of the peer.
    fn hint(&self) {
        let url = self.session.remote_address().map(|address| address.to_string()).unwrap_or_default();
        let seconds = SILENCE.as_secs();
        if self.announced.is_empty() {
            tracing::info!(
                peer = %url,
                "connected for {seconds} s, and neither end has asked for anything: subscribe to a track by its name, or \
                 check that the publisher is connected to the same place"
            );
        } else {
            tracing::info!(
                peer = %url, namespaces = self.announced.len(),
                "announced for {seconds} s, and the peer has asked for nothing: check that subscribers use the same \
                 namespace and track name and the same server; a relay that waits for PUBLISH needs that option"
            );
        }
    }
}

/// Announces a namespace until this is dropped or the peer takes it no more.
async fn announce(session: Session, namespace: TrackNamespace) {
    match session.publish_namespace(PublishNamespace::new(namespace.clone())).await {
        Ok(mut published) => {
            if let Some(error) = published.revoked().await {
                tracing::info!(%namespace, code = %error.code, reason = %error.reason, "the peer takes the namespace no more");
            }
        }
        Err(RequestFailed::Closed(_)) => {}
        Err(error) => tracing::warn!(%namespace, %error, "the peer does not take the namespace"),
    }
}

/// Hears what the peer announces below a prefix until this is dropped.
async fn hear(shared: Arc<Shared>, session: Session, key: SessionKey, prefix: TrackNamespace) {
    let mut subscription = match subscribe_namespace(&session, &prefix).await {
        Ok(subscription) => subscription,
        Err(error) => return tracing::debug!(%prefix, %error, "the peer does not tell of namespaces"),
    };
    let mut heard = BTreeMap::<TrackNamespace, Heard>::new();
    while let Some(event) = subscription.next().await {
        match event {
            NamespaceEvent::Namespace(namespace) => {
                let known = shared.hear(namespace.clone(), key);
                heard.insert(namespace, known);
            }
            NamespaceEvent::NamespaceDone(namespace) => drop(heard.remove(&namespace)),
        }
    }
}

/// Asks for namespaces alone, where the draft can say so.
async fn subscribe_namespace(
    session: &Session,
    prefix: &TrackNamespace,
) -> Result<NamespaceSubscription, RequestFailed> {
    let request = SubscribeNamespace::new(prefix.clone());
    let namespaces = SubscribeNamespace { options: SubscribeOptions::Namespace, ..request.clone() };
    match session.subscribe_namespace(namespaces).await {
        Err(RequestFailed::Misuse(_)) => session.subscribe_namespace(request).await,
        asked => asked,
    }
}

/// Offers every track below a prefix, and those that come.
pub(super) async fn publish_all(
    shared: Arc<Shared>,
    session: Session,
    prefix: TrackNamespace,
    forward: bool,
) {
    let mut version = shared.watch();
    let mut offers = JoinSet::new();
    let mut offered = BTreeSet::new();
    loop {
        version.mark_unchanged();
        let tracks = shared.tracks(&prefix);
        offered.retain(|name| tracks.iter().any(|(other, _)| other == name));
        for (name, track) in tracks {
            if offered.insert(name.clone()) {
                offers.spawn(publish(session.clone(), name, track, forward));
            }
        }
        tokio::select! {
            changed = version.changed() => if changed.is_err() { return },
            Some(_) = offers.join_next() => {}
        }
    }
}

/// Offers a track, and serves the subscription that comes of it.
async fn publish(session: Session, name: FullTrackName, track: Track, forward: bool) {
    // The reader comes first, so that nothing falls between it and the location that the offer names.
    let reader = track.reader(None);
    let offer = Publish {
        track: name.clone(),
        track_alias: TrackAlias(0),
        largest: reader.largest(),
        forward,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: TrackExtensions::default(),
    };
    match session.publish(offer).await {
        Ok(publication) => {
            if let Err(error) = track::serve(publication, &track, reader, MAX_SUBGROUPS, |_| ()).await {
                tracing::debug!(track = %name, %error, "the subscriber left");
            }
        }
        Err(error) => tracing::debug!(track = %name, %error, "the peer does not take the track"),
    }
}
