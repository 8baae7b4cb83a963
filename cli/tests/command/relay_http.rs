//! `moqt relay --http`: what a relay tells those who watch it, and how it ends.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::common::{Running, run};

const LIMIT: Duration = Duration::from_secs(60);

struct Watched {
    running: Running,
    address: String,
    certificate: String,
    http: String,
}

impl Watched {
    async fn start(args: &[&str]) -> Self {
        let args = [&["relay", "--bind", "127.0.0.1:0", "--http", "127.0.0.1:0"], args].concat();
        let mut running = Running::start(&args);
        let line = running.line().await;
        let words: Vec<_> = line.trim_end().split(' ').collect();
        let ["listening", address, "certificate-sha256", certificate, "http", http] = words[..] else {
            panic!("{line:?}")
        };
        let (address, certificate, http) = (address.to_owned(), certificate.to_owned(), http.to_owned());
        Self { running, address, certificate, http }
    }

    /// Status and body.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(LIMIT, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Waits for a line of the metrics.
    async fn has(&self, wanted: &str) {
        let comes = async {
            while !self.get("/metrics").await.1.lines().any(|line| line == wanted) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(LIMIT, comes).await.is_err() {
            panic!("{wanted} does not come: {}", self.get("/metrics").await.1);
        }
    }
}

#[tokio::test]
async fn a_relay_tells_how_it_is() {
    let relay = Watched::start(&[]).await;
    assert_eq!(relay.get("/health").await, (200, "ok\n".to_owned()));
    assert_eq!(relay.get("/certificate.sha256").await, (200, format!("{}\n", relay.certificate)));
    assert_eq!(relay.get("/nothing").await.0, 404);
    let url = format!("moqt://{}/", relay.address);
    let publish = ["pub", &url, "live/cam", "lines", "--insecure", "--draft", "16"];
    let mut publisher = Running::start_with_stdin(&publish);
    relay.has("moqt_sessions{draft=\"16\",transport=\"quic\"} 1").await;
    relay.has("moqt_namespaces 1").await;
    publisher.write("hello\n").await;
    let web = format!("https://{}/", relay.address);
    let mut subscriber = Running::start(&["sub", &web, "live/cam", "lines", "--insecure", "--draft", "14"]);
    assert_eq!(subscriber.line().await, "hello\n");
    publisher.write("again\n").await;
    assert_eq!(subscriber.line().await, "again\n");
    for line in [
        "moqt_sessions{draft=\"14\",transport=\"webtransport\"} 1",
        "moqt_tracks 1",
        "moqt_subscriptions 1",
        "moqt_drops_total{reason=\"too_far_behind\"} 0",
        "moqt_handshakes 0",
    ] {
        relay.has(line).await;
    }
    let (_, text) = relay.get("/metrics").await;
    let value = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    for name in
        ["moqt_objects_in_total", "moqt_objects_out_total", "moqt_bytes_in_total", "moqt_bytes_out_total"]
    {
        assert!(value(name) > 0, "{text}");
    }
    let (status, state) = relay.get("/state").await;
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(status, 200);
    let namespace = &state["namespaces"][0];
    assert_eq!(
        (&namespace["namespace"], &namespace["announcements"]),
        (&"live/cam".into(), &1.into()),
        "{state}"
    );
    let track = &namespace["tracks"][0];
    assert_eq!((&track["name"], &track["subscribers"]), (&"lines".into(), &1.into()), "{state}");
    drop(subscriber);
    drop(publisher);
    relay.has("moqt_tracks 0").await;
    relay.has("moqt_cache_bytes 0").await;
}

#[tokio::test]
async fn an_address_for_http_that_is_taken_is_named() {
    let relay = Watched::start(&[]).await;
    let output = run(&["relay", "--bind", "127.0.0.1:0", "--http", &relay.http]).await;
    assert_eq!(output.status, 2);
    assert!(output.err.contains(&relay.http), "{}", output.err);
}

/// A relay that a publisher is at and that was told to end, and the publisher.
async fn draining(drain_time: &str) -> (Watched, Running, String) {
    let relay = Watched::start(&["--drain-time", drain_time]).await;
    let url = format!("moqt://{}/", relay.address);
    let mut publisher = Running::start_with_stdin(&["pub", &url, "live", "lines", "--insecure"]);
    publisher.write("hello\n").await;
    relay.has("moqt_namespaces 1").await;
    relay.running.signal("TERM").await;
    let drains = async {
        while relay.get("/health").await != (503, "draining\n".to_owned()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, drains).await.expect("the relay drains");
    (relay, publisher, url)
}

#[tokio::test]
async fn sigterm_waits_for_those_who_are_there_and_turns_newcomers_away() {
    let (relay, publisher, url) = draining("60s").await;
    let refused = run(&["sub", &url, "live", "lines", "--insecure"]).await;
    assert_eq!(refused.status, 1);
    assert!(refused.err.contains("refused"), "{}", refused.err);
    publisher.signal("INT").await;
    publisher.end().await;
    assert_eq!(relay.running.end().await.status, 0);
}

#[tokio::test]
async fn a_second_signal_ends_the_relay_at_once() {
    let (relay, _publisher, _) = draining("1h").await;
    relay.running.signal("TERM").await;
    assert_eq!(relay.running.end().await.status, 0);
}
