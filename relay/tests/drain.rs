//! How a relay takes leave.

#[expect(unused_macros, dead_code, reason = "a part of it is for tests of other things")]
mod support;

use std::time::Duration;

use bytes::Bytes;
use moqingbird::wire::model::{PublishDoneCode, RequestErrorCode, Subscribe};
use moqingbird::{RequestFailed, Session, Version};
use moqingbird_ledger::covers;
use moqingbird_relay::{Relay, RelayOptions};
use support::*;

/// A relay that is watched until it has taken leave.
fn draining(relay: &Relay, uri: &'static str, time: Duration) -> tokio::task::JoinHandle<()> {
    let relay = relay.clone();
    tokio::spawn(async move { relay.drain(uri, time).await })
}

async fn long<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

#[tokio::test]
async fn everybody_is_told_where_to_go() {
    for version in [Version::Draft14, Version::Draft16] {
        let relay = Relay::new(RelayOptions::default());
        let peers: Vec<Session> = vec![peer(&relay, version).await, peer(&relay, version).await];
        // A session is known to the relay when it has answered.
        for session in &peers {
            let answer = soon("an answer", session.subscribe(Subscribe::new(track()))).await;
            let Err(RequestFailed::Rejected(rejected)) = answer else { panic!("{answer:?}") };
            assert_eq!(rejected.error.code, RequestErrorCode::DoesNotExist);
        }
        relay.shutdown("moqt://b.example:4443/");
        for session in &peers {
            let told = soon("GOAWAY", session.goaway()).await;
            assert_eq!(told.as_deref(), Some("moqt://b.example:4443/"));
            assert_eq!(session.close_reason(), None);
        }
        assert!(relay.is_draining());
    }
}

#[tokio::test]
async fn subscribers_are_asked_to_leave_before_publishers_are_left() {
    covers!("D14-3.5-02", "D16-3.5-02");
    for version in [Version::Draft14, Version::Draft16] {
        let relay = Relay::new(RelayOptions::default());
        let (publisher, subscriber) = (peer(&relay, version).await, peer(&relay, version).await);
        let _announced = announce(&publisher).await;
        let (publication, subscription) = connected(&publisher, &subscriber).await;
        let drained = draining(&relay, "", Duration::from_secs(600));
        soon("GOAWAY", subscriber.goaway()).await.expect("a place to go");
        let left = tokio::time::timeout(Duration::from_millis(50), publication.cancelled()).await;
        assert!(left.is_err(), "UNSUBSCRIBE before the subscriber has left");
        drop((subscription, subscriber));
        long("UNSUBSCRIBE", publication.cancelled()).await;
        drained.abort();
    }
}

#[tokio::test]
async fn the_groups_in_progress_are_finished_for_those_who_stay() {
    for version in [Version::Draft14, Version::Draft16] {
        let relay = Relay::new(RelayOptions::default());
        let (publisher, subscriber) = (peer(&relay, version).await, peer(&relay, version).await);
        let _announced = announce(&publisher).await;
        let (publication, mut subscription) = connected(&publisher, &subscriber).await;
        let mut sender = publication.open_subgroup(options(7)).await.unwrap();
        sender.write_object(&header(0, b"one"), Bytes::from_static(b"one")).await.unwrap();
        let mut subgroup = next_subgroup(&mut subscription).await;
        assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "one");

        relay.shutdown("");
        relay.end_tracks();
        sender.write_object(&header(1, b"two"), Bytes::from_static(b"two")).await.unwrap();
        sender.finish().unwrap();
        assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "two");
        assert_eq!(next_object(&mut subgroup).await, None);
        assert!(matches!(long("the end", subscription.next()).await, Ok(None)));
        assert_eq!(subscription.done().expect("PUBLISH_DONE").code, PublishDoneCode::GoingAway);
    }
}

#[tokio::test]
async fn what_is_left_after_the_time_is_closed() {
    let relay = Relay::new(RelayOptions::default());
    let session = peer(&relay, Version::Draft16).await;
    let _announced = announce(&session).await;
    // Sessions in memory are not waited for: `run` counts those that it lets in.
    long("the relay takes leave", draining(&relay, "", Duration::from_millis(100))).await.unwrap();
    long("the session is closed", session.closed()).await;
}
