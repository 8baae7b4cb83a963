use moqingbird::session::{Config, Event, Misuse, Side};
use moqingbird::wire::RequestIds;
use moqingbird::wire::model::{
    Message, RequestError, RequestErrorCode, RequestId, RequestUpdate, SessionErrorCode, Setup,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{fetch, publish_as, publish_namespace, subscribe, subscribe_namespace};
use moqingbird::wire::model::Request;

fn limited(limit: u64) -> Config {
    let mut config = Config::default();
    config.max_request_id = limit;
    config
}

fn ask(id: u64) -> Message {
    Message::Request { id: RequestId(id), request: subscribe(&format!("live/cam/{id}")) }
}

in_every_draft! {
    fn clients_count_even_and_servers_odd(draft) {
        covers!("D14-9.1-01", "D16-9.1-01");
        let mut pair = Pair::new(draft);
        for n in 0..3 {
            assert_eq!(pair.ask(CLIENT, subscribe(&format!("a/b/{n}"))), RequestId(2 * n));
            assert_eq!(pair.ask(SERVER, subscribe(&format!("c/d/{n}"))), RequestId(2 * n + 1));
        }
    }

    fn updates_and_namespace_subscriptions_take_numbers_too(draft) {
        covers!("D14-9.1-02", "D16-9.1-02");
        let mut pair = Pair::new(draft);
        let now = pair.now;
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, crate::support::subscribe_ok(None));
        pair.session(CLIENT).update(now, id, RequestUpdate { subscriber_priority: Some(1), ..Default::default() }).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Update { .. }));
        assert_eq!(pair.ask(CLIENT, subscribe_namespace("live")), RequestId(4));
        assert_eq!(pair.ask(CLIENT, publish_namespace("live")), RequestId(6));
    }

    fn wrong_parity_closes(draft) {
        covers!("D14-9.1-03", "D16-9.1-03");
        for request in [subscribe("a/b/c"), publish_namespace("a"), Request::Publish(publish_as("a/b/c", 1))] {
            let mut raw = Raw::new(draft, Side::Server);
            raw.say(&Message::Request { id: RequestId(1), request });
            raw.assert_closed(SessionErrorCode::InvalidRequestId);
        }
    }

    fn used_number_closes(draft) {
        covers!("D14-9.1-04", "D16-9.1-05");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&ask(0));
        raw.assert_open();
        raw.say(&ask(0));
        raw.assert_closed(SessionErrorCode::InvalidRequestId);
    }

    fn skipped_numbers_close_or_are_holes_that_may_be_filled(draft) {
        covers!("D14-9.1-05", "D16-9.1-07");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&ask(0));
        raw.say(&ask(4));
        if draft.rules().request_ids == RequestIds::Unordered {
            raw.say(&ask(2));
            raw.assert_open();
            raw.say(&ask(2));
        }
        raw.assert_closed(SessionErrorCode::InvalidRequestId);
    }

    fn too_many_holes_close(draft) {
        covers!("D16-9.1-04");
        let mut raw = Raw::with(draft, Side::Server, limited(10_000));
        raw.say(&ask(2 * 66));
        raw.assert_closed(SessionErrorCode::InvalidRequestId);
    }

    fn number_at_the_limit_closes(draft) {
        covers!("D14-9.5-02", "D14-9.5-04", "D16-9.5-03", "D16-9.1-06");
        let mut raw = Raw::with(draft, Side::Server, limited(4));
        raw.say(&ask(0));
        raw.say(&ask(2));
        raw.assert_open();
        raw.say(&ask(4));
        raw.assert_closed(SessionErrorCode::TooManyRequests);
    }

    fn limit_bounds_publish_too(draft) {
        covers!("D14-9.5-03");
        let mut raw = Raw::with(draft, Side::Server, limited(0));
        raw.say(&Message::Request { id: RequestId(0), request: Request::Publish(publish_as("a/b/c", 1)) });
        raw.assert_closed(SessionErrorCode::TooManyRequests);
    }

    fn limit_is_exclusive(draft) {
        covers!("D16-9.5-04");
        let mut raw = Raw::with(draft, Side::Server, limited(1));
        raw.say(&ask(0));
        raw.assert_open();
        let mut raw = Raw::with(draft, Side::Client, limited(2));
        raw.say(&ask(1));
        raw.assert_open();
    }

    fn without_permission_requests_wait_and_the_peer_is_told_once(draft) {
        covers!("D14-9.3.2.3-01", "D14-9.6-01", "D16-9.3.1.3-01", "D16-9.6-01");
        let mut raw = Raw::opening(draft, Side::Client, Config::default());
        let setup = Setup { max_request_id: 0, ..raw.setup() };
        raw.say_setup(setup);
        raw.heard();
        let first = raw.session.request(raw.now, subscribe("a/b/1")).unwrap();
        let second = raw.session.request(raw.now, subscribe("a/b/2")).unwrap();
        assert_eq!(raw.heard(), [Message::RequestsBlocked(0)]);
        raw.say(&Message::MaxRequestId(2));
        let heard = raw.heard();
        assert!(matches!(&heard[..], [Message::Request { id, .. }, Message::RequestsBlocked(2)] if *id == first), "{heard:?}");
        raw.say(&Message::MaxRequestId(4));
        assert!(matches!(raw.heard_one(), Message::Request { id, .. } if id == second));
    }

    fn requests_may_be_made_before_setup(draft) {
        let mut pair = Pair::opening(draft, Config::default(), Config::default(), None);
        let now = pair.now;
        let id = pair.session(CLIENT).request(now, subscribe("a/b/c")).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Established(_)));
        assert!(matches!(pair.event(SERVER), Event::Request { id: it, .. } if it == id));
    }

    fn waiting_requests_are_bounded(draft) {
        let mut config = Config::default();
        config.max_waiting_requests = 2;
        let mut raw = Raw::opening(draft, Side::Client, config);
        for n in 0..2 {
            raw.session.request(raw.now, subscribe(&format!("a/b/{n}"))).unwrap();
        }
        assert_eq!(raw.session.request(raw.now, subscribe("a/b/c")), Err(Misuse::TooManyRequests));
    }

    fn request_taken_back_while_it_waits_leaves_no_hole(draft) {
        let mut raw = Raw::opening(draft, Side::Client, Config::default());
        let setup = Setup { max_request_id: 0, ..raw.setup() };
        raw.say_setup(setup);
        raw.heard();
        let first = raw.session.request(raw.now, subscribe("a/b/1")).unwrap();
        let second = raw.session.request(raw.now, subscribe("a/b/2")).unwrap();
        raw.session.cancel(raw.now, first).unwrap();
        raw.heard();
        raw.say(&Message::MaxRequestId(10));
        let heard = raw.heard();
        let [Message::Request { id, request: Request::TrackStatus(_) }, Message::Request { id: next, .. }] = &heard[..]
        else {
            panic!("{heard:?}")
        };
        assert_eq!((*id, *next), (first, second));
        let error = RequestError::new(RequestErrorCode::DoesNotExist, "");
        let kind = Some(moqingbird::wire::model::RequestKind::TrackStatus);
        let target = moqingbird::wire::model::Target::Id(first);
        raw.events.clear();
        raw.say(&Message::RequestError { target, kind, error });
        raw.assert_open();
        assert!(raw.events.is_empty());
    }

    fn limit_that_does_not_grow_closes(draft) {
        covers!("D14-9.5-01", "D16-9.5-02");
        for limit in [100, 99, 0] {
            let mut raw = Raw::new(draft, Side::Client);
            raw.say(&Message::MaxRequestId(limit));
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
        }
    }

    fn limit_grows_as_requests_end(draft) {
        covers!("D14-9.6-02", "D14-9.5-05", "D16-9.6-03", "D16-9.5-01");
        let mut pair = Pair::with(draft, Config::default(), limited(4));
        for n in 0..500 {
            let id = pair.ask(CLIENT, subscribe(&format!("a/b/{n}")));
            let now = pair.now;
            pair.session(SERVER).reject(now, id, RequestError::new(RequestErrorCode::DoesNotExist, "")).unwrap();
            assert!(matches!(pair.event(CLIENT), Event::Rejected { .. }));
        }
        pair.assert_idle();
    }

    fn being_blocked_is_no_fault(draft) {
        covers!("D14-9.6-03", "D16-9.6-02");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::RequestsBlocked(100));
        raw.assert_open();
    }

    fn numbers_of_every_kind_of_request_are_judged(draft) {
        covers!("D14-9.1-06");
        let requests = [publish_namespace("a"), subscribe("a/b/c"), Request::Publish(publish_as("a/b/c", 0)), fetch(0, 1)];
        for request in requests {
            let mut raw = Raw::new(draft, Side::Server);
            raw.say(&Message::Request { id: RequestId(1), request });
            raw.assert_closed(SessionErrorCode::InvalidRequestId);
        }
        let mut raw = Raw::new(draft, Side::Server);
        let filter = Some(moqingbird::wire::model::SubscriptionFilter::AbsoluteStart(Default::default()));
        let update = RequestUpdate { filter, subscriber_priority: Some(1), forward: Some(true), ..Default::default() };
        raw.say(&Message::RequestUpdate { id: RequestId(1), target: RequestId(0), update });
        raw.assert_closed(SessionErrorCode::InvalidRequestId);
    }

    fn request_where_none_is_permitted_closes(draft) {
        covers!("D14-9.3.2.3-02");
        let mut raw = Raw::with(draft, Side::Server, limited(0));
        raw.say(&Message::Request { id: RequestId(0), request: subscribe("a/b/c") });
        raw.assert_closed(SessionErrorCode::TooManyRequests);
    }
}
