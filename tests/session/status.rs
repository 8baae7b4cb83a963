use moqingbird::session::{Event, Misuse, Side};
use moqingbird::wire::model::{
    Location, Message, Request, RequestError, RequestErrorCode, RequestId, RequestKind, RequestOk, Response,
    SessionErrorCode, Subscribe,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{subscribe, subscribe_ok, track};

fn track_status() -> Request {
    Request::TrackStatus(Subscribe::new(track("live/cam/video")))
}

fn largest(group: u64) -> Response {
    let ok = RequestOk { largest: Some(Location::new(group, 1)), ..RequestOk::default() };
    Response::Ok { kind: None, ok }
}

in_every_draft! {
    fn track_status_is_answered_and_leaves_nothing_behind(draft) {
        covers!("D14-9.20-01", "D16-9.19-01");
        for publisher in [SERVER, CLIENT] {
            let mut pair = Pair::new(draft);
            let id = pair.ask(1 - publisher, track_status());
            let now = pair.now;
            pair.session(publisher).accept(now, id, largest(7)).unwrap();
            let Event::Accepted { id: it, response: Response::Ok { ok, .. } } = pair.event(1 - publisher) else { panic!() };
            assert_eq!((it, ok.largest), (id, Some(Location::new(7, 1))));
            pair.assert_idle();
        }
    }

    fn track_status_can_be_declined(draft) {
        covers!("D14-9.22-01");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, track_status());
        let now = pair.now;
        let error = RequestError::new(RequestErrorCode::DoesNotExist, "");
        pair.session(SERVER).reject(now, id, error).unwrap();
        let Event::Rejected { id: it, error } = pair.event(CLIENT) else { panic!() };
        assert_eq!((it, error.code), (id, RequestErrorCode::DoesNotExist));
        pair.assert_idle();
    }

    fn track_status_counts_as_no_subscription(draft) {
        covers!("D14-9.20-01", "D14-9.21-02");
        let mut pair = Pair::new(draft);
        let subscription = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, subscription, subscribe_ok(None));
        let id = pair.ask(CLIENT, track_status());
        pair.accept(SERVER, id, largest(0));
        let again = pair.ask(CLIENT, track_status());
        pair.accept(SERVER, again, largest(0));
        assert!(pair.session(SERVER).subscription(subscription).is_some());
    }

    fn our_track_status_is_neither_updated_nor_unsubscribed(draft) {
        covers!("D14-9.20-02", "D16-9.19-03");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, track_status()).unwrap();
        raw.heard();
        assert_eq!(raw.session.update(raw.now, id, Default::default()), Err(Misuse::WrongKind));
        raw.session.cancel(raw.now, id).unwrap();
        assert_eq!(raw.heard(), []);
    }

    fn withdrawn_track_status_may_still_be_answered(draft) {
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, track_status());
        let now = pair.now;
        pair.session(CLIENT).cancel(now, id).unwrap();
        pair.session(SERVER).accept(now, id, largest(0)).unwrap();
        pair.no_event(CLIENT);
        pair.assert_idle();
    }

    fn track_status_has_no_unsubscribe(draft) {
        covers!("D14-9.20-02");
        let mut raw = Raw::new(draft, Side::Server);
        let Request::TrackStatus(asked) = track_status() else { panic!() };
        let filter = asked.filter.filter(|_| draft.rules().publish_ok_is_explicit);
        let request = Request::TrackStatus(Subscribe { filter, ..asked });
        raw.say(&Message::Request { id: RequestId(0), request });
        raw.say(&Message::Unsubscribe(RequestId(0)));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn track_status_is_no_subscription_that_could_be_finished_or_accepted_as_one(draft) {
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, track_status());
        let now = pair.now;
        assert_eq!(pair.session(SERVER).accept(now, id, subscribe_ok(None)), Err(Misuse::WrongKind));
        let opened = pair.session(SERVER).open_fetch(id, 1);
        assert!(matches!(opened, Err(Misuse::WrongKind)));
        pair.accept(SERVER, id, Response::Ok { kind: Some(RequestKind::TrackStatus), ok: RequestOk::default() });
    }
}
