//! PUBLISH_NAMESPACE is granted and then withdrawn, and the relay stays.

use std::time::Duration;

use moqingbird::wire::model::RequestKind;

use super::{Case, steps};
use crate::report::{Role, Verdict};
use crate::{Context, names};

/// How long the relay is watched after the withdrawal, which has no answer.
const WATCH: Duration = Duration::from_millis(100);

pub(super) const CASE: Case = Case {
    name: "publish-namespace-done",
    aliases: &[],
    standard: true,
    roles: &[Role::Client],
    limit: Duration::from_secs(4),
    run: |cx| Box::pin(run(cx)),
};

async fn run(cx: &Context) -> Verdict {
    let track = steps::track(steps::NAMESPACE, steps::TRACK)?;
    let session = cx.connect(Role::Client).await?;
    let announced = steps::announce(cx, &session, &track.namespace).await?;
    announced.done();
    cx.stays_open(&session, WATCH).await?;
    let granted = names::granted(session.version(), RequestKind::PublishNamespace);
    cx.close(session).await?;
    Ok(granted)
}
