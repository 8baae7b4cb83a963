//! What stdin of `moqt pub` and stdout of `moqt sub` look like.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;

use crate::common::{PEERS, Relay, Running, moqt, run};

const READY: &str = "waiting for a subscriber";

/// Lengths and payloads, as `--format frames` has them.
fn frames(payloads: &[&[u8]]) -> Vec<u8> {
    payloads
        .iter()
        .flat_map(|payload| [&(payload.len() as u32).to_be_bytes()[..], payload].concat())
        .collect()
}

/// A subscriber's stdout, whatever bytes it has.
async fn bytes(args: &[&str]) -> Vec<u8> {
    let output = moqt(args).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn frames_of_any_bytes_arrive_as_they_were_cut() {
    let relay = Relay::start(&[]).await;
    let long = vec![7; 100_000];
    let sent = frames(&[b"one\n", b"", &[0, 255, 10, 0], &long, b"\n\n"]);
    for (draft, scheme) in PEERS {
        let (url, name) = (relay.url(scheme), format!("frames/{draft}-{scheme}"));
        let common = [&url, &name, "track", "--insecure", "--draft", draft, "--format", "frames"];
        let mut publisher = Running::start_with_stdin(&[&["pub", "--group-size", "2"], &common[..]].concat());
        publisher.said(READY).await;
        publisher.feed_bytes(sent.clone());
        assert!(bytes(&[&["sub"], &common[..]].concat()).await == sent, "{name}");
        assert_eq!(publisher.end().await.status, 0);
    }
}

#[tokio::test]
async fn raw_output_is_payload_and_nothing_else() {
    let relay = Relay::start(&[]).await;
    let url = relay.url("moqt");
    let mut publisher =
        Running::start_with_stdin(&["pub", &url, "raw", "t", "--insecure", "--format", "frames"]);
    publisher.said(READY).await;
    publisher.feed_bytes(frames(&[b"ab\0", b"\xff", b"cd"]));
    assert_eq!(bytes(&["sub", &url, "raw", "t", "--insecure", "--format", "raw"]).await, b"ab\0\xffcd");
}

#[tokio::test]
async fn a_frame_that_is_cut_short_or_too_long_is_bad_input() {
    let relay = Relay::start(&[]).await;
    for (input, told) in [
        (&b"\0\0\0\x05abc"[..], "3 of its 5 bytes"),
        (b"\0\0", "within the length"),
        (b"\xff\xff\xff\xff", "is it framed?"),
    ] {
        let url = relay.url("moqt");
        let args = ["pub", &url, "bad", "t", "--insecure", "--format", "frames", "--no-wait"];
        let mut publisher = moqt(&args).stdin(Stdio::piped()).spawn().unwrap();
        publisher.stdin.take().unwrap().write_all(input).await.unwrap();
        let output = publisher.wait_with_output().await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains(told), "{err}");
    }
}

#[tokio::test]
async fn json_tells_all_that_is_known_of_each_object() {
    let relay = Relay::start(&[]).await;
    for (draft, scheme) in PEERS {
        let (url, name) = (relay.url(scheme), format!("json/{draft}-{scheme}"));
        let common = [&url, &name, "track", "--insecure", "--draft", draft];
        let more = ["pub", "--group-size", "2", "--first-group", "7", "--priority", "3", "--timestamps"];
        let more = [&more[..], &common[..], &["--format", "frames"]].concat();
        let mut publisher = Running::start_with_stdin(&more);
        publisher.said(READY).await;
        publisher.feed_bytes(frames(&[b"one", b"two", b"\xff"]));
        let received = run(&[&["sub", "--json"], &common[..]].concat()).await;
        assert_eq!(received.status, 0, "{}", received.err);
        let objects: Vec<serde_json::Value> =
            received.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let places: Vec<_> = objects.iter().map(|object| (&object["group"], &object["object"])).collect();
        assert_eq!(
            places,
            [(&7.into(), &0.into()), (&7.into(), &1.into()), (&8.into(), &0.into())],
            "{name}"
        );
        assert_eq!(objects[1]["payload"], "two");
        assert_eq!(objects[2]["payload_base64"], "/w==");
        for object in &objects {
            assert_eq!((&object["priority"], &object["via"]), (&3.into(), &"stream".into()), "{object}");
            assert_eq!(object["extensions"][0]["type"], 0x10, "{object}");
        }
        assert_eq!(publisher.end().await.status, 0);
    }
}
