//! Objects arrive as they were sent: every group, subgroup, priority, extension and payload, and then the track's end.

use bytes::Bytes;
use moqingbird::wire::list::{KeyValue, Keys, Value};
use moqingbird::wire::model::{
    Extensions, FullTrackName, Location, ObjectHeader, ObjectStatus, PublishDoneCode, RequestKind,
    SubgroupId, Subscribe,
};
use moqingbird::{
    Delivery, IncomingRequest, Publication, PublicationError, Session, SubgroupOptions, Subscription,
    TrackInfo,
};
use std::collections::BTreeMap;

use super::{Case, steps};
use crate::Context;
use crate::context::{ANSWER_LIMIT, mismatch};
use crate::report::{Failure, Origin, Role, Verdict};

pub(super) const CASE: Case =
    Case { bridged: true, ..Case::new("object-delivery", Origin::Moqingbird, |cx| Box::pin(run(cx))) };

const GROUPS: u64 = 4;
/// The payloads of each group, one object each: none, a byte, less than a packet, more than one.
const SIZES: [usize; 5] = [0, 1, 64, 1_200, 100_000];
/// Types that no draft defines, one of each form.
const NUMBER: u64 = 0x3d00;
const TEXT: u64 = 0x3d01;

async fn run(cx: &Context) -> Verdict {
    let track = steps::fresh_track("moqingbird/object-delivery")?;
    let publisher = cx.connect(Role::Publisher).await?;
    let announced = steps::announce(cx, &publisher, &track.namespace).await?;
    let subscriber = cx.connect(Role::Subscriber).await?;

    let asked = subscriber.subscribe(Subscribe::new(track.clone()));
    let (publication, subscription) = tokio::join!(
        cx.within("SUBSCRIBE", ANSWER_LIMIT, accept(&publisher, &track)),
        cx.granted(&subscriber, RequestKind::Subscribe, ANSWER_LIMIT, asked),
    );
    let (publication, subscription) = (publication??, subscription?);

    let (sent, received) = tokio::join!(
        cx.until_end("room for the objects", send(publication)),
        cx.until_end("PUBLISH_DONE", receive(subscription)),
    );
    sent?.map_err(|error| mismatch("room for the objects", "subscription ended", error.to_string()))?;
    let received = compare(&expected(), &received??)?;

    cx.close(subscriber).await?;
    cx.close(publisher).await?;
    drop(announced);
    Ok(received)
}

/// The SUBSCRIBE of the track that the relay sends us.
async fn accept(session: &Session, track: &FullTrackName) -> Result<Publication, Failure> {
    while let Some(request) = session.next_request().await {
        match request {
            IncomingRequest::Subscribe(subscribe) if subscribe.request().track == *track => {
                let accepted = subscribe.accept(TrackInfo::default());
                return accepted.map_err(|error| mismatch("SUBSCRIBE", "session closed", error.to_string()));
            }
            _ => {}
        }
    }
    Err(mismatch("SUBSCRIBE", "session closed", "the publisher's session ended before the relay subscribed"))
}

/// What distinguishes an object, besides its location.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    subgroup: u64,
    priority: u8,
    extensions: Extensions,
    payload: Bytes,
}

/// How the stream of a group tells its Subgroup ID, and which it is: each form once.
fn subgroup(group: u64) -> (SubgroupId, u64) {
    match group % 3 {
        0 => (SubgroupId::Zero, 0),
        1 => (SubgroupId::Id(7), 7),
        _ => (SubgroupId::FirstObject, 0),
    }
}

fn expected() -> BTreeMap<Location, Content> {
    let mut track = BTreeMap::new();
    for group in 0..GROUPS {
        for (object, size) in (0..).zip(SIZES) {
            let content = Content {
                subgroup: subgroup(group).1,
                priority: priority(group),
                extensions: extensions(group, object),
                payload: payload(group, object, size),
            };
            track.insert(Location::new(group, object), content);
        }
    }
    track
}

fn priority(group: u64) -> u8 {
    100u8.saturating_add(u8::try_from(group).unwrap_or(u8::MAX))
}

/// Every second object has some.
fn extensions(group: u64, object: u64) -> Extensions {
    if object % 2 == 1 {
        return Extensions::NONE;
    }
    let number = KeyValue { key: NUMBER, value: Value::Integer(group * 100 + object) };
    let text = KeyValue { key: TEXT, value: Value::Bytes(format!("{group}/{object}").into()) };
    Extensions::from_pairs([number, text], Keys::Absolute).unwrap_or_default()
}

fn payload(group: u64, object: u64, size: usize) -> Bytes {
    let text = format!("group {group} object {object} ");
    text.bytes().cycle().take(size).collect()
}

async fn send(publication: Publication) -> Result<(), PublicationError> {
    let track = expected();
    for group in 0..GROUPS {
        let mut sender = publication
            .open_subgroup(SubgroupOptions {
                group_id: group,
                subgroup_id: subgroup(group).0,
                publisher_priority: priority(group),
                extensions: true,
                end_of_group: true,
            })
            .await?;
        for (location, content) in track.range(Location::new(group, 0)..Location::new(group + 1, 0)) {
            let header = ObjectHeader {
                object_id: location.object,
                extensions: content.extensions.clone(),
                status: ObjectStatus::Normal,
                payload_length: content.payload.len() as u64,
            };
            sender.write_object(&header, content.payload.clone()).await?;
        }
        sender.finish()?;
    }
    publication.finish(PublishDoneCode::TrackEnded, "").await
}

/// Everything until PUBLISH_DONE, which must say that the track has ended.
async fn receive(mut subscription: Subscription) -> Result<BTreeMap<Location, Content>, Failure> {
    let closed =
        |error: &dyn std::fmt::Display| mismatch("PUBLISH_DONE", "session closed", error.to_string());
    let mut track = BTreeMap::new();
    while let Some(delivery) = subscription.next().await.map_err(|error| closed(&error))? {
        let Delivery::Subgroup(mut stream) = delivery else {
            return Err(mismatch("objects on subgroup streams", "datagram", "the relay sent a datagram"));
        };
        let broken =
            |error: &dyn std::fmt::Display| mismatch("subgroup to its end", "reset", error.to_string());
        while let Some(object) = stream.next_object().await.map_err(|error| broken(&error))? {
            let content = Content {
                subgroup: stream.subgroup_id().unwrap_or(object.location.object),
                priority: stream.priority(),
                extensions: object.header.extensions.clone(),
                payload: object.payload,
            };
            if track.insert(object.location, content).is_some() {
                return Err(mismatch(
                    "each object once",
                    "duplicate",
                    format!("{} came twice", object.location),
                ));
            }
        }
    }
    match subscription.done().map(|done| done.code) {
        Some(PublishDoneCode::TrackEnded) => Ok(track),
        Some(code) => {
            Err(mismatch("PUBLISH_DONE TRACK_ENDED", format!("PUBLISH_DONE {code}"), "another status came"))
        }
        None => Err(mismatch(
            "PUBLISH_DONE TRACK_ENDED",
            "nothing",
            "the subscription ended without PUBLISH_DONE",
        )),
    }
}

fn compare(
    sent: &BTreeMap<Location, Content>,
    received: &BTreeMap<Location, Content>,
) -> Result<String, Failure> {
    let count = format!("{} objects", sent.len());
    for (location, content) in sent {
        let (received, message) = match received.get(location) {
            Some(other) if other == content => continue,
            Some(other) => {
                ("another object", format!("{location} differs in its {}", difference(content, other)))
            }
            None => ("fewer objects", format!("{location} did not come")),
        };
        return Err(mismatch(&count, received, message));
    }
    match received.keys().find(|location| !sent.contains_key(location)) {
        Some(location) => Err(mismatch(&count, "more objects", format!("{location} was never sent"))),
        None => Ok(count),
    }
}

fn difference(sent: &Content, received: &Content) -> &'static str {
    match () {
        () if sent.payload != received.payload => "payload",
        () if sent.extensions != received.extensions => "extensions",
        () if sent.subgroup != received.subgroup => "Subgroup ID",
        () => "priority",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_objects_are_equal() {
        assert_eq!(compare(&expected(), &expected()), Ok("20 objects".to_owned()));
    }

    #[test]
    fn each_difference_is_named() {
        let location = Location::new(1, 2);
        let changed = |change: fn(&mut Content)| {
            let mut track = expected();
            change(track.get_mut(&location).unwrap());
            compare(&expected(), &track).unwrap_err().message
        };
        assert_eq!(changed(|content| content.payload = Bytes::new()), "1/2 differs in its payload");
        assert_eq!(changed(|content| content.extensions = Extensions::NONE), "1/2 differs in its extensions");
        assert_eq!(changed(|content| content.subgroup = 0), "1/2 differs in its Subgroup ID");
        assert_eq!(changed(|content| content.priority = 0), "1/2 differs in its priority");
    }

    #[test]
    fn a_missing_and_a_foreign_object_are_named() {
        let mut fewer = expected();
        fewer.remove(&Location::new(3, 4));
        assert_eq!(compare(&expected(), &fewer).unwrap_err().message, "3/4 did not come");
        assert_eq!(compare(&fewer, &expected()).unwrap_err().message, "3/4 was never sent");
    }

    #[test]
    fn the_objects_differ_in_everything_that_is_compared() {
        let track = expected();
        assert_eq!(track.len(), 20);
        assert!(track.values().any(|content| content.extensions.is_empty()));
        assert!(track.values().any(|content| content.extensions.iter().count() == 2));
    }
}
