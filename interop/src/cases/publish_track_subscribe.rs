//! A subscriber gets a track that was offered (PUBLISH) before it came, to its end.

use moqingbird::wire::model::Subscribe;

use super::origin::Origin as Publisher;
use super::{Case, steps};
use crate::Context;
use crate::report::{Origin, Role, Verdict};

pub(super) const CASE: Case = Case::new("publish-track-subscribe", Origin::Runner, |cx| Box::pin(run(cx)));

async fn run(cx: &Context) -> Verdict {
    let track = steps::track(steps::PUBLISHED_NAMESPACE, steps::PUBLISHED_TRACK)?;
    let mut origin = Publisher::connect(cx, &track).await?;
    origin.offer(cx, &track).await?;
    let subscriber = cx.connect(Role::Subscriber).await?;
    let mut subscription = steps::subscribe(cx, &subscriber, Subscribe::new(track)).await?;
    origin.subscribed(cx).await?;

    let sent = steps::group(0);
    origin.write_group(0, &steps::payloads(0))?;
    origin.finish();
    let done = steps::receive_all(cx, &mut subscription, &sent).await?;
    cx.close(subscriber).await?;
    origin.close(cx).await?;
    Ok(format!("{} objects, then PUBLISH_DONE {} with {}", sent.len(), done.code, steps::streams(&done)))
}
