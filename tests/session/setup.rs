use std::time::Duration;

use bytes::Bytes;
use moqingbird::session::{Closed, Config, Event, Input, Lost, Side};
use moqingbird::wire::Carriage;
use moqingbird::wire::list::{KeyValue, Value};
use moqingbird::wire::model::{Message, Request, RequestId, SessionErrorCode, Setup, SubscribeNamespace};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{namespace, subscribe};

fn raw_quic_server() -> Config {
    let mut config = Config::default();
    config.accept_path = true;
    config
}

in_every_draft! {
    fn client_says_setup_first_and_server_answers_it(draft) {
        covers!("D14-3.3-01", "D16-3.3-01", "D16-3.3-02");
        let mut client = Raw::opening(draft, Side::Client, Config::default());
        assert!(matches!(client.heard_one(), Message::ClientSetup(_)));

        let mut server = Raw::opening(draft, Side::Server, Config::default());
        assert_eq!(server.heard(), []);
        let setup = server.setup();
        server.say_setup(setup.clone());
        let Message::ServerSetup(answer) = server.heard_one() else { panic!() };
        assert_eq!(answer.max_request_id, 100);
        assert!(matches!(&server.events[..], [Event::Established(said)] if *said == setup));
    }

    fn extension_that_was_not_agreed_on_is_unknown(draft) {
        covers!("D16-3.2-02");
        let mut raw = Raw::opening(draft, Side::Server, Config::default());
        let offer = KeyValue { key: 0x70, value: Value::Integer(1) };
        let setup = Setup { unknown: vec![offer], ..raw.setup() };
        raw.say_setup(setup);
        let Message::ServerSetup(answer) = raw.heard_one() else { panic!() };
        assert_eq!(answer.unknown, [], "it is not confirmed");
        raw.assert_open();
        // A message of that extension, of type 0x70.
        let control = raw.control.unwrap();
        raw.lane(control, Bytes::from_static(&[0x40, 0x70, 0, 0]), false);
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn path_and_authority_reach_a_server_that_serves_them(draft) {
        covers!("D14-9.3.2.1-03", "D14-9.3.2.2-03", "D16-9.3.1.1-03", "D16-9.3.1.2-04");
        let mut client = Config::default();
        client.path = Some(Bytes::from_static(b"/p?q=1"));
        client.authority = Some(Bytes::from_static(b"h:4443"));
        let mut pair = Pair::opening(draft, client, raw_quic_server(), None);
        let Event::Established(setup) = pair.event(SERVER) else { panic!() };
        assert_eq!(setup.path.as_deref(), Some(&b"/p?q=1"[..]));
        assert_eq!(setup.authority.as_deref(), Some(&b"h:4443"[..]));
        let Event::Established(setup) = pair.event(CLIENT) else { panic!() };
        assert_eq!((setup.path, setup.authority), (None, None));
    }

    fn path_where_none_is_taken_is_invalid(draft) {
        covers!("D14-9.3.2.2-02", "D16-9.3.1.2-02");
        for side in [Side::Server, Side::Client] {
            let mut raw = Raw::opening(draft, side, Config::default());
            let setup = Setup { path: Some(Bytes::from_static(b"/")), ..raw.setup() };
            raw.say_setup(setup);
            raw.assert_closed(SessionErrorCode::InvalidPath);
        }
    }

    fn authority_where_none_is_taken_is_invalid(draft) {
        covers!("D14-9.3.2.1-02", "D16-9.3.1.1-02");
        for side in [Side::Server, Side::Client] {
            let mut raw = Raw::opening(draft, side, Config::default());
            let setup = Setup { authority: Some(Bytes::from_static(b"a")), ..raw.setup() };
            raw.say_setup(setup);
            raw.assert_closed(SessionErrorCode::InvalidAuthority);
        }
    }

    fn path_that_is_no_path_is_malformed(draft) {
        covers!("D14-9.3.2.2-04", "D16-9.3.1.2-05");
        for path in ["no-slash %zz", "/a b"] {
            let mut raw = Raw::opening(draft, Side::Server, raw_quic_server());
            let setup = Setup { path: Some(Bytes::from_static(path.as_bytes())), ..raw.setup() };
            raw.say_setup(setup);
            raw.assert_closed(SessionErrorCode::MalformedPath);
        }
    }

    fn authority_that_is_none_is_malformed(draft) {
        covers!("D14-9.3.2.1-04", "D16-9.3.1.1-04");
        for authority in ["a b[", "a b"] {
            let mut raw = Raw::opening(draft, Side::Server, raw_quic_server());
            let setup = Setup { authority: Some(Bytes::from_static(authority.as_bytes())), ..raw.setup() };
            raw.say_setup(setup);
            raw.assert_closed(SessionErrorCode::MalformedAuthority);
        }
    }

    fn version_is_chosen_from_a_list_in_any_order(draft) {
        covers!("D14-9.3.1-01", "D14-9.3.1-05");
        let Some(version) = draft.rules().setup_version else { return };
        let mut raw = Raw::opening(draft, Side::Server, Config::default());
        let setup = Setup { versions: vec![0xff00_0010, 0x0a0a_0a0a, version, 0xff00_000d], ..raw.setup() };
        raw.say_setup(setup);
        let Message::ServerSetup(answer) = raw.heard_one() else { panic!() };
        assert_eq!(answer.versions, [version]);
    }

    fn no_common_version_ends_the_session(draft) {
        covers!("D14-9.3.1-02", "D14-9.3.1-03");
        if draft.rules().setup_version.is_none() {
            return;
        }
        for side in [Side::Server, Side::Client] {
            let mut raw = Raw::opening(draft, side, Config::default());
            let setup = Setup { versions: vec![0xff00_0001], ..raw.setup() };
            raw.say_setup(setup);
            raw.assert_closed(SessionErrorCode::VersionNegotiationFailed);
        }
    }

    fn anything_before_setup_is_a_violation(draft) {
        covers!("D14-3.3-02", "D16-3.3-10");
        for side in [Side::Server, Side::Client] {
            let mut raw = Raw::opening(draft, side, Config::default());
            let stream = raw.control.unwrap_or_else(|| raw.session.new_stream());
            raw.say_on(stream, &Message::MaxRequestId(7));
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
        }
    }

    fn second_setup_is_a_violation(draft) {
        covers!("D14-3.3-05", "D16-3.3-10");
        for side in [Side::Server, Side::Client] {
            let mut raw = Raw::new(draft, side);
            let setup = raw.setup();
            raw.say_setup(setup);
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
        }
    }

    fn end_of_the_control_stream_is_a_violation(draft) {
        covers!("D14-3.3-04", "D16-3.3-09");
        for side in [Side::Server, Side::Client] {
            let mut raw = Raw::new(draft, side);
            let control = raw.control.unwrap();
            raw.lane(control, Bytes::new(), true);
            raw.assert_closed(SessionErrorCode::ProtocolViolation);

            let mut raw = Raw::new(draft, side);
            let stream = raw.control.unwrap();
            raw.handle(Input::LaneReset { stream, code: 0 });
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
        }
    }

    fn other_bidirectional_streams_are_violations(draft) {
        covers!("D14-3.3-03", "D16-3.3-04");
        for side in [Side::Server, Side::Client] {
            let mut raw = Raw::new(draft, side);
            let id = RequestId(u64::from(side == Side::Client));
            let stream = raw.session.new_stream();
            raw.say_on(stream, &Message::Request { id, request: subscribe("live/cam/video") });
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
        }
    }

    fn setup_that_does_not_come_ends_the_session(draft) {
        covers!("D14-3.4-05", "D16-12.2-01");
        for side in [Side::Server, Side::Client] {
            let mut raw = Raw::opening(draft, side, Config::default());
            raw.pass(Duration::from_millis(9_999));
            raw.assert_open();
            raw.pass(Duration::from_millis(1));
            raw.assert_closed(SessionErrorCode::ControlMessageTimeout);
        }
    }

    fn half_a_setup_is_not_setup(draft) {
        covers!("D16-12.2-01");
        let mut raw = Raw::opening(draft, Side::Server, Config::default());
        let bytes = raw.bytes(&Message::ClientSetup(raw.setup()));
        let stream = raw.session.new_stream();
        raw.lane(stream, bytes.slice(..bytes.len() - 1), false);
        assert!(raw.events.is_empty());
        raw.pass(Duration::from_secs(10));
        raw.assert_closed(SessionErrorCode::ControlMessageTimeout);
    }

    fn close_of_the_peer_is_told_by_its_code(draft) {
        covers!("D14-3.4-01", "D16-3.4-03");
        let mut pair = Pair::new(draft);
        pair.session(CLIENT).close(SessionErrorCode::Unauthorized, "go");
        let told = Closed::Peer { code: SessionErrorCode::Unauthorized, reason: "go".into() };
        assert!(matches!(pair.event(SERVER), Event::Closed(closed) if closed == told));
        assert!(matches!(pair.event(CLIENT), Event::Closed(Closed::Local { .. })));
        pair.assert_idle();
    }

    fn unknown_close_codes_are_told_as_they_are(draft) {
        covers!("D16-3.4-04");
        let mut raw = Raw::new(draft, Side::Client);
        raw.handle(Input::Lost(Lost { code: Some(0x7777), reason: String::new() }));
        let closed = Closed::Peer { code: SessionErrorCode::Unknown(0x7777), reason: String::new() };
        assert!(matches!(&raw.events[..], [Event::Closed(it)] if *it == closed));
        assert!(raw.others.is_empty(), "nothing is said on a connection that is gone");
    }

    fn requests_on_streams_that_overtake_setup_are_held(draft) {
        covers!("D16-3.3-06");
        if draft.rules().namespace_carriage != Carriage::OwnStream {
            return;
        }
        let mut raw = Raw::opening(draft, Side::Server, Config::default());
        let stream = raw.session.new_stream();
        let request = Request::SubscribeNamespace(SubscribeNamespace::new(namespace("live")));
        raw.say_on(stream, &Message::Request { id: RequestId(0), request });
        assert!(raw.events.is_empty());
        let setup = raw.setup();
        raw.say_setup(setup);
        assert!(matches!(&raw.events[..], [Event::Established(_), Event::Request { id: RequestId(0), .. }]));
    }

    fn requests_that_wait_too_long_for_setup_are_reset(draft) {
        covers!("D16-3.3-07");
        if draft.rules().namespace_carriage != Carriage::OwnStream {
            return;
        }
        let mut raw = Raw::opening(draft, Side::Server, Config::default());
        let stream = raw.session.new_stream();
        let request = Request::SubscribeNamespace(SubscribeNamespace::new(namespace("live")));
        raw.say_on(stream, &Message::Request { id: RequestId(0), request });
        raw.pass(Config::default().held_timeout);
        assert!(raw.reset(stream) && raw.stopped(stream));
        raw.assert_open();
    }

    fn streams_beyond_the_bound_are_reset_before_setup(draft) {
        covers!("D16-3.3-07");
        if draft.rules().namespace_carriage != Carriage::OwnStream {
            return;
        }
        let mut config = Config::default();
        config.max_held_streams = 2;
        let mut raw = Raw::opening(draft, Side::Server, config);
        let streams: Vec<_> = (0..4)
            .map(|n| {
                let stream = raw.session.new_stream();
                let request = Request::SubscribeNamespace(SubscribeNamespace::new(namespace(&format!("live/{n}"))));
                raw.say_on(stream, &Message::Request { id: RequestId(n * 2), request });
                stream
            })
            .collect();
        assert_eq!(streams.iter().filter(|stream| raw.reset(**stream)).count(), 1);
        let setup = raw.setup();
        raw.say_setup(setup);
        raw.assert_open();
    }

    fn unknown_parameters_of_setup_are_ignored_even_twice(draft) {
        covers!("D14-9.3-01", "D16-9.3-01", "D16-9.2-01", "D16-9.2-06");
        let even = KeyValue { key: 0x6a, value: Value::Integer(9) };
        let odd = KeyValue { key: 0x6b, value: Value::Bytes(Bytes::from_static(b"x")) };
        for side in [Side::Client, Side::Server] {
            let mut raw = Raw::opening(draft, side, Config::default());
            let unknown = vec![even.clone(), odd.clone(), odd.clone()];
            let setup = Setup { unknown, ..raw.setup() };
            raw.say_setup(setup);
            assert!(matches!(raw.events[..], [Event::Established(_)]), "{:?}", raw.events);
        }
    }

    fn server_tells_neither_path_nor_authority(draft) {
        covers!("D14-9.3.2.1-01", "D14-9.3.2.2-01", "D16-9.3.1.1-01", "D16-9.3.1.2-01");
        let mut config = Config::default();
        config.path = Some(Bytes::from_static(b"/x"));
        config.authority = Some(Bytes::from_static(b"h"));
        let mut raw = Raw::opening(draft, Side::Server, config);
        let setup = raw.setup();
        raw.say_setup(setup);
        let Message::ServerSetup(said) = raw.heard_one() else { panic!() };
        assert_eq!((said.path, said.authority), (None, None));
    }
}

#[test]
fn server_setup_names_one_of_the_versions_and_what_belongs_to_it() {
    covers!("D14-3.2-02");
    let draft = moqingbird::Version::Draft14.draft();
    let version = draft.rules().setup_version.unwrap();
    let mut raw = Raw::opening(draft, Side::Server, Config::default());
    let offer = KeyValue { key: 0x70, value: Value::Integer(1) };
    let setup =
        Setup { versions: vec![version - 1, version, version + 2], unknown: vec![offer], ..raw.setup() };
    raw.say_setup(setup);
    let Message::ServerSetup(answer) = raw.heard_one() else { panic!() };
    assert_eq!((answer.versions, answer.unknown), (vec![version], vec![]));
    raw.assert_open();
}
