//! A subscriber reaches the track of a publisher that has announced its namespace.

use std::time::Duration;

use moqingbird::wire::model::{RequestKind, Subscribe};

use super::origin::Origin as Publisher;
use super::{Case, steps};
use crate::report::{Origin, Role, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case {
    aliases: &["publish-namespace-subscribe"],
    limit: Duration::from_secs(3),
    ..Case::new("announce-subscribe", Origin::Runner, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let track = steps::track(steps::NAMESPACE, steps::TRACK)?;
    let mut publisher = Publisher::announce(cx, &track).await?;
    let subscriber = cx.connect(Role::Subscriber).await?;
    let subscription = steps::subscribe(cx, &subscriber, Subscribe::new(track)).await?;
    // The relay has not made the answer up.
    publisher.subscribed(cx).await?;

    let granted = names::granted(subscriber.version(), RequestKind::Subscribe);
    cx.close(subscriber).await?;
    publisher.close(cx).await?;
    drop(subscription);
    Ok(granted)
}
