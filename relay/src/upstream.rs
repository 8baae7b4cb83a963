//! From a publisher into a track.

use std::sync::Arc;
use std::time::Duration;

use moqingbird::track::{Item, SubgroupInfo, Track};
use moqingbird::wire::model::{PublishDoneCode, ReasonPhrase, RequestUpdate, ResetCode};
use moqingbird::wire::stream::SubgroupItem;
use moqingbird::{Delivery, IncomingSubgroup, SubgroupError, Subscription};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bridge;
use crate::fanout::{Fanout, Malformed};

/// How a source has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poured {
    /// It has sent all that it means to send.
    Complete,
    /// It is lost, or was left.
    Lost,
    /// What it sent breaks the rules of tracks.
    Malformed,
}

/// Pours a subscription into a track until it has ended and all its objects have arrived, and keeps the publisher's
/// Forward State at what `forward` says. The publishers that were there before go first, for at most as long as they may
/// stall.
pub(crate) async fn pour(
    fanout: Arc<Fanout>,
    mut subscription: Subscription,
    mut forward: watch::Receiver<bool>,
    stalled_after: Duration,
) -> Poured {
    let (track, largest) = (fanout.track(), subscription.largest());
    let mut source = None;
    let joins = timeout(stalled_after, fanout.join(largest));
    tokio::pin!(joins);
    let mut asked_groups = fanout.asked_groups();
    let mut subgroups = JoinSet::new();
    let done = loop {
        tokio::select! {
            biased;
            changed = forward.changed() => {
                // Without a sender the route is gone.
                let Ok(()) = changed else { return Poured::Lost };
                let update = RequestUpdate { forward: Some(*forward.borrow_and_update()), ..RequestUpdate::default() };
                if let Err(error) = Box::pin(subscription.update(update)).await {
                    tracing::debug!(track = %subscription.track(), %error, "the publisher's forward state stays");
                }
            }
            Ok(()) = asked_groups.changed() => {
                let new_group_request = *asked_groups.borrow_and_update();
                let update = RequestUpdate { new_group_request, ..RequestUpdate::default() };
                if let Err(error) = Box::pin(subscription.update(update)).await {
                    tracing::debug!(track = %subscription.track(), %error, "no new group");
                }
            }
            Some(poured) = subgroups.join_next() => if let Ok(Err(Malformed(rule))) = poured {
                break Some((PublishDoneCode::MalformedTrack, ReasonPhrase::from(rule)));
            },
            joined = &mut joins, if source.is_none() => {
                source = Some(joined.unwrap_or_else(|_| fanout.join_now(largest)));
            }
            delivery = paced(&track, subscription.next(), stalled_after), if source.is_some() => match delivery {
                Ok(Some(Delivery::Subgroup(subgroup))) => {
                    subgroups.spawn(pour_subgroup(subgroup, Arc::clone(&fanout), stalled_after));
                }
                Ok(Some(Delivery::Datagram(datagram))) => fanout.datagram(datagram),
                Ok(Some(_)) => {}
                Ok(None) => {
                    break subscription.done().map(|done| (bridge::publish_done(done.code), done.reason.clone()));
                }
                Err(_) => break None,
            },
        }
    };
    let poured = match &done {
        Some((PublishDoneCode::MalformedTrack, _)) => Poured::Malformed,
        Some((PublishDoneCode::TrackEnded | PublishDoneCode::SubscriptionEnded, _)) => Poured::Complete,
        _ => Poured::Lost,
    };
    if poured != Poured::Malformed {
        while subgroups.join_next().await.is_some() {}
    }
    drop(source);
    fanout.ended_by_publisher(done);
    poured
}

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
async fn paced<T>(track: &Track, next: impl Future<Output = T>, stalled_after: Duration) -> T {
    keep_pace(track, stalled_after).await;
    next.await
}

async fn keep_pace(track: &Track, stalled_after: Duration) {
    if timeout(stalled_after, track.ready()).await.is_err() {
        track.give_up();
    }
}

async fn pour_subgroup(
    mut subgroup: IncomingSubgroup,
    fanout: Arc<Fanout>,
    stalled_after: Duration,
) -> Result<(), Malformed> {
    let track = fanout.track();
    let mut feed = fanout.begin(info(&subgroup));
    let mut items = Vec::new();
    loop {
        keep_pace(&track, stalled_after).await;
        let end = batch(&mut subgroup, &mut items).await;
        feed.take(&mut items).await?;
        match end {
            Ok(false) => {}
            Ok(true) => {
                feed.finish();
                return Ok(());
            }
            Err(SubgroupError::Reset(code)) => {
                feed.reset(bridge::reset(code));
                return Ok(());
            }
            Err(SubgroupError::Malformed(rule)) => {
                feed.reset(ResetCode::MalformedTrack);
                return Err(Malformed(rule));
            }
            Err(_) => {
                feed.reset(ResetCode::InternalError);
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
            Some(SubgroupItem::Object(mut header)) => {
                // They are kept for longer than the packet in which they came.
                header.extensions = header.extensions.detached();
                items.push(Item::Object(header));
            }
            Some(SubgroupItem::Payload(payload)) => items.push(Item::Payload(payload)),
            _ => return Ok(true),
        }
        next = match subgroup.try_next_item()? {
            None => return Ok(false),
            next => next,
        };
    }
}
