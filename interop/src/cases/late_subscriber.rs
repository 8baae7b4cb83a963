//! A late subscriber gets the whole track, each object once: the past by an Absolute Joining FETCH, the rest by SUBSCRIBE.

use moqingbird::wire::model::{Location, RequestKind};

use super::{Case, steps};
use crate::Context;
use crate::context::ANSWER_LIMIT;
use crate::report::{Origin, Role, Verdict};

pub(super) const CASE: Case = Case {
    roles: &[Role::Publisher, Role::Subscriber, Role::Subscriber],
    ..Case::new("late-subscriber", Origin::Moqingbird, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "late-subscriber").await?;
    let past = steps::groups(0..4);
    for group in 0..4 {
        live.origin.write_group(group, &steps::payloads(group))?;
    }
    steps::receive(cx, &mut live.subscription, &past, past.len()).await?;

    let (late, mut subscription) = steps::join_at(cx, &live.track, Location::new(3, 4)).await?;
    // What is new comes while the past is being fetched.
    let new = steps::groups(4..6);
    for group in 4..6 {
        live.origin.write_group(group, &steps::payloads(group))?;
    }
    let answer = cx.within("FETCH_OK", ANSWER_LIMIT, subscription.join_from(0)).await?;
    let fetched = answer.map_err(|failed| steps::not_granted(&late, RequestKind::Fetch, &failed))?;
    steps::fetched_whole(cx, &late, fetched, &past).await?;
    steps::receive(cx, &mut subscription, &new, new.len()).await?;
    cx.close(late).await?;
    live.close(cx).await?;
    Ok(format!("FETCH_OK and {} objects, then {} of the subscription", past.len(), new.len()))
}
