//! A client announces that it will leave (GOAWAY with an empty URI): session and subscription survive until it does.

use super::{Case, steps};
use crate::Context;
use crate::context::mismatch;
use crate::report::{Origin, Verdict};

pub(super) const CASE: Case = Case::new("goaway", Origin::Moqingbird, |cx| Box::pin(run(cx)));

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "goaway").await?;
    let sent = steps::groups(0..2);
    live.origin.write_group(0, &steps::payloads(0))?;
    steps::receive(cx, &mut live.subscription, &sent, steps::group(0).len()).await?;

    live.subscriber
        .go_away("")
        .map_err(|error| mismatch("GOAWAY to be sent", "nothing", error.to_string()))?;
    let behind = steps::ping(cx, &live.subscriber).await?;
    live.origin.write_group(1, &steps::payloads(1))?;
    let new = steps::group(1);
    steps::receive(cx, &mut live.subscription, &new, new.len()).await?;
    live.close(cx).await?;
    Ok(format!("{behind} behind GOAWAY, then {} objects", new.len()))
}
