//! One object of 10 MB arrives whole.

use bytes::Bytes;
use moqingbird::wire::model::Location;

use super::{Case, steps};
use crate::Context;
use crate::report::{Origin, Verdict};

pub(super) const CASE: Case = Case::new("large-object", Origin::Moqingbird, |cx| Box::pin(run(cx)));

const SIZE: usize = 10_000_000;

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "large-object").await?;
    // No two kilobytes are the same, so that nothing can be lost or exchanged unseen.
    let payload: Bytes = (0u32..).flat_map(u32::to_be_bytes).take(SIZE).collect();
    live.origin.write_group(0, std::slice::from_ref(&payload))?;
    let sent = steps::Objects::from([(Location::new(0, 0), payload)]);
    steps::receive(cx, &mut live.subscription, &sent, 1).await?;
    live.close(cx).await?;
    Ok(format!("an object of {SIZE} bytes"))
}
