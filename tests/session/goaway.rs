use bytes::Bytes;
use moqingbird::session::{Event, Misuse};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::{publish, publish_namespace, subscribe, subscribe_namespace, subscribe_ok};

in_every_draft! {
    fn after_goaway_nothing_new_is_asked_and_the_old_goes_on(draft) {
        covers!("D14-9.4-01", "D14-9.4-03", "D16-9.4-01", "D16-9.4-04");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        let now = pair.now;
        pair.session(SERVER).go_away(now, Bytes::from_static(b"moqt://else")).unwrap();
        let Event::GoAway { new_session_uri } = pair.event(CLIENT) else { panic!() };
        assert_eq!(new_session_uri, "moqt://else");
        for request in [subscribe("a/b/c"), publish("a/b/c"), publish_namespace("a"), subscribe_namespace("a")] {
            assert_eq!(pair.session(CLIENT).request(now, request), Err(Misuse::Closed));
        }
        pair.open(SERVER, id, 0);
        pair.run();
        assert_eq!(pair.ends[CLIENT].delivered.len(), 1);
    }

    fn requests_after_our_goaway_are_still_heard(draft) {
        covers!("D14-9.4-02", "D14-9.4-10", "D16-9.4-06");
        let mut pair = Pair::new(draft);
        let now = pair.now;
        pair.session(CLIENT).go_away(now, Bytes::new()).unwrap();
        assert!(matches!(pair.event(SERVER), Event::GoAway { .. }));
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
    }

    fn clients_name_no_uri_and_nobody_says_goaway_twice(draft) {
        covers!("D14-9.4-09", "D16-9.4-11", "D14-9.4-04", "D16-9.4-07");
        let mut pair = Pair::new(draft);
        let now = pair.now;
        assert!(matches!(pair.session(CLIENT).go_away(now, Bytes::from_static(b"x")), Err(Misuse::Inexpressible(_))));
        let long = Bytes::from(vec![b'x'; 8193]);
        assert!(matches!(pair.session(SERVER).go_away(now, long), Err(Misuse::TooLong(_))));
        pair.session(SERVER).go_away(now, Bytes::new()).unwrap();
        assert!(matches!(pair.session(SERVER).go_away(now, Bytes::new()), Err(Misuse::WrongState(_))));
    }

    fn requests_that_wait_are_told_of_goaway(draft) {
        let mut server = moqingbird::session::Config::default();
        server.max_request_id = 0;
        let mut pair = Pair::with(draft, Default::default(), server);
        let now = pair.now;
        let id = pair.session(CLIENT).request(now, subscribe("a/b/c")).unwrap();
        pair.session(SERVER).go_away(now, Bytes::new()).unwrap();
        assert!(matches!(pair.event(CLIENT), Event::GoAway { .. }));
        assert!(matches!(pair.event(CLIENT), Event::Rejected { id: it, .. } if it == id));
        pair.assert_idle();
    }
}
