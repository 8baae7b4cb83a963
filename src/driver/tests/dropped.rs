//! Handles and futures that are dropped, wherever they stand.

use moqingbird_wire::model::{
    PublishDoneCode, PublishOk, RequestErrorCode, SessionErrorCode, SubgroupId, SubscribeNamespace,
};

use super::*;
use crate::session::Closed;
use crate::{Delivery, NamespaceEvent, PublicationError, RequestFailed, SubgroupOptions};

in_every_draft! {
    a_publish_that_nobody_awaits_is_ended;
    a_subscribe_that_nobody_awaits_is_withdrawn;
    a_request_that_cannot_be_accepted_is_declined;
    a_request_that_was_withdrawn_unseen_is_not_kept;
    what_was_finished_arrives_though_every_handle_is_dropped;
    a_peer_that_does_not_read_holds_no_dropped_session_for_long;
    a_dropped_subscription_stops_what_it_has_not_delivered;
    the_answer_to_a_publish_sets_the_forward_state;
    a_publication_can_be_finished_only_once_its_streams_have_arrived;
    a_namespace_subscription_that_the_peer_ends_says_so;
    a_stopped_subgroup_is_settled_once;
    a_request_after_the_end_tells_how_it_ended;
    goaway_is_told;
    requests_may_be_dropped_at_any_moment;
}

async fn a_publish_that_nobody_awaits_is_ended(version: Version) {
    let (client, server) = memory(version).await;
    let request = {
        let publishing = client.publish(publish());
        tokio::pin!(publishing);
        tokio::select! {
            biased;
            request = server.next_request() => request,
            _ = &mut publishing => unreachable!("nobody has answered"),
        }
    };
    let Some(IncomingRequest::Publish(request)) = request else { panic!() };
    let mut subscription = request.accept(PublishOk::default()).unwrap();
    assert!(subscription.next().await.unwrap().is_none());
    assert_eq!(subscription.done().unwrap().code, PublishDoneCode::SubscriptionEnded);
    drop(subscription);
    settle().await;
    assert!(client.shared().is_idle() && server.shared().is_idle());
}

async fn a_subscribe_that_nobody_awaits_is_withdrawn(version: Version) {
    let (client, server) = memory(version).await;
    let request = {
        let subscribing = client.subscribe(Subscribe::new(track()));
        tokio::pin!(subscribing);
        tokio::select! {
            biased;
            request = server.next_request() => request,
            _ = &mut subscribing => unreachable!("nobody has answered"),
        }
    };
    let Some(IncomingRequest::Subscribe(request)) = request else { panic!() };
    request.cancelled().await;
    assert!(request.accept(TrackInfo::default()).is_err());
    settle().await;
    assert!(client.shared().is_idle() && server.shared().is_idle());
}

async fn a_request_that_cannot_be_accepted_is_declined(version: Version) {
    let (client, server) = memory(version).await;
    let accepts = async {
        let Some(IncomingRequest::Subscribe(request)) = server.next_request().await else { panic!() };
        // Longer than any integer of the wire.
        let expires = Some(Duration::from_secs(u64::MAX / 1000));
        request.accept(TrackInfo { expires, ..TrackInfo::default() }).unwrap_err()
    };
    let (asked, _misuse) = tokio::join!(client.subscribe(Subscribe::new(track())), accepts);
    let Err(RequestFailed::Rejected(rejected)) = asked else { panic!("{asked:?}") };
    assert_eq!(rejected.error.code, RequestErrorCode::InternalError);
}

async fn a_request_that_was_withdrawn_unseen_is_not_kept(version: Version) {
    let (client, server) = memory(version).await;
    for _ in 0..500 {
        let asking = client.subscribe(Subscribe::new(track()));
        assert!(tokio::time::timeout(Duration::from_millis(1), asking).await.is_err());
    }
    settle().await;
    assert!(server.shared().is_idle(), "{:?}", server.shared());
    subscribed(&client, &server).await;
}

async fn what_was_finished_arrives_though_every_handle_is_dropped(version: Version) {
    let (client, server) = memory(version).await;
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let payload = Bytes::from(vec![7; 1 << 20]);
    let mut sender = publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap();
    sender.begin(&object(0, &payload)).unwrap();
    sender.add(payload.clone()).unwrap();
    sender.finish().unwrap();
    drop((publication, server));

    let Some(Delivery::Subgroup(mut subgroup)) = subscription.next().await.unwrap() else { panic!() };
    assert_eq!(subgroup.next_object().await.unwrap().unwrap().payload, payload);
    assert_eq!(subgroup.next_object().await.unwrap(), None);
    assert!(subscription.next().await.unwrap().is_none());
    let closed = client.closed().await;
    assert_eq!(closed, Closed::Peer { code: SessionErrorCode::NoError, reason: String::new() });
}

async fn a_peer_that_does_not_read_holds_no_dropped_session_for_long(version: Version) {
    let (client, server) = memory(version).await;
    let (subscription, publication) = subscribed(&client, &server).await;
    let payload = Bytes::from(vec![7; 1 << 20]);
    let mut sender = publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap();
    sender.begin(&object(0, &payload)).unwrap();
    sender.add(payload).unwrap();
    sender.finish().unwrap();
    drop((publication, server));
    client.closed().await;
    drop(subscription);
}

async fn a_dropped_subscription_stops_what_it_has_not_delivered(version: Version) {
    let (client, server) = memory(version).await;
    let (subscription, publication) = subscribed(&client, &server).await;
    let payload = Bytes::from(vec![7; 1 << 20]);
    let mut sender = publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap();
    let header = object(0, &payload);
    let write = sender.write_object(&header, payload);
    let drops = async {
        settle().await;
        drop(subscription);
    };
    let (written, ()) = tokio::join!(write, drops);
    assert_eq!(written, Err(PublicationError::Cancelled));
    drop(sender);
    publication.cancelled().await;
    drop(publication);
    settle().await;
    assert!(client.shared().is_idle() && server.shared().is_idle());
}

async fn the_answer_to_a_publish_sets_the_forward_state(version: Version) {
    let (client, server) = memory(version).await;
    let accepts = async {
        let Some(IncomingRequest::Publish(request)) = server.next_request().await else { panic!() };
        request.accept(PublishOk { forward: false, subscriber_priority: 9, ..PublishOk::default() }).unwrap()
    };
    let (publication, _subscription) = tokio::join!(client.publish(publish()), accepts);
    let publication = publication.unwrap();
    assert!(!publication.forward());
    assert_eq!(publication.subscriber_priority(), 9);
    assert_eq!(publication.filter(), PublishOk::default().filter);
}

async fn a_publication_can_be_finished_only_once_its_streams_have_arrived(version: Version) {
    let (client, server) = memory(version).await;
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let payload = Bytes::from(vec![7; 1 << 20]);
    let mut sender = publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap();
    sender.begin(&object(0, &payload)).unwrap();
    sender.add(payload).unwrap();
    sender.finish().unwrap();
    {
        let finish = publication.finish(PublishDoneCode::TrackEnded, "enough");
        assert!(tokio::time::timeout(Duration::from_secs(1), finish).await.is_err());
    }
    // The future is gone, and the subscription ends all the same.
    let Some(Delivery::Subgroup(mut subgroup)) = subscription.next().await.unwrap() else { panic!() };
    while subgroup.next_object().await.unwrap().is_some() {}
    assert!(subscription.next().await.unwrap().is_none());
    assert_eq!(subscription.done().unwrap().reason.to_str(), "enough");
}

async fn a_namespace_subscription_that_the_peer_ends_says_so(version: Version) {
    if version == Version::Draft14 {
        // There the publisher has no way to end one.
        return;
    }
    let (raw, session) = raw::client_of_memory(version).await;
    let prefix = SubscribeNamespace::new(TrackNamespace::from_path("live").unwrap());
    let answers = async {
        let mut lane = raw.accept_lane().await;
        let id = lane.request_id().await;
        lane.grant_namespaces(id).await;
        lane.tell_namespace("cam").await;
        lane.finish().await;
        lane
    };
    let (subscription, lane) = tokio::join!(session.subscribe_namespace(prefix), answers);
    let mut subscription = subscription.unwrap();
    settle().await;
    // It has come and gone unseen.
    assert_eq!(subscription.next().await, None::<NamespaceEvent>);
    drop((lane, subscription));
    settle().await;
    assert!(session.shared().is_idle());
}

async fn a_stopped_subgroup_is_settled_once(version: Version) {
    let (client, server) = memory(version).await;
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let payload = Bytes::from_static(b"x");
    let mut sender = publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap();
    sender.write_object(&object(0, &payload), payload.clone()).await.unwrap();
    drop(subscription.next().await.unwrap());
    for id in 1..3 {
        let written = sender.write_object(&object(id, &payload), payload.clone()).await;
        assert_eq!(written, Err(PublicationError::Cancelled));
    }
    sender.finish().unwrap();
    let (finished, ended) =
        tokio::join!(publication.finish(PublishDoneCode::TrackEnded, ""), subscription.next());
    finished.unwrap();
    assert!(ended.unwrap().is_none());
    assert_eq!(subscription.done().unwrap().stream_count, 1);
}

async fn a_request_after_the_end_tells_how_it_ended(version: Version) {
    let (client, server) = memory(version).await;
    server.close(SessionErrorCode::GoAwayTimeout, "late");
    let closed = client.closed().await;
    assert_eq!(client.subscribe(Subscribe::new(track())).await.unwrap_err(), RequestFailed::Closed(closed));
}

async fn goaway_is_told(version: Version) {
    let (client, server) = memory(version).await;
    server.go_away("moqt://elsewhere.example/").unwrap();
    assert_eq!(client.goaway().await.as_deref(), Some("moqt://elsewhere.example/"));
    client.close(SessionErrorCode::NoError, "");
    assert_eq!(server.goaway().await, None);
}

/// Every future of a subscription's life is cancelled after each number of polls at which it may stand.
async fn requests_may_be_dropped_at_any_moment(version: Version) {
    let (client, server) = memory(version).await;
    for polls in 0..40 {
        let serves = async {
            while let Some(request) = server.next_request().await {
                let IncomingRequest::Subscribe(request) = request else { panic!() };
                let Ok(publication) = request.accept(TrackInfo::default()) else { continue };
                let options = SubgroupOptions { subgroup_id: SubgroupId::Zero, ..SubgroupOptions::new(0) };
                let Ok(mut sender) = publication.open_subgroup(options).await else { continue };
                let payload = Bytes::from(vec![7; 100_000]);
                let _ = sender.write_object(&object(0, &payload), payload.clone()).await;
                let _ = sender.finish();
                let _ = publication.finish(PublishDoneCode::TrackEnded, "").await;
            }
        };
        let watches = async {
            let mut subscription = client.subscribe(Subscribe::new(track())).await.unwrap();
            while let Ok(Some(Delivery::Subgroup(mut subgroup))) = subscription.next().await {
                while let Ok(Some(_)) = subgroup.next_object().await {}
            }
        };
        tokio::select! {
            biased;
            () = after(polls) => {}
            _ = async { tokio::join!(serves, watches) } => unreachable!("the server serves on"),
        }
        // A request that was under way is still to be answered by somebody.
        while let Ok(Some(request)) =
            tokio::time::timeout(Duration::from_millis(50), server.next_request()).await
        {
            drop(request);
        }
        assert!(client.shared().is_idle(), "after {polls} polls: {:?}", client.shared());
        assert!(server.shared().is_idle(), "after {polls} polls: {:?}", server.shared());
    }
}

/// Ready after being polled so often, each time letting everything else run.
async fn after(polls: usize) {
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
}

#[test]
fn handles_may_be_dropped_outside_of_the_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (client, server, handles) = runtime.block_on(async {
        let (client, server) = memory(Version::Draft16).await;
        let (subscription, publication) = subscribed(&client, &server).await;
        let mut sender = publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap();
        sender.begin(&object(0, &Bytes::new())).unwrap();
        (client, server, (subscription, publication, sender))
    });
    let (subscription, publication, sender) = handles;
    sender.finish().unwrap();
    drop((subscription, publication, client));
    let closed = runtime.block_on(within(server.closed()));
    assert_eq!(closed, Closed::Peer { code: SessionErrorCode::NoError, reason: String::new() });
}

#[test]
fn handles_may_outlive_the_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (client, server) = runtime.block_on(memory(Version::Draft16));
    drop(runtime);
    drop((client, server));
}
