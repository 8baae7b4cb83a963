//! PUBLISH_NAMESPACE is granted.

use std::time::Duration;

use moqingbird::wire::model::RequestKind;

use super::{Case, steps};
use crate::report::{Origin, Role, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case {
    aliases: &["publish-namespace-only"],
    roles: &[Role::Client],
    limit: Duration::from_secs(4),
    ..Case::new("announce-only", Origin::Runner, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let track = steps::track(steps::NAMESPACE, steps::TRACK)?;
    let session = cx.connect(Role::Client).await?;
    let announced = steps::announce(cx, &session, &track.namespace).await?;
    let granted = names::granted(session.version(), RequestKind::PublishNamespace);
    cx.close(session).await?;
    drop(announced);
    Ok(granted)
}
