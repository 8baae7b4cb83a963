//! Which objects `moqt sub` takes: joining, filters, Forward State.

use crate::common::{PEERS, Relay, Running, run};

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|number| format!("line {number}\n")).collect()
}

/// A publisher of groups of two lines, of which ten lines have been published: groups 0 to 4.
async fn history(relay: &Relay, (draft, scheme): (&str, &str), name: &str) -> Running {
    let url = relay.url(scheme);
    let more = ["--insecure", "--draft", draft, "--group-size", "2"];
    let mut publisher = Running::start_with_stdin(&[&["pub", &url, name, "track"], &more[..]].concat());
    publisher.said("waiting for a subscriber").await;
    let first = Running::start(&["sub", &url, name, "track", "--insecure", "--count", "10"]);
    publisher.write(&lines(0, 10)).await;
    assert_eq!(first.end().await.out, lines(0, 10), "{name}");
    publisher
}

/// Whether a subscriber gets lines `from` to `to` of a track whose lines 10 to 19 come once it has got those before.
async fn gets(args: &[&str], (from, to): (usize, usize), peer: (&str, &str), relay: &Relay) {
    let (draft, scheme) = peer;
    let name = format!("taken{}/{draft}-{scheme}", args.join("").replace('/', "-"));
    let mut publisher = history(relay, peer, &name).await;
    let url = relay.url(scheme);
    let common = ["sub", &url, &name, "track", "--insecure", "--draft", draft];
    let mut subscriber = Running::start(&[&common, args].concat());
    for number in from..10 {
        assert_eq!(subscriber.line().await, format!("line {number}\n"), "{name}");
    }
    subscriber.said("subscribed to").await;
    publisher.feed(lines(10, 20));
    let received = subscriber.end().await;
    assert_eq!((received.status, received.out), (0, lines(from.max(10), to)), "{name}: {}", received.err);
    publisher.end().await;
}

#[tokio::test]
async fn a_subscriber_joins_the_current_group_unless_told_not_to() {
    let relay = Relay::start(&[]).await;
    for peer in PEERS {
        gets(&[], (8, 20), peer, &relay).await;
        gets(&["--no-join"], (10, 20), peer, &relay).await;
        gets(&["--join", "1"], (6, 20), peer, &relay).await;
    }
}

#[tokio::test]
async fn filters_pass_what_they_name() {
    let relay = Relay::start(&[]).await;
    for peer in PEERS {
        gets(&["--filter", "next-group"], (10, 20), peer, &relay).await;
        gets(&["--filter", "6.."], (12, 20), peer, &relay).await;
        gets(&["--filter", "largest"], (8, 20), peer, &relay).await;
    }
}

#[tokio::test]
async fn a_range_ends_the_subscription() {
    for (draft, scheme) in PEERS {
        let args = ["pub", "--listen", "127.0.0.1:0", "range", "track", "--group-size", "2"];
        let mut publisher = Running::start_with_stdin(&args);
        let url = format!("{scheme}://{}/", publisher.listening().await);
        let common = ["sub", &url, "range", "track", "--insecure", "--draft", draft, "--filter", "6/1..8"];
        let mut subscriber = Running::start(&common);
        subscriber.said("subscribed to").await;
        // The track goes on.
        publisher.write(&lines(0, 20)).await;
        let received = subscriber.end().await;
        assert_eq!((received.status, received.out), (0, lines(13, 18)), "{draft} {scheme}: {}", received.err);
    }
}

#[tokio::test]
async fn nothing_comes_until_the_forward_state_says_so() {
    for (draft, scheme) in PEERS {
        // It writes as soon as it has a subscriber who wants objects.
        let mut publisher =
            Running::start_with_stdin(&["pub", "--listen", "127.0.0.1:0", "forward", "track"]);
        let url = format!("{scheme}://{}/", publisher.listening().await);
        publisher.feed(lines(0, 3));
        let common = [&url, "forward", "track", "--insecure", "--draft", draft];
        let mut paused = Running::start(&[&["sub", "--forward", "0"], &common[..]].concat());
        paused.said("subscribed to").await;
        let late = run(&[&["sub", "--forward-after", "0.1"], &common[..]].concat()).await;
        assert_eq!((late.status, late.out), (0, lines(0, 3)), "{draft} {scheme}: {}", late.err);
        let paused = paused.end().await;
        assert_eq!((paused.status, paused.out.as_str()), (0, ""), "{draft} {scheme}: {}", paused.err);
        assert_eq!(publisher.end().await.status, 0);
    }
}
