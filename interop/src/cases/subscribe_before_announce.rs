//! A subscriber that comes before the publisher is answered, either way.

use std::time::Duration;

use moqingbird::RequestFailed;
use moqingbird::wire::model::{RequestKind, Subscribe};
use tokio::time::sleep;

use super::origin::Origin as Publisher;
use super::{Case, steps};
use crate::context::{declined, request_failure};
use crate::report::{Origin, Role, Verdict};
use crate::{Context, names};

/// How long after the subscriber's SUBSCRIBE the publisher comes.
const HEAD_START: Duration = Duration::from_millis(500);

pub(super) const CASE: Case = Case {
    aliases: &["subscribe-before-publish-namespace"],
    limit: Duration::from_millis(3500),
    ..Case::new("subscribe-before-announce", Origin::Runner, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let track = steps::track(steps::NAMESPACE, steps::TRACK)?;
    let subscriber = cx.connect(Role::Subscriber).await?;
    let (kind, version) = (RequestKind::Subscribe, subscriber.version());
    let expected = format!("{} or {}", names::granted(version, kind), names::declined(version, kind));

    let answer = cx.until_end(&expected, subscriber.subscribe(Subscribe::new(track.clone())));
    let publish = async {
        sleep(HEAD_START).await;
        Publisher::announce(cx, &track).await
    };
    let (answer, published) = tokio::join!(answer, publish);
    let mut publisher = published?;
    let (received, subscription) = match answer? {
        Ok(subscription) => {
            // The relay has not made the answer up.
            publisher.subscribed(cx).await?;
            (names::granted(version, kind), Some(subscription))
        }
        Err(failed) => {
            let RequestFailed::Rejected(rejected) = &failed else {
                return Err(request_failure(expected, version, kind, &failed).into());
            };
            let received = declined(version, kind, &failed);
            steps::sensible(&expected, rejected, &received)?;
            (received, None)
        }
    };
    cx.close(subscriber).await?;
    publisher.close(cx).await?;
    drop(subscription);
    Ok(received)
}
