//! What one draft can say and the other cannot: the rows of the table in ARCHITECTURE.md that no other test has.

#[macro_use]
#[expect(dead_code, unused_macros, reason = "shared with the other tests of the relay, which use more of it")]
mod support;

use std::time::Duration;

use bytes::Bytes;
use moqingbird::Version::{Draft14, Draft16};
use moqingbird::wire::model::{
    Datagram, DatagramBody, EndLocation, Extensions, Fetch, FetchOk, FetchRange, Location, ObjectHeader,
    ObjectStatus, PublishDoneCode, PublishNamespace, RangeStatus, RequestError, RequestErrorCode,
    RequestUpdate, ResetCode, SubscribeNamespace, SubscriptionFilter, TrackAlias, TrackExtensions,
    TrackNamespace,
};
use moqingbird::{
    Delivery, FetchError, IncomingRequest, NamespaceEvent, RequestFailed, SubgroupError, SubgroupOptions,
    TrackInfo,
};
use support::*;

#[tokio::test]
async fn extensions_of_a_status_are_left_out_towards_draft_16() {
    let world = World::new(Draft14, Draft16);
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let options = SubgroupOptions { extensions: true, ..options(0) };
    let mut sender = soon("a stream", publication.open_subgroup(options)).await.unwrap();
    sender.write_object(&header(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    let end = ObjectHeader { extensions: extensions(), ..status(1, ObjectStatus::EndOfGroup) };
    sender.write_object(&end, Bytes::new()).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert!(next_object(&mut subgroup).await.is_some());
    let object = next_object(&mut subgroup).await.unwrap();
    assert_eq!(object.header, status(1, ObjectStatus::EndOfGroup));
}

#[tokio::test]
async fn a_range_of_which_nothing_is_known_resets_a_fetch_in_draft_14() {
    let world = World::new(Draft16, Draft14);
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let end = EndLocation { group: 3, object: None };
    let answers = async {
        let Some(IncomingRequest::Fetch(request)) = soon("a FETCH", publisher.next_request()).await else {
            panic!("not a FETCH")
        };
        let extensions = TrackExtensions::default();
        let ok = FetchOk { group_order: None, end_of_track: false, end, extensions };
        let mut sender = request.accept(ok).unwrap();
        let object = moqingbird::wire::model::FetchObject {
            location: Location::new(1, 0),
            subgroup_id: Some(0),
            publisher_priority: 1,
            extensions: Extensions::NONE,
            status: ObjectStatus::Normal,
            payload_length: 1,
        };
        sender.write_object(&object, Bytes::from_static(b"x")).await.unwrap();
        sender.end_of_range(Location::new(2, 9), RangeStatus::Unknown).unwrap();
        sender.finish().await.unwrap();
    };
    let range = FetchRange::Standalone { track: track(), start: Location::new(1, 0), end };
    let asks = async {
        let mut fetched = soon("an answer", subscriber.fetch(Fetch::new(range))).await?;
        while soon("an object", fetched.next_object()).await?.is_some() {}
        Ok::<_, Failed>(())
    };
    let (fetched, ()) = tokio::join!(asks, answers);
    assert!(fetched.is_err(), "never as if it were complete");
}

#[derive(Debug)]
struct Failed;

impl From<RequestFailed> for Failed {
    fn from(_: RequestFailed) -> Self {
        Self
    }
}

impl From<FetchError> for Failed {
    fn from(_: FetchError) -> Self {
        Self
    }
}

/// Draft-16 has no empty fields: who speaks it hears nothing of such a namespace, and is none the worse.
#[tokio::test]
async fn a_namespace_with_an_empty_field_is_for_draft_14_only() {
    let world = World::new(Draft14, Draft16);
    let (publisher, old, new) = (world.publisher().await, world.publisher().await, world.subscriber().await);
    let prefix = || SubscribeNamespace::new(TrackNamespace::from_path("live").unwrap());
    let mut old_events = soon("OK", old.subscribe_namespace(prefix())).await.unwrap();
    let mut new_events = soon("OK", new.subscribe_namespace(prefix())).await.unwrap();
    let odd = TrackNamespace::new([&b"live"[..], b"", b"x"]).unwrap();
    let announced =
        soon("OK", publisher.publish_namespace(PublishNamespace::new(odd.clone()))).await.unwrap();
    let came = soon("the namespace", old_events.next()).await;
    assert_eq!(came, Some(NamespaceEvent::Namespace(odd.clone())));
    announced.done();
    let plain = announce(&publisher).await;
    let came = soon("the other namespace", new_events.next()).await;
    assert_eq!(came, Some(NamespaceEvent::Namespace(namespace())));
    assert_eq!(new.close_reason(), None);
    drop(plain);
}

#[tokio::test]
async fn a_prefix_of_no_field_hears_of_everything_in_draft_14_too() {
    let world = World::new(Draft14, Draft16);
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let everything = SubscribeNamespace::new(TrackNamespace::empty());
    let mut events = soon("OK", subscriber.subscribe_namespace(everything)).await.unwrap();
    let _announced = announce(&publisher).await;
    let came = soon("the namespace", events.next()).await;
    assert_eq!(came, Some(NamespaceEvent::Namespace(namespace())));
}

/// Draft-14 has no default priority: each stream states what the default amounts to.
#[tokio::test]
async fn the_default_priority_of_a_track_is_stated_by_each_stream_in_draft_14() {
    let world = World::new(Draft16, Draft14);
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let extensions = TrackExtensions { default_publisher_priority: 5, ..TrackExtensions::default() };
    let info = TrackInfo { extensions, ..TrackInfo::default() };
    let (subscription, publication) = tokio::join!(subscriber.subscribe(subscribe()), async {
        next_subscribe(&publisher).await.accept(info).unwrap()
    });
    let mut subscription = subscription.unwrap();
    assert_eq!(subscription.extensions().default_publisher_priority, 128);
    let datagram = Datagram { publisher_priority: None, ..datagram(0) };
    publication.send_datagram(datagram).await.unwrap();
    match soon("a datagram", subscription.next()).await.unwrap() {
        Some(Delivery::Datagram(datagram)) => assert_eq!(datagram.publisher_priority, Some(5)),
        other => panic!("not a datagram: {other:?}"),
    }
}

fn datagram(object_id: u64) -> Datagram {
    Datagram {
        track_alias: TrackAlias(0),
        group_id: 0,
        object_id,
        publisher_priority: Some(1),
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(Bytes::from_static(b"x")),
    }
}

/// A track of draft-14 has one forwarding preference: the first decides, objects of the other are left out.
#[tokio::test]
async fn of_a_mixed_track_draft_14_gets_what_is_sent_as_its_first_object() {
    let world = World::new(Draft16, Draft14);
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    write_group(&publication, 0, "a stream").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "a stream");
    publication.send_datagram(datagram(7)).await.unwrap();
    write_group(&publication, 1, "another").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "another");
    assert_eq!(subscriber.close_reason(), None);
}

#[tokio::test]
async fn a_delivery_timeout_of_zero_is_none_in_draft_16() {
    let world = World::new(Draft14, Draft16);
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let extensions = TrackExtensions { delivery_timeout: Some(Duration::ZERO), ..TrackExtensions::default() };
    let info = TrackInfo { extensions, ..TrackInfo::default() };
    let (subscription, _publication) = tokio::join!(subscriber.subscribe(subscribe()), async {
        next_subscribe(&publisher).await.accept(info).unwrap()
    });
    assert_eq!(subscription.unwrap().extensions().delivery_timeout, None);
}

#[tokio::test]
async fn the_time_to_try_again_is_left_out_towards_draft_14() {
    for subscriber in [Draft14, Draft16] {
        let world = World::new(Draft16, subscriber);
        let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
        let _announced = announce(&publisher).await;
        let retry_after = Some(Duration::from_secs(9));
        let error = RequestError { retry_after, ..RequestError::new(RequestErrorCode::Timeout, "later") };
        let (answer, ()) = tokio::join!(soon("an answer", subscriber.subscribe(subscribe())), async {
            next_subscribe(&publisher).await.reject(error);
        });
        let Err(RequestFailed::Rejected(rejected)) = answer else { panic!("not declined") };
        let told = retry_after.filter(|_| subscriber.version() == Draft16);
        assert_eq!((rejected.error.code, rejected.error.retry_after), (RequestErrorCode::Timeout, told));
    }
}

#[tokio::test]
async fn a_code_that_the_other_draft_does_not_have_is_an_internal_error() {
    let world = World::new(Draft16, Draft14);
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let mut sender = soon("a stream", publication.open_subgroup(options(0))).await.unwrap();
    sender.write_object(&header(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert!(next_object(&mut subgroup).await.is_some());
    sender.reset(ResetCode::UnknownObjectStatus);
    let end = soon("an end", subgroup.next_object()).await;
    assert_eq!(end, Err(SubgroupError::Reset(ResetCode::InternalError)));
    publication.finish(PublishDoneCode::UpdateFailed, "").await.unwrap();
    assert!(soon("PUBLISH_DONE", subscription.next()).await.unwrap().is_none());
    assert_eq!(subscription.done().unwrap().code, PublishDoneCode::InternalError);
}

/// The relay subscribes to all that is new, so that no subscriber's range has to be widened upstream.
#[tokio::test]
async fn a_wider_range_needs_nothing_of_a_publisher_in_draft_14() {
    let world = World::new(Draft14, Draft16);
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let filter = SubscriptionFilter::AbsoluteRange { start: Location::new(4, 0), end_group: 5 };
    let narrow = moqingbird::wire::model::Subscribe { filter: Some(filter), ..subscribe() };
    let (subscription, publication) = tokio::join!(subscriber.subscribe(narrow), async {
        let asked = next_subscribe(&publisher).await;
        assert_eq!(asked.request().filter, Some(SubscriptionFilter::LargestObject));
        asked.accept(TrackInfo::default()).unwrap()
    });
    let mut subscription = subscription.unwrap();
    let wider = SubscriptionFilter::AbsoluteStart(Location::new(4, 0));
    let update = RequestUpdate { filter: Some(wider), ..RequestUpdate::default() };
    soon("an update", subscription.update(update)).await.unwrap();
    assert_eq!(publication.filter(), Some(SubscriptionFilter::LargestObject));
    for group in 4..6 {
        write_group(&publication, group, "x").await;
        assert_eq!(next_subgroup(&mut subscription).await.group_id(), group);
    }
}
