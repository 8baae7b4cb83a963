//! Whoever knows only a namespace is offered (PUBLISH) the track in it, and gets its objects.

use moqingbird::wire::model::{PublishOk, RequestError, RequestErrorCode, SubscribeOptions};
use moqingbird::{IncomingPublish, IncomingRequest, Session};

use super::origin::Origin as Publisher;
use super::{Case, steps};
use crate::Context;
use crate::context::{ANSWER_LIMIT, closed_failure, mismatch};
use crate::report::{Failure, Origin, Role, Verdict};

pub(super) const CASE: Case = Case::new("namespace-discovery", Origin::Runner, |cx| Box::pin(run(cx)));

async fn run(cx: &Context) -> Verdict {
    let track = steps::fresh_track(&format!("{}/discovery", steps::NAMESPACE))?;
    let mut origin = Publisher::announce(cx, &track).await?;
    origin.offer(cx, &track).await?;
    let subscriber = cx.connect(Role::Subscriber).await?;
    // Both, as draft-14 has it: some relays announce what others offer.
    let _heard =
        steps::subscribe_namespace(cx, &subscriber, &track.namespace, SubscribeOptions::Both).await?;
    let offered = cx.within("PUBLISH", ANSWER_LIMIT, offered(&subscriber)).await??;
    if offered.request().track != track {
        let found = offered.request().track.to_string();
        return Err(mismatch("PUBLISH of the track", "PUBLISH", format!("{found} was offered")).into());
    }
    let mut subscription = offered
        .accept(PublishOk::default())
        .map_err(|error| mismatch("PUBLISH", "session closed", error.to_string()))?;
    origin.subscribed(cx).await?;
    let sent = steps::group(0);
    origin.write_group(0, &steps::payloads(0))?;
    steps::receive(cx, &mut subscription, &sent, sent.len()).await?;
    cx.close(subscriber).await?;
    origin.close(cx).await?;
    Ok(format!("PUBLISH of the track, then {} objects", sent.len()))
}

async fn offered(session: &Session) -> Result<IncomingPublish, Failure> {
    loop {
        match session.next_request().await {
            Some(IncomingRequest::Publish(publish)) => return Ok(publish),
            Some(other) => {
                other.reject(RequestError::new(
                    RequestErrorCode::NotSupported,
                    "this end waits for a PUBLISH",
                ));
            }
            None => return Err(closed_failure("PUBLISH", &session.closed().await)),
        }
    }
}
