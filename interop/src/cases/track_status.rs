//! TRACK_STATUS tells the largest location of a track, and that there is no such track.

use moqingbird::RequestFailed;
use moqingbird::wire::model::{Location, RequestKind, Subscribe};

use super::{Case, steps};
use crate::context::{ANSWER_LIMIT, mismatch, request_failure};
use crate::report::{Origin, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case::new("track-status", Origin::Moqingbird, |cx| Box::pin(run(cx)));

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "track-status").await?;
    let sent = steps::groups(0..2);
    for group in 0..2 {
        live.origin.write_group(group, &steps::payloads(group))?;
    }
    steps::receive(cx, &mut live.subscription, &sent, sent.len()).await?;

    let (version, kind) = (live.subscriber.version(), RequestKind::TrackStatus);
    let (granted, declined) = (names::granted(version, kind), names::declined(version, kind));
    let asked = live.subscriber.track_status(Subscribe::new(live.track.clone()));
    let answer = cx.within(&granted, ANSWER_LIMIT, asked).await?;
    let status = answer.map_err(|failed| steps::not_granted(&live.subscriber, kind, &failed))?;
    let largest = Location::new(1, 4);
    if status.largest != Some(largest) {
        let told = status.largest.map_or("none".to_owned(), |told| told.to_string());
        let message = format!("the largest location is {largest}, {told} was told");
        return Err(mismatch(&granted, granted.clone(), message).into());
    }
    let nobodys = steps::fresh_track("nonexistent/namespace")?;
    let asked = live.subscriber.track_status(Subscribe::new(nobodys));
    match cx.within(&declined, ANSWER_LIMIT, asked).await? {
        Err(RequestFailed::Rejected(_)) => {}
        Err(failed) => return Err(request_failure(declined, version, kind, &failed).into()),
        Ok(_) => {
            let message = "the relay told the status of a track that nobody publishes";
            return Err(mismatch(&declined, granted, message).into());
        }
    }
    live.close(cx).await?;
    Ok(format!("{granted} with {largest}, then {declined}"))
}
