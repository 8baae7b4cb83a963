//! A subscription with Forward State 0 brings nothing until it is set to 1.

use moqingbird::wire::model::{RequestKind, RequestUpdate, Subscribe};

use super::{Case, steps};
use crate::context::ANSWER_LIMIT;
use crate::report::{Origin, Role, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case {
    roles: &[Role::Publisher, Role::Subscriber, Role::Subscriber],
    ..Case::new("forward-state", Origin::Moqingbird, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "forward-state").await?;
    let quiet = cx.connect(Role::Subscriber).await?;
    let asked = Subscribe { forward: false, ..Subscribe::new(live.track.clone()) };
    let mut subscription = steps::subscribe(cx, &quiet, asked).await?;

    // The other subscriber has it, so the relay has forwarded it to whom it should.
    let unwanted = steps::group(0);
    live.origin.write_group(0, &steps::payloads(0))?;
    steps::receive(cx, &mut live.subscription, &unwanted, unwanted.len()).await?;

    let update = RequestUpdate { forward: Some(true), ..RequestUpdate::default() };
    let expected = names::updated(quiet.version());
    let answer = cx.within(expected, ANSWER_LIMIT, subscription.update(update)).await?;
    answer.map_err(|failed| steps::not_granted(&quiet, RequestKind::Update, &failed))?;
    // Group 0 is none of those that may come.
    let group = steps::next_group(cx, &live.origin, &mut subscription, 1).await?;
    cx.close(quiet).await?;
    live.close(cx).await?;
    Ok(format!("{expected}, then group {group} and nothing of group 0"))
}
