use std::time::Duration;

use bytes::Bytes;
use moqingbird::session::{Config, Event, Input, Output, Side, StreamEnd};
use moqingbird::wire::buf::Writer;
use moqingbird::wire::model::{
    Datagram, DatagramBody, Extensions, Message, Opening, PublishDone, PublishDoneCode, ReasonPhrase,
    Request, RequestId, Response, SessionErrorCode, Target, TrackAlias,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{publish_as, publish_ok, subscribe, subscribe_ok, subscribe_ok_as};

fn datagram(alias: u64) -> Datagram {
    Datagram {
        track_alias: TrackAlias(alias),
        group_id: 0,
        object_id: 1,
        publisher_priority: Some(3),
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(Bytes::from_static(b"hi")),
    }
}

fn encoded(raw: &Raw, alias: u64) -> Bytes {
    let mut w = Writer::new();
    raw.draft.encode_datagram(&datagram(alias), &mut w).unwrap();
    w.take()
}

/// A client with a subscription that is asked for and not answered.
fn asked(raw: &mut Raw) -> RequestId {
    let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
    raw.heard();
    id
}

fn grant(raw: &mut Raw, id: RequestId, alias: u64) {
    raw.say(&Message::Response { target: Target::Id(id), response: subscribe_ok_as(alias, None) });
}

fn done(id: RequestId, stream_count: u64) -> Message {
    let done =
        PublishDone { code: PublishDoneCode::TrackEnded, stream_count, reason: ReasonPhrase::default() };
    Message::PublishDone { target: id, done }
}

fn ended(raw: &Raw) -> bool {
    raw.events.iter().any(|event| matches!(event, Event::Ended { .. }))
}

in_every_draft! {
    fn stream_that_overtakes_subscribe_ok_is_delivered_after_it(draft) {
        covers!("D14-10.4.2-01", "D16-10.4.2-01");
        let mut raw = Raw::new(draft, Side::Client);
        let id = asked(&mut raw);
        let stream = raw.open(7);
        assert!(!raw.delivered(stream) && !raw.stopped(stream));
        grant(&mut raw, id, 7);
        assert!(raw.delivered(stream));
    }

    fn stream_that_overtakes_publish_is_delivered_when_that_is_accepted(draft) {
        covers!("D16-5.1-14");
        let mut raw = Raw::new(draft, Side::Server);
        let stream = raw.open(7);
        raw.say(&Message::Request { id: RequestId(0), request: Request::Publish(publish_as("a/b/c", 7)) });
        raw.session.accept(raw.now, RequestId(0), publish_ok()).unwrap();
        raw.drain();
        assert!(raw.delivered(stream));
    }

    fn stream_that_overtakes_setup_is_held(draft) {
        covers!("D16-3.3-06");
        for side in [Side::Client, Side::Server] {
            let mut raw = Raw::opening(draft, side, Config::default());
            let stream = raw.open(7);
            raw.handle(Input::Datagram(encoded(&raw, 7)));
            let setup = raw.setup();
            raw.say_setup(setup);
            let id = asked(&mut raw);
            grant(&mut raw, id, 7);
            assert!(raw.delivered(stream));
            assert!(raw.others.iter().any(|output| matches!(output, Output::Datagram { to, .. } if *to == id)));
        }
    }

    fn streams_of_unknown_aliases_are_held_for_a_time_only(draft) {
        covers!("D14-10.4.2-01", "D16-10.4.2-01");
        let mut raw = Raw::new(draft, Side::Client);
        let stream = raw.open(7);
        raw.pass(Config::default().held_timeout - Duration::from_millis(1));
        assert!(!raw.stopped(stream));
        raw.pass(Duration::from_millis(1));
        assert!(raw.stopped(stream) && raw.session.is_idle());
    }

    fn held_streams_are_bounded(draft) {
        covers!("D14-12.1-03", "D16-12.1-03");
        let mut config = Config::default();
        config.max_held_streams = 3;
        let mut raw = Raw::with(draft, Side::Client, config);
        let streams: Vec<_> = (0..5).map(|alias| raw.open(alias)).collect();
        let stopped: Vec<_> = streams.iter().map(|stream| raw.stopped(*stream)).collect();
        assert_eq!(stopped, [false, false, false, true, true]);
        raw.assert_open();
    }

    fn held_datagrams_are_bounded_by_count_and_bytes(draft) {
        for (count, bytes) in [(2, 1000), (100, 2 * encoded(&Raw::new(draft, Side::Client), 7).len())] {
            let mut config = Config::default();
            (config.max_held_datagrams, config.max_held_datagram_bytes) = (count, bytes);
            let mut raw = Raw::with(draft, Side::Client, config);
            for _ in 0..5 {
                raw.handle(Input::Datagram(encoded(&raw, 7)));
            }
            let id = asked(&mut raw);
            grant(&mut raw, id, 7);
            let delivered = raw.others.iter().filter(|output| matches!(output, Output::Datagram { .. }));
            assert_eq!(delivered.count(), 2);
        }
    }

    fn held_datagrams_are_dropped_in_time(draft) {
        let mut raw = Raw::new(draft, Side::Client);
        raw.handle(Input::Datagram(encoded(&raw, 7)));
        raw.pass(Duration::from_secs(1));
        raw.handle(Input::Datagram(encoded(&raw, 7)));
        raw.pass(Duration::from_secs(1));
        let id = asked(&mut raw);
        grant(&mut raw, id, 7);
        let delivered = raw.others.iter().filter(|output| matches!(output, Output::Datagram { .. }));
        assert_eq!(delivered.count(), 1);
    }

    fn late_data_of_a_cancelled_subscription_is_dropped_at_once(draft) {
        covers!("D14-10.1-01", "D16-10.1-01", "D14-9.12-05");
        let mut raw = Raw::new(draft, Side::Client);
        let id = asked(&mut raw);
        grant(&mut raw, id, 7);
        raw.session.cancel(raw.now, id).unwrap();
        let stream = raw.open(7);
        raw.handle(Input::Datagram(encoded(&raw, 7)));
        assert!(raw.stopped(stream) && raw.session.is_idle());
        raw.assert_open();
    }

    fn alias_may_come_again_with_a_new_subscription_to_the_track(draft) {
        let mut raw = Raw::new(draft, Side::Client);
        let id = asked(&mut raw);
        grant(&mut raw, id, 7);
        raw.session.cancel(raw.now, id).unwrap();
        let again = asked(&mut raw);
        let stream = raw.open(7);
        assert!(!raw.stopped(stream));
        grant(&mut raw, again, 7);
        assert!(raw.delivered(stream));
    }

    fn fetch_stream_that_nobody_asked_for_is_stopped(draft) {
        covers!("D14-10.4.4-03", "D16-10.4.4-04");
        let mut raw = Raw::new(draft, Side::Client);
        let stream = raw.session.new_stream();
        raw.handle(Input::Data { stream, opening: Opening::Fetch(RequestId(8)), pinned: 0 });
        assert!(raw.stopped(stream));
        raw.assert_open();
    }

    fn datagram_goes_to_its_subscription_with_its_priority(draft) {
        covers!("D14-10.1-02");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        let mut sent = datagram(0);
        sent.publisher_priority = None;
        let data = pair.session(SERVER).datagram(id, sent).unwrap();
        pair.send_datagram(SERVER, data);
        pair.run();
        let [(to, datagram)] = &pair.ends[CLIENT].datagrams[..] else { panic!() };
        assert_eq!((*to, datagram.publisher_priority), (id, Some(128)));
    }

    fn unlawful_datagram_closes(draft) {
        covers!("D14-10-02", "D16-10-02");
        let mut raw = Raw::new(draft, Side::Client);
        raw.handle(Input::Datagram(Bytes::from_static(&[0x10, 0, 0, 0, 0])));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn subscription_ends_with_the_last_counted_stream(draft) {
        covers!("D14-9.12-12", "D14-9.12-03", "D16-5.1.1-04", "D16-9.15-03");
        let mut raw = Raw::new(draft, Side::Client);
        let id = asked(&mut raw);
        grant(&mut raw, id, 7);
        let first = raw.open(7);
        raw.handle(Input::DataEnded { stream: first, how: StreamEnd::Finished });
        raw.say(&done(id, 3));
        raw.pass(Duration::from_millis(200));
        let (second, third) = (raw.open(7), raw.open(7));
        assert!(raw.delivered(second) && raw.delivered(third));
        raw.handle(Input::DataEnded { stream: second, how: StreamEnd::Finished });
        assert!(!ended(&raw));
        raw.handle(Input::DataEnded { stream: third, how: StreamEnd::Reset(2) });
        assert!(ended(&raw) && raw.session.is_idle());
    }

    fn subscription_ends_in_time_without_the_last_stream(draft) {
        covers!("D14-9.12-10", "D16-9.15-09");
        let mut raw = Raw::new(draft, Side::Client);
        let id = asked(&mut raw);
        grant(&mut raw, id, 7);
        raw.say(&done(id, 5));
        raw.pass(Config::default().late_stream_timeout - Duration::from_millis(1));
        assert!(!ended(&raw));
        raw.pass(Duration::from_millis(1));
        assert!(ended(&raw) && raw.session.is_idle());
        let late = raw.open(7);
        assert!(raw.stopped(late));
    }

    fn more_streams_than_counted_are_tolerated(draft) {
        covers!("D14-9.12-11", "D16-9.15-10");
        let mut raw = Raw::new(draft, Side::Client);
        let id = asked(&mut raw);
        grant(&mut raw, id, 7);
        let streams = [raw.open(7), raw.open(7)];
        raw.say(&done(id, 1));
        for stream in streams {
            raw.handle(Input::DataEnded { stream, how: StreamEnd::Finished });
        }
        raw.assert_open();
        raw.pass(Config::default().late_stream_timeout);
        assert!(ended(&raw));
    }

    fn one_stream_stopped_leaves_the_others(draft) {
        covers!("D14-10.4.1-01", "D16-10.4.1-01", "D14-10.4.3-11", "D16-10.4.3-12");
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        let first = pair.open(SERVER, id, 0);
        let now = pair.now;
        pair.session(SERVER).handle(now, Input::DataSettled { stream: first.stream, how: StreamEnd::Stopped(1) });
        pair.open(SERVER, id, 1);
        pair.run();
        assert_eq!(pair.ends[CLIENT].delivered.len(), 2);
        pair.no_event(CLIENT);
    }

    fn far_groups_get_new_places_for_all_open_streams(draft) {
        let mut pair = Pair::new(draft);
        let id = pair.ask(CLIENT, subscribe("live/cam/video"));
        pair.accept(SERVER, id, subscribe_ok(None));
        let first = pair.open(SERVER, id, 100);
        let lower = pair.open(SERVER, id, 50);
        pair.run();
        let moved: Vec<_> = pair.ends[SERVER].priorities.drain(..).collect();
        assert!(moved.iter().any(|(stream, order)| *stream == first.stream && *order < lower.order), "{moved:?}");
    }
}

#[test]
fn datagram_without_a_priority_has_that_of_its_track() {
    covers!("D16-10.3.1-06");
    let draft = moqingbird::Version::Draft16.draft();
    for (of_track, priority) in [(Some(10), 10), (None, 128)] {
        let mut raw = Raw::new(draft, Side::Client);
        let id = asked(&mut raw);
        let Response::Subscribe(mut ok) = subscribe_ok_as(7, None) else { panic!() };
        if let Some(of_track) = of_track {
            ok.extensions.default_publisher_priority = of_track;
        }
        raw.say(&Message::Response { target: Target::Id(id), response: Response::Subscribe(ok) });
        // Type 0x08: alias 7, group 0, object 1, payload.
        raw.handle(Input::Datagram(Bytes::from_static(&[0x08, 7, 0, 1, b'x'])));
        let delivered = raw.others.iter().find_map(|output| match output {
            Output::Datagram { datagram, .. } => datagram.publisher_priority,
            _ => None,
        });
        assert_eq!(delivered, Some(priority));
    }
}
