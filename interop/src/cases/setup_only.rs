//! Connect, SETUP in both directions, close.

use std::time::Duration;

use super::Case;
use crate::Context;
use crate::report::{Origin, Role, Verdict};

pub(super) const CASE: Case = Case {
    roles: &[Role::Client],
    limit: Duration::from_secs(2),
    ..Case::new("setup-only", Origin::Runner, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let session = cx.connect(Role::Client).await?;
    cx.close(session).await?;
    Ok("SERVER_SETUP".to_owned())
}
