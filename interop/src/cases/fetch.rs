//! A whole group of the past is fetched (FETCH) from a relay that has forwarded it.

use moqingbird::wire::model::{EndLocation, FetchRange, Location};

use super::{Case, steps};
use crate::Context;
use crate::report::{Origin, Verdict};

pub(super) const CASE: Case = Case::new("fetch", Origin::Aiomoqt, |cx| Box::pin(run(cx)));

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "fetch").await?;
    let sent = steps::groups(0..3);
    for group in 0..3 {
        live.origin.write_group(group, &steps::payloads(group))?;
    }
    steps::receive(cx, &mut live.subscription, &sent, sent.len()).await?;

    let range = FetchRange::Standalone {
        track: live.track.clone(),
        start: Location::new(1, 0),
        end: EndLocation { group: 1, object: None },
    };
    let group = steps::group(1);
    steps::fetch(cx, &live.subscriber, range, &group).await?;
    live.close(cx).await?;
    Ok(format!("FETCH_OK and {} objects", group.len()))
}
