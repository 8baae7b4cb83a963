//! CLIENT_SETUP and SERVER_SETUP (§9.3): a list of Setup Parameters.

use super::form::{self, Form, Given};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::list::{KeyValue, Keys, Pairs, Rest, Value, push, write_pairs};
use crate::model::Setup;

// §9.3.1. The types are the same in every draft.
const PATH: u64 = 0x01;
const MAX_REQUEST_ID: u64 = 0x02;
const AUTHORIZATION_TOKEN: u64 = 0x03;
const MAX_AUTH_TOKEN_CACHE_SIZE: u64 = 0x04;
const AUTHORITY: u64 = 0x05;
const MOQT_IMPLEMENTATION: u64 = 0x07;

/// The name of a type that the draft defines.
const fn name(key: u64) -> Option<&'static str> {
    Some(match key {
        PATH => "PATH",
        MAX_REQUEST_ID => "MAX_REQUEST_ID",
        AUTHORIZATION_TOKEN => "AUTHORIZATION_TOKEN",
        MAX_AUTH_TOKEN_CACHE_SIZE => "MAX_AUTH_TOKEN_CACHE_SIZE",
        AUTHORITY => "AUTHORITY",
        MOQT_IMPLEMENTATION => "MOQT_IMPLEMENTATION",
        _ => return None,
    })
}

pub(super) fn decode(r: &mut Reader<'_>) -> Result<Setup, DecodeError> {
    let mut setup = Setup::default();
    let mut pairs = Pairs::new(Keys::Delta);
    let mut previous = None;
    for left in (0..r.varint("Number of Parameters")?).rev() {
        let given = form::pair(&mut pairs, r, name, "Setup Parameters")?;
        let key = given.pair.key;
        let rest = Rest { pairs: &pairs, r, left };
        if name(key).is_none() {
            // §9.2: unknown ones are ignored, and may repeat.
            push(&mut setup.unknown, given.pair.taken(), || rest.count(|key| name(key).is_none()));
            continue;
        }
        // Types ascend, so a repeated one follows its like.
        if key != AUTHORIZATION_TOKEN && previous.replace(key) == Some(key) {
            return Err(given.error(Fault::Invalid("the parameter may appear only once")));
        }
        take(&mut setup, &given, rest)?;
    }
    Ok(setup)
}

fn take(setup: &mut Setup, given: &Given<'_>, rest: Rest<'_, '_>) -> Result<(), DecodeError> {
    match given.pair.key {
        PATH => setup.path = Some(form::Text::read(given)?),
        MAX_REQUEST_ID => setup.max_request_id = form::Number::read(given)?,
        AUTHORIZATION_TOKEN => {
            let more = || rest.count(|key| key == AUTHORIZATION_TOKEN);
            push(&mut setup.authorization_tokens, form::Token::read(given)?, more);
        }
        MAX_AUTH_TOKEN_CACHE_SIZE => setup.max_auth_token_cache_size = form::Number::read(given)?,
        AUTHORITY => setup.authority = Some(form::Text::read(given)?),
        MOQT_IMPLEMENTATION => setup.implementation = Some(form::Text::read(given)?),
        _ => {}
    }
    Ok(())
}

/// Numbers of 0, the default, are left out.
pub(super) fn encode(setup: &Setup, w: &mut Writer) -> Result<(), EncodeError> {
    // The transport has agreed on the draft (§3.1), so there is no room for versions.
    if !setup.versions.is_empty() {
        return Err(EncodeError::Inexpressible("versions"));
    }
    if setup.unknown.iter().any(|pair| name(pair.key).is_some()) {
        return Err(EncodeError::Inexpressible("unknown Setup Parameter of a known type"));
    }
    let mut pairs = setup.unknown.clone();
    let mut put = |key, value| pairs.push(KeyValue { key, value });
    for (key, text) in
        [(PATH, &setup.path), (AUTHORITY, &setup.authority), (MOQT_IMPLEMENTATION, &setup.implementation)]
    {
        if let Some(text) = text {
            put(key, Value::Bytes(text.clone()));
        }
    }
    for (key, number) in
        [(MAX_REQUEST_ID, setup.max_request_id), (MAX_AUTH_TOKEN_CACHE_SIZE, setup.max_auth_token_cache_size)]
    {
        if number != 0 {
            put(key, Value::Integer(number));
        }
    }
    for token in &setup.authorization_tokens {
        put(AUTHORIZATION_TOKEN, form::Token::write(token, "AUTHORIZATION_TOKEN")?);
    }
    w.varint(pairs.len() as u64, "Number of Parameters")?;
    write_pairs(w, Keys::Delta, &mut pairs, "Setup Parameters")
}
