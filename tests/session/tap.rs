use bytes::Bytes;
use moqingbird::session::{Config, Direction, Trace};
use moqingbird::wire::model::{
    AuthorizationToken, Datagram, DatagramBody, Extensions, Message, Opening, Request, Subscribe, TrackAlias,
};

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::{fetch, fetch_ok, subscribe_ok, track};

fn tapped(draft: &'static dyn moqingbird::wire::Draft) -> Pair {
    let mut config = Config::default();
    config.tap = true;
    Pair::with(draft, config.clone(), config)
}

/// The messages of an end in one direction.
fn messages(pair: &Pair, end: usize, way: Direction) -> Vec<Message> {
    let of = |trace: &Trace| match trace {
        Trace::Message { direction, message, .. } if *direction == way => Some((**message).clone()),
        _ => None,
    };
    pair.ends[end].traces.iter().filter_map(of).collect()
}

fn talk(pair: &mut Pair) {
    let id = pair.ask(CLIENT, Request::Subscribe(Subscribe::new(track("a/b/c"))));
    pair.accept(SERVER, id, subscribe_ok(None));
    let opened = pair.open(SERVER, id, 0);
    pair.finish(SERVER, opened.stream);
    let by_datagram = pair.ask(CLIENT, Request::Subscribe(Subscribe::new(track("a/b/d"))));
    pair.accept(SERVER, by_datagram, subscribe_ok(None));
    let datagram = Datagram {
        track_alias: TrackAlias(0),
        group_id: 1,
        object_id: 2,
        publisher_priority: Some(3),
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(Bytes::from_static(b"hi")),
    };
    let data = pair.session(SERVER).datagram(by_datagram, datagram).unwrap();
    pair.send_datagram(SERVER, data);
    let fetching = pair.ask(CLIENT, fetch(0, 1));
    pair.accept(SERVER, fetching, moqingbird::wire::model::Response::Fetch(fetch_ok(1, None)));
    pair.open_fetch(SERVER, fetching);
    let now = pair.now;
    pair.session(CLIENT).cancel(now, id).unwrap();
    pair.session(CLIENT).cancel(now, fetching).unwrap();
    pair.run();
}

in_every_draft! {
    fn every_message_that_one_end_says_the_other_hears(draft) {
        let mut pair = tapped(draft);
        talk(&mut pair);
        for end in [CLIENT, SERVER] {
            let said = messages(&pair, end, Direction::Sent);
            assert!(said.len() >= 3, "{said:?}");
            assert_eq!(said, messages(&pair, 1 - end, Direction::Received));
        }
        assert!(matches!(messages(&pair, CLIENT, Direction::Sent)[0], Message::ClientSetup(_)));
    }

    fn openings_of_data_streams_and_datagrams_are_shown_at_both_ends(draft) {
        let mut pair = tapped(draft);
        talk(&mut pair);
        for (end, way) in [(SERVER, Direction::Sent), (CLIENT, Direction::Received)] {
            let traces = &pair.ends[end].traces;
            let count = |wanted: fn(&Trace) -> Option<Direction>| {
                traces.iter().filter(|trace| wanted(trace) == Some(way)).count()
            };
            let subgroups = |trace: &Trace| match trace {
                Trace::Stream { direction, opening: Opening::Subgroup(_), .. } => Some(*direction),
                _ => None,
            };
            let fetches = |trace: &Trace| match trace {
                Trace::Stream { direction, opening: Opening::Fetch(_), .. } => Some(*direction),
                _ => None,
            };
            let datagrams = |trace: &Trace| match trace {
                Trace::Datagram { direction, datagram } if datagram.object_id == 2 => Some(*direction),
                _ => None,
            };
            assert_eq!([count(subgroups), count(fetches), count(datagrams)], [1; 3], "{traces:?}");
        }
    }

    fn nothing_is_shown_unless_it_is_asked_for(draft) {
        let mut pair = Pair::new(draft);
        talk(&mut pair);
        assert!(pair.ends.iter().all(|end| end.traces.is_empty()));
    }

    fn tokens_do_not_show_when_a_trace_is_printed(draft) {
        let mut pair = tapped(draft);
        let value = Bytes::from_static(b"hush-hush");
        let subscribe = Subscribe {
            authorization_tokens: vec![AuthorizationToken::UseValue { token_type: 0, value }],
            ..Subscribe::new(track("a/b/c"))
        };
        pair.ask(CLIENT, Request::Subscribe(subscribe));
        let printed = format!("{:?}", pair.ends[SERVER].traces);
        assert!(printed.contains("UseValue") && !printed.contains("hush"), "{printed}");
    }
}
