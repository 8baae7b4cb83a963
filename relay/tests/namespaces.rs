//! What SUBSCRIBE_NAMESPACE brings: the namespaces and tracks that are there, and no others.

#[macro_use]
#[expect(dead_code, reason = "shared with the other tests of the relay, which use more of it")]
mod support;

use moqingbird::session::Config;
use moqingbird::wire::model::{
    FullTrackName, Publish, PublishNamespace, PublishOk, RequestErrorCode, Subscribe, SubscribeNamespace,
    TrackNamespace,
};
use moqingbird::{IncomingRequest, NamespaceEvent, RequestFailed, Session, Version, memory_pair_with};
use moqingbird_ledger::covers;
use moqingbird_relay::{Relay, RelayOptions};
use support::*;

in_every_pair! {
    a_namespace_is_told_to_everyone_who_subscribed_to_a_prefix_of_it;
    a_peers_own_namespace_is_told_to_it;
    a_published_track_routes_nothing_else;
    a_track_is_offered_with_the_forward_state_that_was_asked_for;
    a_track_that_is_subscribed_to_is_not_offered_too;
}

/// Ten thousand in all, of sessions that may ask as often as they like.
#[tokio::test]
async fn a_flood_of_namespaces_is_limited_and_harms_nobody() {
    covers!("D14-12.3.1-01", "D16-12.3.1-01");
    const FLOOD: usize = 2_500;
    const LIMIT: usize = 50;
    for version in [Version::Draft14, Version::Draft16] {
        let mut options = RelayOptions::default();
        options.limits.namespaces_per_session = LIMIT;
        let relay = Relay::new(options);
        let mut generous = Config::default();
        generous.max_request_id = 8 * FLOOD as u64;
        let (flooder, server) = memory_pair_with(version, Config::default(), generous).await.unwrap();
        let serving = relay.clone();
        tokio::spawn(async move { serving.serve(server).await });
        let mut refused = [0; 2];
        let (mut announced, mut listening) = (Vec::new(), Vec::new());
        for number in 0..FLOOD {
            let namespace = TrackNamespace::from_path(&format!("flood/{number}")).unwrap();
            match flooder.publish_namespace(PublishNamespace::new(namespace.clone())).await {
                Ok(published) => announced.push(published),
                Err(error) => {
                    assert!(matches!(error, RequestFailed::Rejected(_)), "{error}");
                    refused[0] += 1;
                }
            }
            match flooder.subscribe_namespace(SubscribeNamespace::new(namespace)).await {
                Ok(subscription) => listening.push(subscription),
                Err(error) => {
                    assert!(matches!(error, RequestFailed::Rejected(_)), "{error}");
                    refused[1] += 1;
                }
            }
        }
        assert_eq!(refused, [FLOOD - LIMIT; 2]);
        assert_eq!(relay.namespaces().len(), LIMIT);
        let (publisher, subscriber) = (peer(&relay, version).await, peer(&relay, version).await);
        let _announced = announce(&publisher).await;
        connected(&publisher, &subscriber).await;
    }
}

async fn a_namespace_is_told_to_everyone_who_subscribed_to_a_prefix_of_it(world: World) {
    covers!("D14-6.2-03");
    let (publisher, near, far) =
        (world.publisher().await, world.subscriber().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let mut events = soon("OK", near.subscribe_namespace(subscribe_namespace())).await.unwrap();
    assert_eq!(soon("it comes", events.next()).await, Some(NamespaceEvent::Namespace(namespace())));
    let elsewhere = TrackNamespace::from_path("other").unwrap();
    let mut events =
        soon("OK", far.subscribe_namespace(SubscribeNamespace::new(elsewhere.clone()))).await.unwrap();
    let other = PublishNamespace::new(elsewhere.clone());
    let _other = soon("the namespace is taken", publisher.publish_namespace(other)).await.unwrap();
    // The first that comes is the one that matches.
    assert_eq!(soon("it comes", events.next()).await, Some(NamespaceEvent::Namespace(elsewhere)));
}

async fn a_peers_own_namespace_is_told_to_it(world: World) {
    covers!("D16-6.1-06");
    let peer = world.publisher().await;
    let _announced = announce(&peer).await;
    let mut events = soon("OK", peer.subscribe_namespace(subscribe_namespace())).await.unwrap();
    assert_eq!(soon("it comes", events.next()).await, Some(NamespaceEvent::Namespace(namespace())));
}

async fn a_published_track_routes_nothing_else(world: World) {
    covers!("D16-8.5-04");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _publication = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
    let sibling = FullTrackName::new(namespace(), "audio").unwrap();
    let asked = soon("an answer", subscriber.subscribe(Subscribe::new(sibling))).await;
    let Err(RequestFailed::Rejected(rejected)) = asked else { panic!("{asked:?}") };
    assert_eq!(rejected.error.code, RequestErrorCode::DoesNotExist);
    // What comes next to the publisher is of the namespace it announces, and of nothing before.
    let _announced = announce(&publisher).await;
    let other = FullTrackName::new(namespace(), "other").unwrap();
    let asks = soon("an answer", subscriber.subscribe(Subscribe::new(other.clone())));
    let hears = async {
        let request = next_subscribe(&publisher).await;
        assert_eq!(request.request().track, other);
        drop(request);
    };
    let (asked, ()) = tokio::join!(asks, hears);
    assert!(matches!(asked, Err(RequestFailed::Rejected(_))), "{asked:?}");
}

/// The next track that is offered to a session, whatever namespaces are.
async fn offered(session: &Session) -> Publish {
    next_publish(session).await.request().clone()
}

async fn a_track_is_offered_with_the_forward_state_that_was_asked_for(world: World) {
    covers!("D16-9.25-10");
    let publisher = world.publisher().await;
    let _publication = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
    // Draft-14 has no room to ask for anything but 1.
    let states = if world.subscriber == Version::Draft14 { vec![true] } else { vec![true, false] };
    for forward in states {
        let subscriber = world.subscriber().await;
        let asked = SubscribeNamespace { forward, ..subscribe_namespace() };
        let _events = soon("OK", subscriber.subscribe_namespace(asked)).await.unwrap();
        assert_eq!(offered(&subscriber).await.forward, forward);
    }
}

async fn a_track_that_is_subscribed_to_is_not_offered_too(world: World) {
    covers!("D16-9.25-11");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _publication = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
    let _subscription = soon("SUBSCRIBE is granted", subscriber.subscribe(subscribe())).await.unwrap();
    let _events = soon("OK", subscriber.subscribe_namespace(subscribe_namespace())).await.unwrap();
    // Another track is, and it is the first.
    let audio = FullTrackName::new(namespace(), "audio").unwrap();
    let other = Publish { track: audio.clone(), ..publish(false) };
    let _other = soon("PUBLISH_OK", publisher.publish(other)).await.unwrap();
    loop {
        match soon("a request", subscriber.next_request()).await {
            Some(IncomingRequest::Publish(request)) => {
                assert_eq!(request.request().track, audio);
                drop(request.accept(PublishOk::default()));
                break;
            }
            Some(IncomingRequest::PublishNamespace(request)) => drop(request.accept()),
            other => panic!("not a PUBLISH: {other:?}"),
        }
    }
}
