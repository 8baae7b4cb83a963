//! From a publisher into a track.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use moqingbird::track::{Item, SubgroupInfo, SubgroupWriter, Track, Writer};
use moqingbird::wire::model::{
    Location, PublishDoneCode, ReasonPhrase, RequestUpdate, ResetCode, TrackExtensions,
};
use moqingbird::wire::stream::SubgroupItem;
use moqingbird::{Delivery, IncomingSubgroup, SubgroupError, Subscription};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bridge;
use crate::config::RelayOptions;

/// A route's track, and what its publishers say of it.
#[derive(Debug)]
pub(crate) struct Fanout {
    writer: Writer,
    facts: Mutex<Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    extensions: TrackExtensions,
    done: Option<(PublishDoneCode, ReasonPhrase)>,
}

impl Fanout {
    pub(crate) fn new(options: &RelayOptions) -> Self {
        Self { writer: Writer::new(options.track), facts: Mutex::default() }
    }

    /// Takes in what a publisher says of the track when a subscription begins.
    pub(crate) fn describe(&self, largest: Option<Location>, extensions: &TrackExtensions) {
        self.facts().extensions = extensions.clone();
        if let Some(largest) = largest {
            self.writer.raise_largest(largest);
        }
    }

    pub(crate) fn track(&self) -> Track {
        self.writer.track()
    }

    pub(crate) fn extensions(&self) -> TrackExtensions {
        self.facts().extensions.clone()
    }

    /// Ends the track as its last publisher did.
    pub(crate) fn end(&self) {
        let lost = || (PublishDoneCode::InternalError, ReasonPhrase::from("the track's publisher was lost"));
        let (code, reason) = self.facts().done.take().unwrap_or_else(lost);
        self.writer.finish(code, reason);
    }

    fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pours a subscription into the track until it has ended and all its objects have arrived, and keeps the
    /// publisher's Forward State at what `forward` says. Whether the track is complete.
    pub(crate) async fn pour(
        &self,
        mut subscription: Subscription,
        mut forward: watch::Receiver<bool>,
        stalled_after: Duration,
    ) -> bool {
        let mut subgroups = JoinSet::new();
        let done = loop {
            tokio::select! {
                biased;
                changed = forward.changed() => {
                    // Without a sender the route is gone.
                    let Ok(()) = changed else { return false };
                    let update = RequestUpdate { forward: Some(*forward.borrow_and_update()), ..RequestUpdate::default() };
                    if let Err(error) = subscription.update(update).await {
                        tracing::debug!(track = %subscription.track(), %error, "the publisher's forward state stays");
                    }
                }
                Some(poured) = subgroups.join_next() => if let Ok(Err(Malformed(rule))) = poured {
                    break Some((PublishDoneCode::MalformedTrack, ReasonPhrase::from(rule)));
                },
                delivery = paced(&self.writer, subscription.next(), stalled_after) => match delivery {
                    Ok(Some(Delivery::Subgroup(subgroup))) => {
                        let writer = self.writer.open_subgroup(info(&subgroup));
                        subgroups.spawn(pour_subgroup(subgroup, writer, self.track(), stalled_after));
                    }
                    Ok(Some(Delivery::Datagram(datagram))) => self.writer.datagram(datagram),
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        break subscription.done().map(|done| (bridge::publish_done(done.code), done.reason.clone()));
                    }
                    Err(_) => break None,
                },
            }
        };
        if !matches!(done, Some((PublishDoneCode::MalformedTrack, _))) {
            while subgroups.join_next().await.is_some() {}
        }
        let complete =
            matches!(done, Some((PublishDoneCode::TrackEnded | PublishDoneCode::SubscriptionEnded, _)));
        self.facts().done = done;
        complete
    }
}

/// The stream breaks this rule of tracks.
struct Malformed(&'static str);

fn info(subgroup: &IncomingSubgroup) -> SubgroupInfo {
    SubgroupInfo {
        group_id: subgroup.group_id(),
        subgroup_id: subgroup.subgroup_id(),
        publisher_priority: subgroup.priority(),
        extensions: subgroup.header().extensions,
        end_of_group: subgroup.header().end_of_group,
    }
}

/// Waits for the fastest subscriber, then for the publisher: QUIC's flow control holds a fast publisher back.
async fn paced<T>(track: &Writer, next: impl Future<Output = T>, stalled_after: Duration) -> T {
    keep_pace(&track.track(), stalled_after).await;
    next.await
}

async fn keep_pace(track: &Track, stalled_after: Duration) {
    if tokio::time::timeout(stalled_after, track.ready()).await.is_err() {
        track.give_up();
    }
}

async fn pour_subgroup(
    mut subgroup: IncomingSubgroup,
    mut writer: SubgroupWriter,
    track: Track,
    stalled_after: Duration,
) -> Result<(), Malformed> {
    let mut items = Vec::new();
    loop {
        keep_pace(&track, stalled_after).await;
        let end = batch(&mut subgroup, &mut items).await;
        if let Err(error) = writer.write(&mut items) {
            // The reader of the stream checks the same, so this is our own mistake.
            tracing::error!(%error, "a subgroup cannot be forwarded");
            writer.reset(ResetCode::InternalError);
            return Ok(());
        }
        match end {
            Ok(false) => {}
            Ok(true) => {
                let _ = writer.finish();
                return Ok(());
            }
            Err(SubgroupError::Reset(code)) => {
                writer.reset(bridge::reset(code));
                return Ok(());
            }
            Err(SubgroupError::Malformed(rule)) => {
                writer.reset(ResetCode::MalformedTrack);
                return Err(Malformed(rule));
            }
            Err(_) => {
                writer.reset(ResetCode::InternalError);
                return Ok(());
            }
        }
    }
}

/// Appends what has arrived, waiting until that is something. Whether the subgroup has ended behind it.
async fn batch(subgroup: &mut IncomingSubgroup, items: &mut Vec<Item>) -> Result<bool, SubgroupError> {
    let mut next = subgroup.next_item().await?;
    loop {
        match next {
            Some(SubgroupItem::Object(header)) => items.push(Item::Object(header)),
            Some(SubgroupItem::Payload(payload)) => items.push(Item::Payload(payload)),
            _ => return Ok(true),
        }
        next = match subgroup.try_next_item()? {
            None => return Ok(false),
            next => next,
        };
    }
}
