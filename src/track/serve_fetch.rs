//! From a track to one who fetches of its past.

use moqingbird_wire::model::{FetchOk, RangeStatus, ResetCode, TrackExtensions};

use super::{Held, HeldItem};
use crate::api::{FetchSender, IncomingFetch, PublicationError};

/// How many items are taken before they are handed to the transport.
const BATCH: usize = 64;

/// Answers a FETCH with what is held of the range. `extensions` is what holds for the track. What the session's draft
/// cannot say of a status is left out. If the beginning of the range has been lost, the stream says so, or in a draft in which
/// it cannot the FETCH is declined (UNKNOWN_STATUS_IN_RANGE). Dropping the future resets the stream.
///
/// # Errors
/// The peer cancelled, or the session ended, before it had everything; or the draft cannot express an object.
pub async fn serve_fetch(
    request: IncomingFetch,
    mut held: Held,
    extensions: TrackExtensions,
) -> Result<(), PublicationError> {
    let ok = FetchOk { group_order: None, end_of_track: held.is_end_of_track(), end: held.end(), extensions };
    if held.is_empty() {
        return request.accept_empty(ok).await;
    }
    let lost = held.lost();
    let request = match lost {
        Some(_) => match request.reject_unknown() {
            Some(request) => request,
            None => return Ok(()),
        },
        None => request,
    };
    let mut sender = request.accept(ok)?;
    if let Some(end) = lost {
        sender.end_of_range(end, RangeStatus::Unknown)?;
    }
    let mut taken = 0;
    loop {
        let next = tokio::select! {
            biased;
            next = held.next() => next,
            () = sender.cancelled() => return Err(PublicationError::Cancelled),
        };
        match next {
            Ok(Some(item)) => {
                add(&mut sender, item)?;
                taken += 1;
                if taken % BATCH == 0 || !held.is_ready() {
                    sender.flush().await?;
                }
            }
            Ok(None) => return sender.finish().await,
            Err(_) => {
                sender.reset(ResetCode::InternalError);
                return Ok(());
            }
        }
    }
}

fn add(sender: &mut FetchSender, item: HeldItem) -> Result<(), PublicationError> {
    match item {
        HeldItem::Object(header) => sender.begin_bridged(&header),
        HeldItem::Payload(part) => sender.add(part),
    }
}
