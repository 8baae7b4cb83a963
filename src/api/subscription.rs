//! A track's objects as they come.

use std::time::Duration;

use moqingbird_wire::model::{
    Datagram, Fetch, FetchRange, FullTrackName, Location, Opening, PublishDone, RequestId, RequestKind,
    RequestUpdate, TrackExtensions,
};

use super::session::{self, Granted, Leave, OwnedRequest};
use super::{Fetched, IncomingSubgroup, RequestFailed};
use crate::driver::{Listening, Note, Status};
use crate::session::Closed;

/// A subscription: our SUBSCRIBE that was accepted, or the peer's PUBLISH that we accepted. Dropping it unsubscribes, and
/// stops the streams that it has not delivered; those that it has can be read on for as long as the publisher sends.
#[derive(Debug)]
pub struct Subscription {
    owned: OwnedRequest,
    listening: Listening,
    track: FullTrackName,
    largest: Option<Location>,
    expires: Option<Duration>,
    extensions: TrackExtensions,
    done: Option<PublishDone>,
}

/// What a subscription delivers.
#[derive(Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// A stream of objects.
    Subgroup(IncomingSubgroup),
    /// One object.
    Datagram(Datagram),
}

impl Subscription {
    pub(super) fn new(
        Granted { owned, listening }: Granted,
        track: FullTrackName,
        largest: Option<Location>,
        expires: Option<Duration>,
        extensions: TrackExtensions,
    ) -> Self {
        Self { owned, listening, track, largest, expires, extensions, done: None }
    }

    /// The track.
    pub const fn track(&self) -> &FullTrackName {
        &self.track
    }

    /// The number of the request that made the subscription.
    pub const fn id(&self) -> RequestId {
        self.owned.id
    }

    /// The largest location published when the subscription began. Objects up to it are not delivered here.
    pub const fn largest(&self) -> Option<Location> {
        self.largest
    }

    /// When the publisher means to end the subscription, from its beginning.
    pub const fn expires(&self) -> Option<Duration> {
        self.expires
    }

    /// What holds for the whole track.
    pub const fn extensions(&self) -> &TrackExtensions {
        &self.extensions
    }

    /// The next stream or datagram, in the order of arrival; `None` once the publisher has ended the subscription and
    /// all that it counted has been delivered: [`Subscription::done`] then tells how. Cancel-safe.
    ///
    /// # Errors
    /// The session ended.
    pub async fn next(&mut self) -> Result<Option<Delivery>, Closed> {
        while self.done.is_none() {
            match self.listening.note().await {
                Some(Note::Stream(stream)) => {
                    if let Opening::Subgroup(header) = stream.arrived.opening {
                        let default = self.extensions.default_publisher_priority;
                        let subgroup =
                            IncomingSubgroup::new(self.owned.handle.clone(), stream, header, default);
                        return Ok(Some(Delivery::Subgroup(subgroup)));
                    }
                }
                Some(Note::Datagram(datagram)) => return Ok(Some(Delivery::Datagram(datagram))),
                Some(Note::Ended(done)) => {
                    self.owned.leave_by(Leave::Silently);
                    self.done = Some(done);
                }
                Some(_) => {}
                None => return Err(session::closed(&self.listening)),
            }
        }
        Ok(None)
    }

    /// How the publisher ended the subscription, if it has.
    pub const fn done(&self) -> Option<&PublishDone> {
        self.done.as_ref()
    }

    /// Changes range, priority, forward state or delivery timeout (REQUEST_UPDATE; in draft-14 SUBSCRIBE_UPDATE, which
    /// has no answer and returns at once).
    ///
    /// # Errors
    /// The publisher declines, the draft does not allow the change, or the session ends.
    pub async fn update(&self, update: RequestUpdate) -> Result<(), RequestFailed> {
        let status =
            Status { forward: true, priority: 0, filter: None, new_group: (0, 0), tokens: None, end: None };
        let (shared, id) = (self.owned.shared(), self.owned.id);
        let asked = shared
            .request(status, |session, now| session.update(now, id, update))
            .map_err(|misuse| session::failed(shared, misuse))?;
        let Some((id, mut listening)) = asked else { return Ok(()) };
        // An update cannot be withdrawn.
        let owned = OwnedRequest::new(self.owned.handle.clone(), id, Leave::Silently);
        match listening.note().await {
            Some(Note::Rejected(error)) => {
                Err(RequestFailed::Rejected(owned.rejected(RequestKind::Update, error)))
            }
            Some(_) => Ok(()),
            None => Err(RequestFailed::Closed(session::closed(&listening))),
        }
    }

    /// Asks for what precedes the subscription, from `groups_before` groups before its largest group, or from the track's
    /// first (Relative Joining FETCH). The objects end exactly where those of the subscription begin.
    ///
    /// # Errors
    /// Nothing precedes the subscription ([`Subscription::largest`] is `None`), its filter is not Largest Object (that of
    /// [`Subscribe::new`]), the publisher declines, or the session ends.
    ///
    /// [`Subscribe::new`]: moqingbird_wire::model::Subscribe::new
    pub async fn join(&self, groups_before: u64) -> Result<Fetched, RequestFailed> {
        let range = FetchRange::RelativeJoining { subscription: self.owned.id, groups_before };
        Fetched::ask(&self.owned.handle, Fetch::new(range)).await
    }

    /// As [`Subscription::join`], from a group (Absolute Joining FETCH).
    ///
    /// # Errors
    /// As [`Subscription::join`]; or the group is after the largest.
    pub async fn join_from(&self, start_group: u64) -> Result<Fetched, RequestFailed> {
        let range = FetchRange::AbsoluteJoining { subscription: self.owned.id, start_group };
        Fetched::ask(&self.owned.handle, Fetch::new(range)).await
    }

    /// Ends the subscription (UNSUBSCRIBE), as dropping it does.
    pub fn unsubscribe(self) {}
}
