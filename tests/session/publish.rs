use moqingbird::session::{Event, Misuse, Side};
use moqingbird::wire::model::{
    GroupOrder, Message, PublishDone, PublishDoneCode, PublishOk, ReasonPhrase, Request, RequestError,
    RequestErrorCode, RequestId, Response, SubgroupId, SubscriptionFilter, Target,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{publish, publish_as, publish_ok, subscribe};

in_every_draft! {
    fn accepted_publish_brings_its_streams(draft) {
        covers!("D14-5.1-06", "D16-5.1-02");
        for publisher in [CLIENT, SERVER] {
            let mut pair = Pair::new(draft);
            let id = pair.ask(publisher, publish("live/cam/video"));
            pair.accept(1 - publisher, id, publish_ok());
            let opened = pair.open(publisher, id, 0);
            pair.finish(publisher, opened.stream);
            pair.run();
            assert!(matches!(&pair.ends[1 - publisher].delivered[..], [(_, to)] if *to == id));
        }
    }

    fn objects_may_flow_before_publish_ok(draft) {
        covers!("D14-5.1-09", "D16-5.1-14");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish("live/cam/video"));
        pair.open(CLIENT, id, 0);
        pair.run();
        assert!(pair.ends[SERVER].delivered.is_empty());
        pair.accept(SERVER, id, publish_ok());
        assert_eq!(pair.ends[SERVER].delivered.len(), 1);
    }

    fn no_objects_before_forward_is_on(draft) {
        covers!("D14-9.13-06", "D16-9.13-04", "D14-5.1-12", "D16-9.2.2.8-03");
        let mut pair = Pair::new(draft);
        let mut offer = publish_as("live/cam/video", 0);
        offer.forward = false;
        let id = pair.ask(CLIENT, Request::Publish(offer));
        let opened = pair.session(CLIENT).open_subgroup(id, 0, SubgroupId::Zero, 0, false, false);
        assert!(matches!(opened, Err(Misuse::WrongState(_))));
        pair.accept(SERVER, id, publish_ok());
        pair.open(CLIENT, id, 0);
    }

    fn unwanted_publish_is_refused_and_its_streams_are_stopped(draft) {
        covers!("D14-9.13-07", "D16-9.13-03", "D14-5.1-17", "D16-5.1.1-03");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish("live/cam/video"));
        let opened = pair.open(CLIENT, id, 0);
        pair.run();
        let now = pair.now;
        pair.session(SERVER).reject(now, id, RequestError::new(RequestErrorCode::Uninterested, "")).unwrap();
        let Event::Rejected { error, .. } = pair.event(CLIENT) else { panic!() };
        assert_eq!(error.code, RequestErrorCode::Uninterested);
        assert_eq!(pair.ends[SERVER].stopped.len(), 1);
        assert_eq!(pair.ends[CLIENT].reset, [opened.stream]);
        assert!(pair.ends[SERVER].delivered.is_empty());
        pair.assert_idle();
    }

    fn publish_ok_decides_the_order_and_states_what_the_draft_wants_stated(draft) {
        covers!("D14-9.14-02");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish("live/cam/video"));
        let ok = PublishOk {
            group_order: Some(GroupOrder::Descending),
            filter: None,
            subscriber_priority: 7,
            ..PublishOk::default()
        };
        pair.accept(SERVER, id, Response::Publish(ok));
        let state = pair.session(CLIENT).subscription(id).unwrap();
        assert_eq!((state.group_order, state.subscriber_priority), (GroupOrder::Descending, 7));
        let stated = draft.rules().publish_ok_is_explicit.then_some(SubscriptionFilter::LargestObject);
        assert_eq!(state.filter, stated);
    }

    fn publish_done_waits_for_the_streams_and_counts_them(draft) {
        covers!("D14-5.1-16", "D14-9.12-09", "D16-9.15-01", "D16-9.15-08");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish("live/cam/video"));
        pair.accept(SERVER, id, publish_ok());
        let streams: Vec<_> = (0..3).map(|group| pair.open(CLIENT, id, group).stream).collect();
        let now = pair.now;
        pair.session(CLIENT).finish(now, id, PublishDoneCode::TrackEnded, "over".into()).unwrap();
        let late = pair.session(CLIENT).open_subgroup(id, 3, SubgroupId::Zero, 0, false, false);
        assert!(matches!(late, Err(Misuse::WrongState(_))));
        for stream in streams {
            pair.no_event(SERVER);
            pair.finish(CLIENT, stream);
        }
        let Event::Ended { id: ended, done } = pair.event(SERVER) else { panic!() };
        assert_eq!((ended, done.code, done.stream_count), (id, PublishDoneCode::TrackEnded, 3));
        pair.assert_idle();
    }

    fn a_track_of_datagrams_counts_no_stream(draft) {
        covers!("D14-9.12-07", "D16-9.15-06");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish("live/cam/video"));
        pair.accept(SERVER, id, publish_ok());
        let now = pair.now;
        pair.session(CLIENT).finish(now, id, PublishDoneCode::TrackEnded, ReasonPhrase::default()).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Ended { done: PublishDone { stream_count: 0, .. }, .. }));
    }

    fn publish_that_is_over_before_it_is_answered_still_brings_its_streams(draft) {
        covers!("D16-5.1-15");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish("live/cam/video"));
        let opened = pair.open(CLIENT, id, 0);
        pair.finish(CLIENT, opened.stream);
        pair.run();
        let now = pair.now;
        pair.session(CLIENT).finish(now, id, PublishDoneCode::TrackEnded, ReasonPhrase::default()).unwrap();
        pair.run();
        pair.session(SERVER).accept(now, id, publish_ok()).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Ended { .. }));
        assert_eq!(pair.ends[SERVER].delivered.len(), 1);
        pair.no_event(CLIENT);
        pair.assert_idle();
    }

    fn second_publish_of_a_track_is_refused(draft) {
        covers!("D16-5.1-10");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: Request::Publish(publish_as("live/cam/video", 1)) });
        raw.session.accept(raw.now, RequestId(0), publish_ok()).unwrap();
        raw.heard();
        raw.say(&Message::Request { id: RequestId(2), request: Request::Publish(publish_as("live/cam/video", 2)) });
        assert!(matches!(raw.heard_one(), Message::RequestError { target: Target::Id(RequestId(2)), .. }));
        raw.assert_open();
        let stream = raw.open(1);
        assert!(raw.delivered(stream));
    }

    fn publish_takes_the_place_of_our_unanswered_subscribe(draft) {
        covers!("D16-5.1-12");
        let mut raw = Raw::new(draft, Side::Server);
        let own = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        raw.heard();
        raw.say(&Message::Request { id: RequestId(0), request: Request::Publish(publish_as("live/cam/video", 1)) });
        raw.session.accept(raw.now, RequestId(0), publish_ok()).unwrap();
        let heard = raw.heard();
        assert!(matches!(&heard[..], [
            Message::Unsubscribe(id),
            Message::Response { target: Target::Id(RequestId(0)), .. },
        ] if *id == own), "{heard:?}");
        assert!(raw.events.iter().any(|event| matches!(event, Event::Rejected { id, .. } if *id == own)));
    }

    fn subscriber_leaves_a_publish(draft) {
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, publish("live/cam/video"));
        pair.accept(SERVER, id, publish_ok());
        let opened = pair.open(CLIENT, id, 0);
        pair.run();
        let now = pair.now;
        pair.session(SERVER).cancel(now, id).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::Cancelled { id: it } if it == id));
        assert_eq!(pair.ends[CLIENT].reset, [opened.stream]);
        pair.assert_idle();
    }

    fn extensions_for_which_there_is_no_room_are_left_out(draft) {
        let mut pair = Pair::new(draft);
        let mut offer = publish_as("live/cam/video", 0);
        offer.extensions.default_publisher_priority = 9;
        offer.extensions.dynamic_groups = true;
        let id = pair.ask(CLIENT, Request::Publish(offer));
        pair.accept(SERVER, id, publish_ok());
        let header = pair.session(CLIENT).open_subgroup(id, 0, SubgroupId::Zero, 9, false, false).unwrap().header;
        assert_eq!(header.publisher_priority.is_none(), draft.rules().track_extensions);
    }
}
