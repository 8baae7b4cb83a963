//! Lists of parameters (draft-14 §9.2): a count, then key-value pairs of absolute types in any order.

use std::time::Duration;

use bytes::Bytes;

use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field::{milliseconds, to_milliseconds, token, token_bytes};
use crate::list::{Found, FoundValue, KeyValue, Keys, Pairs, Rest, Value, push, write_pairs};
use crate::model::{AuthorizationToken, GroupOrder, TrackExtensions};

/// Version-specific parameter: DELIVERY TIMEOUT, in milliseconds (draft-14 §9.2.1.2).
pub(super) const DELIVERY_TIMEOUT: u64 = 0x02;
/// AUTHORIZATION TOKEN (draft-14 §9.2.1.1); in SETUP it has the same type (§9.3.2.5).
pub(super) const AUTHORIZATION_TOKEN: u64 = 0x03;
/// Version-specific parameter: MAX CACHE DURATION, in milliseconds (draft-14 §9.2.1.3).
pub(super) const MAX_CACHE_DURATION: u64 = 0x04;

/// The version-specific parameters of one message.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) delivery_timeout: Option<Duration>,
    pub(super) authorization_tokens: Vec<AuthorizationToken>,
    pub(super) max_cache_duration: Option<Duration>,
}

impl Parameters {
    /// Reads a list. Parameters that are unknown, or known but not `permitted` in the message, are ignored (draft-14
    /// §9.2, §9.2.1), however often they come.
    pub(super) fn decode(r: &mut Reader<'_>, permitted: &[u64]) -> Result<Self, DecodeError> {
        let mut parameters = Self::default();
        each(r, "Parameters", name, |pair| match permitted.contains(&pair.found.key) {
            true => parameters.take(pair),
            false => Ok(()),
        })?;
        Ok(parameters)
    }

    fn take(&mut self, pair: &Placed<'_, '_>) -> Result<(), DecodeError> {
        match (pair.found.key, &pair.found.value) {
            (DELIVERY_TIMEOUT, FoundValue::Integer(count)) => {
                pair.once(&mut self.delivery_timeout, milliseconds(*count), "DELIVERY TIMEOUT")
            }
            (MAX_CACHE_DURATION, FoundValue::Integer(count)) => {
                pair.once(&mut self.max_cache_duration, milliseconds(*count), "MAX CACHE DURATION")
            }
            (AUTHORIZATION_TOKEN, FoundValue::Bytes(value)) => {
                pair.token(value, &mut self.authorization_tokens)
            }
            _ => Ok(()),
        }
    }

    /// Those that tokens alone make.
    pub(super) fn of_tokens(tokens: &[AuthorizationToken]) -> Self {
        Self { authorization_tokens: tokens.to_vec(), ..Self::default() }
    }

    /// Those that say what holds for a track.
    pub(super) fn of_track(extensions: &TrackExtensions) -> Self {
        Self {
            delivery_timeout: extensions.delivery_timeout,
            max_cache_duration: extensions.max_cache_duration,
            ..Self::default()
        }
    }

    /// What these and the Group Order say of a track.
    pub(super) fn track(&self, group_order: GroupOrder) -> TrackExtensions {
        TrackExtensions {
            delivery_timeout: self.delivery_timeout,
            max_cache_duration: self.max_cache_duration,
            group_order,
            ..TrackExtensions::default()
        }
    }

    /// Writes the list in ascending order of types.
    pub(super) fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        let mut list = List::default();
        list.milliseconds(DELIVERY_TIMEOUT, self.delivery_timeout);
        list.tokens(&self.authorization_tokens)?;
        list.milliseconds(MAX_CACHE_DURATION, self.max_cache_duration);
        list.encode(w, "Parameters")
    }
}

/// A parameter and where it stands.
pub(super) struct Placed<'r, 'a> {
    pub(super) found: Found<'a>,
    start: usize,
    rest: Rest<'r, 'a>,
}

impl Placed<'_, '_> {
    /// Keeps a value of a type that may not repeat (draft-14 §9.2: a receiver SHOULD close the session).
    pub(super) fn once<T>(
        &self,
        slot: &mut Option<T>,
        value: T,
        field: &'static str,
    ) -> Result<(), DecodeError> {
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => {
                Err(DecodeError::new(field, Fault::Invalid("the parameter may not be repeated"), self.start))
            }
        }
    }

    /// Keeps the token that fills this parameter's value.
    pub(super) fn token(
        &self,
        value: &Reader<'_>,
        tokens: &mut Vec<AuthorizationToken>,
    ) -> Result<(), DecodeError> {
        push(tokens, token(value.clone())?, || self.rest.count(|key| key == AUTHORIZATION_TOKEN));
        Ok(())
    }

    /// Keeps this parameter as it is, with the others that have no `name`.
    pub(super) fn unknown(&self, parameters: &mut Vec<KeyValue>, name: fn(u64) -> Option<&'static str>) {
        push(parameters, self.found.taken(), || self.rest.count(|key| name(key).is_none()));
    }
}

/// What a version-specific parameter is called.
const fn name(key: u64) -> Option<&'static str> {
    Some(match key {
        DELIVERY_TIMEOUT => "DELIVERY TIMEOUT",
        AUTHORIZATION_TOKEN => "AUTHORIZATION TOKEN",
        MAX_CACHE_DURATION => "MAX CACHE DURATION",
        _ => return None,
    })
}

/// Reads a list, giving each parameter to `take`; `name` tells what a type is called. The count is what it must be:
/// pairs that are not counted are left to whoever reads on.
pub(super) fn each(
    r: &mut Reader<'_>,
    field: &'static str,
    name: fn(u64) -> Option<&'static str>,
    mut take: impl FnMut(&Placed<'_, '_>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let count = r.varint("Number of Parameters")?;
    let mut pairs = Pairs::new(Keys::Absolute);
    for left in (0..count).rev() {
        let start = r.offset();
        let found = pairs.find(r, field)?;
        r.called(name, found.key);
        take(&Placed { found, start, rest: Rest { pairs: &pairs, r, left } })?;
    }
    Ok(())
}

/// A list to be written.
#[derive(Default)]
pub(super) struct List(Vec<KeyValue>);

impl List {
    pub(super) fn integer(&mut self, key: u64, value: u64) {
        self.0.push(KeyValue { key, value: Value::Integer(value) });
    }

    pub(super) fn bytes(&mut self, key: u64, value: Option<&Bytes>) {
        self.0.extend(value.map(|bytes| KeyValue { key, value: Value::Bytes(bytes.clone()) }));
    }

    pub(super) fn tokens(&mut self, tokens: &[AuthorizationToken]) -> Result<(), EncodeError> {
        for token in tokens {
            self.bytes(AUTHORIZATION_TOKEN, Some(&token_bytes(token)?));
        }
        Ok(())
    }

    pub(super) fn pairs(&mut self, pairs: &[KeyValue]) {
        self.0.extend_from_slice(pairs);
    }

    fn milliseconds(&mut self, key: u64, value: Option<Duration>) {
        if let Some(duration) = value {
            self.integer(key, to_milliseconds(duration));
        }
    }

    pub(super) fn encode(mut self, w: &mut Writer, field: &'static str) -> Result<(), EncodeError> {
        w.varint(self.0.len() as u64, "Number of Parameters")?;
        write_pairs(w, Keys::Absolute, &mut self.0, field)
    }
}
