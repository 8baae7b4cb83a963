//! A relay in memory and peers of it, in any draft.

use std::time::Duration;

use bytes::Bytes;
use moqingbird::wire::list::{KeyValue, Keys, Value};
use moqingbird::wire::model::{
    Extensions, FullTrackName, ObjectHeader, ObjectStatus, Publish, PublishNamespace, PublishOk, SubgroupId,
    Subscribe, SubscribeNamespace, TrackAlias, TrackExtensions, TrackNamespace,
};
use moqingbird::{
    Delivery, IncomingPublish, IncomingRequest, IncomingSubgroup, IncomingSubscribe, Object, Publication,
    Session, SubgroupOptions, Subscription, TrackInfo, Version, memory_pair,
};
use moqingbird_relay::{Relay, RelayOptions};

/// Runs each scenario for every draft of the publisher and of the subscriber.
macro_rules! in_every_pair {
    ($($scenario:ident;)*) => {
        $(mod $scenario {
            use moqingbird::Version::{Draft14, Draft16};

            #[tokio::test]
            async fn from_14_to_14() {
                super::$scenario(crate::support::World::new(Draft14, Draft14)).await;
            }

            #[tokio::test]
            async fn from_14_to_16() {
                super::$scenario(crate::support::World::new(Draft14, Draft16)).await;
            }

            #[tokio::test]
            async fn from_16_to_14() {
                super::$scenario(crate::support::World::new(Draft16, Draft14)).await;
            }

            #[tokio::test]
            async fn from_16_to_16() {
                super::$scenario(crate::support::World::new(Draft16, Draft16)).await;
            }
        })*
    };
}

/// A relay, and the drafts of its peers.
pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) publisher: Version,
    pub(crate) subscriber: Version,
}

impl World {
    pub(crate) fn new(publisher: Version, subscriber: Version) -> Self {
        Self { relay: Relay::new(RelayOptions::default()), publisher, subscriber }
    }

    pub(crate) async fn publisher(&self) -> Session {
        peer(&self.relay, self.publisher).await
    }

    pub(crate) async fn subscriber(&self) -> Session {
        peer(&self.relay, self.subscriber).await
    }

    /// Waits until the relay knows of nothing any more.
    pub(crate) async fn idle(&self) {
        let idle = async {
            while !self.relay.is_idle() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        soon("the relay forgets everything", idle).await;
    }
}

/// A session with the relay.
pub(crate) async fn peer(relay: &Relay, version: Version) -> Session {
    let (client, server) = memory_pair(version).await.expect("SETUP in memory");
    let relay = relay.clone();
    tokio::spawn(async move { relay.serve(server).await });
    client
}

/// Awaits with a bound, so that a hang is a failure with a name.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(10), future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

pub(crate) fn namespace() -> TrackNamespace {
    TrackNamespace::from_path("live/cam").unwrap()
}

pub(crate) fn track() -> FullTrackName {
    FullTrackName::new(namespace(), "video").unwrap()
}

pub(crate) fn subscribe() -> Subscribe {
    Subscribe::new(track())
}

pub(crate) async fn announce(session: &Session) -> moqingbird::PublishedNamespace {
    soon("the namespace is taken", session.publish_namespace(PublishNamespace::new(namespace())))
        .await
        .unwrap()
}

pub(crate) fn publish(forward: bool) -> Publish {
    Publish {
        track: track(),
        track_alias: TrackAlias(0),
        largest: None,
        forward,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: TrackExtensions::default(),
    }
}

/// Tracks and namespaces below `live`.
pub(crate) fn subscribe_namespace() -> SubscribeNamespace {
    SubscribeNamespace::new(TrackNamespace::from_path("live").unwrap())
}

pub(crate) async fn next_subscribe(session: &Session) -> IncomingSubscribe {
    match soon("a SUBSCRIBE", session.next_request()).await {
        Some(IncomingRequest::Subscribe(request)) => request,
        other => panic!("not a SUBSCRIBE: {other:?}"),
    }
}

pub(crate) async fn next_publish(session: &Session) -> IncomingPublish {
    loop {
        match soon("a PUBLISH", session.next_request()).await {
            Some(IncomingRequest::Publish(request)) => return request,
            // How draft-14 tells of namespaces; the library accepts it for a subscription to the prefix.
            Some(IncomingRequest::PublishNamespace(request)) => drop(request.accept()),
            other => panic!("not a PUBLISH: {other:?}"),
        }
    }
}

pub(crate) async fn take(session: &Session) -> Subscription {
    next_publish(session).await.accept(PublishOk::default()).unwrap()
}

/// A subscription from end to end, of a publisher that has announced the namespace.
pub(crate) async fn connected(publisher: &Session, subscriber: &Session) -> (Publication, Subscription) {
    let subscribing = soon("SUBSCRIBE is granted", subscriber.subscribe(subscribe()));
    let publishing = async { next_subscribe(publisher).await.accept(TrackInfo::default()).unwrap() };
    let (publication, subscription) = tokio::join!(publishing, subscribing);
    (publication, subscription.unwrap())
}

pub(crate) fn options(group_id: u64) -> SubgroupOptions {
    SubgroupOptions {
        subgroup_id: SubgroupId::Zero,
        publisher_priority: 77,
        ..SubgroupOptions::new(group_id)
    }
}

pub(crate) fn header(object_id: u64, payload: &[u8]) -> ObjectHeader {
    ObjectHeader {
        object_id,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: payload.len() as u64,
    }
}

pub(crate) fn status(object_id: u64, status: ObjectStatus) -> ObjectHeader {
    ObjectHeader { status, ..header(object_id, b"") }
}

/// Extension headers that no draft defines.
pub(crate) fn extensions() -> Extensions {
    let pairs = [
        KeyValue { key: 0x40, value: Value::Integer(7) },
        KeyValue { key: 0x41, value: Value::Bytes(Bytes::from_static(b"opaque")) },
    ];
    Extensions::from_pairs(pairs, Keys::Absolute).unwrap()
}

/// Extension headers of every kind that relays pass on: unknown ones, immutable ones, gaps.
pub(crate) fn rich_extensions() -> Extensions {
    let nested = Extensions::from_pairs([KeyValue { key: 0x50, value: Value::Integer(1) }], Keys::Absolute);
    let list = nested.unwrap().respelled(Keys::Absolute).unwrap();
    let pairs = [
        KeyValue { key: 0x0b, value: Value::Bytes(list) },
        KeyValue { key: 0x3c, value: Value::Integer(2) },
        KeyValue { key: 0x3e, value: Value::Integer(0) },
        KeyValue { key: 0x40, value: Value::Integer(7) },
        KeyValue { key: 0x41, value: Value::Bytes(Bytes::from_static(b"opaque")) },
    ];
    Extensions::from_pairs(pairs, Keys::Absolute).unwrap()
}

pub(crate) async fn next_subgroup(subscription: &mut Subscription) -> IncomingSubgroup {
    match soon("a subgroup", subscription.next()).await {
        Ok(Some(Delivery::Subgroup(subgroup))) => subgroup,
        other => panic!("not a subgroup: {other:?}"),
    }
}

pub(crate) async fn next_object(subgroup: &mut IncomingSubgroup) -> Option<Object> {
    soon("an object", subgroup.next_object()).await.unwrap()
}

/// Writes a group of one object.
pub(crate) async fn write_group(publication: &Publication, group: u64, payload: impl Into<Bytes>) {
    let payload = payload.into();
    let mut sender = soon("a stream", publication.open_subgroup(options(group))).await.unwrap();
    soon("room for an object", sender.write_object(&header(0, &payload), payload.clone())).await.unwrap();
    sender.finish().unwrap();
}
