//! Connections that share sockets share nothing else.

use super::*;

fn sharing(listener: &Listener, sockets: &Sockets) -> ConnectOptions {
    ConnectOptions { sockets: Some(sockets.clone()), ..trusting(listener) }
}

#[tokio::test]
async fn connections_of_every_draft_and_transport_share_a_port() {
    let (listener, sockets) = (server_of(&[]), Sockets::new());
    let mut ends = Vec::new();
    for (kind, version) in [
        (TransportKind::Quic, Version::Draft16),
        (TransportKind::Quic, Version::Draft14),
        (TransportKind::WebTransport, Version::Draft16),
        (TransportKind::WebTransport, Version::Draft14),
    ] {
        let options = ConnectOptions { versions: vec![version], ..sharing(&listener, &sockets) };
        let (connected, accepted) = meet(&listener, kind, &options).await;
        let (connected, accepted) = (connected.unwrap(), accepted.unwrap());
        assert_eq!((connected.version, accepted.version), (version, version));
        ends.push((connected, accepted));
    }
    let first = ends[0].1.remote;
    assert!(ends.iter().all(|(_, accepted)| accepted.remote == first));
    for (connected, accepted) in &ends {
        send_all(&mut connected.connection.open_uni().await.unwrap(), Bytes::from_static(b"hello")).await;
        let mut stream = within(accepted.connection.accept_uni()).await.unwrap();
        assert_eq!(within(read_all(&mut stream)).await.unwrap(), b"hello");
    }
}

#[tokio::test]
async fn a_connection_that_fails_leaves_its_neighbours_alone() {
    let (listener, other, sockets) = (server_of(&[]), server_of(&[]), Sockets::new());
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let (good, accepted) = meet(&listener, kind, &sharing(&listener, &sockets)).await;
        let (good, accepted) = (good.unwrap().connection, accepted.unwrap().connection);
        // This one trusts another server's certificate.
        let (bad, _) = meet(&listener, kind, &sharing(&other, &sockets)).await;
        assert!(matches!(bad.unwrap_err().failure(), ConnectFailure::Untrusted { .. }));
        let (closed, _accepted) = meet(&listener, kind, &sharing(&listener, &sockets)).await;
        closed.unwrap().connection.close(0x3, "broken");
        send_all(&mut good.open_uni().await.unwrap(), Bytes::from_static(b"here")).await;
        let mut stream = within(accepted.accept_uni()).await.unwrap();
        assert_eq!(within(read_all(&mut stream)).await.unwrap(), b"here");
    }
}

#[tokio::test]
async fn renewed_sockets_have_other_ports_and_keep_their_connections() {
    let (listener, sockets) = (server_of(&[]), Sockets::new());
    let options = sharing(&listener, &sockets);
    let (old, accepted) = meet(&listener, TransportKind::Quic, &options).await;
    let (old, accepted) = (old.unwrap(), accepted.unwrap());
    sockets.renew().unwrap();
    let (new, newcomer) = meet(&listener, TransportKind::Quic, &options).await;
    assert_ne!(accepted.remote.port(), newcomer.unwrap().remote.port());
    assert!(new.is_ok());
    send_all(&mut old.connection.open_uni().await.unwrap(), Bytes::from_static(b"moved")).await;
    let mut stream = within(accepted.connection.accept_uni()).await.unwrap();
    assert_eq!(within(read_all(&mut stream)).await.unwrap(), b"moved");
}

#[tokio::test]
async fn an_endpoint_that_has_failed_is_replaced() {
    let (listener, sockets) = (server_of(&[]), Sockets::new());
    let options = sharing(&listener, &sockets);
    let (_first, _accepted) = meet(&listener, TransportKind::Quic, &options).await;
    sockets.endpoint(listener.local_addrs()[0], 0).unwrap().close(0_u32.into(), b"");
    let (connected, accepted) = meet(&listener, TransportKind::Quic, &options).await;
    assert!(connected.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn they_are_drained_when_every_connection_has_told_its_end() {
    let (listener, sockets) = (server_of(&[]), Sockets::new());
    within(sockets.drained()).await;
    let mut ends = Vec::new();
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let (connected, accepted) = meet(&listener, kind, &sharing(&listener, &sockets)).await;
        ends.push((connected.unwrap().connection, accepted.unwrap().connection));
    }
    for (client, _) in &ends {
        client.close(0x0, "bye");
    }
    within(sockets.drained()).await;
    for (_, server) in &ends {
        assert!(matches!(within(server.closed()).await, Lost::Peer { code: 0, .. }));
    }
}
