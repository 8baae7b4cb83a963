//! A track that nobody asked for is offered (PUBLISH), taken, and ended.

use moqingbird::wire::model::{PublishDoneCode, RequestKind};

use super::origin::offer;
use super::{Case, steps};
use crate::context::{ANSWER_LIMIT, mismatch};
use crate::report::{Origin, Role, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case {
    roles: &[Role::Client],
    ..Case::new("publish-track-only", Origin::Runner, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let track = steps::track(steps::PUBLISHED_NAMESPACE, steps::PUBLISHED_TRACK)?;
    let session = cx.connect(Role::Client).await?;
    let (version, kind) = (session.version(), RequestKind::Publish);
    let granted = names::granted(version, kind);
    let answer = cx.within(&granted, ANSWER_LIMIT, session.publish(offer(&track))).await?;
    let publication = answer.map_err(|failed| steps::not_granted(&session, kind, &failed))?;
    let finished = publication.finish(PublishDoneCode::TrackEnded, "the track ends without an object");
    cx.within("room for PUBLISH_DONE", ANSWER_LIMIT, finished)
        .await?
        .map_err(|error| mismatch("room for PUBLISH_DONE", "subscription ended", error.to_string()))?;
    let behind = steps::ping(cx, &session).await?;
    cx.close(session).await?;
    Ok(format!("{granted}; {behind} behind PUBLISH_DONE"))
}
