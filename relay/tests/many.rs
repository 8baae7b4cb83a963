//! Several publishers of one track, for every pair of drafts; and tracks that break the rules.

#[macro_use]
#[expect(dead_code, reason = "shared with the other tests of the relay, which use more of it")]
mod support;

use bytes::Bytes;
use moqingbird::wire::model::{
    EndLocation, Fetch, FetchRange, Location, ObjectHeader, PublishDoneCode, ResetCode, SessionErrorCode,
};
use moqingbird::{
    Delivery, FetchError, IncomingSubgroup, Publication, Session, SubgroupError, SubgroupOptions,
    SubgroupSender, Subscription, TrackInfo,
};
use moqingbird_ledger::covers;
use support::*;

in_every_pair! {
    every_publisher_that_announces_the_namespace_is_asked;
    each_object_of_two_publishers_arrives_once;
    what_only_one_of_two_publishers_has_arrives_too;
    an_object_whose_publisher_dies_in_its_middle_is_completed_by_the_other;
    a_publisher_that_comes_later_is_asked_for_what_is_wanted;
    a_publisher_that_comes_in_mid_group_is_heard_when_the_first_is_so_far;
    a_publisher_that_comes_in_mid_group_is_heard_when_the_first_is_lost;
    after_its_end_a_namespace_is_not_asked_any_more;
    another_payload_of_an_object_makes_the_track_malformed;
    another_priority_of_an_object_makes_the_track_malformed;
    another_subgroup_of_an_object_makes_the_track_malformed;
    another_status_of_an_object_makes_the_track_malformed;
    a_malformed_track_ends_its_fetches;
    what_ends_one_session_is_not_passed_on;
    extensions_of_objects_arrive_as_they_were;
    objects_without_extensions_get_none;
    a_broken_off_subgroup_never_ends_as_if_it_were_whole;
}

/// Two publishers of the track, each with a subscription of the relay's, and a subscriber.
async fn two(world: &World) -> ([(Session, Publication); 2], Subscription, Session) {
    let (first, second) = (world.publisher().await, world.publisher().await);
    // They announce as long as their sessions last.
    for publisher in [&first, &second] {
        std::mem::forget(announce(publisher).await);
    }
    let subscriber = world.subscriber().await;
    let accept = |publisher: &Session| {
        let publisher = publisher.clone();
        async move { next_subscribe(&publisher).await.accept(TrackInfo::default()).unwrap() }
    };
    let subscribing = soon("SUBSCRIBE is granted", subscriber.subscribe(subscribe()));
    let (one, other, subscription) = tokio::join!(accept(&first), accept(&second), subscribing);
    ([(first, one), (second, other)], subscription.unwrap(), subscriber)
}

async fn open(publication: &Publication, options: SubgroupOptions) -> SubgroupSender {
    soon("a stream", publication.open_subgroup(options)).await.unwrap()
}

async fn write(sender: &mut SubgroupSender, id: u64, payload: &'static str) {
    let payload = Bytes::from_static(payload.as_bytes());
    soon("room", sender.write_object(&header(id, &payload), payload.clone())).await.unwrap();
}

async fn expect(subgroup: &mut IncomingSubgroup, id: u64, payload: &str) {
    let object = next_object(subgroup).await.expect("an object");
    assert_eq!((object.header.object_id, &object.payload[..]), (id, payload.as_bytes()));
}

async fn every_publisher_that_announces_the_namespace_is_asked(world: World) {
    covers!("D14-8.4-05", "D16-8.5-06", "D16-8.5-12");
    let ([(_, first), (_, second)], _subscription, _subscriber) = two(&world).await;
    assert!(first.forward() && second.forward());
}

async fn each_object_of_two_publishers_arrives_once(world: World) {
    covers!("D14-8.2-02", "D16-8.3-02");
    let ([(_s1, first), (_s2, second)], mut subscription, _subscriber) = two(&world).await;
    let (mut first, mut second) = (open(&first, options(0)).await, open(&second, options(0)).await);
    write(&mut first, 0, "a").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "a").await;
    write(&mut second, 0, "a").await;
    write(&mut second, 1, "b").await;
    expect(&mut subgroup, 1, "b").await;
    write(&mut first, 1, "b").await;
    write(&mut first, 2, "c").await;
    expect(&mut subgroup, 2, "c").await;
    first.finish().unwrap();
    assert_eq!(next_object(&mut subgroup).await, None);
}

async fn what_only_one_of_two_publishers_has_arrives_too(world: World) {
    covers!("D14-8.2-01", "D16-8.3-01");
    let ([(_s1, first), (_s2, second)], mut subscription, _subscriber) = two(&world).await;
    write_group(&first, 0, "of the first").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "of the first").await;
    write_group(&second, 1, "of the second").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(subgroup.group_id(), 1);
    expect(&mut subgroup, 0, "of the second").await;
}

async fn an_object_whose_publisher_dies_in_its_middle_is_completed_by_the_other(world: World) {
    let ([(dying, first), (_s2, second)], mut subscription, _subscriber) = two(&world).await;
    let mut sender = open(&first, options(0)).await;
    sender.write_header(&header(0, &[0; 8])).await.unwrap();
    sender.write_payload(Bytes::from_static(b"half")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    while !format!("{:?}", soon("a part", subgroup.next_item()).await.unwrap()).contains("half") {}
    let mut other = open(&second, options(0)).await;
    other.write_header(&header(0, &[0; 8])).await.unwrap();
    other.write_payload(Bytes::from_static(b"half")).await.unwrap();
    // Until the relay knows that there is another who goes on with it.
    let largest = world.subscriber().await;
    let _ = soon("an answer", largest.track_status(subscribe())).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    dying.close(SessionErrorCode::NoError, "");
    drop(sender);
    other.write_payload(Bytes::from_static(b"rest")).await.unwrap();
    other.finish().unwrap();
    let mut rest = Vec::new();
    while let Some(item) = soon("the rest", subgroup.next_item()).await.unwrap() {
        rest.push(format!("{item:?}"));
    }
    assert!(rest[0].contains("rest") && rest.len() == 2, "{rest:?}");
}

async fn a_publisher_that_comes_later_is_asked_for_what_is_wanted(world: World) {
    covers!("D14-8.4-13", "D16-8.5-14");
    let (first, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&first).await;
    let (_publication, mut subscription) = connected(&first, &subscriber).await;
    let second = world.publisher().await;
    let _announced = announce(&second).await;
    let publication = next_subscribe(&second).await.accept(TrackInfo::default()).unwrap();
    first.close(SessionErrorCode::NoError, "");
    write_group(&publication, 4, "on").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "on").await;
}

/// A publisher that has published the first of a group, another that says that it has published two of it and then sends
/// the third, and the subscriber's stream, of which the first object has been read.
async fn late(world: &World) -> (Session, SubgroupSender, Subscription, IncomingSubgroup) {
    let (first, subscriber) = (world.publisher().await, world.subscriber().await);
    std::mem::forget(announce(&first).await);
    let (publication, mut subscription) = connected(&first, &subscriber).await;
    let mut early = open(&publication, options(0)).await;
    write(&mut early, 0, "a").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "a").await;
    let second = world.publisher().await;
    std::mem::forget(announce(&second).await);
    let info = TrackInfo { largest: Some(Location::new(0, 1)), ..TrackInfo::default() };
    let publication = next_subscribe(&second).await.accept(info).unwrap();
    let mut late = open(&publication, options(0)).await;
    write(&mut late, 2, "c").await;
    std::mem::forget((second, subscriber, publication, late));
    (first, early, subscription, subgroup)
}

async fn a_publisher_that_comes_in_mid_group_is_heard_when_the_first_is_so_far(world: World) {
    let (_first, mut early, _subscription, mut subgroup) = late(&world).await;
    write(&mut early, 1, "b").await;
    expect(&mut subgroup, 1, "b").await;
    expect(&mut subgroup, 2, "c").await;
}

async fn a_publisher_that_comes_in_mid_group_is_heard_when_the_first_is_lost(world: World) {
    let (first, _early, mut subscription, mut subgroup) = late(&world).await;
    first.close(SessionErrorCode::NoError, "");
    assert!(soon("the end", subgroup.next_object()).await.is_err());
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 2, "c").await;
}

async fn after_its_end_a_namespace_is_not_asked_any_more(world: World) {
    covers!("D14-9.26-02");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    announced.done();
    let mut update = moqingbird::wire::model::Subscribe::new(track());
    update.track.name = Bytes::from_static(b"another");
    let late = loop {
        match soon("an answer", subscriber.subscribe(update.clone())).await {
            Err(error) => break error,
            // The end was still on its way.
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert!(matches!(late, moqingbird::RequestFailed::Rejected(_)), "{late:?}");
    write_group(&publication, 0, "on").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "on").await;
}

/// Reads until the subscription ends, and tells how.
async fn end(subscription: &mut Subscription) -> PublishDoneCode {
    while let Some(delivery) = soon("an end", subscription.next()).await.unwrap() {
        if let Delivery::Subgroup(mut subgroup) = delivery {
            while let Ok(Some(_)) = soon("an object", subgroup.next_object()).await {}
        }
    }
    subscription.done().unwrap().code
}

/// One object of the first publisher, and the same with a difference of the second's.
async fn contradict(world: &World, options: SubgroupOptions, payload: &'static str) -> PublishDoneCode {
    let ([(_s1, first), (_s2, second)], mut subscription, _subscriber) = two(world).await;
    let mut sender = open(&first, self::options(0)).await;
    write(&mut sender, 0, "one").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "one").await;
    let mut other = open(&second, options).await;
    write(&mut other, 0, payload).await;
    drop(subgroup);
    end(&mut subscription).await
}

async fn another_payload_of_an_object_makes_the_track_malformed(world: World) {
    covers!("D14-8.1-04");
    assert_eq!(contradict(&world, options(0), "two").await, PublishDoneCode::MalformedTrack);
}

async fn another_priority_of_an_object_makes_the_track_malformed(world: World) {
    covers!("D14-2.5-03", "D16-2.4.2-04");
    let other = SubgroupOptions { publisher_priority: 3, ..options(0) };
    assert_eq!(contradict(&world, other, "one").await, PublishDoneCode::MalformedTrack);
}

async fn another_subgroup_of_an_object_makes_the_track_malformed(world: World) {
    let subgroup_id = moqingbird::wire::model::SubgroupId::Id(5);
    let other = SubgroupOptions { subgroup_id, ..options(0) };
    assert_eq!(contradict(&world, other, "one").await, PublishDoneCode::MalformedTrack);
}

async fn another_status_of_an_object_makes_the_track_malformed(world: World) {
    covers!("D14-8.1-03");
    let ([(_s1, first), (_s2, second)], mut subscription, _subscriber) = two(&world).await;
    let mut sender = open(&first, options(1)).await;
    write(&mut sender, 1, "one").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 1, "one").await;
    let mut other = open(&second, options(1)).await;
    let end = status(1, moqingbird::wire::model::ObjectStatus::EndOfGroup);
    soon("room", other.write_object(&end, Bytes::new())).await.unwrap();
    drop(subgroup);
    assert_eq!(self::end(&mut subscription).await, PublishDoneCode::MalformedTrack);
}

async fn a_malformed_track_ends_its_fetches(world: World) {
    covers!("D14-2.5-04", "D16-2.4.2-05", "D16-2.4.2-06");
    let ([(_s1, first), (_s2, second)], mut subscription, _subscriber) = two(&world).await;
    let mut sender = open(&first, options(0)).await;
    write(&mut sender, 0, "one").await;
    sender.write_header(&header(1, &[0; 8])).await.unwrap();
    sender.write_payload(Bytes::from_static(b"half")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "one").await;
    assert!(soon("the next", subgroup.next_item()).await.unwrap().is_some());
    // A fetch that waits for the rest of the second object.
    let fetcher = world.subscriber().await;
    let (start, end_location) = (Location::new(0, 0), EndLocation { group: 0, object: Some(1) });
    let range = FetchRange::Standalone { track: track(), start, end: end_location };
    let mut fetched = soon("an answer", fetcher.fetch(Fetch::new(range))).await.unwrap();
    assert_eq!(soon("an object", fetched.next_object()).await.unwrap().unwrap().payload, "one");
    let mut other = open(&second, options(0)).await;
    write(&mut other, 0, "two").await;
    drop(subgroup);
    assert_eq!(end(&mut subscription).await, PublishDoneCode::MalformedTrack);
    let reset = soon("an end", fetched.next_object()).await;
    assert!(matches!(reset, Err(FetchError::Reset(_))), "{reset:?}");
}

async fn what_ends_one_session_is_not_passed_on(world: World) {
    covers!("D14-8.4-16", "D16-8.5-17");
    let ([(bad, first), (_s2, second)], mut subscription, subscriber) = two(&world).await;
    let mut sender = open(&first, options(0)).await;
    write(&mut sender, 0, "one").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "one").await;
    bad.close(SessionErrorCode::ProtocolViolation, "what a peer would say of it");
    write_group(&second, 1, "on").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "on").await;
    assert_eq!(subscriber.close_reason(), None);
}

async fn extensions_of_objects_arrive_as_they_were(world: World) {
    covers!("D14-10.2.1.2-04", "D14-11.1-02", "D14-11.2-02", "D14-11.3-02");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let mut sender = open(&publication, SubgroupOptions { extensions: true, ..options(6) }).await;
    let header = ObjectHeader { extensions: rich_extensions(), ..header(5, b"x") };
    sender.write_object(&header, Bytes::from_static(b"x")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().header, header);
}

async fn objects_without_extensions_get_none(world: World) {
    covers!("D14-11.1-01", "D14-11.2-01", "D14-11.3-01", "D16-11.2-01");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let mut sender = open(&publication, SubgroupOptions { extensions: true, ..options(6) }).await;
    for id in [0, 4] {
        write(&mut sender, id, "x").await;
    }
    let mut subgroup = next_subgroup(&mut subscription).await;
    for _ in 0..2 {
        assert!(next_object(&mut subgroup).await.unwrap().header.extensions.is_empty());
    }
}

async fn a_broken_off_subgroup_never_ends_as_if_it_were_whole(world: World) {
    covers!("D14-10.4.3-15");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let mut sender = open(&publication, options(0)).await;
    write(&mut sender, 0, "x").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    expect(&mut subgroup, 0, "x").await;
    sender.reset(ResetCode::Cancelled);
    let end = soon("an end", subgroup.next_object()).await;
    assert_eq!(end, Err(SubgroupError::Reset(ResetCode::Cancelled)));
}
