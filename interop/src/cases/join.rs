//! A second subscriber gets the group before the largest by a Relative Joining FETCH, and then what is new.

use moqingbird::wire::model::{Location, RequestKind};

use super::{Case, steps};
use crate::Context;
use crate::context::ANSWER_LIMIT;
use crate::report::{Origin, Role, Verdict};

pub(super) const CASE: Case = Case {
    roles: &[Role::Publisher, Role::Subscriber, Role::Subscriber],
    ..Case::new("join", Origin::Aiomoqt, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "join").await?;
    let past = steps::groups(0..3);
    for group in 0..3 {
        live.origin.write_group(group, &steps::payloads(group))?;
    }
    steps::receive(cx, &mut live.subscription, &past, past.len()).await?;

    let (joiner, mut subscription) = steps::join_at(cx, &live.track, Location::new(2, 4)).await?;
    let answer = cx.within("FETCH_OK", ANSWER_LIMIT, subscription.join(1)).await?;
    let fetched = answer.map_err(|failed| steps::not_granted(&joiner, RequestKind::Fetch, &failed))?;
    let asked = steps::groups(1..3);
    steps::fetched_whole(cx, &joiner, fetched, &asked).await?;

    live.origin.write_group(3, &steps::payloads(3))?;
    let new = steps::group(3);
    steps::receive(cx, &mut subscription, &new, new.len()).await?;
    cx.close(joiner).await?;
    live.close(cx).await?;
    Ok(format!("FETCH_OK and {} objects, then {} of the subscription", asked.len(), new.len()))
}
