//! Which draft is agreed, or why none, for each pair of allowed sets.

use super::*;

const BOTH: &[Version] = &[Version::Draft16, Version::Draft14];
const ONLY_14: &[Version] = &[Version::Draft14];
const ONLY_16: &[Version] = &[Version::Draft16];

/// The draft on which a client and a server with these allowed sets agree.
async fn agreed(kind: TransportKind, client: &[Version], server: &[Version]) -> (Version, Option<String>) {
    let listener = server_of(server);
    let options = ConnectOptions { versions: client.to_vec(), ..trusting(&listener) };
    let (connected, accepted) = meet(&listener, kind, &options).await;
    let (connected, accepted) = (connected.unwrap(), accepted.unwrap());
    assert_eq!(connected.version, accepted.version);
    assert_eq!(connected.connection.protocol(), accepted.connection.protocol());
    (connected.version, connected.connection.protocol())
}

fn named(version: Version) -> (Version, Option<String>) {
    (version, Some(version.protocol().to_owned()))
}

#[tokio::test]
async fn raw_quic_agrees_on_the_newest_draft_in_common() {
    let quic = TransportKind::Quic;
    assert_eq!(agreed(quic, BOTH, BOTH).await, named(Version::Draft16));
    assert_eq!(agreed(quic, BOTH, ONLY_14).await, named(Version::Draft14));
    assert_eq!(agreed(quic, ONLY_14, BOTH).await, named(Version::Draft14));
    assert_eq!(agreed(quic, ONLY_16, BOTH).await, named(Version::Draft16));
}

#[tokio::test]
async fn webtransport_agrees_on_the_newest_draft_in_common() {
    let web = TransportKind::WebTransport;
    assert_eq!(agreed(web, BOTH, BOTH).await, named(Version::Draft16));
    assert_eq!(agreed(web, BOTH, ONLY_14).await, named(Version::Draft14));
    assert_eq!(agreed(web, ONLY_16, BOTH).await, named(Version::Draft16));
}

#[tokio::test]
async fn webtransport_with_draft_14_alone_names_no_protocol() {
    let web = TransportKind::WebTransport;
    assert_eq!(agreed(web, ONLY_14, BOTH).await, (Version::Draft14, None));
    assert_eq!(agreed(web, ONLY_14, ONLY_14).await, (Version::Draft14, None));
}

#[tokio::test]
async fn raw_quic_without_a_draft_in_common_has_no_common_protocol() {
    for (client, server) in [(ONLY_14, ONLY_16), (ONLY_16, ONLY_14)] {
        let listener = server_of(server);
        let options = ConnectOptions { versions: client.to_vec(), ..trusting(&listener) };
        let (connected, accepted) = meet(&listener, TransportKind::Quic, &options).await;
        let error = connected.unwrap_err();
        assert!(matches!(error.failure(), ConnectFailure::NoCommonProtocol), "{error}");
        assert_eq!(error.versions(), client);
        assert!(matches!(accepted.unwrap_err().failure, AcceptFailure::Quic(Lost::Transport(_))));
    }
}

#[tokio::test]
async fn webtransport_without_a_draft_in_common_is_refused_with_a_status() {
    let listener = server_of(ONLY_14);
    let options = ConnectOptions { versions: ONLY_16.to_vec(), ..trusting(&listener) };
    let log = warnings(async {
        let (connected, accepted) = meet(&listener, TransportKind::WebTransport, &options).await;
        let error = connected.unwrap_err();
        assert!(matches!(error.failure(), ConnectFailure::WebTransport { status: 400 }), "{error}");
        let offered = vec!["moqt-16".to_owned()];
        assert_eq!(accepted.unwrap_err().failure, AcceptFailure::NoCommonVersion { offered });
    });
    let log = log.await;
    assert!(log.contains("WARN") && log.contains("[\"moqt-16\"]") && log.contains("[\"moq-00\"]"), "{log}");
}

#[tokio::test]
async fn webtransport_with_nothing_offered_is_refused_where_draft_14_is_not_allowed() {
    let listener = server_of(ONLY_16);
    let options = ConnectOptions { versions: ONLY_14.to_vec(), ..trusting(&listener) };
    let (connected, accepted) = meet(&listener, TransportKind::WebTransport, &options).await;
    assert!(matches!(connected.unwrap_err().failure(), ConnectFailure::WebTransport { status: 400 }));
    assert_eq!(accepted.unwrap_err().failure, AcceptFailure::NoCommonVersion { offered: Vec::new() });
}

#[tokio::test]
async fn the_server_learns_path_and_authority_of_a_webtransport_request() {
    let listener = server_of(BOTH);
    let (connected, accepted) = meet(&listener, TransportKind::WebTransport, &trusting(&listener)).await;
    let (_connected, accepted) = (connected.unwrap(), accepted.unwrap());
    assert_eq!(accepted.path.as_deref(), Some("/live?a=b"));
    assert_eq!(accepted.authority, Some(listener.local_addrs()[0].to_string()));
}

#[tokio::test]
async fn raw_quic_leaves_path_and_authority_to_the_setup_message() {
    let listener = server_of(BOTH);
    let (connected, accepted) = meet(&listener, TransportKind::Quic, &trusting(&listener)).await;
    let (connected, accepted) = (connected.unwrap(), accepted.unwrap());
    assert_eq!((accepted.path, accepted.authority), (None, None));
    assert_eq!(connected.connection.remote_address(), Some(listener.local_addrs()[0]));
    assert_eq!(accepted.connection.remote_address(), Some(accepted.remote));
}
