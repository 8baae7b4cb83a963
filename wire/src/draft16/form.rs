//! The forms that the values of key-value pairs take, in parameters and in Track Extensions.

use std::time::Duration;

use bytes::Bytes;

use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field;
use crate::list::{Found, FoundValue, Pairs, Value};
use crate::model::{AuthorizationToken, GroupOrder, Location, SubscriptionFilter};

/// A pair, and where to point at if it is wrong.
#[derive(Debug)]
pub(super) struct Given<'a> {
    pub(super) pair: Found<'a>,
    field: &'static str,
    /// Of the value's bytes, or of the whole pair.
    pub(super) offset: usize,
}

/// The next pair of a list. `name` tells what the draft calls a type, `field` the list.
#[inline]
pub(super) fn pair<'a>(
    pairs: &mut Pairs,
    r: &mut Reader<'a>,
    name: fn(u64) -> Option<&'static str>,
    field: &'static str,
) -> Result<Given<'a>, DecodeError> {
    let start = r.offset();
    let pair = pairs.find(r, field)?;
    let offset = match &pair.value {
        FoundValue::Integer(_) => start,
        FoundValue::Bytes(value) => value.offset(),
    };
    r.called(name, pair.key);
    Ok(Given { field: name(pair.key).unwrap_or(field), offset, pair })
}

impl<'a> Given<'a> {
    #[cold]
    pub(super) const fn error(&self, fault: Fault) -> DecodeError {
        DecodeError::new(self.field, fault, self.offset)
    }

    /// The number of a pair with an even type. The type has settled the form, so the error is never met.
    #[inline]
    fn integer(&self) -> Result<u64, DecodeError> {
        match self.pair.value {
            FoundValue::Integer(number) => Ok(number),
            FoundValue::Bytes(_) => Err(self.error(Fault::Formatting("the value is a number"))),
        }
    }

    /// The bytes of a pair with an odd type.
    #[inline]
    fn bytes(&self) -> Result<Reader<'a>, DecodeError> {
        match &self.pair.value {
            FoundValue::Bytes(value) => Ok(value.clone()),
            FoundValue::Integer(_) => Err(self.error(Fault::Formatting("the value is a byte string"))),
        }
    }
}

/// How a value is read and written.
pub(super) trait Form {
    type Value;

    fn read(given: &Given<'_>) -> Result<Self::Value, DecodeError>;
    fn write(value: &Self::Value, field: &'static str) -> Result<Value, EncodeError>;
}

/// Any number.
#[derive(Debug)]
pub(super) struct Number;

impl Form for Number {
    type Value = u64;

    fn read(given: &Given<'_>) -> Result<u64, DecodeError> {
        given.integer()
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

    fn read(given: &Given<'_>) -> Result<Bytes, DecodeError> {
        given.bytes().map(|value| value.left())
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

    fn read(given: &Given<'_>) -> Result<Duration, DecodeError> {
        given.integer().map(field::milliseconds)
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

    fn read(given: &Given<'_>) -> Result<Duration, DecodeError> {
        match Milliseconds::read(given)? {
            Duration::ZERO => Err(given.error(Fault::Invalid("a delivery timeout is greater than 0"))),
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

    fn read(given: &Given<'_>) -> Result<u8, DecodeError> {
        let number = given.integer()?;
        u8::try_from(number).map_err(|_| given.error(Fault::Invalid("a priority is at most 255")))
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

    fn read(given: &Given<'_>) -> Result<GroupOrder, DecodeError> {
        match given.integer()? {
            1 => Ok(GroupOrder::Ascending),
            2 => Ok(GroupOrder::Descending),
            _ => Err(given.error(Fault::Invalid("a group order is 1 (ascending) or 2 (descending)"))),
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

    fn read(given: &Given<'_>) -> Result<bool, DecodeError> {
        match given.integer()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(given.error(Fault::Invalid("the value is 0 or 1"))),
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

    fn read(given: &Given<'_>) -> Result<AuthorizationToken, DecodeError> {
        field::token(given.bytes()?).map_err(|error| DecodeError { field: given.field, ..error })
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

    fn read(given: &Given<'_>) -> Result<Location, DecodeError> {
        let mut r = given.bytes()?;
        field::location(&mut r, given.field)
            .and_then(|location| r.finish(given.field).map(|()| location))
            .map_err(|_| given.error(Fault::Formatting("the value is exactly one Location")))
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
        let start = r.offset();
        let filter = match r.varint("Filter Type")? {
            1 => SubscriptionFilter::NextGroupStart,
            2 => SubscriptionFilter::LargestObject,
            3 => SubscriptionFilter::AbsoluteStart(field::location(r, "Start Location")?),
            4 => SubscriptionFilter::AbsoluteRange {
                start: field::location(r, "Start Location")?,
                end_group: r.varint("End Group")?,
            },
            other => return Err(DecodeError::new("Filter Type", Fault::Unknown(other), start)),
        };
        r.finish("Filter")?;
        Ok(filter)
    }
}

impl Form for Filter {
    type Value = SubscriptionFilter;

    fn read(given: &Given<'_>) -> Result<SubscriptionFilter, DecodeError> {
        Self::filter(&mut given.bytes()?).map_err(|error| DecodeError { field: given.field, ..error })
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
                field::check_range(start, end_group)?;
                w.varint(4, field)?;
                field::write_location(&mut w, start, field)?;
                w.varint(end_group, field)?;
            }
        }
        Ok(Value::Bytes(w.take()))
    }
}
