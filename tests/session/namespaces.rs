use bytes::Bytes;
use moqingbird::session::{Config, Event, Misuse, Side};
use moqingbird::wire::Carriage;
use moqingbird::wire::model::{
    Message, Request, RequestError, RequestErrorCode, RequestId, RequestKind, SessionErrorCode,
    SubscribeNamespace, SubscribeOptions, Target, TrackNamespace,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{namespace, ok, publish, publish_namespace, subscribe_namespace};

fn own_stream(draft: &'static dyn moqingbird::wire::Draft) -> bool {
    draft.rules().namespace_carriage == Carriage::OwnStream
}

/// An accepted SUBSCRIBE_NAMESPACE of the client.
fn subscribed(pair: &mut Pair, prefix: &str) -> RequestId {
    let id = pair.ask(CLIENT, subscribe_namespace(prefix));
    pair.accept(SERVER, id, ok(RequestKind::SubscribeNamespace));
    id
}

fn tell(pair: &mut Pair, id: RequestId, path: &str) {
    let now = pair.now;
    pair.session(SERVER).namespace(now, id, namespace(path)).unwrap();
}

/// A client whose SUBSCRIBE_NAMESPACE of `live` has been granted, in a draft that gives it a stream.
fn granted_on_its_stream(raw: &mut Raw) -> (RequestId, moqingbird::session::StreamId) {
    let id = raw.session.request(raw.now, subscribe_namespace("live")).unwrap();
    raw.drain();
    let (stream, _) = raw.said.pop().unwrap();
    let response = ok(RequestKind::SubscribeNamespace);
    raw.say_on(stream, &Message::Response { target: Target::Id(id), response });
    (id, stream)
}

in_every_draft! {
    fn announcement_is_accepted_and_withdrawn(draft) {
        covers!("D14-6.2-01", "D14-6.2-04", "D16-6.2-01", "D16-6.2-05");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish_namespace("live/cam"));
        pair.accept(SERVER, id, ok(RequestKind::PublishNamespace));
        let now = pair.now;
        pair.session(CLIENT).cancel(now, id).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Cancelled { id: it } if it == id));
        pair.assert_idle();
    }

    fn declined_announcement_is_told(draft) {
        covers!("D14-6.2-05", "D14-9.25-01", "D16-6.2-06");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish_namespace("live/cam"));
        let now = pair.now;
        pair.session(SERVER).reject(now, id, RequestError::new(RequestErrorCode::Uninterested, "")).unwrap();
        let Event::Rejected { error, .. } = pair.event(CLIENT) else { panic!() };
        assert_eq!(error.code, RequestErrorCode::Uninterested);
        pair.assert_idle();
    }

    fn revoked_announcement_is_not_withdrawn_and_may_come_again(draft) {
        covers!("D14-6.2-08", "D16-6.2-08");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish_namespace("live/cam"));
        pair.accept(SERVER, id, ok(RequestKind::PublishNamespace));
        let now = pair.now;
        pair.session(SERVER).revoke(now, id, RequestError::new(RequestErrorCode::Uninterested, "no")).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::Revoked { id: it, .. } if it == id));
        assert_eq!(pair.session(CLIENT).cancel(now, id), Err(Misuse::UnknownRequest));
        pair.assert_idle();
        let again = pair.ask(CLIENT, publish_namespace("live/cam"));
        pair.accept(SERVER, again, ok(RequestKind::PublishNamespace));
    }

    fn namespaces_come_and_go(draft) {
        covers!("D14-9.28-04", "D16-9.25-09", "D16-9.23-01", "D16-9.21-01");
        let mut pair = Pair::new(draft);
        let id = subscribed(&mut pair, "live");
        for path in ["live/a", "live/b/c", "live"] {
            tell(&mut pair, id, path);
            let Event::Namespace { id: to, namespace: told } = pair.event(CLIENT) else { panic!() };
            assert_eq!((to, told), (id, namespace(path)));
        }
        let now = pair.now;
        pair.session(SERVER).namespace_done(now, id, &namespace("live/a")).unwrap();
        let Event::NamespaceDone { namespace: gone, .. } = pair.event(CLIENT) else { panic!() };
        assert_eq!(gone, namespace("live/a"));
        pair.no_event(CLIENT);
        pair.no_event(SERVER);
        pair.session(CLIENT).cancel(now, id).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Cancelled { id: it } if it == id));
        pair.no_event(CLIENT);
        pair.assert_idle();
    }

    fn namespace_told_twice_is_told_once(draft) {
        covers!("D14-9.28-05");
        let mut pair = Pair::new(draft);
        let id = subscribed(&mut pair, "live");
        tell(&mut pair, id, "live/a");
        tell(&mut pair, id, "live/a");
        assert!(matches!(pair.event(CLIENT), Event::Namespace { .. }));
        pair.no_event(CLIENT);
    }

    fn only_what_was_told_can_go(draft) {
        covers!("D16-9.25-04");
        let mut pair = Pair::new(draft);
        let id = subscribed(&mut pair, "live");
        let now = pair.now;
        let done = pair.session(SERVER).namespace_done(now, id, &namespace("live/a"));
        assert!(matches!(done, Err(Misuse::WrongState(_))));
        assert!(matches!(pair.session(SERVER).namespace(now, id, namespace("vod")), Err(Misuse::WrongState(_))));
        assert_eq!(pair.session(CLIENT).namespace(now, id, namespace("live/a")), Err(Misuse::WrongKind));
    }

    fn announcement_outside_every_prefix_is_put_before_the_application(draft) {
        covers!("D14-6.2-01", "D16-6.2-01");
        let mut pair = Pair::new(draft);
        subscribed(&mut pair, "live");
        let id = pair.ask(SERVER, publish_namespace("vod"));
        pair.accept(CLIENT, id, ok(RequestKind::PublishNamespace));
    }

    fn overlapping_prefixes_are_declined(draft) {
        covers!("D14-9.28-02", "D16-9.25-02");
        let mut raw = Raw::new(draft, Side::Server);
        let ask = |raw: &mut Raw, id: u64, prefix: &str| {
            let stream = if own_stream(draft) { raw.session.new_stream() } else { raw.control.unwrap() };
            raw.say_on(stream, &Message::Request { id: RequestId(id), request: subscribe_namespace(prefix) });
            raw.heard()
        };
        assert_eq!(ask(&mut raw, 0, "a/b"), []);
        for (id, prefix) in [(2, "a"), (4, "a/b"), (6, "a/b/c")] {
            let heard = ask(&mut raw, id, prefix);
            let [Message::RequestError { target, error, .. }] = &heard[..] else { panic!("{heard:?}") };
            assert_eq!((target, error.code), (&Target::Id(RequestId(id)), RequestErrorCode::PrefixOverlap));
        }
        assert_eq!(ask(&mut raw, 8, "a/c"), []);
        assert_eq!(ask(&mut raw, 10, "b"), []);
    }

    fn our_own_overlapping_prefixes_are_refused_here(draft) {
        let mut pair = Pair::new(draft);
        subscribed(&mut pair, "a/b");
        let now = pair.now;
        assert!(matches!(pair.session(CLIENT).request(now, subscribe_namespace("a")), Err(Misuse::WrongState(_))));
    }

    fn prefix_is_free_again_after_its_end(draft) {
        covers!("D14-9.31-01", "D16-6.1-04");
        let mut pair = Pair::new(draft);
        let id = subscribed(&mut pair, "live");
        tell(&mut pair, id, "live/a");
        assert!(matches!(pair.event(CLIENT), Event::Namespace { .. }));
        let now = pair.now;
        pair.session(CLIENT).cancel(now, id).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Cancelled { .. }));
        assert_eq!(pair.session(SERVER).namespace(now, id, namespace("live/b")), Err(Misuse::UnknownRequest));
        let again = subscribed(&mut pair, "live");
        tell(&mut pair, again, "live/a");
        assert!(matches!(pair.event(CLIENT), Event::Namespace { id: to, .. } if to == again));
    }

    fn declined_prefix_is_told_and_its_stream_ends(draft) {
        covers!("D14-6.1-01", "D16-9.25-08");
        let mut raw = Raw::new(draft, Side::Server);
        let stream = if own_stream(draft) { raw.session.new_stream() } else { raw.control.unwrap() };
        raw.say_on(stream, &Message::Request { id: RequestId(0), request: subscribe_namespace("live") });
        raw.session.reject(raw.now, RequestId(0), RequestError::new(RequestErrorCode::DoesNotExist, "")).unwrap();
        raw.drain();
        assert!(matches!(raw.said[..], [(on, Message::RequestError { .. })] if on == stream));
        assert_eq!(raw.finished(stream), own_stream(draft));
        assert!(raw.session.is_idle());
    }

    fn tracks_only_means_no_namespaces(draft) {
        covers!("D16-9.25-06");
        let options = SubscribeOptions::Publish;
        let request = SubscribeNamespace { options, ..SubscribeNamespace::new(namespace("live")) };
        let mut pair = Pair::new(draft);
        let now = pair.now;
        match pair.session(CLIENT).request(now, Request::SubscribeNamespace(request)) {
            Err(Misuse::Inexpressible(_)) => assert!(!own_stream(draft)),
            result => {
                let id = result.unwrap();
                assert!(matches!(pair.event(SERVER), Event::Request { .. }));
                pair.accept(SERVER, id, ok(RequestKind::SubscribeNamespace));
                let told = pair.session(SERVER).namespace(now, id, namespace("live/a"));
                assert!(matches!(told, Err(Misuse::WrongState(_))));
            }
        }
    }

    fn empty_prefix_matches_everything_where_it_is_legal(draft) {
        covers!("D16-9.25-01");
        let request = Request::SubscribeNamespace(SubscribeNamespace::new(TrackNamespace::empty()));
        let mut pair = Pair::new(draft);
        let now = pair.now;
        let asked = pair.session(CLIENT).request(now, request);
        if !draft.rules().empty_prefix {
            assert!(matches!(asked, Err(Misuse::Inexpressible(_))));
            return;
        }
        assert!(matches!(pair.event(SERVER), Event::Request { .. }));
        let id = asked.unwrap();
        pair.accept(SERVER, id, ok(RequestKind::SubscribeNamespace));
        tell(&mut pair, id, "any/thing");
        assert!(matches!(pair.event(CLIENT), Event::Namespace { .. }));
    }

    fn subscription_opens_a_stream_of_its_own_and_hears_its_answer_there(draft) {
        covers!("D16-6.1-01", "D16-6.1-02");
        if !own_stream(draft) {
            return;
        }
        let mut raw = Raw::new(draft, Side::Client);
        let (id, stream) = granted_on_its_stream(&mut raw);
        assert_ne!(Some(stream), raw.control);
        assert!(matches!(&raw.events[..], [Event::Accepted { id: it, .. }] if *it == id));
    }

    fn namespace_before_the_answer_closes(draft) {
        covers!("D16-6.1-02");
        if !own_stream(draft) {
            return;
        }
        let mut raw = Raw::new(draft, Side::Client);
        raw.session.request(raw.now, subscribe_namespace("live")).unwrap();
        raw.drain();
        let (stream, _) = raw.said.pop().unwrap();
        raw.say_on(stream, &Message::Namespace(namespace("a")));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn second_answer_on_a_namespace_stream_closes(draft) {
        covers!("D14-6.1-02", "D16-6.1-03");
        let mut raw = Raw::new(draft, Side::Client);
        let (id, stream) = granted_on_its_stream(&mut raw);
        raw.assert_open();
        let response = ok(RequestKind::SubscribeNamespace);
        raw.say_on(stream, &Message::Response { target: Target::Id(id), response });
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn namespace_done_without_namespace_closes(draft) {
        covers!("D16-9.25-05");
        if !own_stream(draft) {
            return;
        }
        let mut raw = Raw::new(draft, Side::Client);
        let (_, stream) = granted_on_its_stream(&mut raw);
        raw.say_on(stream, &Message::Namespace(namespace("a")));
        raw.say_on(stream, &Message::NamespaceDone(namespace("a")));
        raw.assert_open();
        raw.say_on(stream, &Message::NamespaceDone(namespace("a")));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn messages_on_the_wrong_stream_close(draft) {
        covers!("D16-9-08");
        if !own_stream(draft) {
            return;
        }
        let mut raw = Raw::new(draft, Side::Client);
        raw.say(&Message::Namespace(namespace("a")));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: subscribe_namespace("live") });
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
        let mut raw = Raw::new(draft, Side::Client);
        let (_, stream) = granted_on_its_stream(&mut raw);
        raw.say_on(stream, &Message::MaxRequestId(200));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn publisher_that_ends_the_stream_ends_the_subscription(draft) {
        if !own_stream(draft) {
            return;
        }
        let mut raw = Raw::new(draft, Side::Client);
        let (id, stream) = granted_on_its_stream(&mut raw);
        raw.say_on(stream, &Message::Namespace(namespace("a")));
        raw.events.clear();
        raw.lane(stream, Bytes::new(), true);
        assert!(matches!(&raw.events[..], [Event::NamespaceDone { .. }, Event::Rejected { id: it, .. }] if *it == id));
        assert!(raw.finished(stream) && raw.session.is_idle());
    }

    fn namespaces_are_bounded(draft) {
        let mut config = Config::default();
        config.max_namespaces = 3;
        let mut pair = Pair::with(draft, config, Config::default());
        let id = subscribed(&mut pair, "live");
        for n in 0..4 {
            tell(&mut pair, id, &format!("live/{n}"));
        }
        pair.run();
        let told = pair.ends[CLIENT].events.iter().filter(|event| matches!(event, Event::Namespace { .. })).count();
        assert_eq!(told, 3);
        assert!(!pair.session(CLIENT).is_closed());
    }
}

#[test]
fn publish_that_answers_a_subscribe_namespace_travels_on_the_control_stream() {
    covers!("D16-9.25-07");
    let draft = moqingbird::Version::Draft16.draft();
    let mut raw = Raw::new(draft, Side::Server);
    let stream = raw.session.new_stream();
    raw.say_on(stream, &Message::Request { id: RequestId(0), request: subscribe_namespace("live") });
    raw.session.accept(raw.now, RequestId(0), ok(RequestKind::SubscribeNamespace)).unwrap();
    raw.session.request(raw.now, publish("live/cam/video")).unwrap();
    raw.drain();
    let said: Vec<_> = raw
        .said
        .iter()
        .map(|(on, message)| (*on, matches!(message, Message::Request { request: Request::Publish(_), .. })))
        .collect();
    // The answer on the stream of the SUBSCRIBE_NAMESPACE, and nothing else there.
    assert_eq!(said, [(stream, false), (raw.control.unwrap(), true)]);
}
