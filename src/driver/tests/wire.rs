//! What the two ends say and take over real transports, each seen by a peer that knows no rule.

use moqingbird_ledger::covers;
use moqingbird_wire::model::{DatagramBody, Message, Setup};

use super::publisher::Publisher;
use super::raw::{self, Lane, Raw};
use super::*;
use crate::transport::{Accepted, Listener};
use crate::{
    ClientOptions, ConnectOptions, Delivery, ServerOptions, ServerUrl, SubgroupError, SubgroupOptions,
    TransportKind, Trust, connect,
};

/// What a client says at the start: the CLIENT_SETUP, and the path of the request that carried the session, if one did.
struct Greeting {
    setup: Setup,
    path: Option<String>,
    authority: String,
}

/// A client's greeting of a server at `rest` of a URL, behind the authority.
async fn greeting(kind: TransportKind, version: Version, rest: &str) -> Greeting {
    let options = ServerOptions { versions: vec![version], ..ServerOptions::default() };
    let listener = Listener::bind(&options).unwrap();
    let authority = listener.local_addrs()[0].to_string();
    let scheme = if kind == TransportKind::Quic { "moqt" } else { "https" };
    let url: ServerUrl = format!("{scheme}://{authority}{rest}").parse().unwrap();
    let trust = Trust::Pinned(vec![listener.certificate_sha256()]);
    let connect_options = ConnectOptions { versions: vec![version], trust, ..ConnectOptions::default() };
    let options = ClientOptions { connect: connect_options, ..ClientOptions::default() };
    let greets = async {
        let Accepted { connection, path, .. } = listener.accept().await.unwrap().handshake().await.unwrap();
        let raw = Raw { connection, draft: version.draft() };
        let mut control = raw.accept_lane().await;
        let Message::ClientSetup(setup) = control.hear().await else { panic!("not CLIENT_SETUP") };
        say_server_setup(&raw, &mut control).await;
        (setup, path, raw, control)
    };
    let (session, (setup, path, _raw, _control)) =
        within(async { tokio::join!(connect(&url, &options), greets) }).await;
    session.unwrap();
    Greeting { setup, path, authority }
}

async fn say_server_setup(raw: &Raw, control: &mut Lane) {
    let versions = raw.draft.rules().setup_version.into_iter().collect();
    control.say(&Message::ServerSetup(Setup { versions, max_request_id: 100, ..Setup::default() })).await;
}

/// What a server answers a client's SETUP with.
async fn answer(kind: TransportKind, version: Version) -> Setup {
    let (raw, _session, _server, ..) = raw::server_of(kind, version).await;
    let mut control = raw.open_lane().await;
    let versions = raw.draft.rules().setup_version.into_iter().collect();
    let mut setup = Setup { versions, max_request_id: 100, ..Setup::default() };
    if kind == TransportKind::Quic {
        setup.path = Some(Bytes::from_static(b"/"));
        setup.authority = Some(Bytes::from_static(b"127.0.0.1"));
    }
    control.say(&Message::ClientSetup(setup)).await;
    let Message::ServerSetup(setup) = control.hear().await else { panic!("not SERVER_SETUP") };
    setup
}

/// Neither a WebTransport client nor a server on any transport says where it is.
async fn silent_about_the_place(version: Version) {
    let web = greeting(TransportKind::WebTransport, version, "/live?a=b").await;
    assert_eq!((web.setup.path, web.setup.authority), (None, None));
    assert_eq!(web.path.as_deref(), Some("/live?a=b"));
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        let setup = within(answer(kind, version)).await;
        assert_eq!((setup.path, setup.authority), (None, None), "{kind}");
    }
}

#[tokio::test]
async fn path_and_authority_are_said_by_no_server_and_not_over_webtransport_in_draft_14() {
    covers!("D14-9.3.2.1-01", "D14-9.3.2.2-01");
    silent_about_the_place(Version::Draft14).await;
}

#[tokio::test]
async fn path_and_authority_are_said_by_no_server_and_not_over_webtransport_in_draft_16() {
    covers!("D16-9.3.1.1-01", "D16-9.3.1.2-01", "D16-3.1.1-01");
    silent_about_the_place(Version::Draft16).await;
}

#[tokio::test]
async fn a_client_over_quic_says_path_and_authority_of_its_url() {
    covers!("D16-3.2-01", "D16-9.3.1.2-03", "D16-3.1.2-03");
    for version in [Version::Draft14, Version::Draft16] {
        for rest in ["", "/a/b", "/.well-known/x?y=z"] {
            let Greeting { setup, authority, .. } = greeting(TransportKind::Quic, version, rest).await;
            assert_eq!(setup.path.as_deref(), Some(rest.as_bytes()));
            assert_eq!(setup.authority.as_deref(), Some(authority.as_bytes()));
        }
    }
}

#[tokio::test]
async fn the_name_of_the_implementation_is_text() {
    covers!("D14-9.3.2.6-01", "D16-9.3.1.6-01");
    for version in [Version::Draft14, Version::Draft16] {
        let client = greeting(TransportKind::Quic, version, "/").await.setup;
        let server = within(answer(TransportKind::Quic, version)).await;
        for setup in [client, server] {
            let name = setup.implementation.unwrap();
            assert!(std::str::from_utf8(&name).unwrap().starts_with("moqingbird/"));
        }
        // What others say need not be text.
        let (raw, _session) = raw::server_of_memory(version);
        let mut control = raw.open_lane().await;
        let versions = raw.draft.rules().setup_version.into_iter().collect();
        let implementation = Some(Bytes::from_static(&[0xff, 0xfe]));
        control.say(&Message::ClientSetup(Setup { versions, implementation, ..Setup::default() })).await;
        assert!(matches!(within(control.hear()).await, Message::ServerSetup(_)));
    }
}

/// Makes a test of each publisher by hand, for every draft, whose subscriber is a server over each real transport.
macro_rules! to_a_subscriber {
    ($($scenario:ident;)*) => {
        $(mod $scenario {
            use super::*;
            to_a_subscriber!(@one $scenario draft_14_over_quic Quic Draft14);
            to_a_subscriber!(@one $scenario draft_16_over_quic Quic Draft16);
            to_a_subscriber!(@one $scenario draft_14_over_webtransport WebTransport Draft14);
            to_a_subscriber!(@one $scenario draft_16_over_webtransport WebTransport Draft16);
        })*
    };
    (@one $scenario:ident $name:ident $kind:ident $version:ident) => {
        #[tokio::test]
        async fn $name() {
            within(async {
                let publisher = Publisher::of(TransportKind::$kind, Version::$version).await;
                super::$scenario(publisher).await;
            })
            .await;
        }
    };
}

to_a_subscriber! {
    a_subgroup_id_says_nothing_across_groups;
    groups_arrive_in_any_order;
    a_jump_in_object_ids_is_no_object;
    datagrams_and_streams_are_told_apart;
    a_datagram_of_an_unknown_alias_harms_nobody;
    a_reset_within_an_object_harms_nobody;
    a_header_alone_is_a_stream;
    a_stream_that_ends_before_its_type_harms_nobody;
    what_a_subscription_leaves_behind_is_stopped;
}

async fn a_subgroup_id_says_nothing_across_groups(mut publisher: Publisher) {
    covers!("D14-2.2-03", "D16-2.2-03");
    for (group, priority) in [(4, 10), (5, 11)] {
        publisher.send(publisher.header(group, 1, priority), &[0, 1, b'x']).await;
        let mut subgroup = publisher.next_subgroup().await;
        assert_eq!((subgroup.group_id(), subgroup.subgroup_id()), (group, Some(1)));
        assert_eq!(subgroup.priority(), priority);
        assert_eq!(subgroup.next_object().await.unwrap().unwrap().payload, "x");
        assert_eq!(subgroup.next_object().await.unwrap(), None);
    }
    publisher.goes_on().await;
}

async fn groups_arrive_in_any_order(mut publisher: Publisher) {
    covers!("D14-2.3.1-03", "D16-2.3.1-03");
    for group in [5, 4] {
        publisher.send(publisher.header(group, 0, 128), &[0, 1, b'x']).await;
        let mut subgroup = publisher.next_subgroup().await;
        assert_eq!(subgroup.group_id(), group);
        assert_eq!(subgroup.next_object().await.unwrap().unwrap().payload, "x");
    }
    publisher.goes_on().await;
}

async fn a_jump_in_object_ids_is_no_object(mut publisher: Publisher) {
    covers!("D14-10.4.2-13");
    // Object 0, and then object 5: a delta of the distance less one.
    publisher.send(publisher.header(0, 0, 128), &[0, 1, b'a', 4, 1, b'b']).await;
    let mut subgroup = publisher.next_subgroup().await;
    let mut ids = Vec::new();
    while let Some(object) = subgroup.next_object().await.unwrap() {
        assert_eq!(object.header.status, ObjectStatus::Normal);
        ids.push(object.location.object);
    }
    assert_eq!(ids, [0, 5]);
}

async fn datagrams_and_streams_are_told_apart(mut publisher: Publisher) {
    covers!("D14-10.3-03", "D16-10.3.1-07", "D16-10.4.2-14");
    publisher.send_datagram(7, b"datagram").await;
    let Some(Delivery::Datagram(datagram)) = publisher.subscription.next().await.unwrap() else { panic!() };
    assert_eq!(datagram.body, DatagramBody::Payload(Bytes::from_static(b"datagram")));
    publisher.send(publisher.header(3, 2, 128), &[0, 1, b'x']).await;
    assert_eq!(publisher.next_subgroup().await.subgroup_id(), Some(2));
}

async fn a_datagram_of_an_unknown_alias_harms_nobody(mut publisher: Publisher) {
    covers!("D14-10.3-01", "D16-10.3-01");
    publisher.send_datagram(8, b"whose?").await;
    publisher.goes_on().await;
}

async fn a_reset_within_an_object_harms_nobody(mut publisher: Publisher) {
    covers!("D14-10.4-03", "D16-10.4-03");
    let bytes = [&publisher.header(0, 0, 128)[..], &[0, 5, b'h', b'a']].concat();
    let mut stream = publisher.raw.open_stream(bytes.into()).await;
    let mut subgroup = publisher.next_subgroup().await;
    stream.reset(1);
    let error = subgroup.next_object().await.unwrap_err();
    assert!(matches!(error, SubgroupError::Reset(_)), "{error}");
    publisher.goes_on().await;
}

async fn a_header_alone_is_a_stream(mut publisher: Publisher) {
    covers!("D16-10.4.2-13");
    publisher.send(publisher.header(0, 0, 128), &[]).await;
    assert_eq!(publisher.next_subgroup().await.next_object().await.unwrap(), None);
    let mut reset = publisher.raw.open_stream(publisher.header(1, 0, 128)).await;
    let mut subgroup = publisher.next_subgroup().await;
    reset.reset(1);
    let error = subgroup.next_object().await.unwrap_err();
    assert!(matches!(error, SubgroupError::Reset(_)), "{error}");
    publisher.goes_on().await;
}

async fn a_stream_that_ends_before_its_type_harms_nobody(mut publisher: Publisher) {
    covers!("D14-10-04");
    // Nothing at all, and the first byte of a type of two; both reset.
    let mut nothing = publisher.raw.connection.open_uni().await.unwrap();
    nothing.reset(1);
    let mut half = publisher.raw.open_stream(Bytes::from_static(&[0x40])).await;
    half.reset(1);
    publisher.goes_on().await;
    // One that is finished there is no stream of the draft: the session ends in order, or goes on.
    publisher.raw.open_stream(Bytes::from_static(&[0x40])).await.finish();
    let (code, reason) = publisher.raw.closed().await;
    assert_eq!(code, moqingbird_wire::model::SessionErrorCode::ProtocolViolation, "{reason}");
}

async fn what_a_subscription_leaves_behind_is_stopped(mut publisher: Publisher) {
    covers!("D14-9.12-06", "D16-9.15-05");
    let delivered = publisher.raw.open_stream(publisher.header(0, 0, 128)).await;
    let subgroup = publisher.next_subgroup().await;
    let waiting = publisher.raw.open_stream(publisher.header(1, 0, 128)).await;
    let late = publisher.header(2, 0, 128);
    let Publisher { raw, mut control, id, session: _session, subscription, _server, .. } = publisher;
    drop((subgroup, subscription));
    assert_eq!(delivered.stopped().await.unwrap(), Some(1));
    assert_eq!(waiting.stopped().await.unwrap(), Some(1));
    let said = control.hear().await;
    assert!(matches!(said, Message::Unsubscribe(target) if target == id), "{said:?}");
    let late = raw.open_stream(late).await;
    assert_eq!(late.stopped().await.unwrap(), Some(1));
}

#[tokio::test]
async fn what_is_not_said_otherwise_has_the_middle_priority() {
    covers!("D14-7.3-03", "D16-7.3-03");
    for version in [Version::Draft14, Version::Draft16] {
        let publisher = within(Publisher::of(TransportKind::Quic, version)).await;
        assert_eq!(publisher.asked.subscriber_priority, 128);
        assert_eq!(SubgroupOptions::new(0).publisher_priority, 128);
    }
}
