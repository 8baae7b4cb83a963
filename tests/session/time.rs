use std::time::Duration;

use moqingbird::session::{Config, Event, Misuse, Side};
use moqingbird::wire::Draft;
use moqingbird::wire::model::{
    Location, Message, Publish, PublishDoneCode, PublishOk, ReasonPhrase, Request, RequestId, RequestKind,
    RequestOk, RequestUpdate, Response, SessionErrorCode, Subscribe, SubscribeOk, Target, TrackExtensions,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{fetch, ok, publish_as, publish_ok, subscribe, subscribe_ok, subscribe_ok_as, track};

const SECOND: Duration = Duration::from_secs(1);

fn expiring(after: Option<Duration>) -> Response {
    let Response::Subscribe(ok) = subscribe_ok(None) else { panic!() };
    Response::Subscribe(SubscribeOk { expires: after, ..ok })
}

/// SUBSCRIBE and SUBSCRIBE_OK with these delivery timeouts.
fn with_timeouts(
    draft: &'static dyn Draft,
    subscriber: Option<Duration>,
    publisher: Option<Duration>,
) -> (Pair, RequestId) {
    let mut pair = Pair::new(draft);
    let asked = Subscribe { delivery_timeout: subscriber, ..Subscribe::new(track("live/cam/video")) };
    let id = pair.ask(CLIENT, Request::Subscribe(asked));
    let Response::Subscribe(mut ok) = subscribe_ok(None) else { panic!() };
    ok.extensions.delivery_timeout = publisher;
    pair.accept(SERVER, id, Response::Subscribe(ok));
    (pair, id)
}

/// A pair with a subscription to a track of dynamic groups, whose largest group is 5.
fn dynamic(draft: &'static dyn Draft, asked: Option<u64>) -> (Pair, RequestId) {
    let mut pair = Pair::new(draft);
    let request = Subscribe { new_group_request: asked, ..Subscribe::new(track("live/cam/video")) };
    let id = pair.ask(CLIENT, Request::Subscribe(request));
    let Response::Subscribe(mut ok) = subscribe_ok(Some(Location::new(5, 0))) else { panic!() };
    ok.extensions.dynamic_groups = true;
    pair.accept(SERVER, id, Response::Subscribe(ok));
    (pair, id)
}

/// Asks for a group by an update. Gives what the publisher is told.
fn ask_group(pair: &mut Pair, id: RequestId, group: u64) -> Option<u64> {
    let now = pair.now;
    let change = RequestUpdate { new_group_request: Some(group), ..RequestUpdate::default() };
    pair.session(CLIENT).update(now, id, change).unwrap();
    let Event::Update { answer: Some(answer), .. } = pair.event(SERVER) else { panic!() };
    pair.accept(SERVER, answer, ok(RequestKind::Update));
    pair.ends[SERVER].events.pop_front().map(|event| match event {
        Event::NewGroupRequest { id: it, group_id } if it == id => group_id,
        other => panic!("{other:?}"),
    })
}

in_every_draft! {
    fn subscription_expires_when_its_publisher_said(draft) {
        covers!("D16-9.2.2.6-05", "D14-9.12-13", "D16-9.15-11");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, expiring(Some(SECOND * 20)));
        let opened = pair.open(SERVER, id, 0);
        pair.pass(SECOND * 19);
        pair.no_event(SERVER);
        pair.pass(SECOND);
        assert!(matches!(pair.event(SERVER), Event::Expired { id: it } if it == id));
        assert_eq!(pair.ends[SERVER].reset, [opened.stream]);
        let Event::Ended { done, .. } = pair.event(CLIENT) else { panic!() };
        assert_eq!((done.code, done.stream_count), (PublishDoneCode::Expired, 1));
        pair.assert_idle();
    }

    fn update_starts_the_time_anew(draft) {
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, expiring(Some(SECOND * 20)));
        pair.pass(SECOND * 15);
        let now = pair.now;
        let change = RequestUpdate { subscriber_priority: Some(1), ..RequestUpdate::default() };
        pair.session(CLIENT).update(now, id, change).unwrap();
        if let Event::Update { answer: Some(answer), .. } = pair.event(SERVER) {
            pair.accept(SERVER, answer, ok(RequestKind::Update));
        }
        pair.pass(SECOND * 15);
        pair.no_event(SERVER);
        pair.pass(SECOND * 5);
        assert!(matches!(pair.event(SERVER), Event::Expired { .. }));
    }

    fn no_clock_runs_without_an_expiry_or_by_the_peers_word(draft) {
        covers!("D16-9.2.2.6-04", "D14-9.8-07");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, expiring(None));
        assert_eq!(pair.session(SERVER).poll_timeout(), None);
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        raw.say(&Message::Response { target: Target::Id(id), response: expiring(Some(Duration::from_millis(1))) });
        assert_eq!(raw.session.poll_timeout(), None);
        raw.pass(SECOND);
        assert!(!raw.events.iter().any(|event| matches!(event, Event::Expired { .. } | Event::Ended { .. })));
    }

    fn subscriber_leaves_when_it_said_so_in_publish_ok(draft) {
        covers!("D16-9.2.2.6-05", "D16-9.2.2.6-01");
        let mut pair = Pair::new(draft);
        let id = pair.ask(SERVER, Request::Publish(publish_as("live/cam/video", 0)));
        let expires = Some(SECOND * 20);
        let response = Response::Publish(PublishOk { expires, ..PublishOk::default() });
        let now = pair.now;
        match pair.session(CLIENT).accept(now, id, response) {
            Err(error) => assert_eq!((error, draft.rules().track_extensions), (Misuse::Inexpressible("expires"), false)),
            Ok(()) => {
                assert!(matches!(pair.event(SERVER), Event::Accepted { .. }));
                pair.pass(SECOND * 20);
                assert!(matches!(pair.event(CLIENT), Event::Expired { id: it } if it == id));
                assert!(matches!(pair.event(SERVER), Event::Cancelled { id: it } if it == id));
                pair.assert_idle();
            }
        }
    }

    fn shorter_delivery_timeout_holds(draft) {
        covers!("D14-9.2.1.2-03", "D14-9.2.1.2-04", "D16-9.2.2.2-05", "D16-9.2.2.2-06");
        for (subscriber, publisher, effective) in [
            (None, None, None),
            (Some(SECOND), None, Some(SECOND)),
            (None, Some(SECOND * 2), Some(SECOND * 2)),
            (Some(SECOND * 5), Some(SECOND), Some(SECOND)),
            (Some(SECOND), Some(SECOND * 3), Some(SECOND)),
        ] {
            let (mut pair, id) = with_timeouts(draft, subscriber, publisher);
            assert_eq!(pair.session(SERVER).subscription(id).unwrap().delivery_timeout, effective);
            assert_eq!(pair.open(SERVER, id, 0).delivery_timeout, effective);
        }
    }

    fn delivery_timeout_can_be_updated_but_not_beyond_the_publishers(draft) {
        covers!("D14-9.10-11", "D16-9.2.2.2-01", "D16-9.11-05");
        let (mut pair, id) = with_timeouts(draft, Some(SECOND), Some(SECOND * 3));
        let mut update = |change: RequestUpdate| {
            let now = pair.now;
            pair.session(CLIENT).update(now, id, change).unwrap();
            if let Event::Update { answer: Some(answer), .. } = pair.event(SERVER) {
                pair.accept(SERVER, answer, ok(RequestKind::Update));
            }
            pair.session(SERVER).subscription(id).unwrap().delivery_timeout
        };
        let of = |seconds| RequestUpdate { delivery_timeout: Some(SECOND * seconds), ..RequestUpdate::default() };
        assert_eq!(update(of(2)), Some(SECOND * 2));
        assert_eq!(update(RequestUpdate { subscriber_priority: Some(1), ..RequestUpdate::default() }), Some(SECOND * 2));
        assert_eq!(update(of(9)), Some(SECOND * 3));
    }

    fn delivery_timeout_of_publish_ok_holds_too(draft) {
        covers!("D14-9.2.1.2-01", "D16-9.2.2.2-01");
        let mut pair = Pair::new(draft);
        let extensions = TrackExtensions { delivery_timeout: Some(SECOND * 4), ..TrackExtensions::default() };
        let publish = Publish { extensions, ..publish_as("live/cam/video", 0) };
        let id = pair.ask(SERVER, Request::Publish(publish));
        assert_eq!(pair.session(SERVER).subscription(id).unwrap().delivery_timeout, Some(SECOND * 4));
        let response = PublishOk { delivery_timeout: Some(SECOND), ..PublishOk::default() };
        pair.accept(CLIENT, id, Response::Publish(response));
        assert_eq!(pair.session(SERVER).subscription(id).unwrap().delivery_timeout, Some(SECOND));
    }

    fn late_streams_are_waited_for_as_long_as_their_objects_may_take(draft) {
        covers!("D14-9.12-03", "D16-9.15-03");
        let mut raw = Raw::new(draft, Side::Client);
        let asked = Subscribe { delivery_timeout: Some(SECOND * 60), ..Subscribe::new(track("live/cam/video")) };
        let id = raw.session.request(raw.now, Request::Subscribe(asked)).unwrap();
        raw.say(&Message::Response { target: Target::Id(id), response: subscribe_ok_as(1, None) });
        let done = moqingbird::wire::model::PublishDone {
            code: PublishDoneCode::TrackEnded,
            stream_count: 1,
            reason: ReasonPhrase::default(),
        };
        raw.say(&Message::PublishDone { target: id, done });
        raw.pass(SECOND * 59);
        let stream = raw.open(1);
        assert!(raw.delivered(stream));
        raw.pass(SECOND);
        assert!(matches!(raw.events.last(), Some(Event::Ended { .. })));
    }

    fn peer_that_does_not_leave_is_left(draft) {
        covers!("D14-3.5-01", "D16-3.5-01");
        for request in [subscribe("live/cam/video"), fetch(0, 1)] {
            let mut raw = Raw::new(draft, Side::Server);
            raw.say(&Message::Request { id: RequestId(0), request });
            raw.session.go_away(raw.now, bytes::Bytes::new()).unwrap();
            raw.pass(Config::default().goaway_timeout - SECOND);
            raw.assert_open();
            raw.pass(SECOND);
            raw.assert_closed(SessionErrorCode::GoAwayTimeout);
        }
    }

    fn peer_that_has_left_in_time_is_not_closed(draft) {
        covers!("D14-9.4-01", "D16-9.4-01");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        let now = pair.now;
        pair.session(SERVER).go_away(now, bytes::Bytes::new()).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::GoAway { .. }));
        let opened = pair.open(SERVER, id, 0);
        pair.finish(SERVER, opened.stream);
        pair.run();
        assert_eq!(pair.ends[CLIENT].delivered.len(), 1, "objects still flow");
        pair.session(CLIENT).cancel(now, id).unwrap();
        pair.pass(Config::default().goaway_timeout * 2);
        assert!(!pair.session(SERVER).is_closed());
    }

    fn new_group_is_asked_for_by_subscribe_update_and_publish_ok(draft) {
        covers!("D16-9.2.2.9-01", "D16-9.2.2.9-04");
        if !draft.rules().track_extensions {
            return;
        }
        let (mut pair, id) = dynamic(draft, Some(0));
        assert!(matches!(pair.event(SERVER), Event::NewGroupRequest { id: it, group_id: 0 } if it == id));
        assert_eq!(ask_group(&mut pair, id, 7), Some(7));
        let mut pair = Pair::new(draft);
        let extensions = TrackExtensions { dynamic_groups: true, ..TrackExtensions::default() };
        let id = pair.ask(SERVER, Request::Publish(Publish { extensions, ..publish_as("live/cam/video", 0) }));
        let response = PublishOk { new_group_request: Some(0), ..PublishOk::default() };
        pair.accept(CLIENT, id, Response::Publish(response));
        // The acceptance was told before.
        assert!(matches!(pair.event(SERVER), Event::NewGroupRequest { id: it, .. } if it == id));
    }

    fn group_that_has_begun_or_is_asked_for_is_not_asked_for_again(draft) {
        covers!("D16-9.2.2.9-06");
        if !draft.rules().track_extensions {
            return;
        }
        let (mut pair, id) = dynamic(draft, None);
        assert_eq!(ask_group(&mut pair, id, 5), None, "it has begun");
        assert_eq!(ask_group(&mut pair, id, 8), Some(8));
        assert_eq!(ask_group(&mut pair, id, 7), None, "a later one is asked for");
        pair.open(SERVER, id, 6);
        assert_eq!(ask_group(&mut pair, id, 6), None);
        assert_eq!(ask_group(&mut pair, id, 8), Some(8), "a group has begun, though not that one");
        assert_eq!(ask_group(&mut pair, id, 9), Some(9));
    }

    fn tracks_without_dynamic_groups_are_not_asked_for_one(draft) {
        covers!("D16-9.2.2.9-02", "D16-9.2.2.9-03");
        if !draft.rules().track_extensions {
            return;
        }
        let mut pair = Pair::new(draft);
        let asked = Subscribe { new_group_request: Some(0), ..Subscribe::new(track("live/cam/video")) };
        let id = pair.ask(CLIENT, Request::Subscribe(asked));
        pair.accept(SERVER, id, subscribe_ok(None));
        pair.no_event(SERVER);
        let now = pair.now;
        let change = RequestUpdate { new_group_request: Some(0), ..RequestUpdate::default() };
        assert!(matches!(pair.session(CLIENT).update(now, id, change), Err(Misuse::WrongState(_))));
        let publish = pair.ask(SERVER, Request::Publish(publish_as("live/cam/audio", 0)));
        let response = PublishOk { new_group_request: Some(0), ..PublishOk::default() };
        let accepted = pair.session(CLIENT).accept(now, publish, Response::Publish(response));
        assert!(matches!(accepted, Err(Misuse::WrongState(_))));
        pair.accept(CLIENT, publish, publish_ok());
    }

    fn granted_update_may_state_a_new_time(draft) {
        if !draft.rules().updates_answered {
            return;
        }
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, expiring(Some(SECOND * 20)));
        let now = pair.now;
        pair.session(CLIENT).update(now, id, RequestUpdate::default()).unwrap();
        let Event::Update { answer: Some(answer), .. } = pair.event(SERVER) else { panic!() };
        let ok = RequestOk { expires: Some(SECOND * 60), ..RequestOk::default() };
        pair.accept(SERVER, answer, Response::Ok { kind: None, ok });
        pair.pass(SECOND * 59);
        pair.no_event(SERVER);
        pair.pass(SECOND);
        assert!(matches!(pair.event(SERVER), Event::Expired { .. }));
    }
}
