//! Programs that stay: what they do when the relay goes and comes again.

use std::net::SocketAddr;

use crate::common::{PEERS, Relay, Running};

/// A relay that leaves at once when it is told to.
async fn relay(address: Option<SocketAddr>) -> Relay {
    let drain = ["--drain-time", "0s"];
    match address {
        Some(address) => Relay::start_on(&address.to_string(), &drain).await,
        None => Relay::start(&drain).await,
    }
}

async fn stop(relay: Relay) {
    relay.running.signal("TERM").await;
    assert_eq!(relay.running.end().await.status, 0);
}

async fn lines_come(subscriber: &mut Running, lines: std::ops::Range<usize>) {
    for line in lines {
        assert_eq!(subscriber.line().await, format!("line {line}\n"));
    }
}

/// Moves a publisher of 500 lines a second and its subscribers, over either transport, in either draft.
#[tokio::test]
async fn a_relay_that_ends_sends_everybody_to_another_and_no_line_is_missing_or_comes_twice() {
    const LINES: usize = 3_000;
    let other = Relay::start(&[]).await;
    let url = other.url("moqt");
    let linked = ["--upstream", &url, "--announce", &url, "--link-insecure", "--redirect", &url, "-v"];
    let mut relay = Relay::start(&linked).await;
    relay.running.said("linked to a relay").await;
    let track = ["live/cam", "track", "--insecure"];
    let at = relay.url("moqt");
    let pace = ["pub", &at, "--group-size", "25", "--rate", "500"];
    let mut publisher = Running::start_with_stdin(&[&pace, &track[..]].concat());
    publisher.said("offered").await;
    let mut subscribers = Vec::new();
    for (draft, scheme) in PEERS.into_iter().chain([("16", "moqt")]) {
        let args = ["sub", &relay.url(scheme), "--draft", draft];
        let mut subscriber = Running::start(&[&args, &track[..]].concat());
        subscriber.said("subscribed to").await;
        subscribers.push(subscriber);
    }
    publisher.feed(lines(0..LINES));
    lines_come(&mut subscribers[0], 0..LINES / 5).await;
    relay.running.signal("TERM").await;
    lines_come(&mut subscribers[0], LINES / 5..LINES).await;
    for (number, subscriber) in subscribers.into_iter().enumerate() {
        let ended = subscriber.end().await;
        let missing = if number == 0 { String::new() } else { lines(0..LINES) };
        assert!(ended.out == missing, "{number}: {}", ended.err);
        assert_eq!(ended.status, 0, "{number}: {}", ended.err);
    }
    assert_eq!(publisher.end().await.status, 0);
    assert_eq!(relay.running.end().await.status, 0);
}

fn lines(lines: std::ops::Range<usize>) -> String {
    lines.map(|line| format!("line {line}\n")).collect()
}

#[tokio::test]
async fn a_track_goes_on_when_the_relay_comes_again_and_nothing_is_missing_or_comes_twice() {
    for (draft, scheme) in PEERS {
        for wait in [&[][..], &["--no-wait"]] {
            let first = relay(None).await;
            let url = first.url(scheme);
            let common = [&url, "live/cam", "track", "--insecure", "--draft", draft];
            let mut publisher =
                Running::start_with_stdin(&[&["pub", "--group-size", "7"], wait, &common[..]].concat());
            publisher.said("offered").await;
            let mut subscriber = Running::start(&[&["sub"], &common[..]].concat());
            subscriber.said("subscribed to").await;
            publisher.write(&lines(0..10)).await;
            lines_come(&mut subscriber, 0..10).await;

            let address = first.address;
            stop(first).await;
            let second = relay(Some(address)).await;
            publisher.write(&lines(10..100)).await;
            publisher.said("offered live-cam--track again").await;
            lines_come(&mut subscriber, 10..100).await;
            subscriber.said("subscribed to live-cam--track again").await;
            publisher.feed(lines(100..110));
            lines_come(&mut subscriber, 100..110).await;
            let ended = (subscriber.end().await, publisher.end().await);
            assert_eq!((ended.0.status, ended.1.status), (0, 0), "{draft} {scheme} {wait:?}: {ended:?}");
            assert_eq!(ended.0.out, "", "nothing comes twice");
            stop(second).await;
        }
    }
}

#[tokio::test]
async fn a_list_goes_on_when_the_relay_comes_again_and_tells_what_has_gone_meanwhile() {
    for (draft, scheme) in PEERS {
        let first = relay(None).await;
        let url = first.url(scheme);
        let publish = async |namespace: &str| {
            let common = ["pub", &url, namespace, "track", "--insecure", "--draft", draft];
            let mut publisher = Running::start_with_stdin(&common);
            publisher.said("waiting for a subscriber").await;
            publisher
        };
        let stays = publish("live/a").await;
        let mut list = Running::start(&["announced", &url, "live", "--insecure", "--draft", draft]);
        assert_eq!(list.line().await, "+ live/a\n");
        let goes = publish("live/b").await;
        assert_eq!(list.line().await, "+ live/b\n");

        let address = first.address;
        stop(first).await;
        goes.signal("TERM").await;
        goes.end().await;
        let second = relay(Some(address)).await;
        assert_eq!(list.line().await, "- live/b\n", "{draft} {scheme}: what stays is not told again");
        stays.signal("TERM").await;
        stays.end().await;
        assert_eq!(list.line().await, "- live/a\n");
        list.signal("TERM").await;
        assert_eq!(list.end().await.status, 128 + 15);
        stop(second).await;
    }
}
