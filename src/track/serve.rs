//! From a track to one subscriber.

use std::sync::Arc;

use moqingbird_wire::model::{
    Datagram, Extensions, ObjectHeader, ObjectStatus, PublishDoneCode, ReasonPhrase, ResetCode, SubgroupId,
};
use tokio::task::JoinSet;

use super::{Delivery, Item, Reader, SubgroupEnd, SubgroupReader, Track, TrackEnd};
use crate::api::{Publication, PublicationError, SubgroupOptions, SubgroupSender};

/// Sends a subscriber what `reader` gives of `track`, as it comes, and PUBLISH_DONE when the track ends. Each subgroup
/// moves at its own stream's pace; at most `max_subgroups` are sent side by side, further ones wait, and are lost to the
/// subscriber if the track evicts them meanwhile. `tell` hears of changes of the subscriber's Forward State. What the
/// session's draft cannot say of an object without payload is left out. Dropping the future ends the subscription.
///
/// # Errors
/// The subscriber left, or the session ended, before the subscriber had everything.
pub async fn serve(
    publication: Publication,
    track: &Track,
    mut reader: Reader,
    max_subgroups: usize,
    tell: impl Fn(bool),
) -> Result<(), PublicationError> {
    let publication = Arc::new(publication);
    let mut subgroups = JoinSet::new();
    loop {
        if !publication.forward() {
            subgroups.shutdown().await;
            tell(false);
            match pause(&publication, track, reader).await {
                Some(resumed) => reader = resumed,
                None => return Err(PublicationError::Cancelled),
            }
            tell(publication.forward());
        }
        tokio::select! {
            () = publication.cancelled() => return Err(PublicationError::Cancelled),
            () = publication.paused() => {}
            Some(_) = subgroups.join_next() => {}
            delivery = reader.next(), if subgroups.len() < max_subgroups => match delivery {
                Some(Delivery::Subgroup(subgroup)) => {
                    subgroups.spawn(copy_subgroup(Arc::clone(&publication), subgroup));
                }
                Some(Delivery::Datagram(datagram)) => send_datagram(&publication, datagram).await,
                None => break,
            },
        }
    }
    tokio::select! {
        () = publication.cancelled() => return Err(PublicationError::Cancelled),
        () = async { while subgroups.join_next().await.is_some() {} } => {}
    }
    finish(publication, reader).await
}

/// Waits until the subscriber wants objects, or the track has ended. `None`: the subscriber has left.
async fn pause(publication: &Publication, track: &Track, mut reader: Reader) -> Option<Reader> {
    loop {
        tokio::select! {
            () = publication.cancelled() => return None,
            () = publication.forwarding() => return Some(track.reader(publication.filter())),
            delivery = reader.next() => if delivery.is_none() {
                return Some(reader);
            },
        }
    }
}

async fn finish(publication: Arc<Publication>, reader: Reader) -> Result<(), PublicationError> {
    let (code, reason) = match reader.end() {
        Some(TrackEnd::Finished { code, reason }) => (*code, reason.clone()),
        Some(TrackEnd::EndOfRange) => {
            (PublishDoneCode::SubscriptionEnded, ReasonPhrase::from("the end of the range is reached"))
        }
        _ => (PublishDoneCode::InternalError, ReasonPhrase::from("the track's publisher was lost")),
    };
    match Arc::into_inner(publication) {
        Some(publication) => publication.finish(code, reason).await,
        // Not reached: every task that shared the publication has ended.
        None => Ok(()),
    }
}

/// Copies one subgroup as it grows.
async fn copy_subgroup(publication: Arc<Publication>, reader: SubgroupReader) {
    match try_copy_subgroup(&publication, reader).await {
        Ok(()) | Err(PublicationError::Cancelled | PublicationError::Late | PublicationError::Closed(_)) => {}
        Err(error) => tracing::warn!(track = %publication.track(), %error, "a subgroup cannot be forwarded"),
    }
}

async fn try_copy_subgroup(
    publication: &Publication,
    mut reader: SubgroupReader,
) -> Result<(), PublicationError> {
    let mut items = Vec::new();
    let mut end = reader.next(&mut items).await;
    if items.is_empty() {
        return Ok(());
    }
    let info = reader.info();
    let options = SubgroupOptions {
        group_id: info.group_id,
        // Never "that of the first object": this subscriber may have joined behind it.
        subgroup_id: SubgroupId::Id(info.subgroup_id.unwrap_or(0)),
        publisher_priority: info.publisher_priority,
        extensions: info.extensions,
        end_of_group: info.end_of_group,
    };
    let mut sender = publication.open_subgroup(options).await?;
    loop {
        if !publication.forward() {
            return Ok(());
        }
        for item in items.drain(..) {
            match item {
                Item::Object(header) => begin(&mut sender, header)?,
                Item::Payload(payload) => sender.add(payload)?,
            }
        }
        sender.flush().await?;
        match end {
            None => end = reader.next(&mut items).await,
            Some(SubgroupEnd::Finished) => return sender.finish(),
            Some(SubgroupEnd::Reset(code)) => {
                sender.reset(code);
                return Ok(());
            }
            Some(SubgroupEnd::TooFarBehind) => {
                sender.reset(ResetCode::DeliveryTimeout);
                return Ok(());
            }
        }
    }
}

/// Begins an object. What the subscriber's draft cannot say of one without payload is left out: its extension headers,
/// or all of it.
fn begin(sender: &mut SubgroupSender, header: ObjectHeader) -> Result<(), PublicationError> {
    match sender.begin(&header) {
        Err(PublicationError::Encode(_)) if header.status != ObjectStatus::Normal => {
            match sender.begin(&ObjectHeader { extensions: Extensions::NONE, ..header }) {
                Err(PublicationError::Encode(_)) => Ok(()),
                begun => begun,
            }
        }
        begun => begun,
    }
}

/// Sends a datagram, unless the subscriber's draft cannot say it.
async fn send_datagram(publication: &Publication, datagram: Datagram) {
    if let Err(PublicationError::Encode(error)) = publication.send_datagram(datagram).await {
        tracing::debug!(track = %publication.track(), %error, "a datagram is left out");
    }
}
