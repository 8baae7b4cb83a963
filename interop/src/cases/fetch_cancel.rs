//! A FETCH is cancelled within its objects (FETCH_CANCEL), and the next one is served.

use bytes::Bytes;
use moqingbird::wire::model::{EndLocation, Fetch, FetchRange, Location, RequestKind};

use super::{Case, steps};
use crate::Context;
use crate::context::{ANSWER_LIMIT, mismatch};
use crate::report::{Origin, Verdict};

pub(super) const CASE: Case = Case::new("fetch-cancel", Origin::Moqingbird, |cx| Box::pin(run(cx)));

/// The objects of the group of which only the first is read.
const OBJECTS: usize = 40;
const SIZE: usize = 25_000;

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "fetch-cancel").await?;
    let large: Vec<_> = (0..OBJECTS).map(|object| Bytes::from(vec![object as u8; SIZE])).collect();
    live.origin.write_group(0, &large)?;
    live.origin.write_group(1, &steps::payloads(1))?;
    let mut sent = steps::group(1);
    sent.extend((0..).zip(large).map(|(object, payload)| (Location::new(0, object), payload)));
    steps::receive(cx, &mut live.subscription, &sent, sent.len()).await?;

    let of = |group| FetchRange::Standalone {
        track: live.track.clone(),
        start: Location::new(group, 0),
        end: EndLocation { group, object: None },
    };
    let answer = cx.within("FETCH_OK", ANSWER_LIMIT, live.subscriber.fetch(Fetch::new(of(0)))).await?;
    let mut fetched =
        answer.map_err(|failed| steps::not_granted(&live.subscriber, RequestKind::Fetch, &failed))?;
    match cx.until_end("the first object", fetched.next_object()).await? {
        Ok(Some(object)) if object.header.location == Location::new(0, 0) => {}
        Ok(Some(object)) => {
            let message = format!("{} came first", object.header.location);
            return Err(mismatch("the first object", "another object", message).into());
        }
        Ok(None) => return Err(mismatch("the first object", "end", "the FETCH brought nothing").into()),
        Err(error) => return Err(steps::fetch_failure(&live.subscriber, error)),
    }
    fetched.cancel();

    let next = steps::group(1);
    steps::fetch(cx, &live.subscriber, of(1), &next).await?;
    live.close(cx).await?;
    Ok(format!("FETCH_OK behind FETCH_CANCEL, and {} objects", next.len()))
}
