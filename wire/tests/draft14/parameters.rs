//! Lists of parameters and tokens.

use std::time::Duration;

use moqingbird_ledger::covers;
use moqingbird_wire::EncodeError;
use moqingbird_wire::list::{KeyValue, Keys, Value};
use moqingbird_wire::model::{
    AuthorizationToken, Extensions, Message, PublishNamespace, Request, Setup, Subscribe, SubscribeOk,
    TrackAlias, TrackExtensions,
};

use crate::control::{meaning, request, response, subscribe};
use crate::support::{hex, namespace, read, read_hex, write};

#[test]
fn an_even_type_has_an_integer_and_an_odd_one_a_string() {
    covers!("D14-1.4.2-01");
    let setup = |parameters: &str| match read_hex(&format!("21 00 0f c0 00 00 00 ff 00 00 0e {parameters}")) {
        Ok(Message::ServerSetup(setup)) => setup,
        other => panic!("{other:?}"),
    };
    let both = setup("02 02 40 64 3f 01 61");
    assert_eq!(both.max_request_id, 100);
    assert_eq!(both.unknown, [KeyValue { key: 0x3f, value: Value::Bytes("a".into()) }]);
    let both = setup("02 07 02 61 62 3e 07");
    assert_eq!(both.implementation.as_deref(), Some(&b"ab"[..]));
    assert_eq!(both.unknown, [KeyValue { key: 0x3e, value: Value::Integer(7) }]);
    // Unknown ones of either form before a known one.
    let timed =
        read_hex("03 00 1b 00 02 04 6c 69 76 65 03 63 61 6d 01 76 80 00 01 02 03 3e 40 64 3f 02 61 62 02 05");
    let expected = Subscribe { delivery_timeout: Some(Duration::from_millis(5)), ..subscribe() };
    assert_eq!(timed, Ok(request(0, Request::Subscribe(expected))));
}

#[test]
fn a_type_that_may_not_repeat_is_not_written_twice() {
    covers!("D14-9.2-01");
    let again = |key| KeyValue { key, value: Value::Integer(5) };
    let other = Extensions::from_pairs([again(0x02)], Keys::Absolute).unwrap();
    let timeout = Some(Duration::from_millis(5));
    let ok = SubscribeOk {
        track_alias: TrackAlias(7),
        expires: None,
        largest: None,
        extensions: TrackExtensions { delivery_timeout: timeout, other, ..TrackExtensions::default() },
    };
    assert_eq!(
        write(&response(0, moqingbird_wire::model::Response::Subscribe(ok))),
        Err(EncodeError::Inexpressible("track extensions"))
    );
    let limits = Setup { max_request_id: 5, unknown: vec![again(0x02)], ..Setup::default() };
    assert_eq!(write(&Message::ClientSetup(limits)), Err(EncodeError::Inexpressible("Setup Parameters")));
}

#[test]
fn setup_parameters_have_numbers_of_their_own() {
    covers!("D14-9.2-05");
    let parameter = "01 02 40 64";
    let Ok(Message::ServerSetup(setup)) = read_hex(&format!("21 00 0c c0 00 00 00 ff 00 00 0e {parameter}"))
    else {
        panic!("no SERVER_SETUP")
    };
    assert_eq!(setup.max_request_id, 100);
    let expected = Subscribe { delivery_timeout: Some(Duration::from_millis(100)), ..subscribe() };
    assert_eq!(
        read_hex(&format!("03 00 15 00 02 04 6c 69 76 65 03 63 61 6d 01 76 80 00 01 02 {parameter}")),
        Ok(request(0, Request::Subscribe(expected)))
    );
}

#[test]
fn a_token_has_the_layout_of_its_alias_type() {
    covers!("D14-9.2.1.1-03");
    for (token, value) in [
        (AuthorizationToken::Delete { alias: 5 }, "00 05"),
        (
            AuthorizationToken::Register { alias: 5, token_type: 64, value: "tok".into() },
            "01 05 40 40 74 6f 6b",
        ),
        (AuthorizationToken::UseAlias { alias: 5 }, "02 05"),
        (AuthorizationToken::UseValue { token_type: 0, value: "tok".into() }, "03 00 74 6f 6b"),
        (AuthorizationToken::UseValue { token_type: 0, value: "".into() }, "03 00"),
    ] {
        let publish = PublishNamespace { namespace: namespace(&["live"]), authorization_tokens: vec![token] };
        let message = request(10, Request::PublishNamespace(publish));
        let bytes = write(&message).unwrap();
        let value = hex(value);
        assert_eq!(bytes[10..], [&[0x01, 0x03, value.len() as u8], &value[..]].concat());
        assert_eq!(read(&bytes), Ok(message));
    }
}

#[test]
fn unknown_setup_parameters_are_kept_each_time() {
    let Ok(Message::ServerSetup(setup)) =
        read_hex("21 00 10 c0 00 00 00 ff 00 00 0e 03 3e 07 3e 08 3d 01 61")
    else {
        panic!("no SERVER_SETUP")
    };
    let pair = |key, value| KeyValue { key, value };
    assert_eq!(
        setup.unknown,
        [pair(0x3e, Value::Integer(7)), pair(0x3e, Value::Integer(8)), pair(0x3d, Value::Bytes("a".into()))]
    );
}

#[test]
fn parameters_are_written_by_ascending_type() {
    let bytes = write(&meaning("publish-content-exists")).unwrap();
    assert!(bytes.ends_with(&hex("03 02 05 03 03 03 00 74 04 06")), "{bytes:?}");
}
