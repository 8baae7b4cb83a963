//! Whoever has left a track (UNSUBSCRIBE) may come back to it, on the same session.

use moqingbird::wire::model::Subscribe;

use super::{Case, steps};
use crate::Context;
use crate::report::{Origin, Verdict};

pub(super) const CASE: Case = Case::new("unsubscribe", Origin::Moqingbird, |cx| Box::pin(run(cx)));

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "unsubscribe").await?;
    let first = steps::group(0);
    live.origin.write_group(0, &steps::payloads(0))?;
    steps::receive(cx, &mut live.subscription, &first, first.len()).await?;

    let steps::Live { track, origin, subscriber, subscription } = live;
    subscription.unsubscribe();
    let mut again = steps::subscribe(cx, &subscriber, Subscribe::new(track)).await?;
    // The relay may have to subscribe anew: groups are sent until one comes.
    let group = steps::next_group(cx, &origin, &mut again, 1).await?;
    cx.close(subscriber).await?;
    origin.close(cx).await?;
    Ok(format!("SUBSCRIBE_OK behind UNSUBSCRIBE, then group {group}"))
}
