//! SUBSCRIBE to what nobody publishes is declined, not left unanswered.

use std::time::Duration;

use moqingbird::RequestFailed;
use moqingbird::wire::model::{RequestKind, Subscribe};

use super::{Case, steps};
use crate::context::{ANSWER_LIMIT, declined, mismatch, request_failure};
use crate::report::{Origin, Role, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case {
    roles: &[Role::Client],
    limit: Duration::from_secs(4),
    ..Case::new("subscribe-error", Origin::Runner, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let track = steps::track("nonexistent/namespace", steps::TRACK)?;
    let session = cx.connect(Role::Client).await?;
    let kind = RequestKind::Subscribe;
    let version = session.version();
    let expected = names::declined(version, kind);
    let answer = session.subscribe(Subscribe::new(track));
    let received = match cx.within(&expected, ANSWER_LIMIT, answer).await? {
        Err(failed) => {
            let RequestFailed::Rejected(rejected) = &failed else {
                return Err(request_failure(expected, version, kind, &failed).into());
            };
            let received = declined(version, kind, &failed);
            steps::sensible(&expected, rejected, &received)?;
            received
        }
        Ok(_) => {
            let message = "the relay granted a subscription to a track that nobody publishes";
            return Err(mismatch(&expected, "SUBSCRIBE_OK", message).into());
        }
    };
    cx.close(session).await?;
    Ok(received)
}
