//! What was published before, each program a process of its own.

use crate::common::{PEERS, Relay, Running, run};

/// Lines `from` to `to`, the last left out.
fn lines(from: usize, to: usize) -> String {
    (from..to).map(|number| format!("line {number}\n")).collect()
}

/// A publisher of groups of two lines, of which the relay has forwarded ten lines to a subscriber.
async fn history(relay: &Relay, scheme: &str, draft: &str, name: &str) -> (Running, Running) {
    let url = relay.url(scheme);
    let more = ["--insecure", "--draft", draft, "--group-size", "2"];
    let mut publisher = Running::start_with_stdin(&[&["pub", &url, name, "track"], &more[..]].concat());
    publisher.said("waiting for a subscriber").await;
    let mut subscriber = Running::start(&["sub", &url, name, "track", "--insecure"]);
    publisher.write(&lines(0, 10)).await;
    for number in 0..10 {
        assert_eq!(subscriber.line().await, format!("line {number}\n"));
    }
    (publisher, subscriber)
}

async fn fetched(relay: &Relay, (draft, scheme): (&str, &str), name: &str, range: &[&str]) -> String {
    let url = relay.url(scheme);
    let args = ["fetch", &url, name, "track", "--insecure", "--draft", draft];
    let output = run(&[&args[..], range].concat()).await;
    assert_eq!(output.status, 0, "{range:?}: {}", output.err);
    output.out
}

#[tokio::test]
async fn ranges_are_fetched_in_every_draft_over_every_transport() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let name = format!("ranges/{draft}-{scheme}");
        let (_publisher, _subscriber) = history(&relay, scheme, draft, &name).await;
        for peer in PEERS {
            let fetch = async |range: &[&str]| fetched(&relay, peer, &name, range).await;
            assert_eq!(fetch(&["--start", "1", "--end", "2"]).await, lines(2, 6));
            assert_eq!(fetch(&["--start", "0/1", "--end", "2/0"]).await, lines(1, 5));
            assert_eq!(fetch(&["--start", "3", "--end", "99"]).await, lines(6, 10));
            assert_eq!(fetch(&["--join", "1"]).await, lines(6, 10));
            let descending = fetch(&["--start", "1", "--end", "2", "--descending"]).await;
            assert_eq!(descending, lines(4, 6) + &lines(2, 4));
        }
    }
}

#[tokio::test]
async fn a_joiner_gets_what_was_before_and_then_what_comes() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let name = format!("join/{draft}-{scheme}");
        let (mut publisher, _subscriber) = history(&relay, scheme, draft, &name).await;
        let url = relay.url(scheme);
        let args = ["sub", &url, &name, "track", "--insecure", "--draft", draft, "--join", "2"];
        let mut joiner = Running::start(&args);
        for number in 4..10 {
            assert_eq!(joiner.line().await, format!("line {number}\n"), "{name}");
        }
        publisher.feed(lines(10, 20));
        let rest = joiner.end().await;
        assert_eq!((rest.status, rest.out), (0, lines(10, 20)), "{name}: {}", rest.err);
    }
}

#[tokio::test]
async fn what_no_relay_holds_is_fetched_from_the_publisher() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let name = format!("alone/{draft}-{scheme}");
        let (_publisher, subscriber) = history(&relay, scheme, draft, &name).await;
        // With its last subscriber the relay forgets the track.
        subscriber.signal("TERM").await;
        subscriber.end().await;
        let peer = (draft, scheme);
        assert_eq!(fetched(&relay, peer, &name, &["--start", "1", "--end", "2"]).await, lines(2, 6));
        assert_eq!(fetched(&relay, peer, &name, &["--join", "9"]).await, lines(0, 10));
    }
}

#[tokio::test]
async fn the_status_tells_the_largest_location() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let name = format!("status/{draft}-{scheme}");
        let (_publisher, subscriber) = history(&relay, scheme, draft, &name).await;
        let url = relay.url(scheme);
        let args = ["status", &url, &name, "track", "--insecure", "--draft", draft];
        let output = run(&args).await;
        assert_eq!((output.status, output.out.as_str()), (0, "4/1\n"), "{}", output.err);
        subscriber.signal("TERM").await;
        subscriber.end().await;
        let output = run(&args).await;
        assert_eq!((output.status, output.out.as_str()), (0, "4/1\n"), "{}", output.err);
    }
}

#[tokio::test]
async fn what_is_unknown_fails_with_the_reason() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let url = relay.url(scheme);
        let common = [&url, "nobody/here", "track", "--insecure", "--draft", draft];
        for args in [&["status"][..], &["fetch", "--start", "0", "--end", "1"], &["fetch", "--join", "0"]] {
            let output = run(&[args, &common].concat()).await;
            assert_eq!(output.status, 1, "{}", output.err);
            assert!(output.err.contains("DOES_NOT_EXIST"), "{}", output.err);
        }
    }
}
