//! `moqt announced`.

use crate::common::{PEERS, Relay, Running, run};

async fn publisher(relay: &Relay, scheme: &str, draft: &str, namespace: &str) -> Running {
    let url = relay.url(scheme);
    let mut publisher =
        Running::start_with_stdin(&["pub", &url, namespace, "track", "--insecure", "--draft", draft]);
    publisher.said("waiting for a subscriber").await;
    publisher
}

#[tokio::test]
async fn namespaces_are_listed_as_they_come_and_go() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let prefix = format!("list/{draft}-{scheme}");
        let (one, two) = (format!("{prefix}/one"), format!("{prefix}/two"));
        let first = publisher(&relay, scheme, draft, &one).await;
        let url = relay.url(scheme);
        let mut list = Running::start(&["announced", &url, &prefix, "--insecure", "--draft", draft]);
        assert_eq!(list.line().await, format!("+ {one}\n"));
        let second = publisher(&relay, "moqt", "16", &two).await;
        assert_eq!(list.line().await, format!("+ {two}\n"));
        for (publisher, namespace) in [(first, one), (second, two)] {
            publisher.signal("TERM").await;
            publisher.end().await;
            assert_eq!(list.line().await, format!("- {namespace}\n"));
        }
        list.signal("TERM").await;
        assert_eq!(list.end().await.status, 128 + 15);
    }
}

#[tokio::test]
async fn a_list_ends_after_its_count_or_its_time() {
    let relay = Relay::start(&[]).await;
    let _publisher = publisher(&relay, "moqt", "16", "a/b").await;
    let url = relay.url("https");
    let counted = run(&["announced", &url, "a", "--insecure", "--count", "1", "--json"]).await;
    assert_eq!(counted.status, 0, "{}", counted.err);
    let line: serde_json::Value = serde_json::from_str(&counted.out).unwrap();
    assert_eq!(line["event"], "came");
    assert_eq!(line["fields"], serde_json::json!(["a", "b"]));
    let timed = run(&["announced", &url, "nothing/here", "--insecure", "--wait", "0.2"]).await;
    assert_eq!((timed.status, timed.out.as_str()), (0, ""), "{}", timed.err);
}

#[tokio::test]
async fn every_namespace_can_be_asked_for_in_draft_16_only() {
    let relay = Relay::start(&[]).await;
    let _publisher = publisher(&relay, "moqt", "14", "all").await;
    let url = relay.url("moqt");
    let all = run(&["announced", &url, "--insecure", "--count", "1"]).await;
    assert_eq!((all.status, all.out.as_str()), (0, "+ all\n"), "{}", all.err);
    let none = run(&["announced", &url, "--insecure", "--draft", "14"]).await;
    assert_eq!(none.status, 1);
    assert!(none.err.contains("name a prefix"), "{}", none.err);
}
