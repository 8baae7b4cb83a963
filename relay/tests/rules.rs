//! What the drafts require of relays besides, for every pair of drafts; new groups, where a draft has them.

#[macro_use]
#[expect(dead_code, reason = "shared with the other tests of the relay, which use more of it")]
mod support;

use std::time::Duration;

use bytes::Bytes;
use moqingbird::wire::list::{KeyValue, Keys, Value};
use moqingbird::wire::model::{
    AuthorizationToken, EndLocation, Extensions, Fetch, FetchRange, Location, ObjectHeader, PublishNamespace,
    RequestErrorCode, RequestUpdate, Subscribe, TrackExtensions, TrackNamespace,
};
use moqingbird::{RequestFailed, SubgroupOptions, TrackInfo};
use moqingbird_ledger::covers;
use support::*;

in_every_pair! {
    payloads_are_kept_whole;
    every_kind_of_request_is_served;
    who_has_not_asked_is_offered_nothing;
    parameters_stay_on_their_hop;
    what_a_subscriber_wants_stays_with_it_in_draft_14_too;
    a_publishers_delivery_timeout_is_repeated;
    unknown_extensions_arrive_unchanged;
    immutable_extensions_and_gaps_arrive_unchanged;
    no_gap_is_added;
    immutable_extensions_are_kept_with_their_object;
    the_newest_extensions_of_a_track_count_as_a_whole;
}

async fn payloads_are_kept_whole(world: World) {
    covers!("D14-2.1-02");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    for (group, size) in (0..).zip([0, 1, 1 << 20]) {
        let payload: Bytes = (0..size).map(|index: u32| u8::try_from(index % 251).unwrap()).collect();
        write_group(&publication, group, payload.clone()).await;
        let mut subgroup = next_subgroup(&mut subscription).await;
        assert!(next_object(&mut subgroup).await.unwrap().payload == payload);
        assert_eq!(next_object(&mut subgroup).await, None);
    }
}

/// No kind of request, and nothing that is said of one, is refused as not supported, or ends the session.
async fn every_kind_of_request_is_served(world: World) {
    covers!("D14-4-03", "D16-4-03");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let announced = announce(&publisher).await;
    let events = soon("OK", subscriber.subscribe_namespace(subscribe_namespace())).await.unwrap();
    let (publication, subscription) = connected(&publisher, &subscriber).await;
    write_group(&publication, 0, "x").await;
    let one = EndLocation { group: 0, object: Some(0) };
    let range = FetchRange::Standalone { track: track(), start: Location::new(0, 0), end: one };
    let mut fetched = loop {
        match soon("an answer", subscriber.fetch(Fetch::new(range.clone()))).await {
            Ok(fetched) => break fetched,
            // The object is still on its way.
            Err(RequestFailed::Rejected(rejected)) => {
                assert_ne!(rejected.error.code, RequestErrorCode::NotSupported);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(soon("an object", fetched.next_object()).await.unwrap().is_some());
    soon("a status", subscriber.track_status(subscribe())).await.unwrap();
    let update = RequestUpdate { subscriber_priority: Some(3), ..RequestUpdate::default() };
    soon("an update", subscription.update(update)).await.unwrap();
    subscription.unsubscribe();
    drop((publication, events));
    announced.done();
    let published = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
    soon("PUBLISH_DONE", published.finish(moqingbird::wire::model::PublishDoneCode::TrackEnded, ""))
        .await
        .unwrap();
    // A round trip later both are as they were.
    for session in [&publisher, &subscriber] {
        let other = PublishNamespace::new(TrackNamespace::from_path("other").unwrap());
        drop(soon("OK", session.publish_namespace(other)).await.unwrap());
        assert_eq!(session.close_reason(), None);
    }
}

async fn who_has_not_asked_is_offered_nothing(world: World) {
    covers!("D14-5.1-01", "D14-6.1-03");
    let (publisher, idle, left) =
        (world.publisher().await, world.subscriber().await, world.subscriber().await);
    let events = soon("OK", left.subscribe_namespace(subscribe_namespace())).await.unwrap();
    drop(events);
    // A round trip later the relay knows that.
    let other = PublishNamespace::new(TrackNamespace::from_path("other").unwrap());
    let _other = soon("OK", left.publish_namespace(other)).await.unwrap();
    let _publication = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
    for session in [idle, left] {
        tokio::select! {
            biased;
            request = session.next_request() => panic!("offered: {request:?}"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}

async fn parameters_stay_on_their_hop(world: World) {
    covers!("D16-9.2.1-01");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let token = AuthorizationToken::UseValue { token_type: 0, value: Bytes::from_static(b"secret") };
    let request = Subscribe {
        authorization_tokens: vec![token],
        delivery_timeout: Some(Duration::from_secs(3)),
        ..subscribe()
    };
    let asked = async {
        let asked = next_subscribe(&publisher).await;
        assert_eq!(asked.request().authorization_tokens, []);
        assert_eq!(asked.request().delivery_timeout, None);
        asked.accept(TrackInfo::default()).unwrap()
    };
    let (subscription, _publication) = tokio::join!(subscriber.subscribe(request), asked);
    subscription.unwrap();
}

async fn what_a_subscriber_wants_stays_with_it_in_draft_14_too(world: World) {
    covers!("D14-7.3-02", "D14-9.2.1.2-08", "D14-9.7-10");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let request = Subscribe {
        subscriber_priority: 7,
        group_order: Some(moqingbird::wire::model::GroupOrder::Descending),
        forward: false,
        delivery_timeout: Some(Duration::from_millis(100)),
        ..subscribe()
    };
    let asked = async {
        let asked = next_subscribe(&publisher).await;
        let Subscribe { subscriber_priority, group_order, forward, delivery_timeout, .. } = asked.request();
        assert_eq!(
            (*subscriber_priority, *group_order, *forward, *delivery_timeout),
            (128, None, true, None)
        );
        asked.accept(TrackInfo::default()).unwrap()
    };
    let (subscription, _publication) = tokio::join!(subscriber.subscribe(request), asked);
    subscription.unwrap();
}

async fn a_publishers_delivery_timeout_is_repeated(world: World) {
    covers!("D14-9.2.1.2-05");
    for delivery_timeout in [None, Some(Duration::from_millis(400))] {
        let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
        let announced = announce(&publisher).await;
        let extensions = TrackExtensions { delivery_timeout, ..TrackExtensions::default() };
        let info = TrackInfo { extensions, ..TrackInfo::default() };
        let (subscription, _publication) = tokio::join!(subscriber.subscribe(subscribe()), async {
            next_subscribe(&publisher).await.accept(info).unwrap()
        });
        assert_eq!(subscription.unwrap().extensions().delivery_timeout, delivery_timeout);
        announced.done();
        publisher.close(moqingbird::wire::model::SessionErrorCode::NoError, "");
        subscriber.close(moqingbird::wire::model::SessionErrorCode::NoError, "");
        world.idle().await;
    }
}

/// The extension headers of an object as they arrive.
async fn passed_on(world: &World, sent: Extensions) -> Extensions {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let options = SubgroupOptions { extensions: true, ..options(6) };
    let mut sender = soon("a stream", publication.open_subgroup(options)).await.unwrap();
    let header = ObjectHeader { extensions: sent, ..header(5, b"x") };
    sender.write_object(&header, Bytes::from_static(b"x")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    next_object(&mut subgroup).await.unwrap().header.extensions
}

async fn unknown_extensions_arrive_unchanged(world: World) {
    covers!("D16-2.5-01", "D16-2.5-03");
    assert_eq!(passed_on(&world, extensions()).await, extensions());
}

async fn immutable_extensions_and_gaps_arrive_unchanged(world: World) {
    covers!("D16-11.2-02", "D16-11.2-04", "D16-11.3-03", "D16-11.4-03");
    assert_eq!(passed_on(&world, rich_extensions()).await, rich_extensions());
}

async fn no_gap_is_added(world: World) {
    covers!("D16-11.3-01", "D16-11.4-01");
    let arrived = passed_on(&world, extensions()).await;
    assert!(arrived.iter().all(|pair| pair.key == 0x40 || pair.key == 0x41), "{arrived:?}");
}

async fn immutable_extensions_are_kept_with_their_object(world: World) {
    covers!("D16-11.2-03");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let options = SubgroupOptions { extensions: true, ..options(6) };
    let mut sender = soon("a stream", publication.open_subgroup(options)).await.unwrap();
    let header = ObjectHeader { extensions: rich_extensions(), ..header(0, b"x") };
    sender.write_object(&header, Bytes::from_static(b"x")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert!(next_object(&mut subgroup).await.is_some());
    let one = EndLocation { group: 6, object: Some(0) };
    let range = FetchRange::Standalone { track: track(), start: Location::new(6, 0), end: one };
    let mut fetched = soon("an answer", subscriber.fetch(Fetch::new(range))).await.unwrap();
    let object = soon("an object", fetched.next_object()).await.unwrap().unwrap();
    assert_eq!(object.header.extensions, rich_extensions());
}

async fn the_newest_extensions_of_a_track_count_as_a_whole(world: World) {
    covers!("D16-2.5-04", "D16-2.5-05");
    if !world.publisher.draft().rules().track_extensions || !world.subscriber.draft().rules().track_extensions
    {
        return;
    }
    let of = |key| {
        let other =
            Extensions::from_pairs([KeyValue { key, value: Value::Integer(1) }], Keys::Absolute).unwrap();
        let extensions = TrackExtensions { other, ..TrackExtensions::default() };
        TrackInfo { extensions, ..TrackInfo::default() }
    };
    let (first, second, subscriber) =
        (world.publisher().await, world.publisher().await, world.subscriber().await);
    let _announced = announce(&first).await;
    let (subscription, _publication) = tokio::join!(subscriber.subscribe(subscribe()), async {
        next_subscribe(&first).await.accept(of(0x42)).unwrap()
    });
    let subscription = subscription.unwrap();
    assert_eq!(subscription.extensions(), &of(0x42).extensions);
    let _announced = announce(&second).await;
    let _other = next_subscribe(&second).await.accept(of(0x44)).unwrap();
    let newest = async {
        loop {
            let late = world.subscriber().await;
            let told = soon("granted", late.subscribe(subscribe())).await.unwrap().extensions().clone();
            if told != of(0x42).extensions {
                break told;
            }
        }
    };
    assert_eq!(soon("the newest", newest).await, of(0x44).extensions);
}

mod new_groups {
    use moqingbird::Version::{Draft14, Draft16};
    use moqingbird::{Publication, Session, Subscription};

    use super::*;

    fn dynamic() -> TrackInfo {
        let extensions = TrackExtensions { dynamic_groups: true, ..TrackExtensions::default() };
        TrackInfo { extensions, ..TrackInfo::default() }
    }

    fn asking(group: u64) -> RequestUpdate {
        RequestUpdate { new_group_request: Some(group), ..RequestUpdate::default() }
    }

    async fn served(world: &World, info: TrackInfo) -> (Session, Publication, Session, Subscription) {
        let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
        std::mem::forget(announce(&publisher).await);
        let (subscription, publication) = tokio::join!(subscriber.subscribe(subscribe()), async {
            next_subscribe(&publisher).await.accept(info).unwrap()
        });
        (publisher, publication, subscriber, subscription.unwrap())
    }

    /// A group, and that the relay has forwarded it.
    async fn group(publication: &Publication, subscription: &mut Subscription, group: u64) {
        write_group(publication, group, "x").await;
        let mut subgroup = next_subgroup(subscription).await;
        assert!(next_object(&mut subgroup).await.is_some());
    }

    #[tokio::test]
    async fn what_a_first_subscriber_asks_goes_with_the_subscribe() {
        covers!("D16-9.2.2.9-07");
        let world = World::new(Draft16, Draft16);
        let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
        let _announced = announce(&publisher).await;
        let request = Subscribe { new_group_request: Some(8), ..subscribe() };
        let asked = async {
            let asked = next_subscribe(&publisher).await;
            assert_eq!(asked.request().new_group_request, Some(8));
            asked.accept(dynamic()).unwrap()
        };
        let (subscription, _publication) = tokio::join!(subscriber.subscribe(request), asked);
        subscription.unwrap();
    }

    #[tokio::test]
    async fn a_draft_without_new_groups_is_not_asked_for_one() {
        let world = World::new(Draft14, Draft16);
        let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
        let _announced = announce(&publisher).await;
        let request = Subscribe { new_group_request: Some(8), ..subscribe() };
        let asked = async { next_subscribe(&publisher).await.accept(TrackInfo::default()).unwrap() };
        let (subscription, _publication) = tokio::join!(subscriber.subscribe(request), asked);
        subscription.unwrap();
    }

    #[tokio::test]
    async fn a_new_group_is_asked_for_once_until_it_comes() {
        covers!("D16-9.2.2.9-08", "D16-9.2.2.9-09", "D16-9.2.2.9-11");
        let world = World::new(Draft16, Draft16);
        let (_publisher, publication, _subscriber, mut subscription) = served(&world, dynamic()).await;
        group(&publication, &mut subscription, 5).await;
        soon("an update", subscription.update(asking(8))).await.unwrap();
        assert_eq!(soon("a request", publication.new_group_requested()).await, Some(8));
        let other = world.subscriber().await;
        let second = soon("granted", other.subscribe(subscribe())).await.unwrap();
        soon("an update", second.update(asking(7))).await.unwrap();
        soon("an update", second.update(asking(0))).await.unwrap();
        nothing(&publication).await;
        group(&publication, &mut subscription, 9).await;
        soon("an update", second.update(asking(10))).await.unwrap();
        assert_eq!(soon("a request", publication.new_group_requested()).await, Some(10));
    }

    async fn nothing(publication: &Publication) {
        tokio::select! {
            biased;
            asked = publication.new_group_requested() => panic!("asked: {asked:?}"),
            () = tokio::time::sleep(Duration::from_millis(30)) => {}
        }
    }

    #[tokio::test]
    async fn a_group_that_has_begun_is_not_asked_for() {
        covers!("D16-9.2.2.9-10");
        let world = World::new(Draft16, Draft16);
        let (_publisher, publication, _subscriber, mut subscription) = served(&world, dynamic()).await;
        group(&publication, &mut subscription, 5).await;
        soon("an update", subscription.update(asking(3))).await.unwrap();
        nothing(&publication).await;
    }
}
