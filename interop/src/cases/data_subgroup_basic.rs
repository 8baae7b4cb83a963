//! Three groups of five objects, one subgroup each, and the end of the track, with the stream count.

use bytes::Bytes;
use moqingbird::wire::model::{Location, Subscribe};

use super::origin::Origin as Publisher;
use super::{Case, steps};
use crate::Context;
use crate::report::{Failure, Origin, Role, Verdict};

pub(super) const CASE: Case = Case::new("data-subgroup-basic", Origin::Runner, |cx| Box::pin(run(cx)));

const GROUPS: u64 = 3;
const OBJECTS: usize = 5;
const FIRST: usize = 64;
const OTHERS: usize = 32;

async fn run(cx: &Context) -> Verdict {
    let track = steps::fresh_track("moq-interop/data-subgroup-basic")?;
    let mut origin = Publisher::announce(cx, &track).await?;
    let subscriber = cx.connect(Role::Subscriber).await?;
    let mut subscription = steps::subscribe(cx, &subscriber, Subscribe::new(track)).await?;
    origin.subscribed(cx).await?;
    let sent = send(&origin)?;
    let done = steps::receive_all(cx, &mut subscription, &sent).await?;
    cx.close(subscriber).await?;
    origin.close(cx).await?;
    Ok(format!("{} objects, then PUBLISH_DONE {} with {}", sent.len(), done.code, steps::streams(&done)))
}

fn send(origin: &Publisher) -> Result<steps::Objects, Failure> {
    let mut sent = steps::Objects::new();
    for group in 0..GROUPS {
        let size = |object| if object == 0 { FIRST } else { OTHERS };
        let payloads: Vec<_> = (0..OBJECTS).map(|object| Bytes::from(vec![b't'; size(object)])).collect();
        origin.write_group(group, &payloads)?;
        sent.extend((0..).zip(payloads).map(|(object, payload)| (Location::new(group, object), payload)));
    }
    origin.finish();
    Ok(sent)
}
