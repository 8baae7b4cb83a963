//! Relay, publisher and subscriber, each a program of its own.

use std::fmt::Write;
use std::path::Path;

use crate::common::{PEERS, Relay, Running, run};

const READY: &str = "waiting for a subscriber";

fn lines(count: usize) -> String {
    let mut lines = String::new();
    for number in 0..count {
        writeln!(lines, "line {number} {}", "x".repeat(number % 97)).unwrap();
    }
    lines
}

/// A publisher that has been taken by the relay.
async fn publisher(url: &str, namespace: &str, more: &[&str]) -> Running {
    let args = [&["pub", url, namespace, "track", "--insecure"], more].concat();
    let mut publisher = Running::start_with_stdin(&args);
    publisher.said(READY).await;
    publisher
}

#[tokio::test]
async fn a_thousand_lines_arrive_in_order_between_all_drafts_and_transports() {
    let relay = Relay::start(&[]).await;
    let sent = lines(1_000);
    for (publisher_draft, publisher_scheme) in PEERS {
        for (draft, scheme) in PEERS {
            let name = format!("from/{publisher_draft}-{publisher_scheme}/to/{draft}-{scheme}");
            let more = ["--draft", publisher_draft, "--group-size", "30"];
            let mut publisher = publisher(&relay.url(publisher_scheme), &name, &more).await;
            publisher.feed(sent.clone());
            let received =
                run(&["sub", &relay.url(scheme), &name, "track", "--insecure", "--draft", draft]).await;
            assert_eq!(received.status, 0, "{name}: {}", received.err);
            assert!(
                received.out == sent,
                "{name}: {} lines came; {}",
                received.out.lines().count(),
                received.err
            );
            assert_eq!(publisher.end().await.status, 0, "{name}");
        }
    }
}

#[tokio::test]
async fn lines_of_a_group_each_arrive_in_order() {
    let relay = Relay::start(&[]).await;
    let sent = lines(1_000);
    for (draft, scheme) in PEERS {
        let name = format!("groups/{draft}-{scheme}");
        let mut publisher =
            publisher(&relay.url(scheme), &name, &["--group-size", "1", "--draft", draft]).await;
        publisher.feed(sent.clone());
        let received =
            run(&["sub", &relay.url(scheme), &name, "track", "--insecure", "--draft", draft]).await;
        assert_eq!(received.status, 0, "{name}: {}", received.err);
        assert!(
            received.out == sent,
            "{name}: {} lines came; {}",
            received.out.lines().count(),
            received.err
        );
        assert_eq!(publisher.end().await.status, 0, "{name}");
    }
}

#[tokio::test]
async fn every_subscriber_gets_the_track() {
    let relay = Relay::start(&[]).await;
    let sent = lines(200);
    let mut publisher = publisher(&relay.url("moqt"), "many", &[]).await;
    let subscribers = PEERS.map(|(draft, scheme)| {
        let args = ["sub", &relay.url(scheme), "many", "track", "--insecure", "--draft", draft];
        Running::start(&args)
    });
    let mut ready = Vec::new();
    for mut subscriber in subscribers {
        subscriber.said("subscribed to many--track").await;
        ready.push(subscriber);
    }
    publisher.feed(sent.clone());
    for subscriber in ready {
        let received = subscriber.end().await;
        assert_eq!((received.status, received.out.as_str()), (0, sent.as_str()), "{}", received.err);
    }
    assert_eq!(publisher.end().await.status, 0);
}

#[tokio::test]
async fn the_end_of_the_relay_is_told_to_clients_that_do_not_reconnect() {
    for scheme in ["moqt", "https"] {
        let relay = Relay::start(&[]).await;
        let url = relay.url(scheme);
        let publisher = publisher(&url, "cut", &["--no-reconnect"]).await;
        let mut subscriber = Running::start(&["sub", &url, "cut", "track", "--insecure", "--no-reconnect"]);
        subscriber.said("subscribed to cut--track").await;
        relay.running.signal("TERM").await;
        assert_eq!(relay.running.end().await.status, 0);
        let publisher = publisher.end().await;
        assert_eq!(publisher.status, 1, "{}", publisher.err);
        assert!(publisher.err.contains("the peer closed the session"), "{}", publisher.err);
        // Which it hears first is open: the end of its session, or of the track's publisher, or that the relay leaves.
        let subscriber = subscriber.end().await;
        assert_eq!(subscriber.status, 1, "{}", subscriber.err);
        let told = ["the peer closed the session", "the track's publisher was lost", "GOING_AWAY"];
        assert!(told.iter().any(|text| subscriber.err.contains(text)), "{}", subscriber.err);
    }
}

#[tokio::test]
async fn a_published_track_is_delivered() {
    let relay = Relay::start(&[]).await;
    let sent = lines(100);
    for (draft, scheme) in PEERS {
        let name = format!("published/{draft}-{scheme}");
        let mut publisher = publisher(&relay.url(scheme), &name, &["--publish", "--draft", draft]).await;
        publisher.feed(sent.clone());
        let received = run(&["sub", &relay.url("moqt"), &name, "track", "--insecure"]).await;
        assert_eq!((received.status, received.out.as_str()), (0, sent.as_str()), "{name}: {}", received.err);
        assert_eq!(publisher.end().await.status, 0);
    }
}

#[tokio::test]
async fn the_certificate_is_pinned_by_the_hash_that_the_relay_prints() {
    let relay = Relay::start(&[]).await;
    let url = relay.url("https");
    let pin = ["--pin", &relay.certificate];
    let mut publisher = Running::start_with_stdin(&[&["pub", &url, "a", "b"], &pin[..]].concat());
    publisher.said(READY).await;
    publisher.feed("one\n".to_owned());
    let received = run(&[&["sub", &url, "a", "b"], &pin[..]].concat()).await;
    assert_eq!((received.status, received.out.as_str()), (0, "one\n"), "{}", received.err);
    assert_eq!(publisher.end().await.status, 0);
}

#[tokio::test]
async fn files_arrive_whole() {
    let relay = Relay::start(&[]).await;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("files");
    std::fs::create_dir_all(&directory).unwrap();
    let contents: [Vec<u8>; 3] = [vec![], (0..=255).collect(), vec![7; 300_000]];
    let mut args = vec!["--group-size".to_owned(), "2".to_owned()];
    for (number, content) in contents.iter().enumerate() {
        let path = directory.join(format!("sent-{number}"));
        std::fs::write(&path, content).unwrap();
        args.extend(["--file".to_owned(), path.to_str().unwrap().to_owned()]);
    }
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let publisher = publisher(&relay.url("moqt"), "files", &args).await;
    let received = directory.join("received");
    let into = ["--file-dir", received.to_str().unwrap()];
    let sub = run(&[&["sub", &relay.url("https"), "files", "track", "--insecure"], &into[..]].concat()).await;
    assert_eq!((sub.status, sub.out.as_str()), (0, ""), "{}", sub.err);
    for (name, content) in ["0-0", "0-1", "1-0"].iter().zip(contents) {
        assert_eq!(std::fs::read(received.join(name)).unwrap(), content, "{name}");
    }
    assert_eq!(publisher.end().await.status, 0);
}

#[tokio::test]
async fn a_subscriber_ends_after_the_objects_that_it_was_to_take() {
    let relay = Relay::start(&[]).await;
    let mut publisher = publisher(&relay.url("moqt"), "counted", &[]).await;
    publisher.feed(lines(10));
    let received = run(&["sub", &relay.url("moqt"), "counted", "track", "--insecure", "--count", "3"]).await;
    assert_eq!((received.status, received.out), (0, lines(3)), "{}", received.err);
}

#[tokio::test]
async fn a_reader_of_stdout_that_goes_away_ends_the_subscriber_quietly() {
    let relay = Relay::start(&[]).await;
    let mut publisher = publisher(&relay.url("moqt"), "pipe", &[]).await;
    publisher.feed(lines(20_000));
    let mut subscriber = Running::start(&["sub", &relay.url("moqt"), "pipe", "track", "--insecure"]);
    assert_eq!(subscriber.line().await, "line 0 \n");
    subscriber.close_stdout();
    let output = subscriber.end().await;
    assert_eq!(output.status, 0, "{}", output.err);
    assert!(!output.err.lines().any(|line| line.starts_with("moqt: ")), "{}", output.err);
}

#[tokio::test]
async fn the_clock_ticks() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in [("14", "moqt"), ("16", "https")] {
        let mut publisher =
            Running::start(&["clock", "pub", &relay.url(scheme), "--insecure", "--draft", draft]);
        publisher.said(READY).await;
        let received = run(&["clock", "sub", &relay.url("moqt"), "--insecure", "--count", "2"]).await;
        assert_eq!(received.status, 0, "{}", received.err);
        let seconds: Vec<_> = received.out.lines().map(second).collect();
        assert!(matches!(seconds[..], [first, next] if (first + 1) % 60 == next), "{}", received.out);
        publisher.signal("TERM").await;
        assert_eq!(publisher.end().await.status, 128 + 15);
    }
}

/// `2026-11-21 10:16:49 UTC`.
fn second(line: &str) -> u32 {
    let time = line.strip_suffix(" UTC").unwrap().split_once(' ').unwrap().1;
    time.rsplit(':').next().unwrap().parse().unwrap()
}
