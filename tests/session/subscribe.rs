use moqingbird::session::{Event, Misuse, Side};
use moqingbird::wire::model::{
    GroupOrder, Location, Message, PublishDoneCode, ReasonPhrase, Request, RequestError, RequestErrorCode,
    RequestId, RequestKind, Response, SessionErrorCode, SubgroupId, Subscribe, SubscriptionFilter, Target,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{publish, subscribe, subscribe_ok, subscribe_ok_as, track};

fn with_filter(filter: SubscriptionFilter) -> Request {
    Request::Subscribe(Subscribe { filter: Some(filter), ..Subscribe::new(track("live/cam/video")) })
}

in_every_draft! {
    fn accepted_subscription_brings_its_streams(draft) {
        covers!("D14-9.7-14", "D14-9.7-15", "D16-9.9-01", "D14-10.1-02");
        for publisher in [SERVER, CLIENT] {
            let mut pair = Pair::new(draft);
            let id = pair.ask(1 - publisher, subscribe("live/cam/video"));
            pair.accept(publisher, id, subscribe_ok(None));
            let opened = pair.open(publisher, id, 0);
            pair.finish(publisher, opened.stream);
            pair.run();
            assert!(matches!(&pair.ends[1 - publisher].delivered[..], [(_, to)] if *to == id));
        }
    }

    fn rejected_subscription_ends_at_both_ends(draft) {
        covers!("D14-5.1-04", "D14-5.1-20", "D16-5.1-01", "D16-9.8-08");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        let now = pair.now;
        pair.session(SERVER).reject(now, id, RequestError::new(RequestErrorCode::DoesNotExist, "no")).unwrap();
        let Event::Rejected { id: rejected, error } = pair.event(CLIENT) else { panic!() };
        assert_eq!((rejected, error.code, error.reason.to_str().as_ref()), (id, RequestErrorCode::DoesNotExist, "no"));
        assert_eq!(pair.session(SERVER).accept(now, id, subscribe_ok(None)), Err(Misuse::UnknownRequest));
        pair.assert_idle();
    }

    fn retry_time_is_told_where_there_is_room_for_it(draft) {
        covers!("D16-9.8-03");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        let now = pair.now;
        let mut error = RequestError::new(RequestErrorCode::InternalError, "later");
        error.retry_after = Some(std::time::Duration::from_secs(5));
        pair.session(SERVER).reject(now, id, error.clone()).unwrap();
        let Event::Rejected { error: told, .. } = pair.event(CLIENT) else { panic!() };
        assert_eq!(told.retry_after, error.retry_after.filter(|_| draft.rules().retry_interval));
    }

    fn codes_that_the_draft_lacks_are_told_as_the_nearest(draft) {
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish("live/cam/video"));
        let now = pair.now;
        pair.session(SERVER).reject(now, id, RequestError::new(RequestErrorCode::ExpiredAuthToken, "")).unwrap();
        let Event::Rejected { error, .. } = pair.event(CLIENT) else { panic!() };
        let context = moqingbird::wire::model::ErrorContext::Request(RequestKind::Publish);
        let expected = match draft.request_code(context, RequestErrorCode::ExpiredAuthToken) {
            Some(_) => RequestErrorCode::ExpiredAuthToken,
            None => RequestErrorCode::Unauthorized,
        };
        assert_eq!(error.code, expected);
    }

    fn range_that_ends_before_it_starts_is_declined_and_never_asked_for(draft) {
        covers!("D14-9.7-08");
        let start = Location::new(6, 0);
        let backward = SubscriptionFilter::AbsoluteRange { start, end_group: 5 };
        let mut raw = Raw::new(draft, Side::Client);
        assert!(matches!(raw.session.request(raw.now, with_filter(backward)), Err(Misuse::Inexpressible(_))));
        // Written by hand: Request ID 0, track "a/b", from group 6 to group 5.
        let payload: &[u8] = match draft.rules().setup_version {
            Some(_) => &[0, 1, 1, b'a', 1, b'b', 128, 0, 1, 4, 6, 0, 5, 0],
            None => &[0, 1, 1, b'a', 1, b'b', 1, 0x21, 4, 4, 6, 0, 5],
        };
        let mut raw = Raw::new(draft, Side::Server);
        let control = raw.control.unwrap();
        raw.lane(control, [&[3, 0, payload.len() as u8], payload].concat().into(), false);
        let Message::RequestError { error, .. } = raw.heard_one() else { panic!() };
        assert_eq!(error.code, RequestErrorCode::InvalidRange);
        assert!(raw.session.is_idle() && raw.events.is_empty());
    }

    fn lower_subgroups_of_a_group_go_first(draft) {
        covers!("D14-7.2-04");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        let mut order = |group, subgroup| {
            let server = pair.session(SERVER);
            server.open_subgroup(id, group, SubgroupId::Id(subgroup), 128, false, false).unwrap().order
        };
        // Higher goes first.
        assert!(order(5, 0) > order(5, 1));
        assert!(order(5, 3) > order(6, 0), "whatever the next group has");
    }

    fn unsubscribe_resets_open_streams(draft) {
        covers!("D14-5.1-14", "D14-9.11-01", "D16-5.1.1-01", "D16-10.4.3-02");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        let streams = [pair.open(SERVER, id, 0).stream, pair.open(SERVER, id, 1).stream];
        pair.run();
        let now = pair.now;
        pair.session(CLIENT).cancel(now, id).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Cancelled { id: it } if it == id));
        assert_eq!(pair.ends[SERVER].reset, streams);
        let again = pair.session(SERVER).open_subgroup(id, 2, SubgroupId::Zero, 0, false, false);
        assert_eq!(again.unwrap_err(), Misuse::UnknownRequest);
        pair.no_event(CLIENT);
        pair.assert_idle();
    }

    fn unsubscribe_may_cross_the_answer(draft) {
        covers!("D16-5.1-15");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        let now = pair.now;
        pair.session(SERVER).accept(now, id, subscribe_ok(None)).unwrap();
        pair.session(CLIENT).cancel(now, id).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Cancelled { .. }));
        pair.no_event(CLIENT);
        pair.assert_idle();
    }

    fn unsubscribe_may_cross_publish_done(draft) {
        covers!("D14-9.11-02", "D16-9.12-02", "D14-9.12-04", "D16-9.15-04");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        let now = pair.now;
        pair.session(SERVER).finish(now, id, PublishDoneCode::TrackEnded, ReasonPhrase::default()).unwrap();
        pair.session(CLIENT).cancel(now, id).unwrap();
        pair.no_event(CLIENT);
        pair.no_event(SERVER);
        pair.assert_idle();
    }

    fn second_subscription_to_a_track_is_refused_here(draft) {
        covers!("D14-9.7-01");
        let mut pair = Pair::new(draft);
        pair.ask(CLIENT, subscribe("live/cam/video"));
        let now = pair.now;
        assert!(matches!(
            pair.session(CLIENT).request(now, subscribe("live/cam/video")),
            Err(Misuse::WrongState(_))
        ));
        pair.ask(SERVER, subscribe("live/cam/video"));
    }

    fn second_subscription_to_a_track_is_declined_or_closes(draft) {
        covers!("D14-9.7-02", "D16-5.1-09");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: subscribe("live/cam/video") });
        raw.session.accept(raw.now, RequestId(0), subscribe_ok(None)).unwrap();
        raw.heard();
        raw.say(&Message::Request { id: RequestId(2), request: subscribe("live/cam/video") });
        if draft.rules().duplicate_subscription_declined {
            let Message::RequestError { target, error, .. } = raw.heard_one() else { panic!() };
            assert_eq!((target, error.code), (Target::Id(RequestId(2)), RequestErrorCode::DuplicateSubscription));
            assert!(raw.session.subscription(RequestId(0)).is_some());
        } else {
            raw.assert_closed(SessionErrorCode::ProtocolViolation);
        }
    }

    fn subscribe_that_crosses_our_publish_is_declined(draft) {
        covers!("D16-5.1-11");
        let mut raw = Raw::new(draft, Side::Server);
        raw.session.request(raw.now, publish("live/cam/video")).unwrap();
        raw.heard();
        raw.say(&Message::Request { id: RequestId(0), request: subscribe("live/cam/video") });
        assert!(matches!(raw.heard_one(), Message::RequestError { target: Target::Id(RequestId(0)), .. }));
        raw.assert_open();
    }

    fn aliases_differ_between_tracks(draft) {
        covers!("D14-9.8-01", "D16-9.10-01", "D14-9.13-01", "D16-9.13-01");
        let mut raw = Raw::new(draft, Side::Server);
        let mut aliases = std::collections::BTreeSet::new();
        for n in 0..4 {
            let id = RequestId(2 * n);
            raw.say(&Message::Request { id, request: subscribe(&format!("live/cam/{n}")) });
            raw.session.accept(raw.now, id, subscribe_ok(None)).unwrap();
            let Message::Response { response: Response::Subscribe(ok), .. } = raw.heard_one() else { panic!() };
            assert!(aliases.insert(ok.track_alias));
            raw.session.request(raw.now, publish(&format!("live/mic/{n}"))).unwrap();
            let Message::Request { request: Request::Publish(publish), .. } = raw.heard_one() else { panic!() };
            assert!(aliases.insert(publish.track_alias));
        }
    }

    fn alias_of_an_ended_subscription_is_free(draft) {
        covers!("D14-9.8-03", "D16-9.10-04");
        let mut raw = Raw::new(draft, Side::Client);
        let first = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        raw.say(&Message::Response { target: Target::Id(first), response: subscribe_ok_as(7, None) });
        raw.session.cancel(raw.now, first).unwrap();
        let second = raw.session.request(raw.now, subscribe("live/cam/audio")).unwrap();
        raw.say(&Message::Response { target: Target::Id(second), response: subscribe_ok_as(7, None) });
        raw.assert_open();
        let stream = raw.open(7);
        assert!(raw.delivered(stream));
    }

    fn no_objects_while_forward_is_off(draft) {
        covers!("D14-5.1-10", "D16-5.1-05", "D16-5.1-06");
        let mut pair = Pair::new(draft);
        let request = Request::Subscribe(Subscribe { forward: false, ..Subscribe::new(track("live/cam/video")) });
        let id = pair.ask(CLIENT, request);
        pair.accept(SERVER, id, subscribe_ok(None));
        let opened = pair.session(SERVER).open_subgroup(id, 0, SubgroupId::Zero, 0, false, false);
        assert!(matches!(opened, Err(Misuse::WrongState(_))));
        let now = pair.now;
        pair.session(SERVER).finish(now, id, PublishDoneCode::TrackEnded, ReasonPhrase::default()).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::Ended { .. }));
    }

    fn filters_are_relative_to_the_largest_location(draft) {
        covers!("D14-9.7-03", "D14-9.7-04", "D16-5.1.2-03", "D16-5.1.2-04");
        let largest = Location::new(5, 3);
        for (filter, told, start) in [
            (SubscriptionFilter::LargestObject, Some(largest), Location::new(5, 4)),
            (SubscriptionFilter::LargestObject, None, Location::new(0, 0)),
            (SubscriptionFilter::NextGroupStart, Some(largest), Location::new(6, 0)),
            (SubscriptionFilter::NextGroupStart, None, Location::new(0, 0)),
        ] {
            let mut pair = Pair::new(draft);
            let id = pair.ask(CLIENT, with_filter(filter));
            pair.accept(SERVER, id, subscribe_ok(told));
            let range = pair.session(SERVER).subscription(id).unwrap().range;
            assert_eq!((range.start, range.end_group), (start, None), "{filter:?}");
            assert!(range.contains(start));
        }
    }

    fn groups_outside_the_range_are_not_opened(draft) {
        covers!("D14-9.7-17", "D14-9.7-06", "D16-9.9-03", "D16-5.1.2-02");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, with_filter(SubscriptionFilter::AbsoluteRange {
            start: Location::new(2, 3),
            end_group: 4,
        }));
        pair.accept(SERVER, id, subscribe_ok(None));
        let mut open = |group| pair.session(SERVER).open_subgroup(id, group, SubgroupId::Zero, 0, false, false);
        assert!(matches!(open(1), Err(Misuse::WrongState(_))));
        assert!(matches!(open(5), Err(Misuse::WrongState(_))));
        assert!(open(2).is_ok() && open(4).is_ok());
        let range = pair.session(SERVER).subscription(id).unwrap().range;
        assert!(!range.contains(Location::new(2, 2)) && range.contains(Location::new(2, 3)));
    }

    fn order_that_was_asked_for_is_used(draft) {
        covers!("D14-7.1-04", "D14-9.7-11", "D16-9.2.2.4-03");
        for (asked, of_track, used) in [
            (None, GroupOrder::Descending, GroupOrder::Descending),
            (Some(GroupOrder::Descending), GroupOrder::Ascending, GroupOrder::Descending),
            (Some(GroupOrder::Ascending), GroupOrder::Descending, GroupOrder::Ascending),
        ] {
            let mut pair = Pair::new(draft);
            let request = Request::Subscribe(Subscribe { group_order: asked, ..Subscribe::new(track("live/cam/video")) });
            let id = pair.ask(CLIENT, request);
            let Response::Subscribe(mut ok) = subscribe_ok(None) else { panic!() };
            ok.extensions.group_order = of_track;
            pair.accept(SERVER, id, Response::Subscribe(ok));
            assert_eq!(pair.session(SERVER).subscription(id).unwrap().group_order, used);
            let [low, high] = [pair.open(SERVER, id, 0), pair.open(SERVER, id, 1)].map(|opened| opened.order);
            assert_eq!(low > high, used == GroupOrder::Ascending);
        }
    }

    fn urgent_subscriptions_and_streams_go_first(draft) {
        covers!("D14-7.2-01", "D14-7.2-02", "D14-7.2-03", "D16-7.2-01");
        let mut pair = Pair::new(draft);
        let order = |pair: &mut Pair, name: &str, subscriber, publisher, group| {
            let request = Request::Subscribe(Subscribe { subscriber_priority: subscriber, ..Subscribe::new(track(name)) });
            let id = pair.ask(CLIENT, request);
            pair.accept(SERVER, id, subscribe_ok(None));
            pair.open(SERVER, id, 0);
            pair.session(SERVER).open_subgroup(id, group, SubgroupId::Zero, publisher, false, false).unwrap().order
        };
        let orders = [
            order(&mut pair, "a/b/1", 10, 200, 9),
            order(&mut pair, "a/b/2", 11, 100, 9),
            order(&mut pair, "a/b/3", 11, 101, 8),
            order(&mut pair, "a/b/4", 11, 101, 9),
        ];
        assert!(orders.windows(2).all(|pair| pair[0] > pair[1]), "{orders:?}");
    }

    fn calls_that_make_no_sense_leave_the_session_unharmed(draft) {
        let mut pair = Pair::new(draft);
        let now = pair.now;
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        let nobody = RequestId(50);
        assert_eq!(pair.session(CLIENT).cancel(now, nobody), Err(Misuse::UnknownRequest));
        assert!(matches!(pair.session(CLIENT).accept(now, id, subscribe_ok(None)), Err(Misuse::WrongState(_))));
        assert_eq!(pair.session(SERVER).accept(now, id, crate::support::publish_ok()), Err(Misuse::WrongKind));
        assert_eq!(pair.session(SERVER).cancel(now, id), Err(Misuse::WrongKind));
        let error = RequestError::new(RequestErrorCode::InternalError, "");
        assert_eq!(pair.session(SERVER).revoke(now, id, error), Err(Misuse::WrongKind));
        let early = pair.session(SERVER).finish(now, id, PublishDoneCode::TrackEnded, ReasonPhrase::default());
        assert!(matches!(early, Err(Misuse::WrongState(_))));
        pair.accept(SERVER, id, subscribe_ok(None));
    }

    fn what_is_left_out_of_a_subscribe_is_the_default(draft) {
        covers!("D16-9.2.2.3-03", "D16-9.2.2.5-03", "D16-5.1.2-01");
        let mut pair = Pair::new(draft);
        let filter = draft.rules().publish_ok_is_explicit.then_some(SubscriptionFilter::LargestObject);
        let request = Subscribe { filter, ..Subscribe::new(track("live/cam/video")) };
        let id = pair.ask(CLIENT, Request::Subscribe(request));
        pair.accept(SERVER, id, subscribe_ok(Some(Location::new(5, 3))));
        let state = pair.session(SERVER).subscription(id).unwrap();
        assert_eq!((state.subscriber_priority, state.forward), (128, true));
        assert_eq!(state.range.contains(Location::new(0, 0)), filter.is_none());
        assert!(state.range.contains(Location::new(1 << 40, 0)));
    }

    fn range_may_end_with_the_group_in_which_it_starts(draft) {
        covers!("D14-9.7-07");
        let mut pair = Pair::new(draft);
        let start = Location::new(6, 2);
        let id = pair.ask(CLIENT, with_filter(SubscriptionFilter::AbsoluteRange { start, end_group: 6 }));
        pair.accept(SERVER, id, subscribe_ok(None));
        assert!(pair.try_open(SERVER, id, 6).is_ok());
        assert!(pair.try_open(SERVER, id, 7).is_err());
    }

    fn aliases_of_the_two_directions_have_nothing_in_common(draft) {
        covers!("D16-10.1-02");
        let mut pair = Pair::new(draft);
        for publisher in [SERVER, CLIENT] {
            let id = pair.ask(publisher, publish("live/cam/video"));
            pair.accept(1 - publisher, id, crate::support::publish_ok());
            assert_eq!(pair.session(publisher).subscription(id).unwrap().track_alias.0, 0);
        }
        assert!(pair.ends.iter().all(|end| !end.session.is_closed()));
    }

    fn publish_done_waits_for_the_streams_and_the_subscription_for_it(draft) {
        covers!("D14-9.12-01", "D14-9.12-02", "D16-5.1.1-02", "D16-9.15-02");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: subscribe("live/cam/video") });
        raw.session.accept(raw.now, RequestId(0), subscribe_ok(None)).unwrap();
        let opened = raw.session.open_subgroup(RequestId(0), 0, SubgroupId::Zero, 1, false, false).unwrap();
        raw.session.finish(raw.now, RequestId(0), PublishDoneCode::TrackEnded, ReasonPhrase::default()).unwrap();
        assert!(!raw.heard().iter().any(|message| matches!(message, Message::PublishDone { .. })));
        assert!(raw.session.subscription(RequestId(0)).is_some());
        let again = raw.session.open_subgroup(RequestId(0), 1, SubgroupId::Zero, 1, false, false);
        assert!(matches!(again, Err(Misuse::WrongState(_))));
        let how = moqingbird::session::StreamEnd::Finished;
        raw.handle(moqingbird::session::Input::DataSettled { stream: opened.stream, how });
        let Message::PublishDone { done, .. } = raw.heard_one() else { panic!() };
        assert_eq!(done.stream_count, 1);
    }
}
