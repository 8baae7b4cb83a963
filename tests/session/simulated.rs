//! What the simulation has found, each as the shortest way to it.

use std::time::Duration;

use moqingbird::session::{Config, Event, Side};
use moqingbird::wire::model::{
    AuthorizationToken, Message, Request, RequestError, RequestErrorCode, RequestId, RequestKind,
    SessionErrorCode, Subscribe, Target,
};

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{fetch, namespace, ok, publish_namespace, stated_fetch_ok, subscribe, track};

in_every_draft! {
    fn a_granted_fetch_whose_stream_never_comes_ends(draft) {
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, fetch(0, 4));
        pair.accept(SERVER, id, stated_fetch_ok(draft, 4, None));
        pair.pass(Duration::from_secs(29));
        pair.no_event(CLIENT);
        pair.pass(Duration::from_secs(1));
        let Event::Rejected { id: rejected, error } = pair.event(CLIENT) else { panic!() };
        assert_eq!((rejected, error.code), (id, RequestErrorCode::Timeout));
        assert_eq!(error.reason.to_str(), "granted, but no stream within 30s");
        assert!(matches!(pair.event(SERVER), Event::Cancelled { .. }));
        pair.assert_idle();
    }

    fn a_closed_session_keeps_no_tokens(draft) {
        let mut pair = Pair::new(draft);
        let token = AuthorizationToken::Register { alias: 1, token_type: 0, value: "secret".into() };
        let asked = Subscribe { authorization_tokens: vec![token], ..Subscribe::new(track("live/cam/video")) };
        pair.ask(CLIENT, Request::Subscribe(asked));
        assert_eq!(pair.session(SERVER).footprint().token_bytes, 16 + 6);
        pair.session(SERVER).close(SessionErrorCode::NoError, "");
        assert_eq!(pair.session(SERVER).footprint(), Default::default());
    }

    fn announcements_of_one_namespace_end_alike_at_both_ends(draft) {
        let mut pair = Pair::new(draft);
        let ids = [(); 2].map(|()| {
            let id = pair.ask(CLIENT, publish_namespace("live"));
            pair.accept(SERVER, id, ok(RequestKind::PublishNamespace));
            id
        });
        let now = pair.now;
        let error = RequestError::new(RequestErrorCode::Uninterested, "");
        pair.session(SERVER).revoke(now, ids[0], error).unwrap();
        pair.run();
        let left = [CLIENT, SERVER].map(|end| {
            let footprint = pair.session(end).footprint();
            footprint.our_requests + footprint.their_requests
        });
        // Where it is revoked by its name, so is the other.
        let expected = if draft.rules().withdraws_by_namespace { 0 } else { 1 };
        assert_eq!(left, [expected; 2]);
    }

    fn an_announcement_that_is_withdrawn_by_its_namespace_takes_its_like_with_it(draft) {
        let mut pair = Pair::new(draft);
        let first = pair.ask(CLIENT, publish_namespace("live"));
        let second = pair.ask(CLIENT, publish_namespace("live"));
        let now = pair.now;
        pair.session(CLIENT).cancel(now, first).unwrap();
        pair.run();
        let revoked = pair.ends[CLIENT].events.iter().any(|it| matches!(it, Event::Revoked { id, .. } if *id == second));
        assert_eq!(revoked, draft.rules().withdraws_by_namespace);
        // That the other end has not answered it yet does no harm.
        if !revoked {
            pair.session(SERVER).accept(now, second, ok(RequestKind::PublishNamespace)).unwrap();
            pair.session(CLIENT).cancel(now, second).unwrap();
        }
        pair.assert_idle();
    }

    fn a_revocation_by_name_does_not_mean_what_it_had_not_accepted(draft) {
        let mut raw = Raw::new(draft, Side::Client);
        let now = raw.now;
        let first = raw.session.request(now, publish_namespace("live")).unwrap();
        raw.say(&Message::Response { target: Target::Id(first), response: ok(RequestKind::PublishNamespace) });
        let second = raw.session.request(now, publish_namespace("live")).unwrap();
        let target = match draft.rules().withdraws_by_namespace {
            true => Target::Namespace(namespace("live")),
            false => Target::Id(first),
        };
        let error = RequestError::new(RequestErrorCode::Uninterested, "");
        raw.say(&Message::PublishNamespaceCancel { target, error });
        let revoked: Vec<RequestId> = raw.events.iter().filter_map(|it| match it {
            Event::Revoked { id, .. } => Some(*id),
            _ => None,
        }).collect();
        assert_eq!(revoked, [first]);
        raw.say(&Message::Response { target: Target::Id(second), response: ok(RequestKind::PublishNamespace) });
        assert!(matches!(raw.events.last(), Some(Event::Accepted { id, .. }) if *id == second));
    }

    fn a_request_that_ends_by_the_clock_makes_room_for_another(draft) {
        let mut config = Config::default();
        config.max_request_id = 2;
        config.goaway_timeout = Duration::from_secs(900);
        let mut pair = Pair::with(draft, Config::default(), config);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        let now = pair.now;
        let mut granted = crate::support::subscribe_ok(None);
        if let moqingbird::wire::model::Response::Subscribe(ok) = &mut granted {
            ok.expires = Some(Duration::from_secs(3));
        }
        pair.accept(SERVER, id, granted);
        pair.session(CLIENT).request(now, subscribe("live/cam/audio")).unwrap();
        pair.no_event(SERVER);
        pair.pass(Duration::from_secs(3));
        let asked = pair.ends[SERVER].events.iter().any(|it| matches!(it, Event::Request { .. }));
        assert!(asked, "{:?}", pair.ends[SERVER].events);
    }
}
