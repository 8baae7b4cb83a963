//! Statistics of `moqt sub`, and what `-v` shows.

use crate::common::{PEERS, Relay, Running, run};

const READY: &str = "waiting for a subscriber";

#[tokio::test]
async fn statistics_tell_what_came() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let (url, name) = (relay.url(scheme), format!("stats/{draft}-{scheme}"));
        let common = [&url, &name, "track", "--insecure", "--draft", draft];
        let mut publisher = Running::start_with_stdin(&[&["pub", "--timestamps"], &common[..]].concat());
        publisher.said(READY).await;
        publisher.feed("four\n".repeat(100));
        let received = run(&[&["sub", "--json", "--stats=60"], &common[..]].concat()).await;
        let line = received.err.lines().find(|line| line.starts_with('{')).expect("statistics on stderr");
        let stats: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&stats["type"], &stats["objects"]), (&"stats".into(), &100.into()), "{stats}");
        assert_eq!((&stats["bytes"], &stats["lost"]), (&400.into(), &0.into()), "{stats}");
        assert!(stats["latency_mean_ms"].as_f64().is_some_and(|latency| latency > 0.0), "{stats}");
        publisher.end().await;
    }
}

#[tokio::test]
async fn statistics_for_people_are_lines_in_an_interval() {
    let relay = Relay::start(&[]).await;
    let url = relay.url("moqt");
    let common = [&url, "lines", "track", "--insecure"];
    let mut publisher = Running::start_with_stdin(&[&["pub"], &common[..]].concat());
    publisher.said(READY).await;
    let mut subscriber = Running::start(&[&["sub", "--stats=0.1"], &common[..]].concat());
    subscriber.said("subscribed to").await;
    publisher.write("one\n").await;
    assert_eq!(subscriber.line().await, "one\n");
    let line = subscriber.said("1 objects").await;
    for word in ["Mbit/s", "latency unknown", "jitter", "lost 0", "reordered 0"] {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert!(!line.contains(['\r', '\u{1b}']), "{line}");
}

#[tokio::test]
async fn verbose_programs_show_the_messages_on_the_wire() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let url = relay.url(scheme);
        let output = run(&["sub", &url, "none", "such", "--insecure", "--draft", draft, "-v"]).await;
        assert_eq!((output.status, output.out.as_str()), (1, ""));
        let refusal = if draft == "14" { "SUBSCRIBE_ERROR" } else { "REQUEST_ERROR" };
        for told in [
            "sent CLIENT_SETUP {",
            "received SERVER_SETUP {",
            "sent SUBSCRIBE {",
            &format!("received {refusal} {{"),
        ] {
            assert!(output.err.contains(told), "{told}: {}", output.err);
        }
        let quiet = run(&["sub", &url, "none", "such", "--insecure", "--draft", draft]).await;
        assert!(!quiet.err.contains("CLIENT_SETUP"), "{}", quiet.err);
    }
}
