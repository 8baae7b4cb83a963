//! How `moqt pub` groups, paces, offers and keeps what it publishes.

use std::time::{Duration, Instant};

use crate::common::{PEERS, Relay, Running, run};

const READY: &str = "waiting for a subscriber";

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("line {number}\n")).collect()
}

async fn publisher(common: &[&str], more: &[&str]) -> Running {
    let mut publisher = Running::start_with_stdin(&[&["pub"], common, more].concat());
    publisher.said(READY).await;
    publisher
}

#[tokio::test]
async fn a_track_is_offered_by_itself_by_its_namespace_or_by_both() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        for offer in ["namespace", "track", "both"] {
            let (url, name) = (relay.url(scheme), format!("{offer}/{draft}-{scheme}"));
            let common = [&url, &name, "track", "--insecure", "--draft", draft];
            let mut publisher = publisher(&common, &["--offer", offer]).await;
            publisher.feed(lines(50));
            let received = run(&[&["sub"], &common[..]].concat()).await;
            assert_eq!((received.status, received.out), (0, lines(50)), "{name}: {}", received.err);
            assert_eq!(publisher.end().await.status, 0, "{name}");
        }
    }
}

#[tokio::test]
async fn datagrams_bring_objects_one_by_one() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let (url, name) = (relay.url(scheme), format!("datagrams/{draft}-{scheme}"));
        let common = [&url, &name, "track", "--insecure", "--draft", draft];
        let mut publisher = publisher(&common, &["--datagrams", "--timestamps"]).await;
        let mut subscriber = Running::start(&[&["sub", "--json"], &common[..]].concat());
        subscriber.said("subscribed to").await;
        // One at a time: datagrams that come too fast may be lost, even on loopback.
        for number in 0..5 {
            publisher.write(&format!("line {number}\n")).await;
            let object: serde_json::Value = serde_json::from_str(&subscriber.line().await).unwrap();
            assert_eq!(
                (&object["payload"], &object["via"]),
                (&format!("line {number}").into(), &"datagram".into())
            );
            assert_eq!(object["object"], number);
            assert_eq!(object["extensions"][0]["type"], 0x10);
        }
        publisher.feed(String::new());
        assert_eq!(subscriber.end().await.status, 0, "{name}");
        assert_eq!(publisher.end().await.status, 0, "{name}");
    }
}

#[tokio::test]
async fn objects_come_no_faster_than_their_rate() {
    let relay = Relay::start(&[]).await;
    let url = relay.url("moqt");
    let common = [&url, "rate", "track", "--insecure"];
    let mut publisher = publisher(&common, &["--rate", "20"]).await;
    publisher.feed(lines(11));
    let began = Instant::now();
    let received = run(&[&["sub"], &common[..]].concat()).await;
    assert_eq!(received.out, lines(11));
    assert!(began.elapsed() >= Duration::from_millis(500), "ten intervals of 50 ms: {:?}", began.elapsed());
}

#[tokio::test]
async fn groups_end_with_time_where_that_is_asked_for() {
    let relay = Relay::start(&[]).await;
    let url = relay.url("moqt");
    let common = [&url, "timed", "track", "--insecure"];
    let mut publisher = publisher(&common, &["--group-every", "0.05", "--rate", "20"]).await;
    publisher.feed(lines(6));
    let received = run(&[&["sub", "--json"], &common[..]].concat()).await;
    let groups: Vec<_> = received.out.lines().map(group).collect();
    assert_eq!(groups.first(), Some(&0), "{}", received.out);
    assert!(groups.is_sorted() && groups.last() > Some(&1), "{groups:?}");
}

fn group(line: &str) -> u64 {
    serde_json::from_str::<serde_json::Value>(line).unwrap()["group"].as_u64().unwrap()
}

#[tokio::test]
async fn what_was_published_before_anybody_came_stays_for_those_who_fetch() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let (url, name) = (relay.url(scheme), format!("stay/{draft}-{scheme}"));
        let common = [&url, &name, "track", "--insecure", "--draft", draft];
        let mut publisher = publisher(&common, &["--no-wait", "--stay", "--group-size", "2"]).await;
        publisher.feed(lines(6));
        publisher.said("staying until a signal comes").await;
        let fetched = run(&[&["fetch", "--start", "0", "--end", "9"], &common[..]].concat()).await;
        assert_eq!((fetched.status, fetched.out), (0, lines(6)), "{name}: {}", fetched.err);
        publisher.signal("TERM").await;
        assert_eq!(publisher.end().await.status, 128 + 15);
    }
}
