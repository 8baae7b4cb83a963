//! Control messages, streams and setup parameters beyond the draft's.

use bytes::Bytes;
use moqingbird::session::{Config, Direction, Event, Input, Misuse, Output, Session, Side, Trace};
use moqingbird::wire::buf::Writer;
use moqingbird::wire::list::{KeyValue, Value};
use moqingbird::wire::model::{Opening, SessionErrorCode, Setup};
use moqingbird::wire::stream::OpeningReader;
use moqingbird::wire::{Fault, Frame};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;

const MESSAGE: u64 = 0x7f01;
const STREAM: u64 = 0x7f02;

fn speaking() -> Config {
    let mut config = Config::default();
    (config.control_types, config.stream_types) = (vec![MESSAGE], vec![STREAM]);
    config.tap = true;
    config
}

fn message(payload: &'static [u8]) -> Bytes {
    let mut w = Writer::new();
    Frame { kind: MESSAGE, payload: Bytes::from_static(payload) }.encode(&mut w).unwrap();
    w.take()
}

fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

in_every_draft! {
    fn a_message_of_a_registered_type_is_told_and_said(draft) {
        let mut raw = Raw::with(draft, Side::Client, speaking());
        let control = raw.control.unwrap();
        raw.lane(control, message(b"hello"), false);
        let Some(Event::Message { kind, payload }) = raw.events.pop() else { panic!("{:?}", raw.events) };
        assert_eq!((kind, &payload[..]), (MESSAGE, &b"hello"[..]));

        raw.session.send_message(MESSAGE, Bytes::from_static(b"hi")).unwrap();
        let outputs = outputs(&mut raw.session);
        let [Output::Trace(Trace::Other { direction: Direction::Sent, .. }), Output::Write { data, .. }] = &outputs[..]
        else { panic!("{outputs:?}") };
        assert_eq!(*data, message(b"hi"));
    }

    fn a_message_of_a_type_that_is_not_registered_closes(draft) {
        covers!("D14-9-01", "D16-9-02");
        let mut raw = Raw::new(draft, Side::Client);
        let control = raw.control.unwrap();
        raw.lane(control, message(b"hello"), false);
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
        assert_eq!(
            raw.session.send_message(MESSAGE, Bytes::new()),
            Err(Misuse::Inexpressible("control message of a type that is not registered"))
        );
    }

    fn a_registered_message_before_setup_closes(draft) {
        let mut raw = Raw::opening(draft, Side::Server, speaking());
        let stream = raw.session.new_stream();
        raw.lane(stream, message(b"early"), false);
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn types_of_the_draft_stay_its_own(draft) {
        let mut config = speaking();
        config.control_types.push(0x3);
        config.stream_types.push(0x5);
        let mut raw = Raw::with(draft, Side::Client, config);
        assert!(raw.session.send_message(0x3, Bytes::new()).is_err());
        assert!(raw.session.open_stream(0x5).is_err());
    }

    fn a_message_that_is_too_long_is_not_said(draft) {
        let mut raw = Raw::with(draft, Side::Client, speaking());
        let payload = Bytes::from(vec![0; 65_536]);
        assert_eq!(raw.session.send_message(MESSAGE, payload), Err(Misuse::TooLong("Message Payload")));
        assert!(outputs(&mut raw.session).is_empty());
    }

    fn a_stream_of_a_registered_type_is_handed_on(draft) {
        let mut raw = Raw::with(draft, Side::Client, speaking());
        let (_, opening) = raw.session.open_stream(STREAM).unwrap();
        let mut reader = OpeningReader::new();
        reader.push(opening.slice(..1));
        assert_eq!(reader.next_registered(draft, raw.session.stream_types()), Ok(None));
        reader.push(opening.slice(1..));
        reader.push(Bytes::from_static(b"rest"));
        let opening = reader.next_registered(draft, raw.session.stream_types()).unwrap().unwrap();
        assert_eq!(opening, Opening::Other(STREAM));
        assert_eq!(reader.into_leftover().next_chunk().unwrap(), "rest");

        let stream = raw.session.new_stream();
        raw.handle(Input::Data { stream, opening, pinned: 0 });
        let accepted = |it: &Output| matches!(it, Output::Accept { stream: it, kind: STREAM } if *it == stream);
        assert!(raw.others.iter().any(accepted), "{:?}", raw.others);
        assert!(raw.session.is_idle());
    }

    fn a_stream_of_a_type_that_is_not_registered_closes(draft) {
        let mut w = Writer::new();
        draft.encode_opening(&Opening::Other(STREAM), &mut w).unwrap();
        let mut reader = OpeningReader::new();
        reader.push(w.take());
        let error = reader.next_registered(draft, &[STREAM + 1]).unwrap_err();
        assert_eq!(error.fault, Fault::Unknown(STREAM));
        assert_eq!(error.code(), SessionErrorCode::ProtocolViolation);
        assert!(Raw::new(draft, Side::Client).session.open_stream(STREAM).is_err());
    }

    fn setup_parameters_beyond_the_drafts_pass(draft) {
        let parameters = vec![
            KeyValue { key: 0x7f10, value: Value::Integer(7) },
            KeyValue { key: 0x7f11, value: Value::Bytes(Bytes::from_static(b"seven")) },
        ];
        let mut config = Config::default();
        config.setup_parameters = parameters.clone();
        let mut pair = Pair::opening(draft, config.clone(), config, None);
        for end in [CLIENT, SERVER] {
            let Event::Established(Setup { unknown, .. }) = pair.event(end) else { panic!() };
            assert_eq!(unknown, parameters);
        }
    }
}
