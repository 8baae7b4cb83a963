use std::time::Duration;

use moqingbird::session::{Config, Event, Input, Misuse, Side, StreamEnd};
use moqingbird::wire::model::{
    EndLocation, Fetch, FetchRange, GroupOrder, Location, Message, PublishDoneCode, PublishOk, ReasonPhrase,
    Request, RequestError, RequestErrorCode, RequestId, Response, SessionErrorCode, Subscribe,
    SubscriptionFilter, Target,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{
    fetch, fetch_ok, publish_as, publish_namespace, stated_fetch_ok, subscribe, subscribe_ok, track,
};

fn relative(subscription: RequestId, groups_before: u64) -> Request {
    Request::Fetch(Fetch::new(FetchRange::RelativeJoining { subscription, groups_before }))
}

fn absolute(subscription: RequestId, start_group: u64) -> Request {
    Request::Fetch(Fetch::new(FetchRange::AbsoluteJoining { subscription, start_group }))
}

/// What the application is told of a FETCH.
fn told(event: &Event) -> (RequestId, Location, EndLocation) {
    let Event::Request { id, request: Request::Fetch(fetch) } = event else { panic!("{event:?}") };
    let FetchRange::Standalone { track: of, start, end } = &fetch.range else { panic!("{fetch:?}") };
    assert_eq!(*of, track("live/cam/video"));
    (*id, *start, *end)
}

fn end(group: u64, object: u64) -> EndLocation {
    EndLocation { group, object: Some(object) }
}

/// A pair with a subscription from the client, accepted at `largest`.
fn subscribed(draft: &'static dyn moqingbird::wire::Draft, largest: Option<Location>) -> (Pair, RequestId) {
    let mut pair = Pair::new(draft);
    let id = pair.ask(CLIENT, subscribe("live/cam/video"));
    pair.accept(SERVER, id, subscribe_ok(largest));
    (pair, id)
}

/// A server to which a raw peer has subscribed as request 0.
fn publisher(draft: &'static dyn moqingbird::wire::Draft, filter: SubscriptionFilter) -> Raw {
    let mut raw = Raw::new(draft, Side::Server);
    let subscribe = Subscribe { filter: Some(filter), ..Subscribe::new(track("live/cam/video")) };
    raw.say(&Message::Request { id: RequestId(0), request: Request::Subscribe(subscribe) });
    raw.events.clear();
    raw
}

fn declined(raw: &mut Raw, id: u64, code: RequestErrorCode) {
    let Message::RequestError { target, error, .. } = raw.heard_one() else { panic!() };
    assert_eq!((target, error.code), (Target::Id(RequestId(id)), code));
    raw.assert_open();
}

in_every_draft! {
    fn fetch_is_answered_by_fetch_ok_and_one_stream(draft) {
        covers!("D14-5.1-05", "D16-5.2-01", "D14-9.16.3-03", "D16-9.16.3-01");
        for publisher in [SERVER, CLIENT] {
            let mut pair = Pair::new(draft);
            let id = pair.ask(1 - publisher, fetch(2, 4));
            pair.accept(publisher, id, Response::Fetch(fetch_ok(4, None)));
            let opened = pair.open_fetch(publisher, id);
            assert!(matches!(pair.session(publisher).open_fetch(id, 128), Err(Misuse::WrongState(_))));
            pair.finish(publisher, opened.stream);
            pair.run();
            assert!(matches!(&pair.ends[1 - publisher].delivered[..], [(_, to)] if *to == id));
            pair.assert_idle();
        }
    }

    fn stream_may_begin_and_end_before_the_answer(draft) {
        covers!("D14-9.16.3-06", "D14-9.17-02", "D16-9.17-01");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, fetch(2, 4));
        let opened = pair.open_fetch(SERVER, id);
        pair.finish(SERVER, opened.stream);
        pair.run();
        assert_eq!(pair.ends[CLIENT].delivered.len(), 1);
        assert!(!pair.session(CLIENT).is_idle());
        pair.accept(SERVER, id, Response::Fetch(fetch_ok(4, None)));
        pair.assert_idle();
    }

    fn answer_that_never_comes_ends_a_fetch_whose_stream_has_ended(draft) {
        covers!("D14-5.1-21");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, fetch(2, 4)).unwrap();
        let stream = raw.open_fetch(id);
        raw.pass(Config::default().response_timeout + Duration::from_secs(1));
        assert!(raw.events.is_empty(), "data is sign enough that the answer is in the making");
        raw.handle(Input::DataEnded { stream, how: StreamEnd::Finished });
        raw.pass(Config::default().response_timeout);
        assert!(matches!(&raw.events[..], [Event::Rejected { error, .. }] if error.code == RequestErrorCode::Timeout));
        assert!(raw.session.is_idle());
        raw.say(&Message::Response { target: Target::Id(id), response: stated_fetch_ok(draft, 4, None) });
        raw.assert_open();
    }

    fn error_after_objects_ends_the_fetch_and_nothing_else(draft) {
        covers!("D14-5.1-18", "D16-5.2-05", "D14-5.1-21");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, fetch(2, 4));
        let opened = pair.open_fetch(SERVER, id);
        pair.run();
        let now = pair.now;
        pair.session(SERVER).reject(now, id, RequestError::new(RequestErrorCode::InternalError, "")).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::Rejected { id: it, .. } if it == id));
        assert_eq!(pair.ends[SERVER].reset, [opened.stream]);
        pair.no_event(CLIENT);
        pair.assert_idle();
    }

    fn cancelled_fetch_says_so_and_its_stream_is_reset(draft) {
        covers!("D14-5.1-13", "D14-5.1-15", "D16-5.2-02", "D16-5.2-04");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, fetch(2, 4));
        pair.accept(SERVER, id, Response::Fetch(fetch_ok(4, None)));
        let opened = pair.open_fetch(SERVER, id);
        pair.run();
        let now = pair.now;
        pair.session(CLIENT).cancel(now, id).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Cancelled { id: it } if it == id));
        assert_eq!(pair.ends[SERVER].reset, [opened.stream]);
        assert_eq!(pair.ends[CLIENT].stopped.len(), 1);
        pair.assert_idle();
    }

    fn cancelling_crosses_the_end_of_the_fetch_without_harm(draft) {
        covers!("D14-9.19-02");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: fetch(2, 4) });
        raw.session.accept(raw.now, RequestId(0), Response::Fetch(fetch_ok(4, None))).unwrap();
        let opened = raw.session.open_fetch(RequestId(0), 1).unwrap();
        raw.handle(Input::DataSettled { stream: opened.stream, how: StreamEnd::Finished });
        assert!(raw.session.is_idle());
        raw.say(&Message::FetchCancel(RequestId(0)));
        raw.assert_open();
    }

    fn cancelling_what_is_no_fetch_closes(draft) {
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: publish_namespace("live") });
        raw.say(&Message::FetchCancel(RequestId(0)));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn streams_that_answer_no_fetch_are_refused(draft) {
        covers!("D14-10.4.4-03", "D16-10.4.4-04");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, fetch(2, 4)).unwrap();
        let subscription = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        let wanted = raw.open_fetch(id);
        assert!(raw.delivered(wanted));
        for other in [id, subscription, RequestId(40), RequestId(1)] {
            let stream = raw.open_fetch(other);
            assert!(raw.stopped(stream), "{other}");
        }
        raw.session.cancel(raw.now, id).unwrap();
        let late = raw.open_fetch(id);
        assert!(raw.stopped(late));
        raw.assert_open();
    }

    fn second_answer_to_a_fetch_closes(draft) {
        covers!("D14-5.1-07");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, fetch(2, 4)).unwrap();
        let ok = Message::Response { target: Target::Id(id), response: stated_fetch_ok(draft, 4, None) };
        raw.say(&ok);
        raw.assert_open();
        raw.say(&ok);
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn fetch_ok_that_ends_before_the_start_closes(draft) {
        covers!("D14-9.17-03", "D16-9.17-03");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, fetch(5, 6)).unwrap();
        let response = stated_fetch_ok(draft, 4, Some(9));
        raw.say(&Message::Response { target: Target::Id(id), response });
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn end_of_a_joining_fetch_is_checked_too(draft) {
        covers!("D14-9.17-03", "D16-9.17-03");
        for joining in [relative as fn(RequestId, u64) -> Request, absolute] {
            let mut raw = Raw::new(draft, Side::Client);
            let subscription = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
            let ok = crate::support::subscribe_ok_as(1, Some(Location::new(6, 2)));
            raw.say(&Message::Response { target: Target::Id(subscription), response: ok });
            let id = raw.session.request(raw.now, joining(subscription, 3)).unwrap();
            let response = stated_fetch_ok(draft, 2, None);
            raw.say(&Message::Response { target: Target::Id(id), response });
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
        }
    }

    fn end_of_a_whole_group_is_not_before_a_start_within_it(draft) {
        covers!("D14-9.17-04");
        let mut raw = Raw::new(draft, Side::Client);
        let range = FetchRange::Standalone {
            track: track("live/cam/video"),
            start: Location::new(5, 2),
            end: EndLocation { group: 5, object: None },
        };
        let id = raw.session.request(raw.now, Request::Fetch(Fetch::new(range))).unwrap();
        raw.say(&Message::Response { target: Target::Id(id), response: stated_fetch_ok(draft, 5, None) });
        raw.assert_open();
    }

    fn order_of_groups_is_stated_where_the_draft_wants_it(draft) {
        covers!("D14-9.16.3-01", "D16-9.2.2.4-03");
        for (asked, of_track, used) in [
            (None, GroupOrder::Descending, GroupOrder::Descending),
            (Some(GroupOrder::Ascending), GroupOrder::Descending, GroupOrder::Ascending),
        ] {
            let mut raw = Raw::new(draft, Side::Server);
            let Request::Fetch(fetch) = fetch(2, 4) else { panic!() };
            let request = Request::Fetch(Fetch { group_order: asked, ..fetch });
            raw.say(&Message::Request { id: RequestId(0), request });
            let mut ok = fetch_ok(4, None);
            ok.group_order = Some(of_track);
            raw.session.accept(raw.now, RequestId(0), Response::Fetch(ok)).unwrap();
            let Message::Response { response: Response::Fetch(ok), .. } = raw.heard_one() else { panic!() };
            assert_eq!(ok.group_order, draft.rules().ok_states_order.then_some(used));
        }
    }

    fn objects_may_flow_before_the_end_is_known(draft) {
        covers!("D14-9.17-01", "D16-9.17-02");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, fetch(2, 4));
        pair.open_fetch(SERVER, id);
        pair.run();
        assert!(matches!(&pair.ends[CLIENT].delivered[..], [(_, to)] if *to == id));
        // Nothing has been said of the end: FETCH_OK is what says it, when the application knows.
        pair.no_event(CLIENT);
        pair.accept(SERVER, id, stated_fetch_ok(draft, 4, Some(2)));
    }

    fn range_that_ends_before_it_starts_is_declined(draft) {
        covers!("D16-9.16.3-05", "D14-9.16.3-09");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: fetch(5, 4) });
        declined(&mut raw, 0, RequestErrorCode::InvalidRange);
        assert!(raw.session.is_idle() && raw.events.is_empty());
        assert!(matches!(raw.session.request(raw.now, fetch(5, 4)), Err(Misuse::WrongState(_))));
    }

    fn range_of_no_objects_is_an_error_or_an_empty_stream(draft) {
        covers!("D14-9.16.3-05", "D16-9.16.3-02");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, fetch(2, 4));
        let now = pair.now;
        let opened = pair.session(SERVER).serve_nothing(now, id, fetch_ok(4, None)).unwrap();
        match (opened, pair.event(CLIENT)) {
            (None, Event::Rejected { error, .. }) => assert_eq!(error.code, RequestErrorCode::NoObjects),
            (Some(opened), Event::Accepted { .. }) => pair.session(SERVER).handle(
                now,
                Input::DataSettled { stream: opened.stream, how: StreamEnd::Finished },
            ),
            other => panic!("{other:?}"),
        }
        assert!(pair.session(SERVER).is_idle());
    }

    fn joining_fetch_is_told_as_what_it_amounts_to(draft) {
        covers!("D14-9.16.2.1-02", "D14-9.16.2.1-03", "D16-9.16.2.1-02", "D16-9.16.2.1-03");
        let (mut pair, subscription) = subscribed(draft, Some(Location::new(9, 4)));
        let now = pair.now;
        for (request, start) in [
            (relative(subscription, 2), 7),
            (relative(subscription, 0), 9),
            (absolute(subscription, 3), 3),
            (absolute(subscription, 9), 9),
        ] {
            let id = pair.session(CLIENT).request(now, request).unwrap();
            assert_eq!(told(&pair.event(SERVER)), (id, Location::new(start, 0), end(9, 4)));
        }
    }

    fn joining_fetch_of_more_groups_than_there_were_is_of_all(draft) {
        covers!("D14-9.16.2.1-04", "D16-9.16.2.1-04");
        let (mut pair, subscription) = subscribed(draft, Some(Location::new(1, 4)));
        let now = pair.now;
        let id = pair.session(CLIENT).request(now, relative(subscription, 5)).unwrap();
        assert_eq!(told(&pair.event(SERVER)), (id, Location::new(0, 0), end(1, 4)));
    }

    fn subscription_goes_on_where_its_joining_fetch_ends(draft) {
        covers!("D14-9.16.2.1-01", "D16-9.16.2.1-01");
        let (mut pair, subscription) = subscribed(draft, Some(Location::new(9, 4)));
        let now = pair.now;
        pair.session(CLIENT).request(now, relative(subscription, 2)).unwrap();
        let (_, _, fetched) = told(&pair.event(SERVER));
        let range = pair.session(SERVER).subscription(subscription).unwrap().range;
        assert_eq!((fetched, range.start), (end(9, 4), Location::new(9, 5)));
    }

    fn joining_fetch_ends_where_the_subscription_began_whatever_came_later(draft) {
        covers!("D16-5.1-04");
        let (mut pair, subscription) = subscribed(draft, Some(Location::new(9, 4)));
        pair.open(SERVER, subscription, 12);
        let now = pair.now;
        let change = moqingbird::wire::model::RequestUpdate { subscriber_priority: Some(1), ..Default::default() };
        pair.session(CLIENT).update(now, subscription, change).unwrap();
        let Event::Update { answer, .. } = pair.event(SERVER) else { panic!() };
        if let Some(answer) = answer {
            let ok = moqingbird::wire::model::RequestOk { largest: Some(Location::new(12, 0)), ..Default::default() };
            pair.accept(SERVER, answer, Response::Ok { kind: None, ok });
        }
        let id = pair.session(CLIENT).request(now, relative(subscription, 1)).unwrap();
        assert_eq!(told(&pair.event(SERVER)), (id, Location::new(8, 0), end(9, 4)));
    }

    fn joining_fetch_waits_for_the_answer_to_its_subscribe(draft) {
        covers!("D16-9.16.2-04");
        let mut pair = Pair::new(draft);
        let now = pair.now;
        let subscription = pair.session(CLIENT).request(now, subscribe("live/cam/video")).unwrap();
        let id = pair.session(CLIENT).request(now, relative(subscription, 1)).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Request { request: Request::Subscribe(_), .. }));
        pair.no_event(SERVER);
        pair.session(SERVER).accept(now, subscription, subscribe_ok(Some(Location::new(5, 1)))).unwrap();
        assert_eq!(told(&pair.event(SERVER)), (id, Location::new(4, 0), end(5, 1)));
        pair.session(SERVER).accept(now, id, Response::Fetch(fetch_ok(5, Some(1)))).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::Accepted { id, .. } if id == subscription));
        assert!(matches!(pair.event(CLIENT), Event::Accepted { id: it, .. } if it == id));
    }

    fn joining_fetch_of_a_rejected_subscribe_is_declined(draft) {
        covers!("D16-9.16.2-03");
        let mut pair = Pair::new(draft);
        let now = pair.now;
        let subscription = pair.session(CLIENT).request(now, subscribe("live/cam/video")).unwrap();
        let id = pair.session(CLIENT).request(now, relative(subscription, 1)).unwrap();
        pair.run();
        let error = RequestError::new(RequestErrorCode::DoesNotExist, "");
        pair.session(SERVER).reject(now, subscription, error).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::Rejected { id, .. } if id == subscription));
        let Event::Rejected { id: rejected, error } = pair.event(CLIENT) else { panic!() };
        assert_eq!((rejected, error.code), (id, RequestErrorCode::InvalidJoiningRequestId));
        pair.assert_idle();
    }

    fn joining_fetch_that_waits_can_be_cancelled(draft) {
        let mut pair = Pair::new(draft);
        let now = pair.now;
        let subscription = pair.session(CLIENT).request(now, subscribe("live/cam/video")).unwrap();
        let id = pair.session(CLIENT).request(now, relative(subscription, 1)).unwrap();
        pair.run();
        pair.session(CLIENT).cancel(now, id).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Request { .. }));
        pair.no_event(SERVER);
        pair.accept(SERVER, subscription, subscribe_ok(Some(Location::new(5, 1))));
        pair.no_event(SERVER);
        pair.session(CLIENT).cancel(now, subscription).unwrap();
        pair.assert_idle();
    }

    fn joining_another_filter_than_largest_object_closes(draft) {
        covers!("D14-9.16.2-01", "D16-9.16.2-01");
        let mut raw = publisher(draft, SubscriptionFilter::AbsoluteStart(Location::new(1, 0)));
        raw.session.accept(raw.now, RequestId(0), subscribe_ok(Some(Location::new(5, 1)))).unwrap();
        raw.say(&Message::Request { id: RequestId(2), request: relative(RequestId(0), 1) });
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn joining_before_there_are_objects_is_declined(draft) {
        covers!("D14-9.16.2-02", "D16-9.16.2-02");
        let mut raw = publisher(draft, SubscriptionFilter::LargestObject);
        raw.session.accept(raw.now, RequestId(0), subscribe_ok(None)).unwrap();
        raw.heard();
        raw.say(&Message::Request { id: RequestId(2), request: relative(RequestId(0), 1) });
        declined(&mut raw, 2, RequestErrorCode::InvalidRange);
    }

    fn joining_behind_the_largest_group_is_declined(draft) {
        covers!("D14-9.16.3-10", "D16-9.16.3-06");
        let mut raw = publisher(draft, SubscriptionFilter::LargestObject);
        raw.session.accept(raw.now, RequestId(0), subscribe_ok(Some(Location::new(5, 3)))).unwrap();
        raw.heard();
        raw.say(&Message::Request { id: RequestId(2), request: absolute(RequestId(0), 6) });
        declined(&mut raw, 2, RequestErrorCode::InvalidRange);
    }

    fn joining_what_is_no_subscription_is_declined(draft) {
        covers!("D14-9.16.2-03", "D16-9.16.2-03");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: publish_namespace("live") });
        raw.say(&Message::Request { id: RequestId(2), request: relative(RequestId(0), 1) });
        declined(&mut raw, 2, RequestErrorCode::InvalidJoiningRequestId);
        raw.say(&Message::Request { id: RequestId(4), request: relative(RequestId(98), 1) });
        declined(&mut raw, 4, RequestErrorCode::InvalidJoiningRequestId);
        // A PUBLISH of ours that the peer has not answered is no subscription yet.
        let publish = raw.session.request(raw.now, Request::Publish(publish_as("live/cam/video", 0))).unwrap();
        raw.heard();
        raw.say(&Message::Request { id: RequestId(6), request: relative(publish, 1) });
        declined(&mut raw, 6, RequestErrorCode::InvalidJoiningRequestId);
    }

    fn subscription_that_publish_made_can_be_joined(draft) {
        covers!("D16-9.16.2-03");
        let mut pair = Pair::new(draft);
        let largest = Some(Location::new(3, 7));
        let publish = moqingbird::wire::model::Publish { largest, ..publish_as("live/cam/video", 0) };
        let subscription = pair.ask(SERVER, Request::Publish(publish));
        let ok = PublishOk { filter: Some(SubscriptionFilter::LargestObject), ..PublishOk::default() };
        pair.accept(CLIENT, subscription, Response::Publish(ok));
        let now = pair.now;
        let id = pair.session(CLIENT).request(now, relative(subscription, 1)).unwrap();
        assert_eq!(told(&pair.event(SERVER)), (id, Location::new(2, 0), end(3, 7)));
    }

    fn our_joining_is_refused_where_the_peer_would_have_to(draft) {
        let (mut pair, subscription) = subscribed(draft, None);
        let now = pair.now;
        let client = pair.session(CLIENT);
        assert!(matches!(client.request(now, relative(subscription, 1)), Err(Misuse::WrongState(_))));
        assert_eq!(client.request(now, relative(RequestId(40), 1)), Err(Misuse::UnknownRequest));
        let fetching = client.request(now, fetch(0, 1)).unwrap();
        assert_eq!(client.request(now, relative(fetching, 1)), Err(Misuse::WrongKind));
        let filter = Some(SubscriptionFilter::NextGroupStart);
        let other = Subscribe { filter, ..Subscribe::new(track("live/cam/audio")) };
        let other = client.request(now, Request::Subscribe(other)).unwrap();
        assert!(matches!(client.request(now, relative(other, 1)), Err(Misuse::WrongState(_))));
    }

    fn fetch_of_a_track_whose_subscription_has_ended_is_no_fault(draft) {
        covers!("D14-6.2-07", "D16-6.2-09");
        let (mut pair, subscription) = subscribed(draft, Some(Location::new(3, 0)));
        let now = pair.now;
        pair.session(SERVER).finish(now, subscription, PublishDoneCode::TrackEnded, ReasonPhrase::default()).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::Ended { .. }));
        pair.ask(CLIENT, fetch(0, 3));
    }

    fn urgent_fetches_go_first(draft) {
        let mut pair = Pair::new(draft);
        let mut order = |priority| {
            let Request::Fetch(fetch) = fetch(0, 1) else { panic!() };
            let id = pair.ask(CLIENT, Request::Fetch(Fetch { subscriber_priority: priority, ..fetch }));
            pair.open_fetch(SERVER, id).order
        };
        assert!(order(3) > order(4));
    }

    fn fetch_is_cancelled_in_the_midst_of_its_stream_while_others_go_on(draft) {
        covers!("D14-9.19-01", "D16-9.18-01", "D16-5.2-03");
        let mut pair = Pair::new(draft);
        let ids = [pair.ask(CLIENT, fetch(0, 1)), pair.ask(CLIENT, fetch(2, 3))];
        let opened = ids.map(|id| pair.open_fetch(SERVER, id));
        pair.run();
        let now = pair.now;
        pair.session(CLIENT).cancel(now, ids[0]).unwrap();
        pair.run();
        assert_eq!(pair.ends[SERVER].reset, [opened[0].stream]);
        assert_eq!(pair.ends[CLIENT].stopped.len(), 1);
        pair.accept(SERVER, ids[1], Response::Fetch(fetch_ok(3, None)));
    }

    fn publisher_may_give_up_a_fetch(draft) {
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, fetch(0, 1));
        let now = pair.now;
        assert!(matches!(pair.session(SERVER).cancel(now, id), Err(Misuse::WrongState(_))));
        pair.accept(SERVER, id, Response::Fetch(fetch_ok(1, None)));
        let opened = pair.open_fetch(SERVER, id);
        pair.run();
        pair.session(SERVER).cancel(now, id).unwrap();
        pair.run();
        assert_eq!(pair.ends[SERVER].reset, [opened.stream]);
        pair.assert_idle();
    }

    fn fetch_that_waits_and_is_cancelled_is_said_and_cancelled(draft) {
        let mut raw = Raw::opening(draft, Side::Client, Config::default());
        let id = raw.session.request(raw.now, fetch(0, 1)).unwrap();
        raw.session.cancel(raw.now, id).unwrap();
        raw.heard();
        let setup = raw.setup();
        raw.say_setup(setup);
        let heard = raw.heard();
        assert!(
            matches!(&heard[..], [Message::Request { request: Request::Fetch(_), .. }, Message::FetchCancel(it)] if *it == id),
            "{heard:?}"
        );
    }
}
