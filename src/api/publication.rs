//! A track's objects as we send them to one subscriber.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::model::{
    Datagram, DatagramBody, FullTrackName, Location, ObjectStatus, PublishDoneCode, ReasonPhrase, Subscribe,
    SubscriptionFilter,
};

use super::session::{Granted, Leave, OwnedRequest};
use super::{PublicationError, SubgroupOptions, SubgroupSender};
use crate::driver::{End, Standing, Status, Unsettled};
use crate::session::Misuse;
use crate::transport::DatagramError;

/// A subscription as its publisher sees it: the peer's SUBSCRIBE that we accepted, or our PUBLISH that was accepted.
/// Dropping it ends it with SUBSCRIPTION_ENDED, or as [`Publication::done_when_dropped`] has set; [`Publication::finish`]
/// says why.
#[derive(Debug)]
pub struct Publication {
    pub(super) owned: OwnedRequest,
    standing: Standing,
    begun: Begun,
    /// How many requests for a new group have been told.
    new_groups_told: AtomicU64,
    /// How many of our streams are not settled.
    pub(super) unsettled: Arc<Unsettled>,
    /// Where the track ends, once that has been said: there is no object there or later.
    pub(super) end: Arc<OnceLock<Location>>,
}

/// By what a publication came about.
#[derive(Debug)]
pub(super) enum Begun {
    /// The peer's SUBSCRIBE.
    Subscribe(Subscribe),
    /// Our PUBLISH of this track.
    Publish(FullTrackName),
}

/// What a subscriber does that concerns how it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It has left, or the session is over.
    Cancelled,
    /// It wants no objects.
    Paused,
    /// It would like a new group, from this one on.
    NewGroup(u64),
}

impl Publication {
    pub(super) fn new(granted: Granted, begun: Begun) -> Self {
        let Granted { mut owned, listening } = granted;
        owned.leave_by(Leave::FINISH);
        let unsettled = Arc::default();
        Self {
            owned,
            standing: listening.into_standing(),
            begun,
            new_groups_told: AtomicU64::new(0),
            unsettled,
            end: Arc::default(),
        }
    }

    /// The track.
    pub const fn track(&self) -> &FullTrackName {
        match &self.begun {
            Begun::Subscribe(subscribe) => &subscribe.track,
            Begun::Publish(track) => track,
        }
    }

    /// What the subscriber asked; `None` if it accepted our PUBLISH.
    pub const fn subscribe(&self) -> Option<&Subscribe> {
        match &self.begun {
            Begun::Subscribe(subscribe) => Some(subscribe),
            Begun::Publish(_) => None,
        }
    }

    /// Whether the subscriber wants objects now. While it does not, none may be sent.
    pub fn forward(&self) -> bool {
        self.standing.look(|status| status.forward)
    }

    /// Waits until the subscriber wants objects; or has left, or the session is over.
    pub async fn forwarding(&self) {
        self.standing.wait(|status| (status.forward || status.end.is_some()).then_some(())).await;
    }

    /// Waits until the subscriber wants no objects; or has left, or the session is over.
    pub async fn paused(&self) {
        self.standing.wait(|status| (!status.forward || status.end.is_some()).then_some(())).await;
    }

    /// The subscriber's priority: 0 is served first, 255 last.
    pub fn subscriber_priority(&self) -> u8 {
        self.standing.look(|status| status.priority)
    }

    /// The draft that the subscriber speaks.
    pub(crate) fn version(&self) -> Version {
        self.owned.shared().draft.version()
    }

    /// Whether one track may be sent to the subscriber by streams and by datagrams.
    pub(crate) fn may_mix(&self) -> bool {
        self.owned.shared().draft.rules().mixed_forwarding
    }

    /// Waits until the subscriber would like a new group to begin soon, and tells from which on one will do; 0 is any
    /// (NEW_GROUP_REQUEST, draft-16 §9.2.2.9). Only of tracks with dynamic groups. Of several requests that nobody has
    /// waited for the last is told. `None`: the subscriber has left, or the session is over.
    pub async fn new_group_requested(&self) -> Option<u64> {
        let asked = self.standing.wait(|status| match self.untold_group(status) {
            Some(group) => Some(Some(group)),
            None => status.end.is_some().then_some(None),
        });
        asked.await
    }

    /// A request for a new group of which nobody was told. It is told thereby.
    fn untold_group(&self, status: &Status) -> Option<u64> {
        let (number, group) = status.new_group;
        (self.new_groups_told.swap(number, Ordering::Relaxed) < number).then_some(group)
    }

    /// Waits for what the subscriber does that concerns how it is served.
    pub(crate) async fn heard(&self) -> Heard {
        let heard = self.standing.wait(|status| match status {
            Status { end: Some(_), .. } => Some(Heard::Cancelled),
            Status { forward: false, .. } => Some(Heard::Paused),
            status => self.untold_group(status).map(Heard::NewGroup),
        });
        heard.await
    }

    /// Which objects the subscriber wants.
    pub fn filter(&self) -> Option<SubscriptionFilter> {
        self.standing.look(|status| status.filter)
    }

    /// Waits until the subscriber has left, or the session is over.
    pub async fn cancelled(&self) {
        self.standing.wait(|status| status.end.is_some().then_some(())).await;
    }

    /// Chooses what the subscriber is told (PUBLISH_DONE) if this is dropped.
    pub fn done_when_dropped(&mut self, code: PublishDoneCode, reason: &'static str) {
        self.owned.leave_by(Leave::Finish(code, reason));
    }

    /// Opens a stream for a subgroup. Waits while the subscriber takes no more streams.
    ///
    /// # Errors
    /// The subscriber has left, the session ended, or the draft cannot express the header.
    pub async fn open_subgroup(&self, options: SubgroupOptions) -> Result<SubgroupSender, PublicationError> {
        self.check()?;
        let shared = self.owned.shared();
        let opened = tokio::select! {
            biased;
            opened = shared.connection.open_uni() => opened,
            () = self.cancelled() => return Err(self.gone()),
        };
        let stream = opened.map_err(|_| self.gone())?;
        SubgroupSender::open(self, stream, options)
    }

    /// Sends an object in a datagram, waiting for room. The track alias in `datagram` is not used. One that is too large
    /// for the path is dropped, as the drafts have it (draft-14 §10.3, draft-16 §10.3).
    ///
    /// # Errors
    /// The subscriber has left, the session ended, the draft cannot express the object, or it lies behind the end of the
    /// track.
    pub async fn send_datagram(&self, datagram: Datagram) -> Result<(), PublicationError> {
        let bytes = self.encode_datagram(datagram)?;
        self.send_encoded_datagram(bytes).await
    }

    /// An object in a datagram, to be sent.
    pub(crate) fn encode_datagram(&self, datagram: Datagram) -> Result<Bytes, PublicationError> {
        self.check()?;
        let status = match datagram.body {
            DatagramBody::Status(status) => status,
            _ => ObjectStatus::Normal,
        };
        let at = Location::new(datagram.group_id, datagram.object_id);
        check_end(&self.end, at)?;
        let shared = self.owned.shared();
        let bytes = shared
            .run(|session, _| session.datagram(self.owned.id, datagram))
            .map_err(|e| self.misused(e))?;
        note_end(&self.end, at, status);
        Ok(bytes)
    }

    pub(crate) async fn send_encoded_datagram(&self, bytes: Bytes) -> Result<(), PublicationError> {
        match self.owned.shared().connection.send_datagram(bytes).await {
            Ok(()) | Err(DatagramError::TooLarge | DatagramError::Unsupported) => Ok(()),
            Err(DatagramError::Lost(_)) => Err(self.gone()),
        }
    }

    /// Ends the subscription (PUBLISH_DONE) once every subgroup that was finished is acknowledged, and waits for that.
    /// If the future is dropped the subscription ends all the same, unwaited.
    ///
    /// # Errors
    /// The subscriber has left before, or the session ended.
    pub async fn finish(
        mut self,
        code: PublishDoneCode,
        reason: impl Into<ReasonPhrase>,
    ) -> Result<(), PublicationError> {
        self.check()?;
        self.owned.leave_by(Leave::Silently);
        let (shared, id) = (self.owned.shared(), self.owned.id);
        shared
            .run(|session, now| session.finish(now, id, code, reason.into()))
            .map_err(|misuse| self.misused(misuse))?;
        tokio::select! {
            biased;
            () = self.unsettled.none_left() => Ok(()),
            () = self.cancelled() => Err(self.gone()),
        }
    }

    fn check(&self) -> Result<(), PublicationError> {
        match self.standing.look(|status| status.end.is_some()) {
            true => Err(self.gone()),
            false => Ok(()),
        }
    }

    fn gone(&self) -> PublicationError {
        match self.standing.end() {
            Some(End::Closed(closed)) => PublicationError::Closed(closed),
            _ => match self.owned.shared().close_reason() {
                Some(closed) => PublicationError::Closed(closed),
                None => PublicationError::Cancelled,
            },
        }
    }

    pub(super) fn misused(&self, misuse: Misuse) -> PublicationError {
        match misuse {
            Misuse::UnknownRequest | Misuse::Closed => self.gone(),
            misuse => PublicationError::Misuse(misuse),
        }
    }
}

/// Nothing is published behind the End of Track (draft-14 §10.2.1.1, draft-16 §10.2.1.1).
pub(super) fn check_end(end: &OnceLock<Location>, at: Location) -> Result<(), PublicationError> {
    match end.get().is_some_and(|end| at >= *end) {
        true => Err(PublicationError::Misuse(Misuse::WrongState("the track has ended before this object"))),
        false => Ok(()),
    }
}

/// Takes note of an End of Track that has been said. If another stream has said one meanwhile, that stands.
pub(super) fn note_end(end: &OnceLock<Location>, at: Location, status: ObjectStatus) {
    if status == ObjectStatus::EndOfTrack {
        let _ = end.set(at);
    }
}
