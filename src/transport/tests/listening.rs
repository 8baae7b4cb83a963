//! One port for everything, several addresses, and the ways in which nobody answers.

use std::net::UdpSocket;
use std::sync::Arc;

use super::super::client::connect_at;
use super::super::config::Limits;
use super::*;

#[tokio::test]
async fn one_port_serves_every_draft_and_webtransport() {
    let listener = server_of(&[]);
    for (kind, version) in [
        (TransportKind::Quic, Version::Draft16),
        (TransportKind::Quic, Version::Draft14),
        (TransportKind::WebTransport, Version::Draft16),
        (TransportKind::WebTransport, Version::Draft14),
    ] {
        let options = ConnectOptions { versions: vec![version], ..trusting(&listener) };
        let (connected, accepted) = meet(&listener, kind, &options).await;
        assert_eq!((connected.unwrap().version, accepted.as_ref().unwrap().version), (version, version));
        assert_eq!(accepted.unwrap().connection.kind(), kind);
    }
}

#[tokio::test]
async fn every_address_is_served() {
    let addresses = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    let listener = Listener::bind(&ServerOptions { addresses, ..ServerOptions::default() }).unwrap();
    let options = trusting(&listener);
    for address in listener.local_addrs() {
        let url = format!("moqt://{address}").parse().unwrap();
        let accept = async { listener.accept().await.unwrap().handshake().await };
        let (connected, accepted) = within(async { tokio::join!(connect(&url, &options), accept) }).await;
        assert_eq!(connected.unwrap().connection.remote_address(), Some(*address));
        assert!(accepted.is_ok());
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let listener = server_of(&[]);
    let taken = listener.local_addrs()[0];
    let error =
        Listener::bind(&ServerOptions { addresses: vec![taken], ..ServerOptions::default() }).unwrap_err();
    assert!(matches!(error, BindError::Address { address, .. } if address == taken), "{error}");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[tokio::test]
async fn a_closed_listener_accepts_nobody() {
    let listener = server_of(&[]);
    let (accepted, ()) =
        within(async { tokio::join!(listener.accept(), async { listener.close(0, "done") }) }).await;
    assert!(accepted.is_none());
    within(listener.drained()).await;
}

#[tokio::test]
async fn closing_the_listener_ends_its_connections() {
    let listener = server_of(&[]);
    let (connected, accepted) = meet(&listener, TransportKind::Quic, &trusting(&listener)).await;
    listener.close(0x4, "shutting down");
    let lost = within(connected.unwrap().connection.closed()).await;
    assert_eq!(lost, Lost::Peer { code: 0x4, reason: "shutting down".to_owned() });
    assert_eq!(within(accepted.unwrap().connection.closed()).await, Lost::Local);
}

#[tokio::test]
async fn an_accepted_connection_outlives_its_listener() {
    let Pair { client, server, _listener } = connected(TransportKind::Quic).await;
    drop(_listener);
    within(async {
        send_all(&mut client.open_uni().await.unwrap(), Bytes::from_static(b"on")).await;
        assert_eq!(read_all(&mut server.accept_uni().await.unwrap()).await.unwrap(), b"on");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_says_nothing_after_quics_handshake_holds_up_nobody() {
    let options = ServerOptions { handshake_timeout: Duration::from_millis(400), ..ServerOptions::default() };
    let listener = Listener::bind(&options).unwrap();
    // An HTTP/3 client that never sends its CONNECT request.
    let rule = Trust::Insecure.load().unwrap();
    let tls = tls::client(&[web::ALPN], tls::Verifier::new(rule), None).unwrap();
    let endpoint = config::endpoint("127.0.0.1:0".parse().unwrap(), 65_536, None).unwrap();
    let silent =
        endpoint.connect_with(quinn::ClientConfig::new(tls), listener.local_addrs()[0], "localhost").unwrap();
    let slow = within(listener.accept()).await.unwrap();
    let slow = tokio::spawn(slow.handshake());
    let _silent = within(silent).await.unwrap();

    let (connected, accepted) = meet(&listener, TransportKind::WebTransport, &trusting(&listener)).await;
    assert!(connected.is_ok() && accepted.is_ok());
    let error = within(slow).await.unwrap().unwrap_err();
    assert_eq!(error.failure, AcceptFailure::TimedOut);
}

#[tokio::test]
async fn a_silent_first_address_does_not_keep_a_client_from_the_second() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = server_of(&[]);
    let (url, options) = (url_of(&listener, TransportKind::Quic), trusting(&listener));
    let addresses = vec![nobody.local_addr().unwrap(), listener.local_addrs()[0]];
    let accept = async { listener.accept().await.unwrap().handshake().await };
    let connect = connect_at(&url, addresses, &options);
    let (connected, accepted) = within(async { tokio::join!(connect, accept) }).await;
    assert_eq!(connected.unwrap().connection.remote_address(), Some(listener.local_addrs()[0]));
    assert!(accepted.is_ok());
}

#[tokio::test]
async fn a_name_is_reached_at_whichever_of_its_addresses_answers() {
    // On most machines this name is ::1 first, where nobody listens.
    let listener = server_of(&[]);
    let url = format!("moqt://localhost:{}", listener.local_addrs()[0].port()).parse().unwrap();
    let options = trusting(&listener);
    let accept = async { listener.accept().await.unwrap().handshake().await };
    let (connected, accepted) = within(async { tokio::join!(connect(&url, &options), accept) }).await;
    assert_eq!(connected.unwrap().connection.remote_address(), Some(listener.local_addrs()[0]));
    assert!(accepted.is_ok());
}

#[tokio::test]
async fn silence_ends_a_connection_and_is_no_orderly_close() {
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let listener = server_of(&[]);
        let web = kind == TransportKind::WebTransport;
        // A client that allows 200 ms of silence, which binds both ends (RFC 9000 §10.1), and keeps nothing alive.
        let protocol = if web { web::ALPN } else { "moqt-16" };
        let tls =
            tls::client(&[protocol], tls::Verifier::new(Trust::Insecure.load().unwrap()), None).unwrap();
        let mut transport = quinn::TransportConfig::default();
        transport.max_idle_timeout(Some(Duration::from_millis(200).try_into().unwrap()));
        let mut config = quinn::ClientConfig::new(tls);
        config.transport_config(Arc::new(transport));
        let endpoint = config::endpoint("127.0.0.1:0".parse().unwrap(), 65_536, None).unwrap();
        let connecting = endpoint.connect_with(config, listener.local_addrs()[0], "localhost").unwrap();
        let connect = async {
            let connection = connecting.await.unwrap();
            if web {
                let url = url_of(&listener, kind);
                web::connect(connection, url.as_url(), &[], String::new(), Some(endpoint))
                    .await
                    .unwrap()
                    .into()
            } else {
                Connection::from(quic::Quic::new(
                    connection,
                    String::new(),
                    Some(endpoint),
                    Limits::default(),
                ))
            }
        };
        let accept = async { listener.accept().await.unwrap().handshake().await };
        let (client, accepted) = within(async { tokio::join!(connect, accept) }).await;
        for end in [client, accepted.unwrap().connection] {
            // Over WebTransport quinn's own reason is lost.
            let lost = within(end.closed()).await;
            let silent = lost == Lost::TimedOut || web && matches!(lost, Lost::Transport(_));
            assert!(silent, "{kind}: {lost}");
        }
    }
}

#[tokio::test]
async fn where_nobody_answers_the_error_says_what_was_tried() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    let url: ServerUrl = format!("moqt://{address}/live").parse().unwrap();
    let timeout = Duration::from_millis(300);
    let options = ConnectOptions { timeout, trust: Trust::Insecure, ..ConnectOptions::default() };
    let error = within(connect(&url, &options)).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::TimedOut { after } if *after == timeout), "{error}");
    assert_eq!((error.url(), error.address()), (&url, Some(address)));
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot connect to {url} (quic, draft-16 or draft-14, at {address}): ")),
        "{text}"
    );
}

#[tokio::test]
async fn a_name_without_an_address_is_said() {
    // RFC 6761 §6.4: `invalid` never resolves.
    let url: ServerUrl = "moqt://moqingbird.invalid:4443".parse().unwrap();
    let options = ConnectOptions { trust: Trust::Insecure, ..ConnectOptions::default() };
    let error = within(connect(&url, &options)).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::Resolve(_)), "{error}");
}

#[tokio::test]
async fn a_listener_that_is_gone_answers_nobody() {
    let Pair { client: _client, server: _server, _listener } = connected(TransportKind::Quic).await;
    let listener = _listener.unwrap();
    let url = url_of(&listener, TransportKind::Quic);
    let options = ConnectOptions { timeout: Duration::from_millis(300), ..trusting(&listener) };
    drop(listener);
    let error = within(connect(&url, &options)).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_server_without_webtransport_has_no_common_protocol() {
    // A QUIC server of another trade.
    let certificate = tls::Reloading::new(ServerCertificate::Development).unwrap();
    let hash = certificate.hash();
    let tls = tls::server(&["chat"], certificate, None).unwrap();
    let server = quinn::ServerConfig::with_crypto(tls);
    let endpoint = config::endpoint("127.0.0.1:0".parse().unwrap(), 65_536, Some(server)).unwrap();
    let address = endpoint.local_addr().unwrap();
    let options = ConnectOptions { trust: Trust::Pinned(vec![hash]), ..ConnectOptions::default() };
    let serve = tokio::spawn(async move { endpoint.accept().await.unwrap().await.is_err() });
    let url = format!("https://{address}/").parse().unwrap();
    let error = within(connect(&url, &options)).await.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::NoCommonProtocol), "{error}");
    assert!(serve.await.unwrap());
}

#[tokio::test]
async fn a_client_can_wait_until_its_last_packets_have_left() {
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let Pair { client, server, _listener } = connected(kind).await;
        client.close(0x2, "bye");
        assert_eq!(within(client.closed()).await, Lost::Local);
        within(client.drained()).await;
        assert_eq!(within(server.closed()).await, Lost::Peer { code: 0x2, reason: "bye".to_owned() });
    }
}

#[tokio::test]
async fn a_client_may_have_to_show_where_it_is() {
    let listener = server_of(&[]);
    let url = format!("moqt://{}", listener.local_addrs()[0]).parse().unwrap();
    let accept = async {
        let first = listener.accept().await.unwrap();
        assert!(!first.is_validated());
        assert!(first.retry());
        let second = listener.accept().await.unwrap();
        assert!(second.is_validated());
        second.handshake().await
    };
    let options = trusting(&listener);
    let (connected, accepted) = within(async { tokio::join!(connect(&url, &options), accept) }).await;
    assert!(connected.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn a_client_that_is_turned_away_hears_it_at_once() {
    let listener = server_of(&[]);
    let url = format!("moqt://{}", listener.local_addrs()[0]).parse().unwrap();
    let refuse = async { listener.accept().await.unwrap().refuse() };
    let options = trusting(&listener);
    let (connected, ()) = within(async { tokio::join!(connect(&url, &options), refuse) }).await;
    let error = connected.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_newcomers_alone() {
    let listener = server_of(&[]);
    let old = trusting(&listener);
    let (connected, accepted) = meet(&listener, TransportKind::Quic, &old).await;
    let (client, server) = (connected.unwrap().connection, accepted.unwrap().connection);
    let before = listener.certificate_sha256();
    let hash = listener.show(&ServerCertificate::Development).unwrap();
    assert_ne!(hash, before);
    assert_eq!(listener.certificate_sha256(), hash);
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let (connected, accepted) = meet(&listener, kind, &trusting(&listener)).await;
        assert!(connected.is_ok() && accepted.is_ok());
    }
    assert!(meet(&listener, TransportKind::Quic, &old).await.0.is_err());
    within(async {
        send_all(&mut client.open_uni().await.unwrap(), Bytes::from_static(b"on")).await;
        assert_eq!(read_all(&mut server.accept_uni().await.unwrap()).await.unwrap(), b"on");
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_leaves_the_old_one() {
    let listener = server_of(&[]);
    let before = listener.certificate_sha256();
    let nothing = || Pem::Path("/nothing/there.pem".into());
    let shown = listener.show(&ServerCertificate::Pem { chain: nothing(), key: nothing() });
    assert!(matches!(shown, Err(BindError::Certificate(_))));
    assert_eq!(listener.certificate_sha256(), before);
    let (connected, _) = meet(&listener, TransportKind::Quic, &trusting(&listener)).await;
    assert!(connected.is_ok());
}

#[tokio::test]
async fn a_client_opens_no_more_streams_than_it_may() {
    let options = ServerOptions { max_streams: 3, ..ServerOptions::default() };
    let listener = Listener::bind(&options).unwrap();
    let (connected, accepted) = meet(&listener, TransportKind::Quic, &trusting(&listener)).await;
    let (client, _server) = (connected.unwrap().connection, accepted.unwrap().connection);
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(within(client.open_uni()).await.unwrap());
    }
    let fourth = tokio::time::timeout(Duration::from_millis(100), client.open_uni()).await;
    assert!(fourth.is_err());
}
