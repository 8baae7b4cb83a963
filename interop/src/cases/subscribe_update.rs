//! A subscription is changed (SUBSCRIBE_UPDATE; REQUEST_UPDATE) and goes on.

use moqingbird::wire::model::{RequestKind, RequestUpdate};

use super::{Case, steps};
use crate::context::ANSWER_LIMIT;
use crate::report::{Origin, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case::new("subscribe-update", Origin::Moqingbird, |cx| Box::pin(run(cx)));

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "subscribe-update").await?;
    let version = live.subscriber.version();
    let sent = steps::groups(0..2);
    live.origin.write_group(0, &steps::payloads(0))?;
    steps::receive(cx, &mut live.subscription, &sent, steps::group(0).len()).await?;

    let update = RequestUpdate { subscriber_priority: Some(7), ..RequestUpdate::default() };
    let expected = names::updated(version);
    let answer = cx.within(expected, ANSWER_LIMIT, live.subscription.update(update)).await?;
    answer.map_err(|failed| steps::not_granted(&live.subscriber, RequestKind::Update, &failed))?;
    live.origin.write_group(1, &steps::payloads(1))?;
    let new = steps::group(1);
    steps::receive(cx, &mut live.subscription, &new, new.len()).await?;
    live.close(cx).await?;
    Ok(format!("{expected}, then {} objects", new.len()))
}
