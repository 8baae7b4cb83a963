//! PUBLISH_NAMESPACE is granted and then withdrawn, and the relay stays.

use std::time::Duration;

use moqingbird::wire::model::RequestKind;

use super::{Case, steps};
use crate::report::{Origin, Role, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case {
    roles: &[Role::Client],
    limit: Duration::from_secs(4),
    ..Case::new("publish-namespace-done", Origin::Runner, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let track = steps::track(steps::NAMESPACE, steps::TRACK)?;
    let session = cx.connect(Role::Client).await?;
    let announced = steps::announce(cx, &session, &track.namespace).await?;
    announced.done();
    // The withdrawal has no answer: what is asked behind it has one.
    let behind = steps::ping(cx, &session).await?;
    let granted = names::granted(session.version(), RequestKind::PublishNamespace);
    cx.close(session).await?;
    Ok(format!("{granted}; {behind} behind the withdrawal"))
}
