//! Track Extensions (§11): pairs to the end of PUBLISH, SUBSCRIBE_OK and FETCH_OK.

use super::form::{self, Form, Given};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::list::{KeyValue, Keys, Pairs, PairsWriter, write_pairs};
use crate::model::{DEFAULT_PRIORITY, Extensions, GroupOrder, TrackExtensions, extension};

const FIELD: &str = "Track Extensions";

/// By how much types can be longer once the known ones between them are gone: a number of 8 bytes for each of those.
const GROWTH: usize = 5 * 8;

/// The name of a type whose value is a field of [`TrackExtensions`].
const fn name(key: u64) -> Option<&'static str> {
    Some(match key {
        extension::DELIVERY_TIMEOUT => "DELIVERY_TIMEOUT",
        extension::MAX_CACHE_DURATION => "MAX_CACHE_DURATION",
        extension::DEFAULT_PUBLISHER_PRIORITY => "DEFAULT_PUBLISHER_PRIORITY",
        extension::DEFAULT_PUBLISHER_GROUP_ORDER => "DEFAULT_PUBLISHER_GROUP_ORDER",
        extension::DYNAMIC_GROUPS => "DYNAMIC_GROUPS",
        _ => return None,
    })
}

/// Everything that is left. The draft forbids no repetition: of a known type the first value counts.
pub(super) fn decode(r: &mut Reader<'_>) -> Result<TrackExtensions, DecodeError> {
    let start = r.offset();
    let mut track = TrackExtensions::default();
    // Without the pairs of known types, which stand between them: so it is copied, into as much room as is left.
    let mut other = Writer::new();
    let mut others = PairsWriter::new(Keys::Delta);
    let mut pairs = Pairs::new(Keys::Delta);
    let mut previous = None;
    while !r.is_empty() {
        let room = r.remaining();
        let given = form::pair(&mut pairs, r, name, FIELD)?;
        let key = given.pair.key;
        let repeated = previous.replace(key) == Some(key);
        if name(key).is_some() {
            take(&mut track, &given, repeated)?;
            continue;
        }
        if other.is_empty() {
            other = Writer::with_capacity(room + GROWTH);
        }
        // Fails only where a type over 2^62-1 was reached by way of a known one.
        others.write(&mut other, &given.pair.taken(), FIELD).map_err(|_| {
            DecodeError::new(FIELD, Fault::Invalid("a type is too far from the one before it"), start)
        })?;
    }
    if !other.is_empty() {
        track.other = Extensions::of_checked(other.take(), Keys::Delta);
    }
    Ok(track)
}

/// Checks a value of a known type, and keeps it unless it repeats.
fn take(track: &mut TrackExtensions, given: &Given<'_>, repeated: bool) -> Result<(), DecodeError> {
    fn keep<T>(field: &mut T, value: T, repeated: bool) {
        if !repeated {
            *field = value;
        }
    }
    match given.pair.key {
        extension::DELIVERY_TIMEOUT => {
            keep(&mut track.delivery_timeout, Some(form::Timeout::read(given)?), repeated);
        }
        extension::MAX_CACHE_DURATION => {
            keep(&mut track.max_cache_duration, Some(form::Milliseconds::read(given)?), repeated);
        }
        extension::DEFAULT_PUBLISHER_PRIORITY => {
            keep(&mut track.default_publisher_priority, form::Priority::read(given)?, repeated);
        }
        extension::DEFAULT_PUBLISHER_GROUP_ORDER => {
            keep(&mut track.group_order, form::Order::read(given)?, repeated);
        }
        extension::DYNAMIC_GROUPS => keep(&mut track.dynamic_groups, form::Flag::read(given)?, repeated),
        _ => {}
    }
    Ok(())
}

/// Values that are the default are left out.
pub(super) fn encode(track: &TrackExtensions, w: &mut Writer) -> Result<(), EncodeError> {
    // Spelled by another draft, the types and the lists within immutable extensions need another form.
    let other = track.other.respelled(Keys::Delta)?;
    let other = Extensions::decode(&mut Reader::new(&other), Keys::Delta, FIELD)
        .map_err(|_| EncodeError::Inexpressible(FIELD))?;
    let mut pairs: Vec<_> = other.iter().collect();
    if pairs.iter().any(|pair| name(pair.key).is_some()) {
        return Err(EncodeError::Inexpressible("other Track Extension of a known type"));
    }
    let mut put = |key, value| pairs.push(KeyValue { key, value });
    if let Some(timeout) = &track.delivery_timeout {
        put(extension::DELIVERY_TIMEOUT, form::Timeout::write(timeout, "DELIVERY_TIMEOUT")?);
    }
    if let Some(duration) = &track.max_cache_duration {
        put(extension::MAX_CACHE_DURATION, form::Milliseconds::write(duration, "MAX_CACHE_DURATION")?);
    }
    if track.default_publisher_priority != DEFAULT_PRIORITY {
        let priority =
            form::Priority::write(&track.default_publisher_priority, "DEFAULT_PUBLISHER_PRIORITY")?;
        put(extension::DEFAULT_PUBLISHER_PRIORITY, priority);
    }
    if track.group_order != GroupOrder::Ascending {
        let order = form::Order::write(&track.group_order, "DEFAULT_PUBLISHER_GROUP_ORDER")?;
        put(extension::DEFAULT_PUBLISHER_GROUP_ORDER, order);
    }
    if track.dynamic_groups {
        put(extension::DYNAMIC_GROUPS, form::Flag::write(&true, "DYNAMIC_GROUPS")?);
    }
    write_pairs(w, Keys::Delta, &mut pairs, FIELD)
}
