//! Fields that several of this draft's messages share.

use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field::{self, NamespaceLimits};
use crate::model::{DEFAULT_PRIORITY, GroupOrder, Location, RequestId, SubscriptionFilter, TrackExtensions};

/// Namespaces and prefixes have 1 to 32 fields, which may be empty (draft-14 §2.4.1, §9.28).
pub(super) const NAMESPACE: NamespaceLimits = NamespaceLimits { min_fields: 1, empty_fields: true };

pub(super) fn request_id(r: &mut Reader<'_>, field: &'static str) -> Result<RequestId, DecodeError> {
    r.varint(field).map(RequestId)
}

/// Forward, Content Exists and End Of Track are 0 or 1. The draft closes the session for other values of the first two
/// (§9.7, §9.8); for Forward in PUBLISH_OK and for End Of Track it names no consequence, and the same is done.
pub(super) fn flag(r: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    let start = r.offset();
    match r.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::new(field, Fault::Invalid("the value is neither 0 nor 1"), start)),
    }
}

/// The Group Order of a request, where 0 is the publisher's (draft-14 §9.7, §9.16).
pub(super) fn requested_order(r: &mut Reader<'_>) -> Result<Option<GroupOrder>, DecodeError> {
    let start = r.offset();
    match r.u8("Group Order")? {
        0 => Ok(None),
        number => order(number, "the value is not 0, 1 or 2", start).map(Some),
    }
}

pub(super) fn write_requested_order(w: &mut Writer, order: Option<GroupOrder>) {
    match order {
        None => w.u8(0),
        Some(order) => write_order(w, order),
    }
}

/// The Group Order that is used, which is never 0 (draft-14 §9.8, §9.13, §9.14, §9.17).
pub(super) fn stated_order(r: &mut Reader<'_>) -> Result<GroupOrder, DecodeError> {
    let start = r.offset();
    order(r.u8("Group Order")?, "the value is neither 1 nor 2", start)
}

fn order(number: u8, rule: &'static str, offset: usize) -> Result<GroupOrder, DecodeError> {
    match number {
        1 => Ok(GroupOrder::Ascending),
        2 => Ok(GroupOrder::Descending),
        _ => Err(DecodeError::new("Group Order", Fault::Invalid(rule), offset)),
    }
}

pub(super) fn write_order(w: &mut Writer, order: GroupOrder) {
    w.u8(match order {
        GroupOrder::Ascending => 1,
        GroupOrder::Descending => 2,
    });
}

/// Content Exists, and the Largest Location if it does (draft-14 §9.8, §9.13).
pub(super) fn largest(r: &mut Reader<'_>) -> Result<Option<Location>, DecodeError> {
    Ok(match flag(r, "Content Exists")? {
        true => Some(field::location(r, "Largest Location")?),
        false => None,
    })
}

pub(super) fn write_largest(w: &mut Writer, largest: Option<Location>) -> Result<(), EncodeError> {
    w.u8(u8::from(largest.is_some()));
    match largest {
        Some(largest) => field::write_location(w, largest, "Largest Location"),
        None => Ok(()),
    }
}

/// Filter Type, then Start Location for the absolute filters and End Group for the range (draft-14 §5.1, §9.7).
pub(super) fn filter(r: &mut Reader<'_>) -> Result<SubscriptionFilter, DecodeError> {
    let at = r.offset();
    Ok(match r.varint("Filter Type")? {
        0x1 => SubscriptionFilter::NextGroupStart,
        0x2 => SubscriptionFilter::LargestObject,
        0x3 => SubscriptionFilter::AbsoluteStart(field::location(r, "Start Location")?),
        0x4 => SubscriptionFilter::AbsoluteRange {
            start: field::location(r, "Start Location")?,
            end_group: r.varint("End Group")?,
        },
        other => return Err(DecodeError::new("Filter Type", Fault::Unknown(other), at)),
    })
}

pub(super) fn write_filter(w: &mut Writer, filter: Option<SubscriptionFilter>) -> Result<(), EncodeError> {
    let filter = filter.ok_or(EncodeError::Inexpressible("Filter Type"))?;
    let number = match filter {
        SubscriptionFilter::NextGroupStart => 0x1,
        SubscriptionFilter::LargestObject => 0x2,
        SubscriptionFilter::AbsoluteStart(_) => 0x3,
        SubscriptionFilter::AbsoluteRange { .. } => 0x4,
    };
    w.varint(number, "Filter Type")?;
    match filter {
        SubscriptionFilter::NextGroupStart | SubscriptionFilter::LargestObject => Ok(()),
        SubscriptionFilter::AbsoluteStart(start) => field::write_location(w, start, "Start Location"),
        SubscriptionFilter::AbsoluteRange { start, end_group } => {
            field::check_range(start, end_group)?;
            field::write_location(w, start, "Start Location")?;
            w.varint(end_group, "End Group")
        }
    }
}

/// Refuses what holds for a track and this draft has no field or parameter for.
pub(super) fn expressible_track(extensions: &TrackExtensions) -> Result<(), EncodeError> {
    if extensions.default_publisher_priority != DEFAULT_PRIORITY {
        return Err(EncodeError::Inexpressible("default publisher priority"));
    }
    if extensions.dynamic_groups {
        return Err(EncodeError::Inexpressible("dynamic groups"));
    }
    if !extensions.other.is_empty() {
        return Err(EncodeError::Inexpressible("track extensions"));
    }
    Ok(())
}

/// Refuses a value for which this draft has no field.
pub(super) fn absent<T>(value: Option<&T>, field: &'static str) -> Result<(), EncodeError> {
    match value {
        Some(_) => Err(EncodeError::Inexpressible(field)),
        None => Ok(()),
    }
}
