//! What only the in-memory transport can show.

use super::super::contract::{SendHalf, Transport};
use super::super::mem::{DATAGRAM_BACKLOG, STREAM_BACKLOG, STREAM_WINDOW};
use super::*;

#[tokio::test]
async fn a_priority_is_recorded() {
    let (client, server) = pair(None);
    let (Connection::Mem(client), Connection::Mem(server)) = (client, server) else { unreachable!() };
    let mut send = client.open_uni().await.unwrap();
    send.set_priority(-7);
    assert_eq!(server.accept_uni().await.unwrap().priority(), -7);
}

#[tokio::test]
async fn a_stream_holds_exactly_its_window() {
    let (client, server) = pair(None);
    let mut send = client.open_uni().await.unwrap();
    let mut chunks = [payload(STREAM_WINDOW + 1)];
    assert_eq!(send.write(&mut chunks).await.unwrap(), Written { bytes: STREAM_WINDOW, chunks: 0 });
    assert_eq!(chunks[0].len(), 1);
    tokio::select! {
        biased;
        _ = send.write(&mut chunks) => panic!("the window is full"),
        () = tokio::task::yield_now() => {}
    }
    let mut recv = server.accept_uni().await.unwrap();
    recv.read(&mut [Bytes::new()]).await.unwrap();
    assert_eq!(send.write(&mut chunks).await.unwrap(), Written { bytes: 1, chunks: 1 });
}

#[tokio::test]
async fn openers_wait_once_the_backlog_is_full() {
    let (client, server) = pair(None);
    for _ in 0..STREAM_BACKLOG {
        client.open_bi().await.unwrap().0.finish();
    }
    tokio::select! {
        biased;
        _ = client.open_bi() => panic!("the backlog is full"),
        () = tokio::task::yield_now() => {}
    }
    let (opened, accepted) = tokio::join!(client.open_bi(), server.accept_bi());
    assert!(opened.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn datagram_senders_wait_once_the_backlog_is_full() {
    let (client, server) = pair(None);
    for _ in 0..DATAGRAM_BACKLOG {
        client.send_datagram(Bytes::new()).await.unwrap();
    }
    let (sent, read) =
        tokio::join!(biased; client.send_datagram(Bytes::from_static(b"late")), server.read_datagram());
    assert_eq!((sent, read), (Ok(()), Ok(Bytes::new())));
}

#[tokio::test]
async fn a_pair_agrees_on_the_name_given() {
    assert_eq!(pair(None).0.protocol(), None);
    assert_eq!(pair(Some("moq-00")).1.protocol().as_deref(), Some("moq-00"));
}
