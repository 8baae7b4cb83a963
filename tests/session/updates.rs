use moqingbird::session::{Config, Event, Misuse, Side};
use moqingbird::wire::model::{
    AuthorizationToken, Fetch, FetchRange, GroupOrder, Location, Message, PublishDoneCode, ReasonPhrase,
    Request, RequestError, RequestErrorCode, RequestId, RequestKind, RequestUpdate, Response,
    SessionErrorCode, Setup, Subscribe, SubscriptionFilter, Target,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{
    fetch, ok, publish, publish_namespace, publish_ok, subscribe, subscribe_namespace, subscribe_ok,
    subscribe_ok_as, track,
};

fn range(start: u64, end_group: u64) -> SubscriptionFilter {
    SubscriptionFilter::AbsoluteRange { start: Location::new(start, 0), end_group }
}

/// An update that says everything that any draft wants said.
fn whole(filter: SubscriptionFilter) -> RequestUpdate {
    RequestUpdate {
        filter: Some(filter),
        subscriber_priority: Some(1),
        forward: Some(true),
        ..Default::default()
    }
}

fn accept_update(pair: &mut Pair) {
    if let Event::Update { answer: Some(answer), .. } = pair.event(SERVER) {
        pair.accept(SERVER, answer, ok(RequestKind::Update));
    }
}

/// A server that sends `filter` to a raw peer as request 0.
fn sending(draft: &'static dyn moqingbird::wire::Draft, filter: SubscriptionFilter) -> Raw {
    let mut raw = Raw::new(draft, Side::Server);
    let request =
        Request::Subscribe(Subscribe { filter: Some(filter), ..Subscribe::new(track("live/cam/video")) });
    raw.say(&Message::Request { id: RequestId(0), request });
    raw.session.accept(raw.now, RequestId(0), subscribe_ok(None)).unwrap();
    raw.heard();
    raw.events.clear();
    raw
}

fn update(target: u64, update: RequestUpdate) -> Message {
    Message::RequestUpdate { id: RequestId(2), target: RequestId(target), update }
}

in_every_draft! {
    fn update_whose_range_ends_before_it_starts_is_not_said(draft) {
        covers!("D14-9.10-08");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        let now = pair.now;
        let said = pair.session(CLIENT).update(now, id, whole(range(6, 5)));
        assert!(matches!(said, Err(Misuse::Inexpressible(_) | Misuse::WrongState(_))), "{said:?}");
        // Written by hand where updates have no answer: from {6,0}, last group 5, which is said as 6.
        if !draft.rules().updates_answered {
            let mut raw = sending(draft, SubscriptionFilter::LargestObject);
            let control = raw.control.unwrap();
            raw.lane(control, [2, 0, 8, 2, 0, 6, 0, 6, 128, 1, 0].to_vec().into(), false);
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
        }
    }

    fn update_leaves_the_order_of_groups(draft) {
        covers!("D14-7.1-03");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        let Response::Subscribe(mut ok) = subscribe_ok(None) else { panic!() };
        ok.extensions.group_order = GroupOrder::Descending;
        pair.accept(SERVER, id, Response::Subscribe(ok));
        let now = pair.now;
        pair.session(CLIENT).update(now, id, whole(SubscriptionFilter::AbsoluteStart(Location::new(0, 0)))).unwrap();
        accept_update(&mut pair);
        assert_eq!(pair.session(SERVER).subscription(id).unwrap().group_order, GroupOrder::Descending);
        let [low, high] = [pair.open(SERVER, id, 0), pair.open(SERVER, id, 1)].map(|opened| opened.order);
        assert!(high > low, "the newer group goes first, as before");
    }

    fn update_names_a_request_that_there_is(draft) {
        covers!("D16-9.11-02");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        raw.say(&Message::Response { target: Target::Id(id), response: subscribe_ok_as(7, None) });
        raw.heard();
        let change = whole(SubscriptionFilter::AbsoluteStart(Location::new(0, 0)));
        assert_eq!(raw.session.update(raw.now, RequestId(40), change.clone()), Err(Misuse::UnknownRequest));
        assert_eq!(raw.heard(), []);
        raw.session.update(raw.now, id, change.clone()).unwrap();
        assert!(matches!(raw.heard_one(), Message::RequestUpdate { target, .. } if target == id));
        raw.session.cancel(raw.now, id).unwrap();
        raw.heard();
        assert_eq!(raw.session.update(raw.now, id, change), Err(Misuse::UnknownRequest));
        assert_eq!(raw.heard(), []);
    }

    fn update_changes_what_the_publisher_sees_and_nothing_else(draft) {
        covers!("D14-9.10-11", "D14-7.1-01", "D16-9.11-05", "D16-7.1-01");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(Some(Location::new(4, 1))));
        let before = pair.session(SERVER).subscription(id).unwrap().clone();
        let opened = pair.open(SERVER, id, 5);
        let now = pair.now;
        let change = RequestUpdate { subscriber_priority: Some(3), ..RequestUpdate::default() };
        let answered = pair.session(CLIENT).update(now, id, change).unwrap().is_some();
        assert_eq!(answered, draft.rules().updates_answered);
        accept_update(&mut pair);
        let after = pair.session(SERVER).subscription(id).unwrap().clone();
        assert_eq!(after.subscriber_priority, 3);
        assert_eq!((after.range, after.forward), (before.range, before.forward));
        pair.run();
        let [(stream, order)] = pair.ends[SERVER].priorities[..] else { panic!() };
        assert_eq!(stream, opened.stream);
        assert!(order > opened.order);
        pair.no_event(CLIENT);
    }

    fn forward_is_switched_off_and_on(draft) {
        covers!("D14-5.1-11", "D16-5.1-05");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        for forward in [false, true] {
            let now = pair.now;
            let change = RequestUpdate { forward: Some(forward), ..RequestUpdate::default() };
            pair.session(CLIENT).update(now, id, change).unwrap();
            accept_update(&mut pair);
            assert_eq!(pair.session(SERVER).subscription(id).unwrap().forward, forward);
        }
        pair.open(SERVER, id, 0);
    }

    fn updates_are_answered_under_their_own_number_or_not_at_all(draft) {
        covers!("D14-9.10-10", "D16-9.11-01");
        let mut raw = sending(draft, range(0, 9));
        raw.say(&update(0, whole(range(1, 8))));
        assert_eq!(raw.heard(), []);
        let [Event::Update { id: RequestId(0), answer, .. }] = raw.events[..] else { panic!() };
        assert_eq!(answer, draft.rules().updates_answered.then_some(RequestId(2)));
        let Some(answer) = answer else { return };
        raw.session.accept(raw.now, answer, ok(RequestKind::Update)).unwrap();
        assert!(matches!(raw.heard_one(), Message::Response { target: Target::Id(RequestId(2)), .. }));
    }

    fn narrowing_resets_the_streams_that_are_not_wanted(draft) {
        covers!("D14-9.10-04", "D14-10.4.3-03", "D16-10.4.3-04");
        let mut pair = Pair::new(draft);
        let request = Request::Subscribe(Subscribe {
            filter: Some(range(0, 9)),
            ..Subscribe::new(track("live/cam/video"))
        });
        let id = pair.ask(CLIENT, request);
        pair.accept(SERVER, id, subscribe_ok(None));
        let kept = pair.open(SERVER, id, 4).stream;
        let unwanted = pair.open(SERVER, id, 9).stream;
        let now = pair.now;
        pair.session(CLIENT).update(now, id, RequestUpdate { filter: Some(range(2, 6)), ..Default::default() }).unwrap();
        accept_update(&mut pair);
        pair.run();
        assert_eq!(pair.ends[SERVER].reset, [unwanted]);
        assert!(!pair.ends[SERVER].reset.contains(&kept));
    }

    fn widening_closes_or_is_granted(draft) {
        covers!("D14-9.10-02", "D14-9.10-03", "D16-9.11.1-02");
        for wider in [range(4, 6), range(5, 7), SubscriptionFilter::AbsoluteStart(Location::new(5, 0))] {
            let mut raw = sending(draft, range(5, 6));
            raw.say(&update(0, whole(wider)));
            if draft.rules().update_may_widen {
                let response = Response::Ok {
                    kind: None,
                    ok: moqingbird::wire::model::RequestOk { largest: Some(Location::new(5, 5)), ..Default::default() },
                };
                raw.session.accept(raw.now, RequestId(2), response).unwrap();
                let Message::Response { response: Response::Ok { ok, .. }, .. } = raw.heard_one() else { panic!() };
                assert_eq!(ok.largest, Some(Location::new(5, 5)));
                assert_eq!(raw.session.subscription(RequestId(0)).unwrap().filter, Some(wider));
            } else {
                raw.assert_closed(SessionErrorCode::ProtocolViolation);
            }
        }
    }

    fn our_widening_is_refused_where_the_draft_forbids_it(draft) {
        covers!("D14-9.10-01");
        let mut pair = Pair::new(draft);
        let request = Request::Subscribe(Subscribe {
            filter: Some(range(5, 6)),
            ..Subscribe::new(track("live/cam/video"))
        });
        let id = pair.ask(CLIENT, request);
        pair.accept(SERVER, id, subscribe_ok(None));
        let now = pair.now;
        let wider = RequestUpdate { filter: Some(range(4, 6)), ..RequestUpdate::default() };
        let updated = pair.session(CLIENT).update(now, id, wider);
        assert_eq!(updated.is_ok(), draft.rules().update_may_widen);
    }

    fn update_of_what_never_was_closes(draft) {
        covers!("D14-9.10-05", "D16-9.11-03");
        let mut raw = sending(draft, range(5, 6));
        raw.say(&update(98, whole(range(5, 6))));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn update_that_crosses_the_end_is_no_fault(draft) {
        covers!("D14-9.10-06");
        let mut raw = sending(draft, range(5, 6));
        raw.session.finish(raw.now, RequestId(0), PublishDoneCode::TrackEnded, ReasonPhrase::default()).unwrap();
        raw.heard();
        raw.say(&update(0, whole(range(5, 6))));
        raw.assert_open();
        let answered = raw.heard().iter().any(|message| matches!(message, Message::RequestError { .. }));
        assert_eq!(answered, draft.rules().updates_answered);
        assert!(raw.session.is_idle());
    }

    fn subscriber_updates_a_subscription_that_publish_made(draft) {
        covers!("D14-9.10-12", "D16-9.11-06");
        let mut pair = Pair::new(draft);
        let id = pair.ask(SERVER, publish("live/cam/video"));
        pair.accept(CLIENT, id, publish_ok());
        let now = pair.now;
        let change = RequestUpdate { subscriber_priority: Some(3), ..RequestUpdate::default() };
        pair.session(CLIENT).update(now, id, change).unwrap();
        accept_update(&mut pair);
        assert_eq!(pair.session(SERVER).subscription(id).unwrap().subscriber_priority, 3);
    }

    fn declined_update_ends_the_subscription(draft) {
        covers!("D16-9.11.1-01", "D16-9.8-02");
        if !draft.rules().updates_answered {
            return;
        }
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        pair.open(SERVER, id, 0);
        let now = pair.now;
        let change = RequestUpdate { subscriber_priority: Some(3), ..RequestUpdate::default() };
        let number = pair.session(CLIENT).update(now, id, change).unwrap().unwrap();
        assert!(matches!(pair.event(SERVER), Event::Update { .. }));
        let error = RequestError::new(RequestErrorCode::Unauthorized, "");
        pair.session(SERVER).reject(now, number, error).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::Rejected { id: it, .. } if it == number));
        let Event::Ended { id: ended, done } = pair.event(CLIENT) else { panic!() };
        assert_eq!((ended, done.code), (id, PublishDoneCode::UpdateFailed));
        pair.assert_idle();
    }

    fn update_that_nobody_answered_is_declined_when_its_subscription_ends(draft) {
        covers!("D16-9.11-01");
        if !draft.rules().updates_answered {
            return;
        }
        let mut raw = sending(draft, range(0, 9));
        raw.say(&update(0, whole(range(0, 9))));
        raw.say(&Message::Unsubscribe(RequestId(0)));
        assert!(matches!(raw.heard_one(), Message::RequestError { target: Target::Id(RequestId(2)), .. }));
        assert!(raw.session.is_idle());
    }

    fn updates_of_what_cannot_be_updated_are_declined_or_close(draft) {
        covers!("D16-4-02", "D14-9.20-02");
        let mut raw = Raw::new(draft, Side::Server);
        let filter = draft.rules().publish_ok_is_explicit.then_some(SubscriptionFilter::LargestObject);
        let asked = Subscribe { filter, ..Subscribe::new(track("live/cam/video")) };
        raw.say(&Message::Request { id: RequestId(0), request: Request::TrackStatus(asked) });
        let message = match draft.rules().updates_answered {
            true => update(0, RequestUpdate::default()),
            false => update(0, whole(range(0, 9))),
        };
        raw.say(&message);
        if draft.rules().updates_answered {
            let Message::RequestError { error, .. } = raw.heard_one() else { panic!() };
            assert_eq!(error.code, RequestErrorCode::NotSupported);
        } else {
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
        }
    }

    fn every_kind_that_the_draft_lets_be_updated_is_updated(draft) {
        covers!("D16-9.11-01", "D16-9.2.2.1-01");
        let rules = draft.rules();
        for request in [fetch(0, 1), publish_namespace("live"), subscribe_namespace("cam"), publish("live/cam/audio")] {
            let mut pair = Pair::new(draft);
            let kind = request.kind();
            let id = pair.ask(CLIENT, request);
            let token = AuthorizationToken::UseValue { token_type: 0, value: "fresh".into() };
            let change = RequestUpdate { authorization_tokens: vec![token.clone()], ..RequestUpdate::default() };
            let now = pair.now;
            let updated = pair.session(CLIENT).update(now, id, change);
            if !rules.updates_answered {
                assert!(matches!(updated, Err(Misuse::Inexpressible(_))), "{kind}: {updated:?}");
                continue;
            }
            assert!(rules.updatable.contains(&kind));
            let number = updated.unwrap();
            let Event::Update { id: it, update, answer } = pair.event(SERVER) else { panic!() };
            assert_eq!((it, answer, update.authorization_tokens), (id, number, vec![token]));
            pair.accept(SERVER, number.unwrap(), ok(RequestKind::Update));
        }
    }

    fn update_of_a_fetch_changes_its_place(draft) {
        covers!("D16-9.2.2.3-01");
        if !draft.rules().updates_answered {
            return;
        }
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, fetch(0, 1));
        let opened = pair.open_fetch(SERVER, id);
        let now = pair.now;
        let change = RequestUpdate { subscriber_priority: Some(1), ..RequestUpdate::default() };
        pair.session(CLIENT).update(now, id, change).unwrap();
        accept_update(&mut pair);
        let [(stream, order)] = pair.ends[SERVER].priorities[..] else { panic!() };
        assert_eq!(stream, opened.stream);
        assert!(order > opened.order);
    }

    fn parameters_that_do_not_belong_to_the_kind_close(draft) {
        covers!("D16-9.11-04");
        if !draft.rules().updates_answered {
            return;
        }
        let filter = RequestUpdate { filter: Some(range(0, 9)), ..RequestUpdate::default() };
        let forward = RequestUpdate { forward: Some(true), ..RequestUpdate::default() };
        let priority = RequestUpdate { subscriber_priority: Some(1), ..RequestUpdate::default() };
        for (request, change) in [
            (fetch(0, 1), filter.clone()),
            (fetch(0, 1), forward.clone()),
            (publish_namespace("live"), priority),
            (publish_namespace("live"), filter),
        ] {
            let mut raw = Raw::new(draft, Side::Server);
            raw.say(&Message::Request { id: RequestId(0), request: request.clone() });
            raw.say(&update(0, change.clone()));
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
            let mut pair = Pair::new(draft);
            let id = pair.ask(CLIENT, request);
            let now = pair.now;
            assert!(matches!(pair.session(CLIENT).update(now, id, change), Err(Misuse::Inexpressible(_))));
        }
    }

    fn update_of_a_joining_fetch_that_waits_is_granted_at_once(draft) {
        if !draft.rules().updates_answered {
            return;
        }
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: subscribe("live/cam/video") });
        let joining = FetchRange::RelativeJoining { subscription: RequestId(0), groups_before: 0 };
        raw.say(&Message::Request { id: RequestId(2), request: Request::Fetch(Fetch::new(joining)) });
        let change = RequestUpdate { subscriber_priority: Some(1), ..RequestUpdate::default() };
        raw.say(&Message::RequestUpdate { id: RequestId(4), target: RequestId(2), update: change });
        assert!(matches!(raw.heard_one(), Message::Response { target: Target::Id(RequestId(4)), .. }));
        raw.session.accept(raw.now, RequestId(0), subscribe_ok(Some(Location::new(3, 0)))).unwrap();
        raw.drain();
        let Some(Event::Request { request: Request::Fetch(fetch), .. }) = raw.events.last() else { panic!() };
        assert_eq!(fetch.subscriber_priority, 1);
    }

    fn update_that_waits_is_not_said_when_its_subscription_is_cancelled(draft) {
        let mut raw = Raw::opening(draft, Side::Client, Config::default());
        let setup = Setup { max_request_id: 2, ..raw.setup() };
        raw.say_setup(setup);
        let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        raw.say(&Message::Response { target: Target::Id(id), response: subscribe_ok_as(1, None) });
        let change = RequestUpdate { subscriber_priority: Some(3), ..RequestUpdate::default() };
        let number = raw.session.update(raw.now, id, change).unwrap();
        raw.session.cancel(raw.now, id).unwrap();
        raw.heard();
        let told = raw.events.iter().any(|event| matches!(event, Event::Rejected { id, .. } if Some(*id) == number));
        assert_eq!(told, number.is_some());
        raw.say(&Message::MaxRequestId(100));
        // Its number is said all the same.
        let said = raw.heard_one();
        assert!(matches!(said, Message::Request { id: RequestId(2), request: Request::TrackStatus(_) }), "{said:?}");
        let error = RequestError::new(RequestErrorCode::DoesNotExist, "");
        raw.say(&Message::RequestError { target: Target::Id(RequestId(2)), kind: Some(RequestKind::TrackStatus), error });
        raw.assert_open();
        assert!(raw.session.is_idle());
    }

    fn request_ok_tells_the_largest_location_that_is_known(draft) {
        covers!("D16-9.11.1-02", "D16-9.2.2.7-01");
        if !draft.rules().updates_answered {
            return;
        }
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(Some(Location::new(4, 1))));
        let now = pair.now;
        let wider = RequestUpdate { filter: Some(range(0, 9)), ..RequestUpdate::default() };
        pair.session(CLIENT).update(now, id, wider).unwrap();
        let Event::Update { answer: Some(answer), .. } = pair.event(SERVER) else { panic!() };
        pair.session(SERVER).accept(now, answer, ok(RequestKind::Update)).unwrap();
        let Event::Accepted { response: Response::Ok { ok, .. }, .. } = pair.event(CLIENT) else { panic!() };
        assert_eq!(ok.largest, Some(Location::new(4, 1)));
    }

    fn updates_that_nobody_answered_are_declined_when_their_request_ends(draft) {
        covers!("D16-9.11-01");
        if !draft.rules().updates_answered {
            return;
        }
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: fetch(0, 1) });
        raw.say(&update(0, RequestUpdate::default()));
        raw.say(&Message::FetchCancel(RequestId(0)));
        assert!(matches!(raw.heard_one(), Message::RequestError { target: Target::Id(RequestId(2)), .. }));
        assert!(raw.session.is_idle());
    }

    fn publication_that_waits_is_finished_with_the_code_that_was_given(draft) {
        let mut raw = Raw::opening(draft, Side::Client, Config::default());
        let id = raw.session.request(raw.now, publish("live/cam/video")).unwrap();
        let reason = ReasonPhrase::from("over");
        raw.session.finish(raw.now, id, PublishDoneCode::TrackEnded, reason.clone()).unwrap();
        raw.heard();
        let setup = raw.setup();
        raw.say_setup(setup);
        let heard = raw.heard();
        let [Message::Request { .. }, Message::PublishDone { done, .. }] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!((done.code, &done.reason), (PublishDoneCode::TrackEnded, &reason));
    }

    fn namespace_subscriptions_are_updated_on_either_stream_and_answered_there(draft) {
        covers!("D16-9.11-01");
        if !draft.rules().updates_answered {
            return;
        }
        let mut raw = Raw::new(draft, Side::Server);
        let own = raw.session.new_stream();
        raw.say_on(own, &Message::Request { id: RequestId(0), request: subscribe_namespace("live") });
        for (number, stream) in [(2, own), (4, raw.control.unwrap())] {
            let id = RequestId(number);
            raw.say_on(stream, &Message::RequestUpdate { id, target: RequestId(0), update: RequestUpdate::default() });
            raw.session.accept(raw.now, id, ok(RequestKind::Update)).unwrap();
            raw.drain();
            assert!(matches!(raw.said.pop(), Some((on, Message::Response { .. })) if on == stream));
        }
    }

    fn objects_of_a_range_that_was_narrowed_are_taken(draft) {
        covers!("D16-9.11.1-03");
        let mut raw = Raw::new(draft, Side::Client);
        let asked = Subscribe { filter: Some(range(0, 9)), ..Subscribe::new(track("live/cam/video")) };
        let id = raw.session.request(raw.now, Request::Subscribe(asked)).unwrap();
        raw.say(&Message::Response { target: Target::Id(id), response: subscribe_ok_as(7, None) });
        let narrower = RequestUpdate { filter: Some(range(5, 6)), ..RequestUpdate::default() };
        raw.session.update(raw.now, id, narrower).unwrap();
        // Of group 0.
        let late = raw.open(7);
        assert!(raw.delivered(late));
    }
}

#[test]
fn update_of_the_order_of_groups_closes() {
    covers!("D16-7.1-03");
    let draft = moqingbird::Version::Draft16.draft();
    let mut raw = sending(draft, SubscriptionFilter::LargestObject);
    let control = raw.control.unwrap();
    // REQUEST_UPDATE 2 of request 0, with GROUP_ORDER 2.
    raw.lane(control, [2, 0, 5, 2, 0, 1, 0x22, 2].to_vec().into(), false);
    raw.assert_closed(SessionErrorCode::ProtocolViolation);
}
