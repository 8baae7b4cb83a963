//! The library from end to end: each scenario in every draft, in memory, over raw QUIC and over WebTransport.
#![cfg(feature = "net")]

#[macro_use]
#[path = "support/net.rs"]
mod net;

use std::time::Duration;

use bytes::Bytes;
use moqingbird::session::Closed;
use moqingbird::wire::list::{KeyValue, Keys, Value};
use moqingbird::wire::model::{
    Datagram, DatagramBody, EndLocation, Extensions, Fetch, FetchObject, FetchOk, FetchRange, GroupOrder,
    Location, ObjectHeader, ObjectStatus, Publish, PublishDoneCode, PublishNamespace, PublishOk, RangeStatus,
    RequestError, RequestErrorCode, RequestKind, RequestUpdate, ResetCode, SessionErrorCode, Subscribe,
    SubscribeNamespace, TrackAlias, TrackExtensions, extension,
};
use moqingbird::{
    Delivery, FetchDelivery, FetchError, FetchSender, Fetched, IncomingFetch, IncomingRequest,
    NamespaceEvent, PublicationError, RequestFailed, Session, SubgroupError, SubgroupOptions, TrackInfo,
};
use net::{Ends, namespace, next_subgroup, object, options, subscribed, track};

mod in_each {
    everywhere! {
        both_ends_agree_on_draft_and_transport;
        objects_arrive_as_they_were_written;
        an_object_can_be_read_before_it_is_complete;
        datagrams_arrive_as_they_were_sent;
        a_declined_subscription_tells_code_and_reason;
        a_request_that_is_dropped_unanswered_is_declined;
        leaving_a_subscription_ends_the_publication_and_its_streams;
        a_finished_publication_ends_the_subscription_behind_its_objects;
        a_dropped_publication_ends_the_subscription;
        a_published_track_reaches_its_subscriber;
        a_namespace_is_announced_and_withdrawn;
        a_namespace_is_revoked;
        namespaces_below_a_prefix_come_and_go;
        a_reset_subgroup_tells_its_code;
        a_dropped_subgroup_is_a_reset_and_not_an_end;
        an_object_that_is_late_resets_its_subgroup_and_no_other;
        a_stopped_subgroup_stops_its_sender_and_no_other;
        a_reader_that_stalls_holds_up_only_its_own_subgroup;
        a_cancelled_write_loses_nothing;
        an_update_changes_the_forward_state;
        closing_tells_code_and_reason;
        dropping_every_handle_closes_without_error;
        a_closed_session_ends_every_wait;
        many_subscriptions_at_once_are_all_answered;
        fetched_objects_arrive_as_they_were_written;
        a_fetched_object_can_be_read_before_it_is_complete;
        ranges_without_objects_are_told_where_the_draft_can;
        a_declined_fetch_tells_code_and_reason;
        a_fetch_of_nothing_is_declined_or_empty;
        leaving_a_fetch_cancels_it;
        a_fetch_that_is_broken_off_does_not_end;
        a_dropped_fetch_sender_resets_the_stream;
        what_precedes_a_subscription_is_fetched_by_joining_it;
        nothing_precedes_a_subscription_to_an_empty_track;
        the_status_of_a_track_is_told;
        a_declined_track_status_tells_code_and_reason;
    }
}

async fn both_ends_agree_on_draft_and_transport(Ends { client, server, .. }: Ends) {
    assert_eq!(client.version(), server.version());
    assert_eq!(client.transport(), server.transport());
    assert_eq!(client.connection_id(), server.connection_id());
    assert!(client.peer_setup().implementation.as_ref().is_some_and(|name| name.starts_with(b"moqingbird/")));
}

async fn objects_arrive_as_they_were_written(Ends { client, server, .. }: Ends) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let written = [
        (object(0, b"first"), Bytes::from_static(b"first")),
        (object(1, b""), Bytes::new()),
        (with_extension(object(5, &[7; 5000])), Bytes::from(vec![7; 5000])),
        (status(6, ObjectStatus::EndOfGroup), Bytes::new()),
    ];
    let mut sender =
        publication.open_subgroup(SubgroupOptions { extensions: true, ..options(3) }).await.unwrap();
    for (header, payload) in &written {
        sender.write_object(header, payload.clone()).await.unwrap();
    }
    sender.finish().unwrap();

    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!((subgroup.group_id(), subgroup.subgroup_id(), subgroup.priority()), (3, Some(0), 200));
    for (header, payload) in written {
        let object = subgroup.next_object().await.unwrap().expect("an object");
        assert_eq!(object.location, Location::new(3, header.object_id));
        assert_eq!((object.header, object.payload), (header, payload));
    }
    assert_eq!(subgroup.next_object().await.unwrap(), None);
}

async fn an_object_can_be_read_before_it_is_complete(Ends { client, server, .. }: Ends) {
    use moqingbird::wire::stream::SubgroupItem;

    let (mut subscription, publication) = subscribed(&client, &server).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_header(&object(0, &[0; 8])).await.unwrap();
    sender.write_payload(Bytes::from_static(b"half")).await.unwrap();

    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(subgroup.next_item().await.unwrap(), Some(SubgroupItem::Object(object(0, &[0; 8]))));
    assert_eq!(subgroup.next_item().await.unwrap(), Some(SubgroupItem::Payload(Bytes::from_static(b"half"))));
    assert_eq!(subgroup.try_next_item().unwrap(), None);
    sender.write_payload(Bytes::from_static(b"rest")).await.unwrap();
    sender.finish().unwrap();
    assert_eq!(subgroup.next_item().await.unwrap(), Some(SubgroupItem::Payload(Bytes::from_static(b"rest"))));
    let end = SubgroupItem::End { last: Some(0), end_of_group: false };
    assert_eq!(subgroup.next_item().await.unwrap(), Some(end));
    assert_eq!(subgroup.next_item().await.unwrap(), None);
}

async fn datagrams_arrive_as_they_were_sent(Ends { client, server, .. }: Ends) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let sent = [
        datagram(0, 0, DatagramBody::Payload(Bytes::from_static(b"ping"))),
        datagram(0, 1, DatagramBody::Payload(Bytes::new())),
        datagram(2, 9, DatagramBody::Status(ObjectStatus::EndOfGroup)),
    ];
    for datagram in &sent {
        publication.send_datagram(datagram.clone()).await.unwrap();
    }
    for datagram in sent {
        match subscription.next().await.unwrap() {
            Some(Delivery::Datagram(received)) => {
                assert_eq!(Datagram { track_alias: datagram.track_alias, ..received }, datagram);
            }
            other => panic!("not a datagram: {other:?}"),
        }
    }
}

async fn a_declined_subscription_tells_code_and_reason(Ends { client, server, .. }: Ends) {
    let declines = async {
        let IncomingRequest::Subscribe(request) = server.next_request().await.unwrap() else { panic!() };
        assert_eq!(request.request().track, track());
        request.reject(RequestError::new(RequestErrorCode::DoesNotExist, "no such track"));
    };
    let (result, ()) = tokio::join!(client.subscribe(Subscribe::new(track())), declines);
    let Err(RequestFailed::Rejected(rejected)) = result else { panic!("not declined: {result:?}") };
    assert_eq!(rejected.kind, RequestKind::Subscribe);
    assert_eq!(rejected.error, RequestError::new(RequestErrorCode::DoesNotExist, "no such track"));
    assert!(rejected.wire_code.is_some());
}

async fn a_request_that_is_dropped_unanswered_is_declined(Ends { client, server, .. }: Ends) {
    let (result, ()) = tokio::join!(client.subscribe(Subscribe::new(track())), async {
        drop(server.next_request().await.unwrap());
    });
    let Err(RequestFailed::Rejected(rejected)) = result else { panic!("not declined: {result:?}") };
    assert_eq!(rejected.error.code, RequestErrorCode::InternalError);
}

async fn leaving_a_subscription_ends_the_publication_and_its_streams(Ends { client, server, .. }: Ends) {
    let (subscription, publication) = subscribed(&client, &server).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    subscription.unsubscribe();
    publication.cancelled().await;
    let after = sender.write_object(&object(1, b"y"), Bytes::from_static(b"y")).await;
    assert_eq!(after, Err(PublicationError::Cancelled));
    assert!(matches!(publication.open_subgroup(options(1)).await, Err(PublicationError::Cancelled)));
    // The sessions are unharmed.
    subscribed(&client, &server).await;
}

async fn a_finished_publication_ends_the_subscription_behind_its_objects(Ends { client, server, .. }: Ends) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    for group in 0..5 {
        let mut sender = publication.open_subgroup(options(group)).await.unwrap();
        sender.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
        sender.finish().unwrap();
    }
    let reads = async {
        let mut groups = Vec::new();
        while let Some(delivery) = subscription.next().await.unwrap() {
            let Delivery::Subgroup(mut subgroup) = delivery else { panic!("a datagram") };
            assert_eq!(&subgroup.next_object().await.unwrap().unwrap().payload[..], b"x");
            assert_eq!(subgroup.next_object().await.unwrap(), None);
            groups.push(subgroup.group_id());
        }
        groups.sort_unstable();
        groups
    };
    let (finished, groups) = tokio::join!(publication.finish(PublishDoneCode::TrackEnded, "all said"), reads);
    finished.unwrap();
    assert_eq!(groups, [0, 1, 2, 3, 4]);
    let done = subscription.done().expect("PUBLISH_DONE");
    assert_eq!((done.code, done.stream_count), (PublishDoneCode::TrackEnded, 5));
    assert_eq!(done.reason.to_str(), "all said");
}

async fn a_dropped_publication_ends_the_subscription(Ends { client, server, .. }: Ends) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    drop(publication);
    assert!(subscription.next().await.unwrap().is_none());
    assert_eq!(subscription.done().unwrap().code, PublishDoneCode::SubscriptionEnded);
}

async fn a_published_track_reaches_its_subscriber(Ends { client, server, .. }: Ends) {
    let publish = Publish {
        track: track(),
        track_alias: TrackAlias(0),
        largest: Some(Location::new(4, 2)),
        forward: true,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: TrackExtensions::default(),
    };
    let takes = async {
        let IncomingRequest::Publish(request) = server.next_request().await.unwrap() else { panic!() };
        assert_eq!(request.request().track, track());
        request.accept(PublishOk::default()).unwrap()
    };
    let (publication, mut subscription) = tokio::join!(client.publish(publish), takes);
    let publication = publication.unwrap();
    assert_eq!(subscription.largest(), Some(Location::new(4, 2)));
    let mut sender = publication.open_subgroup(options(5)).await.unwrap();
    sender.write_object(&object(0, b"pushed"), Bytes::from_static(b"pushed")).await.unwrap();
    sender.finish().unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(&subgroup.next_object().await.unwrap().unwrap().payload[..], b"pushed");
    drop(subscription);
    publication.cancelled().await;
}

async fn a_namespace_is_announced_and_withdrawn(Ends { client, server, .. }: Ends) {
    let takes = async {
        let IncomingRequest::PublishNamespace(request) = server.next_request().await.unwrap() else {
            panic!()
        };
        assert_eq!(request.request().namespace, namespace());
        request.accept().unwrap()
    };
    let (announced, taken) =
        tokio::join!(client.publish_namespace(PublishNamespace::new(namespace())), takes);
    announced.unwrap().done();
    taken.withdrawn().await;
}

async fn a_namespace_is_revoked(Ends { client, server, .. }: Ends) {
    let takes = async {
        let IncomingRequest::PublishNamespace(request) = server.next_request().await.unwrap() else {
            panic!()
        };
        request.accept().unwrap()
    };
    let (announced, taken) =
        tokio::join!(client.publish_namespace(PublishNamespace::new(namespace())), takes);
    taken.revoke(RequestError::new(RequestErrorCode::Uninterested, "enough"));
    let error = announced.unwrap().revoked().await.expect("the session lives");
    assert_eq!(error, RequestError::new(RequestErrorCode::Uninterested, "enough"));
}

async fn namespaces_below_a_prefix_come_and_go(Ends { client, server, .. }: Ends) {
    let prefix = moqingbird::wire::model::TrackNamespace::from_path("live").unwrap();
    let takes = async {
        let IncomingRequest::SubscribeNamespace(request) = server.next_request().await.unwrap() else {
            panic!()
        };
        request.accept().unwrap()
    };
    let (heard, told) = tokio::join!(client.subscribe_namespace(SubscribeNamespace::new(prefix)), takes);
    let mut heard = heard.unwrap();
    told.namespace(namespace()).unwrap();
    assert_eq!(heard.next().await, Some(NamespaceEvent::Namespace(namespace())));
    told.namespace_done(&namespace()).unwrap();
    assert_eq!(heard.next().await, Some(NamespaceEvent::NamespaceDone(namespace())));
    drop(heard);
    told.cancelled().await;
}

async fn a_reset_subgroup_tells_its_code(Ends { client, server, .. }: Ends) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    subgroup.next_object().await.unwrap();
    sender.reset(ResetCode::DeliveryTimeout);
    assert_eq!(subgroup.next_object().await, Err(SubgroupError::Reset(ResetCode::DeliveryTimeout)));
}

async fn a_dropped_subgroup_is_a_reset_and_not_an_end(Ends { client, server, .. }: Ends) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    subgroup.next_object().await.unwrap();
    drop(sender);
    assert_eq!(subgroup.next_object().await, Err(SubgroupError::Reset(ResetCode::Cancelled)));
}

async fn an_object_that_is_late_resets_its_subgroup_and_no_other(Ends { client, server, .. }: Ends) {
    let asked = Subscribe { delivery_timeout: Some(Duration::from_millis(100)), ..Subscribe::new(track()) };
    let accepts = async {
        let IncomingRequest::Subscribe(request) = server.next_request().await.unwrap() else { panic!() };
        request.accept(TrackInfo::default()).unwrap()
    };
    let (subscription, publication) = tokio::join!(client.subscribe(asked), accepts);
    let mut subscription = subscription.unwrap();
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    // Nobody reads: sooner or later an object waits.
    let payload = Bytes::from(vec![7; 256 * 1024]);
    let error = loop {
        if let Err(error) = sender.write(payload.clone()).await {
            break error;
        }
    };
    assert_eq!(error, PublicationError::Late);

    let mut subgroup = next_subgroup(&mut subscription).await;
    let error = loop {
        match subgroup.next_object().await {
            Ok(object) => assert!(object.is_some(), "a subgroup that was reset does not end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error, SubgroupError::Reset(ResetCode::DeliveryTimeout));
    let mut sender = publication.open_subgroup(options(1)).await.unwrap();
    sender.write(Bytes::from_static(b"in time")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(subgroup.next_object().await.unwrap().unwrap().payload, "in time");
}

async fn a_stopped_subgroup_stops_its_sender_and_no_other(Ends { client, server, .. }: Ends) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let mut first = publication.open_subgroup(options(0)).await.unwrap();
    first.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    next_subgroup(&mut subscription).await.stop(ResetCode::Cancelled);
    let mut id = 1;
    let error = loop {
        match first.write_object(&object(id, &[0; 10_000]), Bytes::from_static(&[0; 10_000])).await {
            Ok(()) => id += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, PublicationError::Cancelled);
    let mut second = publication.open_subgroup(options(1)).await.unwrap();
    second.write_object(&object(0, b"y"), Bytes::from_static(b"y")).await.unwrap();
    assert_eq!(
        &next_subgroup(&mut subscription).await.next_object().await.unwrap().unwrap().payload[..],
        b"y"
    );
}

async fn a_reader_that_stalls_holds_up_only_its_own_subgroup(Ends { client, server, .. }: Ends) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let mut stalled = publication.open_subgroup(options(0)).await.unwrap();
    stalled.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    let unread = next_subgroup(&mut subscription).await;
    let fills = async {
        for id in 1.. {
            let payload = Bytes::from(vec![0; 1 << 20]);
            stalled.write_object(&object(id, &payload), payload).await.unwrap();
        }
    };
    let flows = async {
        for group in 1..20 {
            let mut sender = publication.open_subgroup(options(group)).await.unwrap();
            sender.write_object(&object(0, b"y"), Bytes::from_static(b"y")).await.unwrap();
            sender.finish().unwrap();
            let object = next_subgroup(&mut subscription).await.next_object().await.unwrap().unwrap();
            assert_eq!(object.location, Location::new(group, 0));
        }
    };
    tokio::select! {
        () = fills => unreachable!("a stalled reader takes no end of objects"),
        () = flows => {}
    }
    drop(unread);
}

async fn a_cancelled_write_loses_nothing(Ends { client, server, .. }: Ends) {
    const OBJECTS: u64 = 40;
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    let mut cancelled = 0;
    for id in 1..OBJECTS {
        let payload = payload(id);
        let header = object(id, &payload);
        let write = sender.write_object(&header, payload);
        // Dropped in the middle once the window is full.
        if tokio::time::timeout(Duration::from_millis(1), write).await.is_err() {
            cancelled += 1;
        }
    }
    sender.finish().unwrap();
    for id in 0..OBJECTS {
        let object = subgroup.next_object().await.unwrap().expect("every object");
        assert_eq!(object.header.object_id, id);
        if id > 0 {
            assert!(object.payload == payload(id), "object {id} arrived changed");
        }
    }
    assert_eq!(subgroup.next_object().await.unwrap(), None);
    assert!(cancelled > 0, "no write was cancelled, so nothing was tested");
}

async fn an_update_changes_the_forward_state(Ends { client, server, .. }: Ends) {
    let (subscription, publication) = subscribed(&client, &server).await;
    assert!(publication.forward());
    let pause =
        RequestUpdate { forward: Some(false), subscriber_priority: Some(3), ..RequestUpdate::default() };
    subscription.update(pause).await.unwrap();
    while publication.forward() {
        tokio::task::yield_now().await;
    }
    assert_eq!(publication.subscriber_priority(), 3);
    let resume = RequestUpdate { forward: Some(true), ..RequestUpdate::default() };
    let (updated, ()) = tokio::join!(subscription.update(resume), publication.forwarding());
    updated.unwrap();
    assert!(publication.forward());
    assert_eq!(publication.subscriber_priority(), 3);
}

async fn closing_tells_code_and_reason(Ends { client, server, .. }: Ends) {
    client.close(SessionErrorCode::Unauthorized, "go away");
    let expected = Closed::Peer { code: SessionErrorCode::Unauthorized, reason: "go away".into() };
    assert_eq!(server.closed().await, expected);
    assert!(matches!(client.closed().await, Closed::Local { code: SessionErrorCode::Unauthorized, .. }));
}

async fn dropping_every_handle_closes_without_error(Ends { client, server, .. }: Ends) {
    let (subscription, publication) = subscribed(&client, &server).await;
    drop(client);
    // The subscription holds the session.
    assert_eq!(server.close_reason(), None);
    drop(subscription);
    assert_eq!(
        server.closed().await,
        Closed::Peer { code: SessionErrorCode::NoError, reason: String::new() }
    );
    publication.cancelled().await;
}

async fn a_closed_session_ends_every_wait(Ends { client, server, .. }: Ends) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    server.close(SessionErrorCode::NoError, "");
    assert!(matches!(subscription.next().await, Err(Closed::Peer { .. })));
    publication.cancelled().await;
    assert!(client.next_request().await.is_none());
    assert!(server.next_request().await.is_none());
    assert!(matches!(
        client.subscribe(Subscribe::new(track())).await,
        Err(RequestFailed::Misuse(_) | RequestFailed::Closed(_))
    ));
    assert!(matches!(publication.open_subgroup(options(0)).await, Err(PublicationError::Closed(_))));
}

async fn many_subscriptions_at_once_are_all_answered(Ends { client, server, .. }: Ends) {
    // More than the credit with which a session begins.
    const REQUESTS: usize = 150;
    let declines = async {
        for _ in 0..REQUESTS {
            let request = server.next_request().await.unwrap();
            request.reject(RequestError::new(RequestErrorCode::DoesNotExist, ""));
        }
    };
    let asks = async {
        let mut asked = tokio::task::JoinSet::new();
        for number in 0..REQUESTS {
            let client = client.clone();
            let name = format!("track-{number}");
            let track = moqingbird::wire::model::FullTrackName::new(namespace(), name).unwrap();
            asked.spawn(async move { client.subscribe(Subscribe::new(track)).await });
        }
        while let Some(result) = asked.join_next().await {
            assert!(matches!(result.unwrap(), Err(RequestFailed::Rejected(_))));
        }
    };
    tokio::join!(declines, asks);
}

async fn fetched_objects_arrive_as_they_were_written(Ends { client, server, .. }: Ends) {
    let (mut fetched, mut sender) = fetching(&client, &server).await;
    let written = [
        (fetched_object(2, 0, b"first"), Bytes::from_static(b"first")),
        (fetched_object(2, 5, &[7; 5000]), Bytes::from(vec![7; 5000])),
        (FetchObject { subgroup_id: Some(3), ..fetched_object(4, 1, b"") }, Bytes::new()),
    ];
    for (header, payload) in &written {
        sender.write_object(header, payload.clone()).await.unwrap();
    }
    sender.finish().await.unwrap();

    let ok = fetched.ok().await.unwrap();
    assert_eq!((ok.end, ok.end_of_track), (fetch_ok().end, true));
    for (header, payload) in written {
        let object = fetched.next_object().await.unwrap().expect("an object");
        assert_eq!((object.header, object.payload), (header, payload));
    }
    assert_eq!(fetched.next_object().await.unwrap(), None);
    assert_eq!(fetched.next_object().await.unwrap(), None);
}

async fn a_fetched_object_can_be_read_before_it_is_complete(Ends { client, server, .. }: Ends) {
    use moqingbird::wire::stream::FetchStreamItem;

    let (mut fetched, mut sender) = fetching(&client, &server).await;
    let header = fetched_object(2, 0, &[0; 8]);
    sender.begin(&header).unwrap();
    sender.add(Bytes::from_static(b"half")).unwrap();
    sender.flush().await.unwrap();
    assert_eq!(fetched.next_item().await.unwrap(), Some(FetchStreamItem::Object(header)));
    let part = |text| Some(FetchStreamItem::Payload(Bytes::from_static(text)));
    assert_eq!(fetched.next_item().await.unwrap(), part(b"half"));
    sender.add(Bytes::from_static(b"rest")).unwrap();
    sender.finish().await.unwrap();
    assert_eq!(fetched.next_item().await.unwrap(), part(b"rest"));
    assert_eq!(fetched.next_item().await.unwrap(), Some(FetchStreamItem::End));
    assert_eq!(fetched.next_item().await.unwrap(), None);
}

async fn ranges_without_objects_are_told_where_the_draft_can(Ends { client, server, .. }: Ends) {
    let (mut fetched, mut sender) = fetching(&client, &server).await;
    let told = [(Location::new(2, 9), RangeStatus::Unknown), (Location::new(3, 4), RangeStatus::NonExistent)];
    let mut expected = Vec::new();
    for (end, status) in told {
        match sender.end_of_range(end, status) {
            Ok(()) => expected.push(FetchDelivery::EndOfRange { end, status }),
            Err(error) => assert!(matches!(error, PublicationError::Encode(_)), "{error}"),
        }
    }
    sender.write_object(&fetched_object(4, 0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    sender.finish().await.unwrap();
    for delivery in expected {
        assert_eq!(fetched.next().await.unwrap(), Some(delivery));
    }
    assert!(matches!(fetched.next().await.unwrap(), Some(FetchDelivery::Object(_))));
    assert_eq!(fetched.next().await.unwrap(), None);
}

async fn a_declined_fetch_tells_code_and_reason(Ends { client, server, .. }: Ends) {
    let declines = async {
        let request = next_fetch(&server).await;
        assert_eq!((request.track(), request.start(), request.end()), (&track(), START, fetch_ok().end));
        request.reject(RequestError::new(RequestErrorCode::DoesNotExist, "no such track"));
    };
    let (result, ()) = tokio::join!(client.fetch(fetch()), declines);
    let Err(RequestFailed::Rejected(rejected)) = result else { panic!("not declined: {result:?}") };
    assert_eq!(rejected.kind, RequestKind::Fetch);
    assert_eq!(rejected.error, RequestError::new(RequestErrorCode::DoesNotExist, "no such track"));
}

async fn a_fetch_of_nothing_is_declined_or_empty(Ends { client, server, .. }: Ends) {
    let answers = async { next_fetch(&server).await.accept_empty(fetch_ok()).await.unwrap() };
    match tokio::join!(client.fetch(fetch()), answers).0 {
        Ok(mut fetched) => assert_eq!(fetched.next_object().await.unwrap(), None),
        Err(RequestFailed::Rejected(rejected)) => {
            assert_eq!(rejected.error.code, RequestErrorCode::NoObjects);
        }
        Err(error) => panic!("{error}"),
    }
}

async fn leaving_a_fetch_cancels_it(Ends { client, server, .. }: Ends) {
    let (fetched, mut sender) = fetching(&client, &server).await;
    sender.write_object(&fetched_object(2, 0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    fetched.cancel();
    sender.cancelled().await;
    let after = sender.write_object(&fetched_object(2, 1, b"y"), Bytes::from_static(b"y")).await;
    assert_eq!(after, Err(PublicationError::Cancelled));
    // The sessions are unharmed.
    subscribed(&client, &server).await;
}

async fn a_fetch_that_is_broken_off_does_not_end(Ends { client, server, .. }: Ends) {
    let (mut fetched, mut sender) = fetching(&client, &server).await;
    sender.write_object(&fetched_object(2, 0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    assert!(fetched.next_object().await.unwrap().is_some());
    sender.reset(ResetCode::InternalError);
    assert_eq!(fetched.next_object().await, Err(FetchError::Reset(ResetCode::InternalError)));
}

async fn a_dropped_fetch_sender_resets_the_stream(Ends { client, server, .. }: Ends) {
    let (mut fetched, mut sender) = fetching(&client, &server).await;
    sender.write_object(&fetched_object(2, 0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    assert!(fetched.next_object().await.unwrap().is_some());
    drop(sender);
    assert_eq!(fetched.next_object().await, Err(FetchError::Reset(ResetCode::Cancelled)));
}

async fn what_precedes_a_subscription_is_fetched_by_joining_it(Ends { client, server, .. }: Ends) {
    let largest = Location::new(7, 3);
    let accepts = async {
        let IncomingRequest::Subscribe(request) = server.next_request().await.unwrap() else { panic!() };
        request.accept(TrackInfo { largest: Some(largest), ..TrackInfo::default() }).unwrap()
    };
    let (subscription, _publication) = tokio::join!(client.subscribe(Subscribe::new(track())), accepts);
    let subscription = subscription.unwrap();
    let end = EndLocation { group: 7, object: Some(3) };
    let answers = async {
        for start in [5, 2] {
            let request = next_fetch(&server).await;
            assert_eq!((request.track(), request.end()), (&track(), end));
            assert_eq!(request.start(), Location::new(start, 0));
            let mut sender = request.accept(FetchOk { end, ..fetch_ok() }).unwrap();
            let header = fetched_object(start, 0, b"x");
            sender.write_object(&header, Bytes::from_static(b"x")).await.unwrap();
            sender.finish().await.unwrap();
        }
    };
    let joins = async {
        for joined in [subscription.join(2).await, subscription.join_from(2).await] {
            let mut fetched = joined.unwrap();
            assert!(fetched.next_object().await.unwrap().is_some());
            assert_eq!(fetched.next_object().await.unwrap(), None);
        }
    };
    tokio::join!(answers, joins);
}

async fn nothing_precedes_a_subscription_to_an_empty_track(Ends { client, server, .. }: Ends) {
    let (subscription, _publication) = subscribed(&client, &server).await;
    assert!(matches!(subscription.join(0).await, Err(RequestFailed::Misuse(_))));
}

async fn the_status_of_a_track_is_told(Ends { client, server, .. }: Ends) {
    let told = TrackInfo {
        largest: Some(Location::new(9, 4)),
        expires: Some(Duration::from_secs(3)),
        ..TrackInfo::default()
    };
    let answers = async {
        let IncomingRequest::TrackStatus(request) = server.next_request().await.unwrap() else { panic!() };
        assert_eq!(request.request().track, track());
        request.accept(told.clone()).unwrap();
    };
    let (status, ()) = tokio::join!(client.track_status(Subscribe::new(track())), answers);
    assert_eq!(status.unwrap(), told);
}

async fn a_declined_track_status_tells_code_and_reason(Ends { client, server, .. }: Ends) {
    let declines = async {
        let IncomingRequest::TrackStatus(request) = server.next_request().await.unwrap() else { panic!() };
        request.reject(RequestError::new(RequestErrorCode::DoesNotExist, "no such track"));
    };
    let (result, ()) = tokio::join!(client.track_status(Subscribe::new(track())), declines);
    let Err(RequestFailed::Rejected(rejected)) = result else { panic!("not declined: {result:?}") };
    assert_eq!(rejected.kind, RequestKind::TrackStatus);
    assert_eq!(rejected.error.code, RequestErrorCode::DoesNotExist);
}

const START: Location = Location::new(2, 0);

/// Groups 2 to 4 of the track.
fn fetch() -> Fetch {
    let range = FetchRange::Standalone { track: track(), start: START, end: fetch_ok().end };
    Fetch { group_order: Some(GroupOrder::Ascending), ..Fetch::new(range) }
}

fn fetch_ok() -> FetchOk {
    let end = EndLocation { group: 4, object: None };
    FetchOk { group_order: None, end_of_track: true, end, extensions: TrackExtensions::default() }
}

async fn next_fetch(server: &Session) -> IncomingFetch {
    match server.next_request().await {
        Some(IncomingRequest::Fetch(request)) => request,
        other => panic!("not a FETCH: {other:?}"),
    }
}

/// The client fetches from the server.
async fn fetching(client: &Session, server: &Session) -> (Fetched, FetchSender) {
    let accepts = async { next_fetch(server).await.accept(fetch_ok()).unwrap() };
    let (fetched, sender) = tokio::join!(client.fetch(fetch()), accepts);
    (fetched.unwrap(), sender)
}

fn fetched_object(group: u64, object: u64, payload: &[u8]) -> FetchObject {
    FetchObject {
        location: Location::new(group, object),
        subgroup_id: Some(0),
        publisher_priority: 200,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: payload.len() as u64,
    }
}

fn status(object_id: u64, status: ObjectStatus) -> ObjectHeader {
    ObjectHeader { status, ..object(object_id, b"") }
}

fn with_extension(header: ObjectHeader) -> ObjectHeader {
    let gap = KeyValue { key: extension::PRIOR_OBJECT_ID_GAP, value: Value::Integer(3) };
    ObjectHeader { extensions: Extensions::from_pairs([gap], Keys::Absolute).unwrap(), ..header }
}

fn datagram(group_id: u64, object_id: u64, body: DatagramBody) -> Datagram {
    Datagram {
        track_alias: TrackAlias(0),
        group_id,
        object_id,
        publisher_priority: Some(200),
        end_of_group: false,
        extensions: Extensions::NONE,
        body,
    }
}

/// A megabyte that differs from object to object.
fn payload(id: u64) -> Bytes {
    let pattern: Vec<u8> = (0..251).map(|at: u64| (at.wrapping_mul(31) ^ id) as u8).collect();
    Bytes::from(pattern.repeat((1 << 20) / pattern.len()))
}
