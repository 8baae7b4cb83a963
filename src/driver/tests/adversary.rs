//! A peer that breaks the rules: the session closes with the draft's code, or goes on unharmed.

use moqingbird_ledger::covers;
use moqingbird_wire::model::{
    Fetch, FetchRange, Message, Request, RequestId, Response, SessionErrorCode, SubscribeNamespace,
    SubscribeOk, Target,
};
use tokio::time::Instant;

use super::raw::{self, Raw};
use super::*;
use crate::{ClientOptions, Delivery, TransportKind, connect};

/// Makes a test of each hostile peer of a server, for every draft, in memory and over real sockets.
macro_rules! everywhere {
    ($($scenario:ident;)*) => {
        $(mod $scenario {
            use super::*;
            everywhere!(@one $scenario draft_14_in_memory Memory Draft14);
            everywhere!(@one $scenario draft_16_in_memory Memory Draft16);
            everywhere!(@one $scenario draft_14_over_quic Quic Draft14);
            everywhere!(@one $scenario draft_16_over_quic Quic Draft16);
            everywhere!(@one $scenario draft_14_over_webtransport WebTransport Draft14);
            everywhere!(@one $scenario draft_16_over_webtransport WebTransport Draft16);
        })*
    };
    (@one $scenario:ident $name:ident $kind:ident $version:ident) => {
        #[tokio::test]
        async fn $name() {
            within(meets(TransportKind::$kind, Version::$version, super::$scenario)).await;
        }
    };
}

everywhere! {
    a_length_that_lies_is_fatal;
    an_unknown_control_message_is_fatal;
    a_request_before_setup_is_fatal;
    the_end_of_the_control_stream_is_fatal;
    a_reset_of_the_control_stream_is_fatal;
    a_second_setup_is_fatal;
    an_unknown_kind_of_data_stream_is_fatal;
    a_data_stream_that_ends_in_its_header_is_fatal;
    a_data_stream_that_is_reset_in_its_header_is_not;
    a_second_bidirectional_stream_with_bytes_is_fatal;
    a_thousand_streams_of_unknown_tracks_harm_nobody;
}

in_every_draft! {
    a_client_that_never_says_setup_is_closed_in_time;
    a_server_that_never_says_setup_is_closed_in_time;
    half_a_setup_is_no_setup;
    streams_that_stay_silent_are_stopped;
    a_subgroup_that_breaks_off_in_a_payload_is_fatal;
    a_subgroup_that_breaks_off_in_an_objects_header_is_fatal;
    streams_ahead_of_their_subscribe_ok_are_delivered_behind_it;
    a_namespace_stream_that_is_stopped_is_over;
    what_a_stopped_stream_never_sent_does_not_block_control;
    requests_on_both_sides_of_a_silent_application_are_bounded;
}

/// The raw client of a server, and on real sockets a good client beside it, which must not notice.
async fn meets<F: Future<Output = ()>>(
    kind: TransportKind,
    version: Version,
    scenario: impl FnOnce(Raw) -> F,
) {
    if kind == TransportKind::Memory {
        let (raw, session) = raw::server_of_memory(version);
        scenario(raw).await;
        drop(session);
        return;
    }
    let (raw, session, server, url, options) = raw::server_of(kind, version).await;
    let good = ClientOptions { connect: options, ..ClientOptions::default() };
    let (client, accepted) =
        tokio::join!(connect(&url, &good), async { server.accept().await?.accept().await.ok() });
    let (client, accepted) = (client.unwrap(), accepted.unwrap());
    scenario(raw).await;
    // Both ends of the good session still talk.
    drop(subscribed(&client, &accepted).await);
    drop(session);
}

async fn closes(raw: &Raw, code: SessionErrorCode) {
    let (closed, reason) = raw.closed().await;
    assert_eq!(closed, code, "{reason}");
    assert!(!reason.is_empty(), "a close without a reason helps nobody");
}

async fn a_length_that_lies_is_fatal(raw: Raw) {
    let mut control = raw.set_up().await;
    // MAX_REQUEST_ID, of five bytes of which the integer takes one.
    control.say_bytes(Bytes::from_static(&[0x15, 0, 5, 1, 2, 3, 4, 5])).await;
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn an_unknown_control_message_is_fatal(raw: Raw) {
    covers!("D14-9-01", "D16-9-02");
    let mut control = raw.set_up().await;
    control.say_bytes(Bytes::from_static(&[0x3f, 0, 0])).await;
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn a_request_before_setup_is_fatal(raw: Raw) {
    covers!("D14-3.3-02", "D16-3.3-10");
    let mut control = raw.open_lane().await;
    control.request(0, Request::Subscribe(Subscribe::new(track()))).await;
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn the_end_of_the_control_stream_is_fatal(raw: Raw) {
    covers!("D14-3.3-04", "D16-3.3-09");
    let mut control = raw.set_up().await;
    control.finish().await;
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn a_reset_of_the_control_stream_is_fatal(raw: Raw) {
    covers!("D16-3.3-09");
    let mut control = raw.set_up().await;
    control.send.reset(0);
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn a_second_setup_is_fatal(raw: Raw) {
    covers!("D14-3.3-05", "D16-3.3-10");
    let mut control = raw.set_up().await;
    control.say(&Message::ClientSetup(Default::default())).await;
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn an_unknown_kind_of_data_stream_is_fatal(raw: Raw) {
    covers!("D14-10-01", "D16-10-01");
    let _control = raw.set_up().await;
    let _stream = raw.open_stream(Bytes::from_static(&[0x3f, 1, 2, 3])).await;
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn a_data_stream_that_ends_in_its_header_is_fatal(raw: Raw) {
    let _control = raw.set_up().await;
    let header = raw.subgroup(7, 1 << 40);
    raw.open_stream(header.slice(..header.len() - 2)).await.finish();
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn a_data_stream_that_is_reset_in_its_header_is_not(raw: Raw) {
    let mut control = raw.set_up().await;
    let header = raw.subgroup(7, 1 << 40);
    raw.open_stream(header.slice(..header.len() - 2)).await.reset(1);
    answers(&mut control, 0).await;
}

/// The session still answers: it declines to join what is no subscription.
async fn answers(control: &mut raw::Lane, id: u64) {
    let range = FetchRange::RelativeJoining { subscription: RequestId(1 << 40), groups_before: 0 };
    control.request(id, Request::Fetch(Fetch::new(range))).await;
    let answer = loop {
        match control.hear().await {
            Message::MaxRequestId(_) => {}
            answer => break answer,
        }
    };
    assert!(matches!(answer, Message::RequestError { .. }), "{answer:?}");
}

async fn a_second_bidirectional_stream_with_bytes_is_fatal(raw: Raw) {
    covers!("D14-3.3-03", "D16-3.3-03");
    let _control = raw.set_up().await;
    let mut second = raw.open_lane().await;
    second.request(0, Request::Subscribe(Subscribe::new(track()))).await;
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn a_thousand_streams_of_unknown_tracks_harm_nobody(raw: Raw) {
    let mut control = raw.set_up().await;
    let mut stopped = 0;
    let mut waiting = Vec::new();
    for group in 0..1000 {
        let stream = raw.open_stream(raw.subgroup(7, group)).await;
        waiting.push(stream);
    }
    // All but those that are held are stopped at once, the others when they have been held long enough.
    for stream in waiting {
        assert_eq!(stream.stopped().await.unwrap(), Some(1));
        stopped += 1;
    }
    assert_eq!(stopped, 1000);
    answers(&mut control, 0).await;
}

async fn a_client_that_never_says_setup_is_closed_in_time(version: Version) {
    covers!("D14-3.4-05");
    let (raw, session) = raw::server_of_memory(version);
    let started = Instant::now();
    closes(&raw, SessionErrorCode::ControlMessageTimeout).await;
    assert!((10..12).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    session.await.unwrap().unwrap_err();
}

async fn a_server_that_never_says_setup_is_closed_in_time(version: Version) {
    let (client, raw) = crate::transport::pair(Some(version.protocol()));
    let raw = Raw { connection: raw, draft: version.draft() };
    let config = crate::session::Config::default();
    let place = crate::api::Place::default();
    let session = Session::start(client, version, crate::session::Side::Client, config, place);
    let (session, ()) = tokio::join!(session, closes(&raw, SessionErrorCode::ControlMessageTimeout));
    session.unwrap_err();
}

async fn half_a_setup_is_no_setup(version: Version) {
    let (raw, session) = raw::server_of_memory(version);
    let mut control = raw.open_lane().await;
    control.say_bytes(Bytes::from_static(&[0x20, 0, 9, 1])).await;
    closes(&raw, SessionErrorCode::ControlMessageTimeout).await;
    session.await.unwrap().unwrap_err();
}

async fn streams_that_stay_silent_are_stopped(version: Version) {
    let (raw, session) = raw::server_of_memory(version);
    let mut control = raw.set_up().await;
    let session = session.await.unwrap().unwrap();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(raw.connection.open_uni().await.unwrap());
    }
    let begun = raw.open_stream(raw.subgroup(7, 1 << 40).slice(..3)).await;
    let lane = raw.open_lane().await;
    for stream in silent.iter().chain([&begun, &lane.send]) {
        assert_eq!(stream.stopped().await.unwrap(), Some(1));
    }
    answers(&mut control, 0).await;
    settle().await;
    assert!(session.shared().is_idle(), "{:?}", session.shared());
}

/// A session's subscription to the raw peer's track, granted under alias 7.
async fn subscribed_to_raw(session: &Session, control: &mut raw::Lane) -> Subscription {
    let grants = async {
        let id = control.request_id().await;
        let ok = SubscribeOk {
            track_alias: TrackAlias(7),
            expires: None,
            largest: None,
            extensions: TrackExtensions::default(),
        };
        control.say(&Message::Response { target: Target::Id(id), response: Response::Subscribe(ok) }).await;
    };
    tokio::join!(session.subscribe(Subscribe::new(track())), grants).0.unwrap()
}

async fn a_subgroup_that_breaks_off_in_a_payload_is_fatal(version: Version) {
    covers!("D14-10.4-01", "D16-10.4-01");
    subgroup_breaks_off_behind(version, &[0, 5, b'x']).await;
}

async fn a_subgroup_that_breaks_off_in_an_objects_header_is_fatal(version: Version) {
    covers!("D14-10.4-01");
    subgroup_breaks_off_behind(version, &[0]).await;
}

async fn subgroup_breaks_off_behind(version: Version, object: &'static [u8]) {
    let (raw, session) = raw::server_of_memory(version);
    let mut control = raw.set_up().await;
    let session = session.await.unwrap().unwrap();
    let mut subscription = subscribed_to_raw(&session, &mut control).await;
    let mut stream = raw.open_stream(raw.subgroup(7, 0)).await;
    let mut chunks = [Bytes::from_static(object)];
    stream.write(&mut chunks).await.unwrap();
    stream.finish();
    let Some(Delivery::Subgroup(mut subgroup)) = subscription.next().await.unwrap() else { panic!() };
    let error = subgroup.next_object().await.unwrap_err();
    assert!(matches!(error, crate::SubgroupError::Closed(_)), "{error}");
    closes(&raw, SessionErrorCode::ProtocolViolation).await;
}

async fn streams_ahead_of_their_subscribe_ok_are_delivered_behind_it(version: Version) {
    covers!("D16-10.4.2-01", "D16-3.3-06");
    let (raw, session) = raw::server_of_memory(version);
    // Ahead even of SETUP.
    let early = raw.open_stream(raw.subgroup(7, 1)).await;
    let mut control = raw.set_up().await;
    let session = session.await.unwrap().unwrap();
    let late = raw.open_stream(raw.subgroup(7, 2)).await;
    settle().await;
    let mut subscription = subscribed_to_raw(&session, &mut control).await;
    for group in [1, 2] {
        let Some(Delivery::Subgroup(subgroup)) = subscription.next().await.unwrap() else { panic!() };
        assert_eq!(subgroup.group_id(), group);
    }
    drop((early, late));
}

async fn a_namespace_stream_that_is_stopped_is_over(version: Version) {
    if version == Version::Draft14 {
        return;
    }
    let (raw, session) = raw::server_of_memory(version);
    let mut control = raw.set_up().await;
    let session = session.await.unwrap().unwrap();
    let mut lane = raw.open_lane().await;
    let prefix = SubscribeNamespace::new(TrackNamespace::from_path("live").unwrap());
    lane.request(0, Request::SubscribeNamespace(prefix)).await;
    let Some(IncomingRequest::SubscribeNamespace(request)) = session.next_request().await else { panic!() };
    let told = request.accept().unwrap();
    assert!(matches!(lane.hear().await, Message::Response { .. }));
    // The session has nothing to write, and hears of it all the same.
    lane.recv.stop(1);
    told.cancelled().await;
    drop(told);
    answers(&mut control, 2).await;
    settle().await;
    assert!(session.shared().is_idle(), "{:?}", session.shared());
}

async fn what_a_stopped_stream_never_sent_does_not_block_control(version: Version) {
    if version == Version::Draft14 {
        return;
    }
    let (raw, session) = raw::server_of_memory(version);
    let mut control = raw.set_up().await;
    let session = session.await.unwrap().unwrap();
    // Each time more than the stream's window waits, and much is left unsent when the peer stops the stream.
    for round in 0..20 {
        let mut lane = raw.open_lane().await;
        let prefix = SubscribeNamespace::new(TrackNamespace::from_path("live").unwrap());
        lane.request(round * 2, Request::SubscribeNamespace(prefix)).await;
        let Some(IncomingRequest::SubscribeNamespace(request)) = session.next_request().await else {
            panic!()
        };
        let told = request.accept().unwrap();
        for number in 0..100 {
            let name = format!("live/{number}/{}", "x".repeat(2000));
            told.namespace(TrackNamespace::from_path(&name).unwrap()).unwrap();
        }
        settle().await;
        lane.recv.stop(1);
        told.cancelled().await;
    }
    answers(&mut control, 40).await;
}

async fn requests_on_both_sides_of_a_silent_application_are_bounded(version: Version) {
    let (raw, session) = raw::server_of_memory(version);
    let mut control = raw.set_up().await;
    let session = session.await.unwrap().unwrap();
    // The application never looks. The credit is a hundred requests; the next is too many.
    for number in 0..101 {
        let track = FullTrackName::new(namespace(), format!("track-{number}")).unwrap();
        control.request(number * 2, Request::Subscribe(Subscribe::new(track))).await;
    }
    closes(&raw, SessionErrorCode::TooManyRequests).await;
    assert!(session.next_request().await.is_none());
}
