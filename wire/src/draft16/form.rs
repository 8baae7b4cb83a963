//! The forms that the values of key-value pairs take, in parameters and in Track Extensions.

use std::time::Duration;

use bytes::Bytes;

use crate::buf::{Reader, Watch, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field;
use crate::list::{KeyValue, Pairs, Value};
use crate::model::{AuthorizationToken, GroupOrder, Location, SubscriptionFilter};

/// Which pair a value belongs to, and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) field: &'static str,
    pub(super) offset: usize,
    /// Who watches what is read from there.
    watch: Option<Watch<'a>>,
}

impl At<'_> {
    pub(super) const fn error(self, fault: Fault) -> DecodeError {
        DecodeError::new(self.field, fault, self.offset)
    }
}

/// The next pair, and where to point at if it is wrong: its bytes, or the whole pair. `name` tells what the draft calls a
/// type, `field` the list.
pub(super) fn pair<'a>(
    pairs: &mut Pairs,
    r: &mut Reader<'a>,
    name: fn(u64) -> Option<&'static str>,
    field: &'static str,
) -> Result<(KeyValue, At<'a>), DecodeError> {
    let start = r.offset();
    let pair = pairs.read(r, field)?;
    let offset = match &pair.value {
        Value::Integer(_) => start,
        Value::Bytes(bytes) => r.offset() - bytes.len(),
    };
    r.called(name, pair.key);
    let at = At { field: name(pair.key).unwrap_or(field), offset, watch: r.watch_from(offset) };
    Ok((pair, at))
}

/// How a value is read and written.
pub(super) trait Form {
    type Value;

    fn read(value: &Value, at: At<'_>) -> Result<Self::Value, DecodeError>;
    fn write(value: &Self::Value, field: &'static str) -> Result<Value, EncodeError>;
}

/// The number of a pair with an even type. The type has settled the form, so the error is never met.
pub(super) fn integer(value: &Value, at: At<'_>) -> Result<u64, DecodeError> {
    match value {
        Value::Integer(number) => Ok(*number),
        Value::Bytes(_) => Err(at.error(Fault::Formatting("the value is a number"))),
    }
}

/// The bytes of a pair with an odd type.
pub(super) fn bytes<'a>(value: &'a Value, at: At<'_>) -> Result<&'a Bytes, DecodeError> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        Value::Integer(_) => Err(at.error(Fault::Formatting("the value is a byte string"))),
    }
}

/// Any number.
#[derive(Debug)]
pub(super) struct Number;

impl Form for Number {
    type Value = u64;

    fn read(value: &Value, at: At<'_>) -> Result<u64, DecodeError> {
        integer(value, at)
    }

    fn write(value: &u64, _: &'static str) -> Result<Value, EncodeError> {
        Ok(Value::Integer(*value))
    }
}

/// Any byte string.
#[derive(Debug)]
pub(super) struct Text;

impl Form for Text {
    type Value = Bytes;

    fn read(value: &Value, at: At<'_>) -> Result<Bytes, DecodeError> {
        bytes(value, at).cloned()
    }

    fn write(value: &Bytes, _: &'static str) -> Result<Value, EncodeError> {
        Ok(Value::Bytes(value.clone()))
    }
}

/// Whole milliseconds.
#[derive(Debug)]
pub(super) struct Milliseconds;

impl Form for Milliseconds {
    type Value = Duration;

    fn read(value: &Value, at: At<'_>) -> Result<Duration, DecodeError> {
        integer(value, at).map(field::milliseconds)
    }

    fn write(value: &Duration, _: &'static str) -> Result<Value, EncodeError> {
        Ok(Value::Integer(field::to_milliseconds(*value)))
    }
}

/// Whole milliseconds, but not none: DELIVERY_TIMEOUT (§9.2.2.2, §11.1).
#[derive(Debug)]
pub(super) struct Timeout;

impl Form for Timeout {
    type Value = Duration;

    fn read(value: &Value, at: At<'_>) -> Result<Duration, DecodeError> {
        match Milliseconds::read(value, at)? {
            Duration::ZERO => Err(at.error(Fault::Invalid("a delivery timeout is greater than 0"))),
            timeout => Ok(timeout),
        }
    }

    fn write(value: &Duration, field: &'static str) -> Result<Value, EncodeError> {
        match Milliseconds::write(value, field)? {
            Value::Integer(0) => Err(EncodeError::Inexpressible(field)),
            timeout => Ok(timeout),
        }
    }
}

/// One byte's worth: SUBSCRIBER_PRIORITY (§9.2.2.3), DEFAULT_PUBLISHER_PRIORITY (§11.1.1.1).
#[derive(Debug)]
pub(super) struct Priority;

impl Form for Priority {
    type Value = u8;

    fn read(value: &Value, at: At<'_>) -> Result<u8, DecodeError> {
        let number = integer(value, at)?;
        u8::try_from(number).map_err(|_| at.error(Fault::Invalid("a priority is at most 255")))
    }

    fn write(value: &u8, _: &'static str) -> Result<Value, EncodeError> {
        Ok(Value::Integer(u64::from(*value)))
    }
}

/// GROUP_ORDER (§9.2.2.4), DEFAULT_PUBLISHER_GROUP_ORDER (§11.1.1.2).
#[derive(Debug)]
pub(super) struct Order;

impl Form for Order {
    type Value = GroupOrder;

    fn read(value: &Value, at: At<'_>) -> Result<GroupOrder, DecodeError> {
        match integer(value, at)? {
            1 => Ok(GroupOrder::Ascending),
            2 => Ok(GroupOrder::Descending),
            _ => Err(at.error(Fault::Invalid("a group order is 1 (ascending) or 2 (descending)"))),
        }
    }

    fn write(value: &GroupOrder, _: &'static str) -> Result<Value, EncodeError> {
        Ok(Value::Integer(match value {
            GroupOrder::Ascending => 1,
            GroupOrder::Descending => 2,
        }))
    }
}

/// FORWARD (§9.2.2.8), DYNAMIC_GROUPS (§11.1.1.3).
#[derive(Debug)]
pub(super) struct Flag;

impl Form for Flag {
    type Value = bool;

    fn read(value: &Value, at: At<'_>) -> Result<bool, DecodeError> {
        match integer(value, at)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(at.error(Fault::Invalid("the value is 0 or 1"))),
        }
    }

    fn write(value: &bool, _: &'static str) -> Result<Value, EncodeError> {
        Ok(Value::Integer(u64::from(*value)))
    }
}

/// AUTHORIZATION_TOKEN (§9.2.2.1).
#[derive(Debug)]
pub(super) struct Token;

impl Form for Token {
    type Value = AuthorizationToken;

    fn read(value: &Value, at: At<'_>) -> Result<AuthorizationToken, DecodeError> {
        field::token(Reader::watched(bytes(value, at)?, at.watch))
            .map_err(|error| DecodeError::new(at.field, error.fault, at.offset + error.offset))
    }

    fn write(value: &AuthorizationToken, _: &'static str) -> Result<Value, EncodeError> {
        field::token_bytes(value).map(Value::Bytes)
    }
}

/// LARGEST_OBJECT: a Location and nothing else (§9.2.2.7).
#[derive(Debug)]
pub(super) struct Largest;

impl Form for Largest {
    type Value = Location;

    fn read(value: &Value, at: At<'_>) -> Result<Location, DecodeError> {
        let mut r = Reader::watched(bytes(value, at)?, at.watch);
        field::location(&mut r, at.field)
            .and_then(|location| r.finish(at.field).map(|()| location))
            .map_err(|_| at.error(Fault::Formatting("the value is exactly one Location")))
    }

    fn write(value: &Location, field: &'static str) -> Result<Value, EncodeError> {
        let mut w = Writer::new();
        field::write_location(&mut w, *value, field)?;
        Ok(Value::Bytes(w.take()))
    }
}

/// SUBSCRIPTION_FILTER: a filter (§5.1.2) and nothing else; another length is a violation (§9.2.2.5).
#[derive(Debug)]
pub(super) struct Filter;

impl Filter {
    fn filter(r: &mut Reader<'_>) -> Result<SubscriptionFilter, DecodeError> {
        let filter = match r.varint("Filter Type")? {
            1 => SubscriptionFilter::NextGroupStart,
            2 => SubscriptionFilter::LargestObject,
            3 => SubscriptionFilter::AbsoluteStart(field::location(r, "Start Location")?),
            4 => SubscriptionFilter::AbsoluteRange {
                start: field::location(r, "Start Location")?,
                end_group: r.varint("End Group")?,
            },
            other => return Err(DecodeError::new("Filter Type", Fault::Unknown(other), 0)),
        };
        r.finish("Filter")?;
        Ok(filter)
    }
}

impl Form for Filter {
    type Value = SubscriptionFilter;

    fn read(value: &Value, at: At<'_>) -> Result<SubscriptionFilter, DecodeError> {
        let mut r = Reader::watched(bytes(value, at)?, at.watch);
        Self::filter(&mut r)
            .map_err(|error| DecodeError::new(at.field, error.fault, at.offset + error.offset))
    }

    fn write(value: &SubscriptionFilter, field: &'static str) -> Result<Value, EncodeError> {
        let mut w = Writer::new();
        match *value {
            SubscriptionFilter::NextGroupStart => w.varint(1, field)?,
            SubscriptionFilter::LargestObject => w.varint(2, field)?,
            SubscriptionFilter::AbsoluteStart(start) => {
                w.varint(3, field)?;
                field::write_location(&mut w, start, field)?;
            }
            SubscriptionFilter::AbsoluteRange { start, end_group } => {
                // §5.1.2: the End Group is the Start's or a later one.
                if end_group < start.group {
                    return Err(EncodeError::Inexpressible("End Group before the Start Location"));
                }
                w.varint(4, field)?;
                field::write_location(&mut w, start, field)?;
                w.varint(end_group, field)?;
            }
        }
        Ok(Value::Bytes(w.take()))
    }
}
