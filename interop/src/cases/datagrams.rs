//! Objects that are sent in datagrams arrive in datagrams, as they were sent.

use std::time::Duration;

use std::collections::BTreeSet;

use moqingbird::wire::model::{Datagram, DatagramBody, Extensions, TrackAlias};
use moqingbird::{Delivery, Subscription};
use tokio::time::sleep;

use super::{Case, steps};
use crate::Context;
use crate::context::{closed_failure, mismatch};
use crate::report::{Failure, Origin, Verdict};

pub(super) const CASE: Case = Case::new("datagrams", Origin::Moqingbird, |cx| Box::pin(run(cx)));

/// Datagrams may be lost: enough is sent that this many arrive.
const ENOUGH: usize = 5;
/// Between two datagrams.
const PAUSE: Duration = Duration::from_millis(10);
const PRIORITY: u8 = 77;

async fn run(cx: &Context) -> Verdict {
    let mut live = steps::Live::begin(cx, "datagrams").await?;
    let received = {
        let steps::Live { origin, subscription, .. } = &mut live;
        let sending = async {
            for object in 0.. {
                origin.write_datagram(datagram(object));
                sleep(PAUSE).await;
            }
        };
        tokio::select! {
            received = cx.until_end("object in a datagram", receive(subscription)) => received??,
            () = sending => 0,
        }
    };
    live.close(cx).await?;
    Ok(format!("{received} objects in datagrams"))
}

fn datagram(object_id: u64) -> Datagram {
    Datagram {
        track_alias: TrackAlias(0),
        group_id: 0,
        object_id,
        publisher_priority: Some(PRIORITY),
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(format!("datagram {object_id}").into()),
    }
}

async fn receive(subscription: &mut Subscription) -> Result<usize, Failure> {
    let expected = "object in a datagram";
    let mut objects = BTreeSet::new();
    while objects.len() < ENOUGH {
        match subscription.next().await {
            Ok(Some(Delivery::Datagram(received))) => {
                let sent = Datagram { track_alias: received.track_alias, ..datagram(received.object_id) };
                if received != sent {
                    let message = format!("object {} came as {received:?}", received.object_id);
                    return Err(mismatch(expected, "another object", message));
                }
                if !objects.insert(received.object_id) {
                    let message = format!("object {} came twice", received.object_id);
                    return Err(mismatch(expected, "duplicate", message));
                }
            }
            Ok(Some(_)) => {
                let message = "an object that was sent in a datagram must be forwarded in one";
                return Err(mismatch(expected, "subgroup stream", message));
            }
            Ok(None) => {
                return Err(mismatch(
                    expected,
                    "PUBLISH_DONE",
                    "the subscription ended before its publisher",
                ));
            }
            Err(closed) => return Err(closed_failure(expected, &closed)),
        }
    }
    Ok(objects.len())
}
