//! Two ends of a session, over every transport and in every draft.

use std::time::Duration;

use moqingbird::wire::model::{FullTrackName, TrackNamespace};
use moqingbird::{
    ClientOptions, Server, ServerOptions, Session, TransportKind, Trust, Version, connect, memory_pair,
};

/// A client's session and the server's, and what keeps them alive.
pub(crate) struct Ends {
    pub(crate) client: Session,
    pub(crate) server: Session,
    _listener: Option<Server>,
}

/// A session over a transport, in a draft.
pub(crate) async fn ends(transport: TransportKind, version: Version) -> Ends {
    if transport == TransportKind::Memory {
        let (client, server) = memory_pair(version).await.expect("SETUP in memory");
        return Ends { client, server, _listener: None };
    }
    let mut options = ServerOptions::default();
    options.versions = vec![version];
    let listener = Server::bind(&options).expect("a free port on loopback");
    let address = listener.local_addrs()[0];
    let scheme = if transport == TransportKind::Quic { "moqt" } else { "https" };
    let url = format!("{scheme}://{address}/").parse().expect("a URL");
    let mut options = ClientOptions::default();
    options.connect.versions = vec![version];
    options.connect.trust = Trust::Pinned(vec![listener.certificate_sha256()]);
    let (client, server) = tokio::join!(connect(&url, &options), async {
        listener.accept().await.expect("the server is open").accept().await
    });
    Ends {
        client: client.expect("the client connects"),
        server: server.expect("the server accepts"),
        _listener: Some(listener),
    }
}

/// Awaits with a bound, so that a hang is a failure with a name.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(10), future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

/// The namespace `live/cam`.
pub(crate) fn namespace() -> TrackNamespace {
    TrackNamespace::from_path("live/cam").expect("a short namespace")
}

/// The track `video` in it.
pub(crate) fn track() -> FullTrackName {
    FullTrackName::new(namespace(), "video").expect("a short name")
}

/// Makes a test of each scenario for every draft and transport.
macro_rules! everywhere {
    ($($(#[$doc:meta])* $scenario:ident;)*) => {
        $(mod $scenario {
            use moqingbird::{TransportKind, Version};
            everywhere!(@one $scenario draft_14_in_memory Memory Draft14);
            everywhere!(@one $scenario draft_16_in_memory Memory Draft16);
            everywhere!(@one $scenario draft_14_over_quic Quic Draft14);
            everywhere!(@one $scenario draft_16_over_quic Quic Draft16);
            everywhere!(@one $scenario draft_14_over_webtransport WebTransport Draft14);
            everywhere!(@one $scenario draft_16_over_webtransport WebTransport Draft16);
        })*
    };
    (@one $scenario:ident $name:ident $transport:ident $version:ident) => {
        #[tokio::test]
        async fn $name() {
            let ends = $crate::net::ends(TransportKind::$transport, Version::$version).await;
            $crate::net::soon(stringify!($scenario), crate::$scenario(ends)).await;
        }
    };
}
