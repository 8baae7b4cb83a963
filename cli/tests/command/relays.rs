//! Relays that are linked, and programs that are killed in the middle of a group.

use crate::common::{Relay, Running};

async fn publisher(url: &str, namespace: &str) -> Running {
    let args = ["pub", url, namespace, "track", "--insecure", "--group-size", "100"];
    let mut publisher = Running::start_with_stdin(&args);
    publisher.said("waiting for a subscriber").await;
    publisher
}

fn subscriber(url: &str, namespace: &str) -> Running {
    Running::start(&["sub", url, namespace, "track", "--insecure"])
}

#[tokio::test]
async fn what_is_published_at_one_relay_is_received_at_another() {
    let root = Relay::start(&[]).await;
    for (scheme, option) in
        [("moqt", "--upstream"), ("https", "--upstream"), ("moqt", "--announce"), ("https", "--announce")]
    {
        let mut edge = Relay::start(&[option, &root.url(scheme), "--link-insecure", "-v"]).await;
        edge.running.said("linked to a relay").await;
        let (here, there) = if option == "--upstream" { (&root, &edge) } else { (&edge, &root) };
        let namespace = format!("links/{scheme}{option}");
        let mut publisher = publisher(&here.url("moqt"), &namespace).await;
        if option == "--announce" {
            // Until the root has heard of it.
            let mut lister = Running::start(&["announced", &there.url("moqt"), "links", "--insecure"]);
            while !lister.line().await.contains(scheme) {}
        }
        let mut subscriber = subscriber(&there.url("https"), &namespace);
        publisher.write("one\n").await;
        assert_eq!(subscriber.line().await, "one\n", "{scheme} {option}");
        publisher.write("two\n").await;
        assert_eq!(subscriber.line().await, "two\n", "{scheme} {option}");
    }
}

#[tokio::test]
async fn a_link_that_cannot_be_is_told_by_its_key() {
    let output = crate::common::run(&["relay", "--bind", "127.0.0.1:0", "--upstream", "nonsense"]).await;
    assert_eq!(output.status, 2, "{output:?}");
    assert!(output.err.contains("upstream: nonsense"), "{}", output.err);
}

/// Of two tracks the one is served as before whatever happens to the other's publisher, subscriber or relay.
#[tokio::test]
async fn a_program_that_is_killed_in_mid_group_harms_no_other_track() {
    let upstream = Relay::start(&[]).await;
    let mut relay = Relay::start(&["--upstream", &upstream.url("moqt"), "--link-insecure", "-v"]).await;
    relay.running.said("linked to a relay").await;
    let mut good = publisher(&relay.url("moqt"), "kept").await;
    let mut reader = subscriber(&relay.url("https"), "kept");
    let mut far = publisher(&upstream.url("moqt"), "far").await;
    let mut far_reader = subscriber(&relay.url("moqt"), "far");
    let mut bad = publisher(&relay.url("https"), "killed").await;
    let mut bad_reader = subscriber(&relay.url("moqt"), "killed");
    let mut number = 0;
    let mut goes_on = async |good: &mut Running, reader: &mut Running| {
        number += 1;
        good.write(&format!("{number}\n")).await;
        assert_eq!(reader.line().await, format!("{number}\n"));
    };
    for (publisher, reader) in [(&mut bad, &mut bad_reader), (&mut far, &mut far_reader)] {
        publisher.write("begun\n").await;
        assert_eq!(reader.line().await, "begun\n");
    }
    goes_on(&mut good, &mut reader).await;
    bad.signal("KILL").await;
    goes_on(&mut good, &mut reader).await;
    bad_reader.signal("KILL").await;
    goes_on(&mut good, &mut reader).await;
    far.write("before the relay dies\n").await;
    assert_eq!(far_reader.line().await, "before the relay dies\n");
    upstream.running.signal("KILL").await;
    goes_on(&mut good, &mut reader).await;
    goes_on(&mut good, &mut reader).await;
}
