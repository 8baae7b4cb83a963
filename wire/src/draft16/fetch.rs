//! FETCH (§9.16), FETCH_OK (§9.17) and the items of the stream that answers (§10.4.4).

use super::data::{extensions, successor, write_extensions};
use super::params::{Carrier, Params};
use super::subscribe::unless_default;
use super::{NAMESPACE, track_extensions};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field::{
    end_location, full_track_name, location, write_end_location, write_full_track_name, write_location,
};
use crate::model::{
    DEFAULT_PRIORITY, Extensions, Fetch, FetchItem, FetchObject, FetchOk, FetchRange, Location, ObjectStatus,
    RangeStatus, RequestId,
};
use crate::stream::FetchCursor;

// Fetch Type (§9.16).
const STANDALONE: u64 = 1;
const RELATIVE_JOINING: u64 = 2;
const ABSOLUTE_JOINING: u64 = 3;

pub(super) fn decode(r: &mut Reader<'_>) -> Result<Fetch, DecodeError> {
    let range = range(r)?;
    let params = Params::decode(r, Carrier::Fetch)?;
    Ok(Fetch {
        range,
        subscriber_priority: params.subscriber_priority.unwrap_or(DEFAULT_PRIORITY),
        group_order: params.group_order,
        authorization_tokens: params.tokens,
    })
}

fn range(r: &mut Reader<'_>) -> Result<FetchRange, DecodeError> {
    let start = r.offset();
    match r.varint("Fetch Type")? {
        STANDALONE => Ok(FetchRange::Standalone {
            track: full_track_name(r, NAMESPACE)?,
            start: location(r, "Start Location")?,
            end: end_location(r)?,
        }),
        RELATIVE_JOINING => Ok(FetchRange::RelativeJoining {
            subscription: RequestId(r.varint("Joining Request ID")?),
            groups_before: r.varint("Joining Start")?,
        }),
        ABSOLUTE_JOINING => Ok(FetchRange::AbsoluteJoining {
            subscription: RequestId(r.varint("Joining Request ID")?),
            start_group: r.varint("Joining Start")?,
        }),
        other => Err(DecodeError::new("Fetch Type", Fault::Unknown(other), start)),
    }
}

pub(super) fn encode(fetch: &Fetch, w: &mut Writer) -> Result<(), EncodeError> {
    match &fetch.range {
        FetchRange::Standalone { track, start, end } => {
            w.varint(STANDALONE, "Fetch Type")?;
            write_full_track_name(w, track, NAMESPACE)?;
            write_location(w, *start, "Start Location")?;
            write_end_location(w, *end)?;
        }
        FetchRange::RelativeJoining { subscription, groups_before: start } => {
            write_joining(w, RELATIVE_JOINING, *subscription, *start)?;
        }
        FetchRange::AbsoluteJoining { subscription, start_group: start } => {
            write_joining(w, ABSOLUTE_JOINING, *subscription, *start)?;
        }
    }
    let params = Params {
        tokens: fetch.authorization_tokens.clone(),
        subscriber_priority: unless_default(fetch.subscriber_priority),
        group_order: fetch.group_order,
        ..Params::default()
    };
    params.encode(w)
}

fn write_joining(w: &mut Writer, kind: u64, subscription: RequestId, start: u64) -> Result<(), EncodeError> {
    w.varint(kind, "Fetch Type")?;
    w.varint(subscription.0, "Joining Request ID")?;
    w.varint(start, "Joining Start")
}

pub(super) fn decode_ok(r: &mut Reader<'_>) -> Result<FetchOk, DecodeError> {
    let start = r.offset();
    let end_of_track = match r.u8("End Of Track")? {
        0 => false,
        1 => true,
        _ => return Err(DecodeError::new("End Of Track", Fault::Invalid("the value is 0 or 1"), start)),
    };
    let end = end_location(r)?;
    // No parameter is defined for FETCH_OK, but there may be some.
    Params::decode(r, Carrier::FetchOk)?;
    Ok(FetchOk { group_order: None, end_of_track, end, extensions: track_extensions::decode(r)? })
}

pub(super) fn encode_ok(ok: &FetchOk, w: &mut Writer) -> Result<(), EncodeError> {
    if ok.group_order.is_some() {
        return Err(EncodeError::Inexpressible("group order"));
    }
    w.u8(u8::from(ok.end_of_track));
    write_end_location(w, ok.end)?;
    Params::default().encode(w)?;
    track_extensions::encode(&ok.extensions, w)
}

// Serialization Flags (§10.4.4.1).
const SUBGROUP_MODE: u64 = 0x03;
const SUBGROUP_ZERO: u64 = 0x00;
const SUBGROUP_PRIOR: u64 = 0x01;
const SUBGROUP_NEXT: u64 = 0x02;
const SUBGROUP_PRESENT: u64 = 0x03;
const OBJECT_PRESENT: u64 = 0x04;
const GROUP_PRESENT: u64 = 0x08;
const PRIORITY_PRESENT: u64 = 0x10;
const EXTENSIONS_PRESENT: u64 = 0x20;
const DATAGRAM: u64 = 0x40;
const FLAGS_END: u64 = 0x80;
// End of range (§10.4.4.2).
const END_OF_NON_EXISTENT_RANGE: u64 = 0x8c;
const END_OF_UNKNOWN_RANGE: u64 = 0x10c;

/// What fields are relative to, or an error at the flags if it does not exist.
struct Prior<'a> {
    at: &'a FetchCursor,
    flags_offset: usize,
}

impl Prior<'_> {
    fn of<T>(&self, value: Option<T>) -> Result<T, DecodeError> {
        value.ok_or_else(|| {
            let fault = Fault::Invalid("the flags refer to a prior object, and there is none");
            DecodeError::new("Serialization Flags", fault, self.flags_offset)
        })
    }

    fn next(&self, value: Option<u64>, field: &'static str) -> Result<u64, DecodeError> {
        successor(self.of(value)?, 0, field, self.flags_offset)
    }
}

/// An item up to its payload.
#[inline]
pub(super) fn item(at: &FetchCursor, r: &mut Reader<'_>) -> Result<FetchItem, DecodeError> {
    let flags_offset = r.offset();
    match r.varint("Serialization Flags")? {
        flags @ ..FLAGS_END => object(flags, &Prior { at, flags_offset }, r).map(FetchItem::Object),
        END_OF_NON_EXISTENT_RANGE => end_of_range(RangeStatus::NonExistent, r),
        END_OF_UNKNOWN_RANGE => end_of_range(RangeStatus::Unknown, r),
        other => Err(DecodeError::new("Serialization Flags", Fault::Unknown(other), flags_offset)),
    }
}

fn end_of_range(status: RangeStatus, r: &mut Reader<'_>) -> Result<FetchItem, DecodeError> {
    Ok(FetchItem::EndOfRange {
        end: Location { group: r.varint("Group ID")?, object: r.varint("Object ID")? },
        status,
    })
}

/// The fields stand in the order group, subgroup, object, priority, extensions.
#[inline]
fn object(flags: u64, prior: &Prior<'_>, r: &mut Reader<'_>) -> Result<FetchObject, DecodeError> {
    let before = prior.at.location;
    let group = match flags & GROUP_PRESENT {
        0 => prior.of(before.map(|location| location.group))?,
        _ => r.varint("Group ID")?,
    };
    let subgroup_id = subgroup(flags, prior, r)?;
    let object = match flags & OBJECT_PRESENT {
        0 => prior.next(before.map(|location| location.object), "Object ID")?,
        _ => r.varint("Object ID")?,
    };
    let publisher_priority = match flags & PRIORITY_PRESENT {
        0 => prior.of(prior.at.publisher_priority)?,
        _ => r.u8("Publisher Priority")?,
    };
    Ok(FetchObject {
        location: Location { group, object },
        subgroup_id,
        publisher_priority,
        extensions: match flags & EXTENSIONS_PRESENT {
            0 => Extensions::NONE,
            _ => extensions(r)?,
        },
        status: ObjectStatus::Normal,
        payload_length: r.varint("Object Payload Length")?,
    })
}

/// `None` of an object that was a datagram: the mode is then ignored.
#[inline]
fn subgroup(flags: u64, prior: &Prior<'_>, r: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    if flags & DATAGRAM != 0 {
        return Ok(None);
    }
    match flags & SUBGROUP_MODE {
        SUBGROUP_ZERO => Ok(Some(0)),
        SUBGROUP_PRIOR => prior.of(prior.at.subgroup_id).map(Some),
        SUBGROUP_NEXT => prior.next(prior.at.subgroup_id, "Subgroup ID").map(Some),
        _ => r.varint("Subgroup ID").map(Some),
    }
}

pub(super) fn write_item(at: &FetchCursor, item: &FetchItem, w: &mut Writer) -> Result<(), EncodeError> {
    match item {
        FetchItem::Object(object) => write_fetched(at, object, w),
        FetchItem::EndOfRange { end, status } => {
            let flags = match status {
                RangeStatus::NonExistent => END_OF_NON_EXISTENT_RANGE,
                RangeStatus::Unknown => END_OF_UNKNOWN_RANGE,
            };
            w.varint(flags, "Serialization Flags")?;
            w.varint(end.group, "Group ID")?;
            w.varint(end.object, "Object ID")
        }
    }
}

fn write_fetched(at: &FetchCursor, object: &FetchObject, w: &mut Writer) -> Result<(), EncodeError> {
    if object.status != ObjectStatus::Normal {
        return Err(EncodeError::Inexpressible("Object Status"));
    }
    let flags = flags(at, object);
    w.varint(flags, "Serialization Flags")?;
    if flags & GROUP_PRESENT != 0 {
        w.varint(object.location.group, "Group ID")?;
    }
    if let (Some(id), SUBGROUP_PRESENT) = (object.subgroup_id, flags & SUBGROUP_MODE) {
        w.varint(id, "Subgroup ID")?;
    }
    if flags & OBJECT_PRESENT != 0 {
        w.varint(object.location.object, "Object ID")?;
    }
    if flags & PRIORITY_PRESENT != 0 {
        w.u8(object.publisher_priority);
    }
    if flags & EXTENSIONS_PRESENT != 0 {
        write_extensions(&object.extensions, w)?;
    }
    w.varint(object.payload_length, "Object Payload Length")
}

/// An object in the group of the item before it leaves out what it shares with that; the first of another group states
/// everything, so that nothing rests on a marker behind which the draft does not say what is prior.
fn flags(at: &FetchCursor, object: &FetchObject) -> u64 {
    let same_group = at.location.filter(|prior| prior.group == object.location.group);
    let prior_subgroup = at.subgroup_id.filter(|_| !at.after_datagram);
    let mut flags = match object.subgroup_id {
        None => DATAGRAM,
        Some(0) => SUBGROUP_ZERO,
        Some(_) if same_group.is_none() => SUBGROUP_PRESENT,
        Some(id) if prior_subgroup == Some(id) => SUBGROUP_PRIOR,
        Some(id) if prior_subgroup == Some(id - 1) => SUBGROUP_NEXT,
        Some(_) => SUBGROUP_PRESENT,
    };
    if same_group.is_none() {
        flags |= GROUP_PRESENT;
    }
    if same_group.and_then(|prior| prior.object.checked_add(1)) != Some(object.location.object) {
        flags |= OBJECT_PRESENT;
    }
    if same_group.is_none() || at.publisher_priority != Some(object.publisher_priority) {
        flags |= PRIORITY_PRESENT;
    }
    if !object.extensions.is_empty() {
        flags |= EXTENSIONS_PRESENT;
    }
    flags
}
