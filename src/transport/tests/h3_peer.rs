//! Our WebTransport client against an independent HTTP/3 stack.

use h3::ext::Protocol;
use http::Method;
use moqingbird_ledger::covers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::h3_server::H3Server;
use super::*;

/// How our client fails on a CONNECT that is answered with this status and this `wt-protocol`, as written.
async fn answered(status: u16, protocol: Option<&str>) -> ConnectError {
    let server = H3Server::bind();
    let hash = CertificateHash::of(server.certificate());
    let options = ConnectOptions { trust: Trust::Pinned(vec![hash]), ..ConnectOptions::default() };
    let url = format!("https://{}/", server.address()).parse().unwrap();
    let answer = async {
        let (_request, mut stream, http) = server.request().await;
        let mut response = http::Response::builder().status(status);
        if let Some(protocol) = protocol {
            response = response.header("wt-protocol", protocol);
        }
        stream.send_response(response.body(()).unwrap()).await.unwrap();
        (stream, http)
    };
    let (connected, _kept) = within(async { tokio::join!(connect(&url, &options), answer) }).await;
    connected.unwrap_err()
}

/// A client of these drafts, the request that it made, and what keeps the connection, after a 200 that names this
/// protocol.
async fn asked(
    versions: &[Version],
    protocol: Option<&str>,
) -> (Result<Connected, ConnectError>, http::Request<()>, impl Sized + use<>) {
    let server = H3Server::bind();
    let trust = Trust::Pinned(vec![CertificateHash::of(server.certificate())]);
    let options = ConnectOptions { trust, versions: versions.to_vec(), ..ConnectOptions::default() };
    let url = format!("https://{}/live/cam?a=b", server.address()).parse().unwrap();
    let answer = async {
        let (request, mut stream, http) = server.request().await;
        let mut response = http::Response::builder();
        if let Some(protocol) = protocol {
            response = response.header("wt-protocol", format!("\"{protocol}\""));
        }
        stream.send_response(response.body(()).unwrap()).await.unwrap();
        let authority = request.uri().authority().unwrap().as_str();
        assert_eq!(authority, server.address().to_string());
        (request, (stream, http))
    };
    let (connected, (request, kept)) = within(async { tokio::join!(connect(&url, &options), answer) }).await;
    (connected, request, kept)
}

#[tokio::test]
async fn a_session_is_asked_for_by_extended_connect_to_the_urls_host_and_path() {
    covers!("D14-3.1.1-01");
    let (_connected, request, _kept) = asked(&[], None).await;
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.extensions().get::<Protocol>(), Some(&Protocol::WEB_TRANSPORT));
    assert_eq!(request.uri().scheme_str(), Some("https"));
    assert_eq!(request.uri().path_and_query().unwrap(), "/live/cam?a=b");
}

#[tokio::test]
async fn draft_16_is_offered_by_name_and_spoken_only_where_it_was_chosen() {
    covers!("D16-3.1-03");
    let (connected, request, _kept) = asked(&[], Some("moqt-16")).await;
    assert_eq!(request.headers()["wt-available-protocols"], "\"moqt-16\", \"moq-00\"");
    assert_eq!(connected.unwrap().version, Version::Draft16);
    for answer in [None, Some("moq-00")] {
        let (connected, _request, _kept) = asked(&[], answer).await;
        assert_eq!(connected.unwrap().version, Version::Draft14);
    }
    let (connected, request, _kept) = asked(&[Version::Draft16], None).await;
    assert_eq!(request.headers()["wt-available-protocols"], "\"moqt-16\"");
    assert!(matches!(connected.unwrap_err().failure(), ConnectFailure::VersionMismatch { answered: None }));
}

#[tokio::test]
async fn a_refusing_status_is_told() {
    assert!(matches!(answered(404, None).await.failure(), ConnectFailure::WebTransport { status: 404 }));
    assert!(matches!(answered(500, None).await.failure(), ConnectFailure::WebTransport { status: 500 }));
}

#[tokio::test]
async fn a_bare_webtransport_request_tells_status_and_protocol() {
    for (status, protocol) in [(200, Some("chat")), (200, None), (404, None), (503, None)] {
        let server = H3Server::bind();
        let trust = Trust::Pinned(vec![CertificateHash::of(server.certificate())]);
        let options = ConnectOptions { trust, ..ConnectOptions::default() };
        let url = format!("https://{}/live", server.address()).parse().unwrap();
        let answer = async {
            let (request, mut stream, http) = server.request().await;
            assert_eq!(request.headers()["wt-available-protocols"], "\"none-such\", \"chat\"");
            let mut response = http::Response::builder().status(status);
            if let Some(protocol) = protocol {
                response = response.header("wt-protocol", format!("\"{protocol}\""));
            }
            stream.send_response(response.body(()).unwrap()).await.unwrap();
            (stream, http)
        };
        let asked = ask_web_transport(&url, &options, &["none-such", "chat"]);
        let (answered, _kept) = within(async { tokio::join!(asked, answer) }).await;
        let expected = WebTransportAnswer { status, protocol: protocol.map(str::to_owned) };
        assert_eq!(answered.unwrap(), expected);
    }
}

#[tokio::test]
async fn an_unquoted_protocol_answer_is_told_by_name() {
    assert!(matches!(answered(200, Some("moqt-16")).await.failure(), ConnectFailure::MalformedProtocol));
}

#[tokio::test]
async fn a_protocol_that_was_not_offered_is_told() {
    let error = answered(200, Some("\"moqt-99\"")).await;
    assert!(
        matches!(error.failure(), ConnectFailure::VersionMismatch { answered: Some(name) } if name == "moqt-99")
    );
}

/// A client connected to the independent server, which answers no `wt-protocol`.
async fn connected_to_h3() -> (Connected, h3_server::H3Session) {
    let server = H3Server::bind();
    let hash = CertificateHash::of(server.certificate());
    let options = ConnectOptions { trust: Trust::Pinned(vec![hash]), ..ConnectOptions::default() };
    let url = format!("https://{}/", server.address()).parse().unwrap();
    let (connected, session) = within(async { tokio::join!(connect(&url, &options), server.accept()) }).await;
    (connected.unwrap(), session)
}

#[tokio::test]
async fn an_answer_without_a_protocol_means_draft_14() {
    let (connected, _session) = connected_to_h3().await;
    assert_eq!(connected.version, Version::Draft14);
    assert_eq!(connected.connection.protocol(), None);
}

#[tokio::test]
async fn an_answer_without_a_protocol_is_refused_where_draft_14_is_not_allowed() {
    let server = H3Server::bind();
    let trust = Trust::Pinned(vec![CertificateHash::of(server.certificate())]);
    let options = ConnectOptions { trust, versions: vec![Version::Draft16], ..ConnectOptions::default() };
    let url = format!("https://{}/", server.address()).parse().unwrap();
    let (connected, _session) =
        within(async { tokio::join!(connect(&url, &options), server.accept()) }).await;
    let error = connected.unwrap_err();
    assert!(matches!(error.failure(), ConnectFailure::VersionMismatch { answered: None }), "{error}");
}

#[tokio::test]
async fn bytes_flow_both_ways_on_a_bidirectional_stream() {
    let (connected, session) = connected_to_h3().await;
    within(async {
        let (mut send, mut recv) = connected.connection.open_bi().await.unwrap();
        send_all(&mut send, Bytes::from_static(b"question")).await;
        let mut theirs = session.accept_bi().await;
        let mut asked = Vec::new();
        theirs.read_to_end(&mut asked).await.unwrap();
        assert_eq!(asked, b"question");
        theirs.write_all(b"answer").await.unwrap();
        theirs.shutdown().await.unwrap();
        assert_eq!(read_all(&mut recv).await.unwrap(), b"answer");
    })
    .await;
}

#[tokio::test]
async fn bytes_flow_on_unidirectional_streams_of_either_side() {
    let (connected, session) = connected_to_h3().await;
    within(async {
        send_all(&mut connected.connection.open_uni().await.unwrap(), payload(100_000)).await;
        let mut received = Vec::new();
        session.accept_uni().await.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, payload(100_000));

        let mut theirs = session.open_uni().await;
        theirs.write_all(b"an object").await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut recv = connected.connection.accept_uni().await.unwrap();
        assert_eq!(read_all(&mut recv).await.unwrap(), b"an object");
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_connect_stream_without_a_capsule_is_no_orderly_close() {
    let server = H3Server::bind();
    let trust = Trust::Pinned(vec![CertificateHash::of(server.certificate())]);
    let options = ConnectOptions { trust, ..ConnectOptions::default() };
    let url = format!("https://{}/", server.address()).parse().unwrap();
    let answer_and_end = async {
        let (_request, mut stream, http) = server.request().await;
        stream.send_response(http::Response::new(())).await.unwrap();
        stream.finish().await.unwrap();
        (stream, http)
    };
    let (connected, _kept) = within(async { tokio::join!(connect(&url, &options), answer_and_end) }).await;
    let lost = within(connected.unwrap().connection.closed()).await;
    assert!(matches!(lost, Lost::Transport(_)), "{lost}");
}

#[tokio::test]
async fn a_close_below_the_session_is_the_transports() {
    let (connected, session) = connected_to_h3().await;
    drop(session);
    let lost = within(connected.connection.closed()).await;
    assert!(matches!(lost, Lost::Transport(_)), "{lost}");
}
