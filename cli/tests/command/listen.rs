//! Publisher and subscriber without a relay: one of them listens.

use crate::common::{PEERS, Running, run};

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("line {number}\n")).collect()
}

#[tokio::test]
async fn a_publisher_that_listens_serves_all_who_connect() {
    for (draft, scheme) in PEERS {
        let args = ["pub", "--listen", "127.0.0.1:0", "live/cam", "track", "--group-size", "7"];
        let mut publisher = Running::start_with_stdin(&args);
        let url = format!("{scheme}://{}/", publisher.listening().await);
        let common = [&url, "live/cam", "track", "--insecure", "--draft", draft];
        let mut subscribers = Vec::new();
        for _ in 0..2 {
            let mut subscriber = Running::start(&[&["sub"], &common[..]].concat());
            subscriber.said("subscribed to").await;
            subscribers.push(subscriber);
        }
        publisher.write(&lines(50)).await;
        for (number, subscriber) in subscribers.iter_mut().enumerate() {
            for line in 0..50 {
                assert_eq!(subscriber.line().await, format!("line {line}\n"), "{number}");
            }
        }
        let fetched = run(&[&["fetch", "--start", "0", "--end", "99"], &common[..]].concat()).await;
        assert_eq!((fetched.status, fetched.out), (0, lines(50)), "{draft} {scheme}: {}", fetched.err);
        let status = run(&[&["status"], &common[..]].concat()).await;
        assert_eq!((status.status, status.out.as_str()), (0, "7/0\n"), "{}", status.err);
        let list = run(&["announced", &url, "live", "--insecure", "--draft", draft, "--count", "1"]).await;
        assert_eq!((list.status, list.out.as_str()), (0, "+ live/cam\n"), "{}", list.err);
        publisher.feed(String::new());
        for subscriber in subscribers {
            assert_eq!(subscriber.end().await.status, 0);
        }
        assert_eq!(publisher.end().await.status, 0);
    }
}

#[tokio::test]
async fn a_subscriber_that_listens_takes_the_track_from_who_connects() {
    for (draft, scheme) in PEERS {
        for offer in ["namespace", "track"] {
            let mut subscriber = Running::start(&["sub", "--listen", "127.0.0.1:0", "live/cam", "track"]);
            let url = format!("{scheme}://{}/", subscriber.listening().await);
            let args = ["pub", &url, "live/cam", "track", "--insecure", "--draft", draft, "--offer", offer];
            let mut publisher = Running::start_with_stdin(&args);
            publisher.feed(lines(300));
            let received = subscriber.end().await;
            assert_eq!(
                (received.status, received.out),
                (0, lines(300)),
                "{draft} {scheme} {offer}: {}",
                received.err
            );
            assert_eq!(publisher.end().await.status, 0, "{draft} {scheme} {offer}");
        }
    }
}

#[tokio::test]
async fn a_url_and_an_address_to_listen_on_exclude_each_other() {
    let output = run(&["sub", "--listen", "127.0.0.1:0", "moqt://localhost", "live", "track"]).await;
    assert_eq!(output.status, 2);
    assert!(output.err.contains("--listen ADDR NAMESPACE TRACK"), "{}", output.err);
}
