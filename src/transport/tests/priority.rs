//! Which of two streams goes first.

use super::*;

#[tokio::test]
async fn the_stream_of_higher_priority_goes_first() {
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let Pair { client, server, _listener } = connected(kind).await;
        // Both are written before either is sent, and each is far more than the first flight may carry.
        let mut streams = Vec::new();
        for (name, priority) in [(b'l', -1), (b'h', 1)] {
            let mut send = client.open_uni().await.unwrap();
            send.set_priority(priority);
            send_all(&mut send, vec![name; 2_000_000].into()).await;
            streams.push(send);
        }
        let mut one = server.accept_uni().await.unwrap();
        let mut other = server.accept_uni().await.unwrap();
        let first = within(async {
            tokio::select! {
                whole = read_all(&mut one) => whole.unwrap(),
                whole = read_all(&mut other) => whole.unwrap(),
            }
        });
        assert_eq!(first.await[0], b'h', "{kind}");
    }
}
