//! A subscriber reaches the track of a publisher that has announced its namespace.

use std::time::Duration;

use moqingbird::wire::model::{RequestKind, Subscribe};

use super::{Case, steps};
use crate::context::ANSWER_LIMIT;
use crate::report::{Role, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case {
    name: "announce-subscribe",
    aliases: &["publish-namespace-subscribe"],
    standard: true,
    roles: &[Role::Publisher, Role::Subscriber],
    limit: Duration::from_secs(3),
    run: |cx| Box::pin(run(cx)),
};

async fn run(cx: &Context) -> Verdict {
    let track = steps::track(steps::NAMESPACE, steps::TRACK)?;
    let publisher = cx.connect(Role::Publisher).await?;
    let serving = steps::serve(&publisher, &track);
    let announced = steps::announce(cx, &publisher, &track.namespace).await?;

    let subscriber = cx.connect(Role::Subscriber).await?;
    let answer = subscriber.subscribe(Subscribe::new(track));
    let subscription = cx.granted(&subscriber, RequestKind::Subscribe, ANSWER_LIMIT, answer).await?;

    let granted = names::granted(subscriber.version(), RequestKind::Subscribe);
    cx.close(subscriber).await?;
    cx.close(publisher).await?;
    drop((subscription, announced, serving));
    Ok(granted)
}
