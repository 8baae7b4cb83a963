//! Groups of several subgroups each, all of them, and the exact stream count.

use moqingbird::wire::model::{Location, Subscribe};

use super::origin::{Origin as Publisher, numbered};
use super::{Case, steps};
use crate::Context;
use crate::report::{Failure, Origin, Role, Verdict};

pub(super) const CASE: Case = Case::new("multiple-groups", Origin::Moqingbird, |cx| Box::pin(run(cx)));

const GROUPS: u64 = 4;
const SUBGROUPS: u64 = 3;

async fn run(cx: &Context) -> Verdict {
    let track = steps::fresh_track("moqingbird/multiple-groups")?;
    let mut origin = Publisher::announce(cx, &track).await?;
    let subscriber = cx.connect(Role::Subscriber).await?;
    // What is sent as soon as the relay has subscribed may overtake SUBSCRIBE_OK: streams whose alias is not known yet
    // are lawful, and are held (draft-14 §10.4.2, draft-16 §10.4.2).
    let (sent, subscription) =
        tokio::join!(send(cx, &mut origin), steps::subscribe(cx, &subscriber, Subscribe::new(track)),);
    let (sent, mut subscription) = (sent?, subscription?);
    let done = steps::receive_all(cx, &mut subscription, &sent).await?;
    cx.close(subscriber).await?;
    origin.close(cx).await?;
    Ok(format!("{} objects, then PUBLISH_DONE {} with {}", sent.len(), done.code, steps::streams(&done)))
}

async fn send(cx: &Context, origin: &mut Publisher) -> Result<steps::Objects, Failure> {
    origin.subscribed(cx).await?;
    let mut sent = steps::Objects::new();
    for group in 0..GROUPS {
        for subgroup in 0..SUBGROUPS {
            // Object IDs are the group's, so each subgroup has its own five.
            let objects = numbered(subgroup * 5, &steps::payloads(group));
            origin.write_subgroup(group, subgroup, &objects)?;
            sent.extend(objects.into_iter().map(|(object, payload)| (Location::new(group, object), payload)));
        }
    }
    origin.finish();
    Ok(sent)
}
