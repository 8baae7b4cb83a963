//! Two ends of a session, over every transport and in every draft.

use std::net::SocketAddr;
use std::time::Duration;

use moqingbird::wire::model::{
    Extensions, FullTrackName, ObjectHeader, ObjectStatus, Subscribe, TrackNamespace,
};
use moqingbird::{
    ClientOptions, Delivery, IncomingRequest, IncomingSubgroup, Publication, Server, ServerOptions, Session,
    SubgroupOptions, Subscription, TrackInfo, TransportKind, Trust, Version, connect, memory_pair,
};

/// A client's session and the server's, and what keeps them alive.
pub(crate) struct Ends {
    pub(crate) client: Session,
    pub(crate) server: Session,
    _listener: Option<Server>,
}

/// A session over a transport, in a draft. `way` tells the address by which the client reaches a server's address.
pub(crate) async fn ends(
    transport: TransportKind,
    version: Version,
    way: impl FnOnce(SocketAddr) -> SocketAddr,
) -> Ends {
    if transport == TransportKind::Memory {
        let (client, server) = memory_pair(version).await.expect("SETUP in memory");
        return Ends { client, server, _listener: None };
    }
    let mut options = ServerOptions::default();
    options.versions = vec![version];
    let listener = Server::bind(&options).expect("a free port on loopback");
    let address = way(listener.local_addrs()[0]);
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
    match tokio::time::timeout(Duration::from_secs(60), future).await {
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

/// The client subscribes to the server's track.
pub(crate) async fn subscribed(client: &Session, server: &Session) -> (Subscription, Publication) {
    let accepts = async {
        let IncomingRequest::Subscribe(request) = server.next_request().await.unwrap() else { panic!() };
        request.accept(TrackInfo::default()).unwrap()
    };
    let (subscription, publication) = tokio::join!(client.subscribe(Subscribe::new(track())), accepts);
    (subscription.unwrap(), publication)
}

/// The next delivery, which must be a stream.
pub(crate) async fn next_subgroup(subscription: &mut Subscription) -> IncomingSubgroup {
    match subscription.next().await.unwrap() {
        Some(Delivery::Subgroup(subgroup)) => subgroup,
        other => panic!("not a subgroup: {other:?}"),
    }
}

/// Subgroup 0 of a group.
pub(crate) fn options(group_id: u64) -> SubgroupOptions {
    SubgroupOptions { publisher_priority: 200, ..SubgroupOptions::new(group_id) }
}

/// The header of an object with a payload and no extensions.
pub(crate) fn object(object_id: u64, payload: &[u8]) -> ObjectHeader {
    ObjectHeader {
        object_id,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: payload.len() as u64,
    }
}

/// Makes a test of each scenario for every draft and transport; with `by ENDS:` over the networks only, what the scenario
/// is given being made by `ENDS(transport, version)`.
macro_rules! everywhere {
    ($($(#[$doc:meta])* $scenario:ident;)*) => {
        $(mod $scenario {
            everywhere!(@one $scenario draft_14_in_memory Memory Draft14 (everywhere!(@direct)));
            everywhere!(@one $scenario draft_16_in_memory Memory Draft16 (everywhere!(@direct)));
            everywhere!(@networks $scenario (everywhere!(@direct)));
        })*
    };
    (by $ends:path: $($(#[$doc:meta])* $scenario:ident;)*) => {
        $(mod $scenario {
            everywhere!(@networks $scenario ($ends));
        })*
    };
    (@direct) => {
        |transport, version| $crate::net::ends(transport, version, |server| server)
    };
    (@networks $scenario:ident $ends:tt) => {
        everywhere!(@one $scenario draft_14_over_quic Quic Draft14 $ends);
        everywhere!(@one $scenario draft_16_over_quic Quic Draft16 $ends);
        everywhere!(@one $scenario draft_14_over_webtransport WebTransport Draft14 $ends);
        everywhere!(@one $scenario draft_16_over_webtransport WebTransport Draft16 $ends);
    };
    (@one $scenario:ident $name:ident $transport:ident $version:ident ($ends:expr)) => {
        #[tokio::test]
        async fn $name() {
            use moqingbird::{TransportKind, Version};
            let ends = ($ends)(TransportKind::$transport, Version::$version).await;
            $crate::net::soon(stringify!($scenario), $crate::$scenario(ends)).await;
        }
    };
}
