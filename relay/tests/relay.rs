//! The relay between two sessions in memory, for every pair of drafts.

#[macro_use]
mod support;

use bytes::Bytes;
use moqingbird::wire::model::{
    Datagram, DatagramBody, Extensions, GroupOrder, Location, ObjectHeader, ObjectStatus, PublishDoneCode,
    PublishNamespace, RequestErrorCode, RequestUpdate, ResetCode, SessionErrorCode, Subscribe,
    SubscriptionFilter, TrackAlias, TrackExtensions, TrackNamespace,
};
use moqingbird::{Delivery, NamespaceEvent, RequestFailed, SubgroupError, SubgroupOptions, TrackInfo};
use moqingbird_ledger::covers;
use moqingbird_relay::{Relay, RelayOptions};
use support::*;

in_every_pair! {
    an_unknown_track_is_declined_at_once;
    a_subscription_reaches_the_announcer_and_its_objects_the_subscriber;
    payloads_of_every_size_arrive_unchanged;
    an_object_is_forwarded_while_it_arrives;
    datagrams_arrive_as_they_were_sent;
    a_decline_of_the_publisher_is_passed_on;
    what_the_publisher_says_of_the_track_is_passed_on;
    a_grant_waits_for_that_of_the_publisher;
    what_a_subscriber_wants_for_itself_is_not_asked_of_the_publisher;
    a_hundred_objects_of_a_stream_stay_in_order;
    each_subscriber_gets_what_its_filter_passes;
    fifty_subscribers_make_one_subscription_and_leave_it_once;
    a_publish_reaches_those_who_subscribed_to_the_namespace;
    a_publish_is_asked_for_objects_once_somebody_subscribes;
    namespaces_come_and_go;
    the_end_of_a_track_is_told_behind_its_objects;
    a_publisher_that_dies_within_an_object_resets_it_and_ends_the_track;
    a_lost_publisher_is_replaced_by_another_that_announces;
    a_reset_code_is_passed_on;
    a_subscriber_that_stalls_holds_up_no_other;
    a_subscriber_in_the_middle_gets_what_is_new;
    a_range_in_the_past_is_declined;
    what_is_left_and_asked_again_at_once_is_granted;
    a_session_may_subscribe_to_its_own_track;
    nothing_is_left_when_all_have_left;
}

async fn an_unknown_track_is_declined_at_once(world: World) {
    let subscriber = world.subscriber().await;
    match soon("an answer", subscriber.subscribe(subscribe())).await {
        Err(RequestFailed::Rejected(rejected)) => {
            assert_eq!(rejected.error.code, RequestErrorCode::DoesNotExist);
        }
        other => panic!("not declined: {other:?}"),
    }
}

async fn a_subscription_reaches_the_announcer_and_its_objects_the_subscriber(world: World) {
    covers!("D14-8.5-01", "D16-8.7-01");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    assert_eq!(publication.track(), &track());
    assert!(publication.forward());

    let written = [
        (header(0, b"first"), Bytes::from_static(b"first")),
        (
            ObjectHeader { extensions: rich_extensions(), ..header(3, b"second") },
            Bytes::from_static(b"second"),
        ),
        (header(4, b""), Bytes::new()),
        (status(5, ObjectStatus::EndOfGroup), Bytes::new()),
    ];
    let options = SubgroupOptions { extensions: true, ..options(9) };
    let mut sender = publication.open_subgroup(options).await.unwrap();
    for (header, payload) in &written {
        sender.write_object(header, payload.clone()).await.unwrap();
    }
    sender.finish().unwrap();

    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!((subgroup.group_id(), subgroup.subgroup_id(), subgroup.priority()), (9, Some(0), 77));
    for (header, payload) in written {
        let object = next_object(&mut subgroup).await.expect("an object");
        assert_eq!(object.location, Location::new(9, header.object_id));
        assert_eq!((object.header, object.payload), (header, payload));
    }
    assert_eq!(next_object(&mut subgroup).await, None);
}

async fn payloads_of_every_size_arrive_unchanged(world: World) {
    covers!("D14-8.5-02", "D16-2.1-02", "D16-8.7-02", "D16-8.7-03");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let payloads: Vec<Bytes> = [0, 1, 65_536, 5 << 20]
        .map(|size: usize| (0..size).map(|index| u8::try_from(index * 31 % 251).unwrap()).collect())
        .into();
    let writing = async {
        let mut sender = publication.open_subgroup(options(0)).await.unwrap();
        for (id, payload) in payloads.iter().enumerate() {
            sender.write_object(&header(id as u64, payload), payload.clone()).await.unwrap();
        }
        sender.finish().unwrap();
    };
    let reading = async {
        let mut subgroup = next_subgroup(&mut subscription).await;
        let mut read = Vec::new();
        while let Some(object) = next_object(&mut subgroup).await {
            read.push(object.payload);
        }
        read
    };
    let ((), read) = tokio::join!(writing, reading);
    assert!(read == payloads, "{:?} bytes", read.iter().map(Bytes::len).collect::<Vec<_>>());
}

async fn an_object_is_forwarded_while_it_arrives(world: World) {
    covers!("D14-8.5-04");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_header(&header(0, &[0; 8])).await.unwrap();
    sender.write_payload(Bytes::from_static(b"half")).await.unwrap();

    let mut subgroup = next_subgroup(&mut subscription).await;
    let mut items = Vec::new();
    while items.len() < 2 {
        items.push(format!("{:?}", soon("a part", subgroup.next_item()).await.unwrap().unwrap()));
    }
    assert!(items[1].contains("half"), "{items:?}");
    sender.write_payload(Bytes::from_static(b"rest")).await.unwrap();
    assert!(format!("{:?}", soon("the rest", subgroup.next_item()).await.unwrap()).contains("rest"));
}

fn datagram(object_id: u64, body: DatagramBody) -> Datagram {
    Datagram {
        track_alias: TrackAlias(0),
        group_id: 4,
        object_id,
        publisher_priority: Some(33),
        end_of_group: false,
        extensions: Extensions::NONE,
        body,
    }
}

async fn datagrams_arrive_as_they_were_sent(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let sent = [
        datagram(0, DatagramBody::Payload(Bytes::from_static(b"ping"))),
        Datagram {
            extensions: extensions(),
            ..datagram(1, DatagramBody::Payload(Bytes::from_static(b"pong")))
        },
        datagram(2, DatagramBody::Status(ObjectStatus::EndOfGroup)),
    ];
    for datagram in &sent {
        publication.send_datagram(datagram.clone()).await.unwrap();
    }
    for datagram in sent {
        match soon("a datagram", subscription.next()).await.unwrap() {
            Some(Delivery::Datagram(received)) => {
                assert_eq!(Datagram { track_alias: TrackAlias(0), ..received }, datagram);
            }
            other => panic!("not a datagram: {other:?}"),
        }
    }
}

async fn a_decline_of_the_publisher_is_passed_on(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let error = moqingbird::wire::model::RequestError::new(RequestErrorCode::Unauthorized, "not you");
    let (answer, ()) = tokio::join!(soon("an answer", subscriber.subscribe(subscribe())), async {
        next_subscribe(&publisher).await.reject(error);
    });
    match answer {
        Err(RequestFailed::Rejected(rejected)) => {
            assert_eq!(rejected.error.code, RequestErrorCode::Unauthorized);
            assert_eq!(rejected.error.reason.to_str(), "not you");
        }
        other => panic!("not declined: {other:?}"),
    }
}

async fn what_the_publisher_says_of_the_track_is_passed_on(world: World) {
    covers!("D16-8.6-01", "D16-2.5-03");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let mut extensions = TrackExtensions {
        max_cache_duration: Some(std::time::Duration::from_secs(3)),
        ..TrackExtensions::default()
    };
    let both_16 = publisher.version().draft().rules().default_priority
        && subscriber.version().draft().rules().default_priority;
    if publisher.version().draft().rules().default_priority {
        extensions.default_publisher_priority = 5;
        extensions.dynamic_groups = true;
        extensions.other = support::extensions();
    }
    let info = TrackInfo {
        largest: Some(Location::new(7, 3)),
        extensions: extensions.clone(),
        ..TrackInfo::default()
    };
    let (subscription, _publication) =
        tokio::join!(soon("SUBSCRIBE is granted", subscriber.subscribe(subscribe())), async {
            next_subscribe(&publisher).await.accept(info).unwrap()
        });
    let subscription = subscription.unwrap();
    assert_eq!(subscription.largest(), Some(Location::new(7, 3)));
    assert_eq!(subscription.extensions().max_cache_duration, extensions.max_cache_duration);
    if both_16 {
        assert_eq!(subscription.extensions(), &extensions);
    }
}

async fn a_grant_waits_for_that_of_the_publisher(world: World) {
    covers!("D14-8.3-02", "D16-8.4-02");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let mut subscribing = std::pin::pin!(subscriber.subscribe(subscribe()));
    let asked = tokio::select! {
        asked = next_subscribe(&publisher) => asked,
        answer = &mut subscribing => panic!("granted before the publisher has answered: {answer:?}"),
    };
    // A round trip through the relay later there is still no answer.
    let other = tokio::select! {
        other = subscriber.publish_namespace(PublishNamespace::new(TrackNamespace::from_path("x").unwrap())) => other,
        answer = &mut subscribing => panic!("granted before the publisher has answered: {answer:?}"),
    };
    assert!(other.is_ok());
    let _publication = asked.accept(TrackInfo::default()).unwrap();
    assert!(soon("SUBSCRIBE is granted", subscribing).await.is_ok());
}

async fn what_a_subscriber_wants_for_itself_is_not_asked_of_the_publisher(world: World) {
    covers!("D14-8.4-12", "D16-7.3-02", "D16-8.2-01", "D16-9.2.2.2-10");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    for forward in [true, false] {
        let request = Subscribe {
            subscriber_priority: 9,
            group_order: Some(GroupOrder::Descending),
            forward,
            delivery_timeout: Some(std::time::Duration::from_secs(1)),
            ..subscribe()
        };
        let (_subscription, asked) = tokio::join!(
            async { soon("SUBSCRIBE is granted", subscriber.subscribe(request)).await.unwrap() },
            async {
                let asked = next_subscribe(&publisher).await;
                let request = asked.request().clone();
                (request, asked.accept(TrackInfo::default()).unwrap())
            }
        );
        let (request, publication) = asked;
        assert!(request.forward);
        assert_eq!((request.subscriber_priority, request.group_order), (128, None));
        assert_eq!(request.delivery_timeout, None);
        drop(_subscription);
        soon("UNSUBSCRIBE", publication.cancelled()).await;
    }
}

async fn a_hundred_objects_of_a_stream_stay_in_order(world: World) {
    covers!("D14-8.3-04", "D16-8.4-04");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    for id in 0..100 {
        sender.write_object(&header(id, &[7; 50]), Bytes::from_static(&[7; 50])).await.unwrap();
    }
    sender.finish().unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    for id in 0..100 {
        assert_eq!(next_object(&mut subgroup).await.unwrap().header.object_id, id);
    }
    assert_eq!(next_object(&mut subgroup).await, None);
}

async fn each_subscriber_gets_what_its_filter_passes(world: World) {
    covers!("D14-8.3-06", "D16-8.4-06");
    let (publisher, first, second) =
        (world.publisher().await, world.subscriber().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut first) = connected(&publisher, &first).await;
    let filter = SubscriptionFilter::AbsoluteRange { start: Location::new(2, 0), end_group: 3 };
    let request = Subscribe { filter: Some(filter), ..subscribe() };
    let mut second = soon("SUBSCRIBE is granted", second.subscribe(request)).await.unwrap();
    for group in 0..5 {
        write_group(&publication, group, "x").await;
        let mut subgroup = next_subgroup(&mut first).await;
        assert_eq!(subgroup.group_id(), group);
        assert!(next_object(&mut subgroup).await.is_some());
    }
    for group in 2..4 {
        let mut subgroup = next_subgroup(&mut second).await;
        assert_eq!(subgroup.group_id(), group);
        assert!(next_object(&mut subgroup).await.is_some());
    }
    assert!(soon("the end of the range", second.next()).await.unwrap().is_none());
    assert_eq!(second.done().unwrap().code, PublishDoneCode::SubscriptionEnded);
}

async fn fifty_subscribers_make_one_subscription_and_leave_it_once(world: World) {
    covers!("D14-8.3-05", "D16-8.4-05");
    let publisher = world.publisher().await;
    let _announced = announce(&publisher).await;
    let mut subscribing = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let subscriber = world.subscriber().await;
        subscribing.spawn(async move {
            let subscription = soon("SUBSCRIBE is granted", subscriber.subscribe(subscribe())).await.unwrap();
            (subscriber, subscription)
        });
    }
    let publication = next_subscribe(&publisher).await.accept(TrackInfo::default()).unwrap();
    let mut subscriptions = subscribing.join_all().await;
    write_group(&publication, 0, "for all").await;
    for (_, subscription) in &mut subscriptions {
        let mut subgroup = next_subgroup(subscription).await;
        assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "for all");
    }
    drop(subscriptions);
    soon("UNSUBSCRIBE", publication.cancelled()).await;

    // Nothing else was asked: the next request is one that is made now.
    let subscriber = world.subscriber().await;
    let (_publication, subscription) = connected(&publisher, &subscriber).await;
    drop(subscription);
}

async fn a_publish_reaches_those_who_subscribed_to_the_namespace(world: World) {
    covers!("D14-8.4-07", "D16-8.5-13");
    let (publisher, early, late) =
        (world.publisher().await, world.subscriber().await, world.subscriber().await);
    let _early = soon("OK", early.subscribe_namespace(subscribe_namespace())).await.unwrap();
    let publication = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
    let mut early = take(&early).await;
    let _late = soon("OK", late.subscribe_namespace(subscribe_namespace())).await.unwrap();
    let mut late = take(&late).await;
    assert_eq!((early.track(), late.track()), (&track(), &track()));

    soon("somebody listens", publication.forwarding()).await;
    // The second listener may be known to the relay a little later than the first.
    let (mut group, mut first) = (0, None);
    while first.is_none() {
        write_group(&publication, group, "news").await;
        group += 1;
        first = tokio::time::timeout(std::time::Duration::from_millis(50), late.next()).await.ok();
    }
    let Ok(Some(Delivery::Subgroup(mut subgroup))) = first.unwrap() else { panic!("no subgroup") };
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "news");
    let mut subgroup = next_subgroup(&mut early).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "news");
}

async fn a_publish_is_asked_for_objects_once_somebody_subscribes(world: World) {
    covers!("D14-8.4-01", "D14-8.4-10", "D16-8.5-01", "D16-8.5-10");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let publication = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
    assert!(!publication.forward());
    let mut subscription = soon("SUBSCRIBE is granted", subscriber.subscribe(subscribe())).await.unwrap();
    soon("Forward State 1", publication.forwarding()).await;
    write_group(&publication, 0, "wanted").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "wanted");
}

async fn namespaces_come_and_go(world: World) {
    covers!("D14-8.4-06", "D16-6.2-03", "D16-8.5-07");
    let (publisher, early, late) =
        (world.publisher().await, world.subscriber().await, world.subscriber().await);
    let mut early_events = soon("OK", early.subscribe_namespace(subscribe_namespace())).await.unwrap();
    let announced = announce(&publisher).await;
    let mut late_events = soon("OK", late.subscribe_namespace(subscribe_namespace())).await.unwrap();
    for events in [&mut early_events, &mut late_events] {
        assert_eq!(soon("it comes", events.next()).await, Some(NamespaceEvent::Namespace(namespace())));
    }
    announced.done();
    for events in [&mut early_events, &mut late_events] {
        assert_eq!(soon("it goes", events.next()).await, Some(NamespaceEvent::NamespaceDone(namespace())));
    }
    let _announced = announce(&publisher).await;
    assert_eq!(soon("it comes", early_events.next()).await, Some(NamespaceEvent::Namespace(namespace())));
    publisher.close(SessionErrorCode::NoError, "bye");
    assert_eq!(soon("it goes", early_events.next()).await, Some(NamespaceEvent::NamespaceDone(namespace())));
}

async fn the_end_of_a_track_is_told_behind_its_objects(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    for group in 0..3 {
        write_group(&publication, group, "x").await;
    }
    let finishing = tokio::spawn(publication.finish(PublishDoneCode::TrackEnded, "all said"));
    for _ in 0..3 {
        let mut subgroup = next_subgroup(&mut subscription).await;
        assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "x");
        assert_eq!(next_object(&mut subgroup).await, None);
    }
    assert!(soon("the end", subscription.next()).await.unwrap().is_none());
    let done = subscription.done().unwrap();
    assert_eq!((done.code, done.stream_count), (PublishDoneCode::TrackEnded, 3));
    assert_eq!(done.reason.to_str(), "all said");
    finishing.await.unwrap().unwrap();
}

async fn a_publisher_that_dies_within_an_object_resets_it_and_ends_the_track(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_header(&header(0, &[0; 8])).await.unwrap();
    sender.write_payload(Bytes::from_static(b"half")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    soon("the header", subgroup.next_item()).await.unwrap();
    soon("the half", subgroup.next_item()).await.unwrap();
    publisher.close(SessionErrorCode::InternalError, "died");
    let end = soon("a reset", subgroup.next_item()).await;
    assert!(matches!(end, Err(SubgroupError::Reset(_))), "{end:?}");
    assert!(soon("the end", subscription.next()).await.unwrap().is_none());
    assert_eq!(subscription.done().unwrap().code, PublishDoneCode::InternalError);
}

async fn a_lost_publisher_is_replaced_by_another_that_announces(world: World) {
    let (first, second, subscriber) =
        (world.publisher().await, world.publisher().await, world.subscriber().await);
    let _second = announce(&second).await;
    let _first = announce(&first).await;
    let (publication, mut subscription) = connected(&first, &subscriber).await;
    write_group(&publication, 0, "first").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "first");
    first.close(SessionErrorCode::NoError, "bye");
    let publication = next_subscribe(&second).await.accept(TrackInfo::default()).unwrap();
    write_group(&publication, 1, "second").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "second");
}

async fn a_reset_code_is_passed_on(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_object(&header(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert!(next_object(&mut subgroup).await.is_some());
    sender.reset(ResetCode::DeliveryTimeout);
    let end = soon("a reset", subgroup.next_object()).await;
    assert_eq!(end, Err(SubgroupError::Reset(ResetCode::DeliveryTimeout)));
}

async fn a_subscriber_that_stalls_holds_up_no_other(world: World) {
    let (publisher, slow, fast) =
        (world.publisher().await, world.subscriber().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, _slow) = connected(&publisher, &slow).await;
    let mut fast = soon("SUBSCRIBE is granted", fast.subscribe(subscribe())).await.unwrap();
    // More than is kept, in groups of 256 KiB: the slow one has no room for them.
    let payload = Bytes::from(vec![5; 256 << 10]);
    let writing = async {
        for group in 0..64 {
            write_group(&publication, group, payload.clone()).await;
        }
    };
    let reading = async {
        for _ in 0..64 {
            let mut subgroup = next_subgroup(&mut fast).await;
            assert!(next_object(&mut subgroup).await.unwrap().payload == payload);
        }
    };
    tokio::join!(writing, reading);
}

async fn a_subscriber_in_the_middle_gets_what_is_new(world: World) {
    covers!("D16-5.1.2-11");
    let (publisher, first, second) =
        (world.publisher().await, world.subscriber().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut first) = connected(&publisher, &first).await;
    let mut sender = publication.open_subgroup(options(3)).await.unwrap();
    sender.write_object(&header(0, b"old"), Bytes::from_static(b"old")).await.unwrap();
    let mut subgroup = next_subgroup(&mut first).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "old");

    let mut second = soon("SUBSCRIBE is granted", second.subscribe(subscribe())).await.unwrap();
    assert_eq!(second.largest(), Some(Location::new(3, 0)));
    sender.write_object(&header(1, b"new"), Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "new");
    let mut subgroup = next_subgroup(&mut second).await;
    let object = next_object(&mut subgroup).await.unwrap();
    assert_eq!((object.location, subgroup.subgroup_id()), (Location::new(3, 1), Some(0)));
}

async fn a_range_in_the_past_is_declined(world: World) {
    covers!("D14-9.7-16", "D16-9.9-02");
    let (publisher, first, second) =
        (world.publisher().await, world.subscriber().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut first) = connected(&publisher, &first).await;
    write_group(&publication, 5, "x").await;
    let mut subgroup = next_subgroup(&mut first).await;
    assert!(next_object(&mut subgroup).await.is_some());
    let mut request = subscribe();
    request.filter = Some(SubscriptionFilter::AbsoluteRange { start: Location::new(1, 0), end_group: 4 });
    match soon("an answer", second.subscribe(request)).await {
        Err(RequestFailed::Rejected(rejected)) => {
            assert_eq!(rejected.error.code, RequestErrorCode::InvalidRange);
        }
        other => panic!("not declined: {other:?}"),
    }
}

async fn what_is_left_and_asked_again_at_once_is_granted(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let answering = async {
        loop {
            // Every SUBSCRIBE comes behind the UNSUBSCRIBE of the one before, or the session would end here.
            let publication = next_subscribe(&publisher).await.accept(TrackInfo::default()).unwrap();
            publication.cancelled().await;
        }
    };
    let asking = async {
        for _ in 0..30 {
            let events = subscriber.subscribe_namespace(subscribe_namespace()).await.unwrap();
            let subscription = subscriber.subscribe(subscribe()).await.unwrap();
            drop((events, subscription));
        }
    };
    tokio::select! {
        () = soon("thirty times", asking) => {}
        () = answering => {}
    }
    assert_eq!(publisher.close_reason(), None);
}

async fn a_session_may_subscribe_to_its_own_track(world: World) {
    covers!("D14-5.1-02", "D14-5.1-03", "D16-5.1-08");
    let peer = world.publisher().await;
    let _announced = announce(&peer).await;
    let (publication, mut subscription) = connected(&peer, &peer).await;
    write_group(&publication, 0, "mine").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "mine");
}

async fn nothing_is_left_when_all_have_left(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let announced = announce(&publisher).await;
    let events = soon("OK", subscriber.subscribe_namespace(subscribe_namespace())).await.unwrap();
    let (publication, subscription) = connected(&publisher, &subscriber).await;
    write_group(&publication, 0, "x").await;
    assert!(!world.relay.is_idle());
    drop((announced, events, publication, subscription));
    publisher.close(SessionErrorCode::NoError, "");
    subscriber.close(SessionErrorCode::NoError, "");
    world.idle().await;
}

mod one_draft {
    use super::*;

    /// Draft-16 updates its subscriptions; draft-14's update needs a range.
    #[tokio::test]
    async fn a_subscriber_that_pauses_pauses_the_publisher() {
        use moqingbird::Version::Draft16;
        let world = World::new(Draft16, Draft16);
        let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
        let publication = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
        let mut subscription = soon("SUBSCRIBE is granted", subscriber.subscribe(subscribe())).await.unwrap();
        soon("Forward State 1", publication.forwarding()).await;
        let pause = RequestUpdate { forward: Some(false), ..RequestUpdate::default() };
        soon("an update", subscription.update(pause)).await.unwrap();
        let mut group = 0;
        while publication.forward() {
            write_group(&publication, group, "unwanted").await;
            group += 1;
            tokio::task::yield_now().await;
        }
        let resume = RequestUpdate { forward: Some(true), ..RequestUpdate::default() };
        soon("an update", subscription.update(resume)).await.unwrap();
        soon("Forward State 1", publication.forwarding()).await;
        write_group(&publication, 1000, "wanted").await;
        loop {
            let mut subgroup = next_subgroup(&mut subscription).await;
            if subgroup.group_id() == 1000 {
                assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "wanted");
                break;
            }
        }
    }

    #[tokio::test]
    async fn a_publisher_whom_nobody_reads_is_held_back_for_a_while_only() {
        use moqingbird::Version::Draft16;
        let mut options = RelayOptions::default();
        options.stalled_after = std::time::Duration::from_millis(20);
        let world = World { relay: Relay::new(options), ..World::new(Draft16, Draft16) };
        let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
        let _announced = announce(&publisher).await;
        let (publication, mut subscription) = connected(&publisher, &subscriber).await;
        let payload = Bytes::from(vec![5; 256 << 10]);
        for group in 0..80 {
            write_group(&publication, group, payload.clone()).await;
        }
        // What is no longer kept is lost and its streams are reset; the rest arrives.
        publication.finish(PublishDoneCode::TrackEnded, "").await.unwrap();
        let (mut whole, mut reset) = (0, 0);
        while let Some(Delivery::Subgroup(mut subgroup)) =
            soon("a subgroup", subscription.next()).await.unwrap()
        {
            match soon("an object", subgroup.next_object()).await {
                Ok(object) => {
                    assert!(object.unwrap().payload == payload);
                    whole += 1;
                }
                Err(error) => {
                    assert_eq!(error, SubgroupError::Reset(ResetCode::DeliveryTimeout));
                    reset += 1;
                }
            }
        }
        assert!(whole > 0 && reset > 0, "{whole} whole, {reset} reset");
    }

    mod a_subscriber_that_takes_nothing_while_the_track_goes_on_is_ended {
        use moqingbird::Version::{Draft14, Draft16};

        #[tokio::test]
        async fn draft_14() {
            super::too_far_behind(Draft14).await;
        }

        #[tokio::test]
        async fn draft_16() {
            super::too_far_behind(Draft16).await;
        }
    }

    async fn too_far_behind(version: moqingbird::Version) {
        covers!("D14-9.2.1.2-06", "D16-9.2.2.2-07");
        let mut options = RelayOptions::default();
        options.too_far_behind_after = std::time::Duration::from_millis(100);
        let world = World { relay: Relay::new(options), ..World::new(version, version) };
        let (publisher, good, bad) =
            (world.publisher().await, world.subscriber().await, world.subscriber().await);
        let _announced = announce(&publisher).await;
        let (publication, mut reading) = connected(&publisher, &good).await;
        let mut stalled = soon("SUBSCRIBE is granted", bad.subscribe(subscribe())).await.unwrap();
        let payload = Bytes::from(vec![5; 256 << 10]);
        let feed = async {
            for group in 0.. {
                write_group(&publication, group, payload.clone()).await;
                let mut subgroup = next_subgroup(&mut reading).await;
                assert!(next_object(&mut subgroup).await.is_some());
            }
        };
        let end = async {
            loop {
                match soon("an end", stalled.next()).await.unwrap() {
                    // Taken over, and not read.
                    Some(delivery) => std::mem::forget(delivery),
                    None => break stalled.done().unwrap().code,
                }
            }
        };
        tokio::select! {
            () = feed => {}
            code = end => assert_eq!(code, PublishDoneCode::TooFarBehind),
        }
        assert_eq!(good.close_reason(), None);
    }

    /// Draft-16 has no status for an object that does not exist (§10.2.1.1).
    #[tokio::test]
    async fn an_object_that_does_not_exist_is_left_out_where_it_cannot_be_said() {
        use moqingbird::Version::{Draft14, Draft16};
        let world = World::new(Draft14, Draft16);
        let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
        let _announced = announce(&publisher).await;
        let (publication, mut subscription) = connected(&publisher, &subscriber).await;
        let mut sender = publication.open_subgroup(options(0)).await.unwrap();
        sender.write_object(&header(0, b"a"), Bytes::from_static(b"a")).await.unwrap();
        sender.write_object(&status(1, ObjectStatus::DoesNotExist), Bytes::new()).await.unwrap();
        sender.write_object(&header(2, b"b"), Bytes::from_static(b"b")).await.unwrap();
        sender.finish().unwrap();
        let mut subgroup = next_subgroup(&mut subscription).await;
        assert_eq!(next_object(&mut subgroup).await.unwrap().header.object_id, 0);
        assert_eq!(next_object(&mut subgroup).await.unwrap().header.object_id, 2);
        assert_eq!(next_object(&mut subgroup).await, None);
    }
}
