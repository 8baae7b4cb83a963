use std::time::Duration;

use moqingbird::session::{Input, Output, StreamEnd, StreamId};
use moqingbird::wire::Draft;
use moqingbird::wire::model::{
    Request, RequestId, RequestUpdate, ResetCode, Response, Subscribe, TrackExtensions,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::{subscribe_ok, track};

const LATE: Duration = Duration::from_millis(300);

/// A subscription that the server serves, with a delivery timeout of the subscriber's and one of the publisher's.
fn subscribed(pair: &mut Pair, subscriber: Option<Duration>, publisher: Option<Duration>) -> RequestId {
    let asked = Subscribe { delivery_timeout: subscriber, ..Subscribe::new(track("live/cam/video")) };
    let id = pair.ask(CLIENT, Request::Subscribe(asked));
    let Response::Subscribe(mut ok) = subscribe_ok(None) else { panic!() };
    ok.extensions = TrackExtensions { delivery_timeout: publisher, ..TrackExtensions::default() };
    pair.accept(SERVER, id, Response::Subscribe(ok));
    id
}

fn tell(pair: &mut Pair, input: Input) {
    let now = pair.now;
    pair.session(SERVER).handle(now, input);
}

/// The next reset of a data stream, without carrying it out.
fn overdue(pair: &mut Pair, after: Duration) -> Option<(StreamId, u64)> {
    pair.run();
    pair.now = pair.now + after;
    tell(pair, Input::Timeout);
    std::iter::from_fn(|| pair.session(SERVER).poll_output()).find_map(|output| match output {
        Output::Reset { stream, code } => Some((stream, code)),
        _ => None,
    })
}

fn late(draft: &dyn Draft) -> u64 {
    draft.reset_code(ResetCode::DeliveryTimeout).unwrap()
}

in_every_draft! {
    fn an_object_that_waits_longer_than_the_delivery_timeout_resets_its_stream(draft) {
        covers!("D14-9.2.1.2-07", "D16-9.2.2.2-08", "D14-10.4.3-03");
        let mut pair = Pair::new(draft);
        let id = subscribed(&mut pair, Some(LATE), None);
        let stream = pair.open(SERVER, id, 0).stream;
        tell(&mut pair, Input::DataWaits { stream });
        assert_eq!(overdue(&mut pair, LATE - Duration::from_millis(1)), None);
        assert_eq!(overdue(&mut pair, Duration::from_millis(1)), Some((stream, late(draft))));
    }

    fn the_clock_runs_from_the_first_object_that_waits(draft) {
        let mut pair = Pair::new(draft);
        let id = subscribed(&mut pair, None, Some(LATE));
        let stream = pair.open(SERVER, id, 0).stream;
        tell(&mut pair, Input::DataWaits { stream });
        assert_eq!(overdue(&mut pair, LATE / 2), None);
        tell(&mut pair, Input::DataWaits { stream });
        assert_eq!(overdue(&mut pair, LATE / 2), Some((stream, late(draft))));
    }

    fn what_the_transport_takes_in_time_is_not_late(draft) {
        let mut pair = Pair::new(draft);
        let id = subscribed(&mut pair, Some(LATE), Some(LATE * 2));
        let opened = pair.open(SERVER, id, 0);
        assert_eq!(opened.delivery_timeout, Some(LATE));
        let stream = opened.stream;
        tell(&mut pair, Input::DataWaits { stream });
        assert_eq!(overdue(&mut pair, LATE / 2), None);
        tell(&mut pair, Input::DataTaken { stream });
        assert_eq!(overdue(&mut pair, LATE * 9), None);
        tell(&mut pair, Input::DataWaits { stream });
        tell(&mut pair, Input::DataSettled { stream, how: StreamEnd::Finished });
        assert_eq!(overdue(&mut pair, LATE * 9), None);
    }

    fn without_a_delivery_timeout_objects_wait_for_ever(draft) {
        let mut pair = Pair::new(draft);
        let id = subscribed(&mut pair, None, None);
        let stream = pair.open(SERVER, id, 0).stream;
        tell(&mut pair, Input::DataWaits { stream });
        assert_eq!(overdue(&mut pair, LATE * 1000), None);
    }

    fn an_update_of_the_delivery_timeout_moves_the_deadline_of_what_waits(draft) {
        let mut pair = Pair::new(draft);
        let id = subscribed(&mut pair, Some(LATE * 100), None);
        let stream = pair.open(SERVER, id, 0).stream;
        tell(&mut pair, Input::DataWaits { stream });
        let now = pair.now;
        let update = RequestUpdate { delivery_timeout: Some(LATE), ..RequestUpdate::default() };
        pair.session(CLIENT).update(now, id, update).unwrap();
        if let moqingbird::session::Event::Update { answer: Some(update), .. } = pair.event(SERVER) {
            let ok = Response::Ok { kind: None, ok: Default::default() };
            pair.session(SERVER).accept(now, update, ok).unwrap();
        }
        assert_eq!(overdue(&mut pair, LATE), Some((stream, late(draft))));
    }
}
