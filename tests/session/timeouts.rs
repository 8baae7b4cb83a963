use std::time::Duration;

use moqingbird::session::{Event, Side};
use moqingbird::wire::model::{Message, Request, RequestErrorCode, RequestId, RequestKind, Target};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{
    ok, publish, publish_namespace, publish_ok, subscribe, subscribe_namespace, subscribe_ok, subscribe_ok_as,
};

fn requests() -> [Request; 4] {
    [subscribe("a/b/c"), publish("a/b/d"), publish_namespace("a"), subscribe_namespace("b")]
}

in_every_draft! {
    fn request_that_is_not_answered_is_rejected_and_withdrawn(draft) {
        covers!("D14-3.4-05", "D16-3.4-06");
        for request in requests() {
            let mut pair = Pair::new(draft);
            let id = pair.ask(CLIENT, request);
            pair.pass(Duration::from_millis(9_999));
            pair.no_event(CLIENT);
            pair.pass(Duration::from_millis(1));
            let Event::Rejected { id: rejected, error } = pair.event(CLIENT) else { panic!() };
            assert_eq!((rejected, error.code), (id, RequestErrorCode::Timeout));
            assert_eq!(error.reason.to_str(), "no answer within 10s");
            pair.run();
            // A PUBLISH that has been ended still awaits its application.
            let now = pair.now;
            match pair.ends[SERVER].events.pop_front() {
                Some(Event::Cancelled { .. }) => {}
                None => pair.session(SERVER).accept(now, id, publish_ok()).unwrap(),
                other => panic!("{other:?}"),
            }
            pair.assert_idle();
        }
    }

    fn answer_in_time_stops_the_clock(draft) {
        let mut pair = Pair::new(draft);
        let ids = requests().map(|request| pair.ask(CLIENT, request));
        let responses = [
            subscribe_ok(None),
            publish_ok(),
            ok(RequestKind::PublishNamespace),
            ok(RequestKind::SubscribeNamespace),
        ];
        for (id, response) in ids.into_iter().zip(responses) {
            pair.accept(SERVER, id, response);
        }
        pair.pass(Duration::from_secs(60));
        pair.no_event(CLIENT);
        pair.no_event(SERVER);
        assert_eq!(pair.session(CLIENT).poll_timeout(), None);
    }

    fn answer_that_comes_too_late_does_no_harm(draft) {
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, subscribe("a/b/c")).unwrap();
        raw.heard();
        raw.pass(Duration::from_secs(10));
        assert_eq!(raw.heard(), [Message::Unsubscribe(id)]);
        raw.say(&Message::Response { target: Target::Id(id), response: subscribe_ok_as(7, None) });
        raw.assert_open();
        let stream = raw.open(7);
        assert!(raw.stopped(stream) && raw.session.is_idle());
    }

    fn timeout_before_its_time_does_nothing(draft) {
        let mut raw = Raw::new(draft, Side::Client);
        let id: RequestId = raw.session.request(raw.now, subscribe("a/b/c")).unwrap();
        raw.heard();
        let due = raw.session.poll_timeout().unwrap();
        raw.pass(Duration::from_secs(1));
        assert_eq!(raw.session.poll_timeout(), Some(due));
        assert!(raw.events.is_empty(), "{id}");
    }
}
