use bytes::Bytes;
use moqingbird::session::{Event, Side};
use moqingbird::wire::model::{Message, SessionErrorCode};
use moqingbird::wire::{Assembler, DecodeError, Draft, Version};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::raw::Raw;

/// Namespace `a`, name `b`.
const TRACK: [u8; 5] = [1, 1, b'a', 1, b'b'];

/// A control message of this type, below 64, and body.
fn frame(kind: u8, body: &[u8]) -> Bytes {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], body].concat().into()
}

/// A SUBSCRIBE as request 0 whose options and parameters are `rest`.
fn subscribe(rest: &[u8]) -> Bytes {
    frame(0x03, &[&[0], &TRACK[..], rest].concat())
}

/// The same without a fault, with these parameters: their count, and themselves.
fn subscribe_with(draft: &'static dyn Draft, parameters: &[u8]) -> Bytes {
    match draft.version() {
        Version::Draft14 => subscribe(&[&[128, 1, 1, 2], parameters].concat()),
        _ => subscribe(parameters),
    }
}

fn hear(draft: &'static dyn Draft, bytes: Bytes) -> Raw {
    let mut raw = Raw::new(draft, Side::Server);
    let control = raw.control.unwrap();
    raw.lane(control, bytes, false);
    raw
}

fn read(draft: &'static dyn Draft, bytes: &Bytes) -> Result<Message, DecodeError> {
    let mut assembler = Assembler::new();
    assembler.push(bytes.clone());
    draft.decode_control(&assembler.next_frame().expect("a whole message"))
}

/// The session closes, and for what the message says rather than for when it comes.
#[track_caller]
fn closes(draft: &'static dyn Draft, bytes: impl Into<Bytes>, code: SessionErrorCode) {
    let bytes = bytes.into();
    assert!(read(draft, &bytes).is_err());
    hear(draft, bytes).assert_closed(code);
}

#[track_caller]
fn violates(draft: &'static dyn Draft, bytes: impl Into<Bytes>) {
    closes(draft, bytes, SessionErrorCode::ProtocolViolation);
}

#[track_caller]
fn is_a_request(draft: &'static dyn Draft, bytes: Bytes) {
    let raw = hear(draft, bytes);
    assert!(matches!(raw.events[..], [Event::Request { .. }]), "{:?}", raw.events);
}

/// A namespace of so many fields `a`.
fn fields(count: usize) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(count).unwrap()];
    bytes.extend([1, b'a'].repeat(count));
    bytes
}

/// Fourteen's table, or sixteen's.
fn of<T>(draft: &'static dyn Draft, fourteen: T, sixteen: T) -> T {
    match draft.version() {
        Version::Draft14 => fourteen,
        _ => sixteen,
    }
}

in_every_draft! {
    fn what_the_other_tests_spoil_is_sound(draft) {
        is_a_request(draft, subscribe_with(draft, &[0]));
        let publish: &[u8] = of(draft, &[1, 0, 1, 0], &[0]);
        is_a_request(draft, frame(0x1d, &[&[0], &TRACK[..], &[7], publish].concat()));
        let others: [(u8, &[u8]); 5] = of(
            draft,
            [
                (0x1e, &[1, 1, 128, 1, 2, 0]),
                (0x04, &[1, 7, 0, 1, 0, 0]),
                (0x18, &[1, 1, 0, 1, 1, 0]),
                (0x02, &[2, 0, 0, 0, 0, 128, 1, 0]),
                (0x05, &[0, 0, 1, b'x']),
            ],
            [
                (0x1e, &[1, 1, 0x22, 1]),
                (0x04, &[1, 7, 0, 0x22, 1]),
                (0x18, &[1, 0, 1, 1, 0]),
                (0x02, &[2, 0, 1, 0x10, 1]),
                (0x05, &[0, 0, 0, 1, b'x']),
            ],
        );
        for (kind, body) in others {
            let message = read(draft, &frame(kind, body));
            assert!(message.is_ok(), "{kind:#x}: {message:?}");
        }
    }

    fn unknown_messages_close(draft) {
        covers!("D14-9-01", "D14-9-02", "D16-9-02", "D16-9-03");
        violates(draft, frame(0x3f, &[]));
        violates(draft, frame(0x01, &[]));
        for reserved in [0x40, 0x41] {
            violates(draft, vec![0x40, reserved, 0, 0]);
        }
    }

    fn messages_of_other_drafts_are_unknown(draft) {
        covers!("D16-9-04");
        let foreign: &[u8] = of(draft, &[], &[0x0f, 0x12, 0x13, 0x14, 0x19, 0x1f]);
        for &kind in foreign {
            violates(draft, frame(kind, &[0]));
        }
    }

    fn lengths_that_do_not_fit_their_message_close(draft) {
        covers!("D14-9-03", "D14-9-04", "D16-9-05");
        // UNSUBSCRIBE is a Request ID.
        violates(draft, frame(0x0a, &[0, 0]));
        violates(draft, frame(0x0a, &[]));
        violates(draft, frame(0x0a, &[0x40]));
        let whole = subscribe_with(draft, &[0]);
        let cut = [&whole[..1], &u16::try_from(whole.len() - 4).unwrap().to_be_bytes()[..], &whole[3..]].concat();
        violates(draft, cut);
    }

    fn flags_and_orders_out_of_range_close_in_subscribe(draft) {
        covers!("D14-9.7-12", "D14-9.7-13", "D16-9.2.2.4-02", "D16-9.2.2.3-02");
        let spoiled: &[&[u8]] = of(
            draft,
            // Priority, order, forward, filter, no parameters.
            &[&[128, 3, 1, 2, 0], &[128, 1, 2, 2, 0]],
            &[&[1, 0x10, 2], &[1, 0x20, 0x41, 0], &[1, 0x22, 0], &[1, 0x22, 3]],
        );
        for rest in spoiled {
            violates(draft, subscribe(rest));
        }
    }

    fn unknown_and_ill_formed_filters_close(draft) {
        covers!("D14-9.7-09", "D16-5.1.2-08", "D16-9.2.2.5-02");
        let spoiled: &[&[u8]] = of(
            draft,
            &[&[128, 1, 1, 0, 0], &[128, 1, 1, 5, 0]],
            &[&[1, 0x21, 1, 0], &[1, 0x21, 1, 5], &[1, 0x21, 2, 2, 0], &[1, 0x21, 2, 3, 0x0a]],
        );
        for rest in spoiled {
            violates(draft, subscribe(rest));
        }
    }

    fn values_out_of_range_close_in_publish(draft) {
        covers!("D14-9.13-03", "D14-9.13-04", "D14-9.13-05");
        let publish = |rest: &[u8]| frame(0x1d, &[&[0], &TRACK[..], &[7], rest].concat());
        let spoiled: &[&[u8]] = of(
            draft,
            // Order, content exists, forward, no parameters.
            &[&[1, 2, 1, 0], &[1, 0, 2, 0], &[0, 0, 1, 0], &[3, 0, 1, 0]],
            &[&[1, 0x10, 2]],
        );
        for rest in spoiled {
            violates(draft, publish(rest));
        }
    }

    fn values_out_of_range_close_in_publish_ok(draft) {
        covers!("D14-9.14-01", "D14-9.14-03");
        let spoiled: &[&[u8]] = of(
            draft,
            // Forward, priority, order, filter, no parameters.
            &[&[1, 128, 0, 2, 0], &[1, 128, 3, 2, 0], &[1, 128, 1, 0, 0], &[1, 128, 1, 5, 0]],
            &[&[1, 0x22, 0], &[1, 0x21, 1, 5]],
        );
        for rest in spoiled {
            violates(draft, frame(0x1e, &[&[1], *rest].concat()));
        }
    }

    fn values_out_of_range_close_in_subscribe_ok(draft) {
        covers!("D14-9.8-04", "D14-9.8-05");
        // Alias, expires, order, content exists, no parameters.
        let spoiled: &[&[u8]] = of(draft, &[&[7, 0, 1, 2, 0], &[7, 0, 0, 0, 0], &[7, 0, 3, 0, 0]], &[]);
        for rest in spoiled {
            violates(draft, frame(0x04, &[&[1], *rest].concat()));
        }
    }

    fn values_of_another_form_than_their_types_close(draft) {
        covers!("D16-1.4.2-10");
        if !draft.rules().track_extensions {
            return;
        }
        // LARGEST_OBJECT of one integer, and with a byte behind it.
        for value in [&[1, 4][..], &[3, 4, 5, 6]] {
            let bytes = frame(0x04, &[&[1, 7, 1, 0x09], value].concat());
            closes(draft, bytes, SessionErrorCode::KeyValueFormattingError);
        }
    }

    fn track_extensions_out_of_range_close(draft) {
        covers!("D16-11.1-02", "D16-11.1.1.2-01", "D16-11.1.1.3-01");
        if !draft.rules().track_extensions {
            return;
        }
        for extension in [[0x02, 0], [0x22, 0], [0x22, 3], [0x30, 2]] {
            violates(draft, frame(0x04, &[&[1, 7, 0], &extension[..]].concat()));
        }
    }

    fn unknown_kinds_and_orders_of_fetch_close(draft) {
        covers!("D14-9.16-01", "D14-9.16.3-02", "D14-9.17-09", "D16-9.16-01");
        for kind in [0, 4] {
            let options = of(draft, vec![0, 128, 1, kind], vec![0, kind]);
            violates(draft, frame(0x16, &[&options[..], &TRACK, &[0, 0, 1, 0, 0]].concat()));
        }
        let orders: &[&[u8]] = of(draft, &[&[0, 128, 3, 2, 0, 0, 0]], &[&[0, 2, 0, 0, 1, 0x22, 3]]);
        for body in orders {
            violates(draft, frame(0x16, body));
        }
        let oks: &[&[u8]] = of(draft, &[&[1, 0, 0, 1, 1, 0], &[1, 3, 0, 1, 1, 0]], &[&[1, 2, 1, 1, 0]]);
        for body in oks {
            violates(draft, frame(0x18, body));
        }
    }

    fn forward_state_out_of_range_closes_in_an_update(draft) {
        covers!("D14-9.10-09", "D16-9.2.2.8-02");
        let rest: &[u8] = of(draft, &[2, 0, 0, 0, 0, 128, 2, 0], &[2, 0, 1, 0x10, 2]);
        violates(draft, frame(0x02, rest));
    }

    fn namespaces_of_too_few_or_many_fields_close(draft) {
        covers!("D14-2.4.1-01", "D14-2.4.1-02", "D16-2.4.1-03");
        for count in [0, 33] {
            let body = [&[0], &fields(count)[..], &[0]].concat();
            violates(draft, frame(0x06, &body));
        }
        is_a_request(draft, frame(0x06, &[&[0], &fields(32)[..], &[0]].concat()));
    }

    fn prefixes_of_too_few_or_many_fields_close(draft) {
        covers!("D14-9.28-01");
        if draft.rules().empty_prefix {
            return;
        }
        for count in [0, 33] {
            violates(draft, frame(0x11, &[&[0], &fields(count)[..], &[0]].concat()));
        }
    }

    fn empty_fields_of_a_namespace_close_where_they_are_forbidden(draft) {
        covers!("D16-2.4.1-02");
        let bytes = frame(0x06, &[0, 2, 1, b'a', 0, 0]);
        match draft.version() {
            Version::Draft14 => is_a_request(draft, bytes),
            _ => violates(draft, bytes),
        }
    }

    fn names_that_are_too_long_close(draft) {
        covers!("D14-2.4.1-04", "D16-2.4.1-05");
        let long = |name: usize| {
            let track = [&[1, 0x4f, 0xa0], &[b'a'; 4000][..], &[0x40, name as u8], &vec![b'b'; name][..]].concat();
            let options: &[u8] = of(draft, &[128, 1, 1, 2, 0], &[0]);
            frame(0x03, &[&[0], &track[..], options].concat())
        };
        is_a_request(draft, long(96));
        violates(draft, long(97));
    }

    fn namespaces_that_are_too_long_close(draft) {
        covers!("D16-2.4.1-04");
        let long = |length: usize| {
            let varint = [0x50 | 0x40 | (length >> 8) as u8, length as u8];
            frame(0x06, &[&[0, 1], &varint[..], &vec![b'a'; length], &[0]].concat())
        };
        is_a_request(draft, long(4096));
        if draft.version() != Version::Draft14 {
            violates(draft, long(4097));
        }
    }

    fn uris_that_are_too_long_close(draft) {
        covers!("D14-9.4-07", "D16-9.4-10");
        // Four bytes of length: 8,192 does not fit less than that in a short form that both drafts share.
        let uri = |length: u32| {
            let varint = (length | 0x8000_0000).to_be_bytes();
            frame(0x10, &[&varint[..], &vec![b'x'; length as usize]].concat())
        };
        let lawful = |draft| {
            let mut raw = Raw::new(draft, Side::Client);
            let control = raw.control.unwrap();
            raw.lane(control, uri(8192), false);
            raw
        };
        assert!(matches!(lawful(draft).events[..], [Event::GoAway { .. }]));
        violates(draft, uri(8193));
    }

    fn reasons_that_are_too_long_close(draft) {
        covers!("D14-1.4.3-01", "D16-1.4.3-01");
        let head: &[u8] = of(draft, &[0, 0, 0x44, 1], &[0, 0, 0, 0x44, 1]);
        violates(draft, frame(0x05, &[head, &[b'x'; 1025]].concat()));
    }

    fn tokens_that_cannot_be_read_close(draft) {
        covers!("D14-9.2.1.1-06", "D14-1.4.2-04", "D16-9.2.2.1-07");
        for parameters in [[1, 0x03, 1, 4], [1, 0x03, 1, 3], [1, 0x03, 1, 1]] {
            let code = SessionErrorCode::KeyValueFormattingError;
            closes(draft, subscribe_with(draft, &parameters), code);
        }
    }

    fn values_over_65535_bytes_close_before_they_come(draft) {
        covers!("D14-1.4.2-02");
        violates(draft, subscribe_with(draft, &[1, 0x3f, 0x80, 1, 0, 0]));
    }

    fn unknown_parameters_are_ignored_or_close(draft) {
        covers!("D14-9.2-03", "D14-9.2-04", "D16-9.2-03");
        for parameters in [&[1, 0x3c, 5][..], &[1, 0x3b, 1, b'x'], &[2, 0x3c, 5, of(draft, 0x3c, 0), 5]] {
            let bytes = subscribe_with(draft, parameters);
            match draft.version() {
                Version::Draft14 => is_a_request(draft, bytes),
                _ => violates(draft, bytes),
            }
        }
    }

    fn known_parameters_out_of_place_are_ignored(draft) {
        covers!("D14-9.2.1-01", "D16-9.2.2-01");
        // DELIVERY_TIMEOUT in FETCH: of all groups 0 to 1.
        let options: &[u8] = of(draft, &[0, 128, 1, 1], &[0, 1]);
        is_a_request(draft, frame(0x16, &[options, &TRACK, &[0, 0, 1, 0], &[1, 0x02, 5]].concat()));
    }

    fn delivery_timeout_of_nothing_closes_where_it_is_forbidden(draft) {
        covers!("D16-9.2.2.2-04");
        let bytes = subscribe_with(draft, &[1, 0x02, 0]);
        match draft.version() {
            Version::Draft14 => is_a_request(draft, bytes),
            _ => violates(draft, bytes),
        }
    }
}
