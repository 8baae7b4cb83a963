//! What fails on the way: exit status 1, and one line with what was tried, what came back and what to try next.

use std::net::UdpSocket;

use crate::common::{Relay, run};

async fn fails(args: &[&str], told: &[&str]) {
    let output = run(args).await;
    assert_eq!(output.status, 1, "{args:?}: {output:?}");
    assert_eq!(output.out, "", "{args:?}");
    let line = output.err.lines().last().unwrap();
    for text in told {
        assert!(line.contains(text), "{text:?} is not told: {line}");
    }
}

#[tokio::test]
async fn nobody_answers() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("moqt://127.0.0.1:{port}/live");
    let told = [url.as_str(), "quic", "draft-16 or draft-14", "nobody answered", "check host and port"];
    fails(&["sub", &url, "a", "b", "--insecure"], &told).await;
}

#[tokio::test]
async fn the_certificate_is_not_trusted() {
    let relay = Relay::start(&[]).await;
    for scheme in ["moqt", "https"] {
        let url = relay.url(scheme);
        fails(&["sub", &url, "a", "b"], &[&url, "not trusted", &relay.certificate, "pin"]).await;
    }
}

#[tokio::test]
async fn no_draft_is_common() {
    let relay = Relay::start(&["--draft", "16"]).await;
    for scheme in ["moqt", "https"] {
        let url = relay.url(scheme);
        fails(&["sub", &url, "a", "b", "--insecure", "--draft", "14"], &[&url, "draft-14"]).await;
    }
}

#[tokio::test]
async fn a_subscription_is_refused() {
    let relay = Relay::start(&[]).await;
    for draft in ["14", "16"] {
        for scheme in ["moqt", "https"] {
            let url = relay.url(scheme);
            let told = ["none--such", "DOES_NOT_EXIST", "check the names"];
            fails(&["sub", &url, "none", "such", "--insecure", "--draft", draft], &told).await;
        }
    }
}
