//! Subgroup streams (§10.4.2) and datagrams (§10.3).

use crate::buf::{Reader, Writer, integer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field;
use crate::list::Keys;
use crate::model::{
    Datagram, DatagramBody, Extensions, ObjectHeader, ObjectStatus, Opening, RequestId, SubgroupHeader,
    SubgroupId, TrackAlias,
};
use crate::stream::SubgroupCursor;

/// The stream type of a fetch stream (§10.4.4).
const FETCH_HEADER: u64 = 0x05;

/// The stream type of a subgroup stream: `0b00D1EMMX` (§10.4.2).
mod subgroup {
    pub(super) const EXTENSIONS: u64 = 0x01;
    pub(super) const ID_MODE: u64 = 0x06;
    pub(super) const ID_ZERO: u64 = 0x00;
    pub(super) const ID_FIRST_OBJECT: u64 = 0x02;
    pub(super) const ID_PRESENT: u64 = 0x04;
    pub(super) const END_OF_GROUP: u64 = 0x08;
    pub(super) const ALWAYS: u64 = 0x10;
    pub(super) const DEFAULT_PRIORITY: u64 = 0x20;
    pub(super) const END: u64 = 0x40;
}

/// The type of a datagram: `0b00S0PZEX` (§10.3.1).
mod datagram_type {
    pub(super) const EXTENSIONS: u64 = 0x01;
    pub(super) const END_OF_GROUP: u64 = 0x02;
    pub(super) const ZERO_OBJECT_ID: u64 = 0x04;
    pub(super) const DEFAULT_PRIORITY: u64 = 0x08;
    pub(super) const NEVER: u64 = 0x10;
    pub(super) const STATUS: u64 = 0x20;
    pub(super) const END: u64 = 0x40;
}

/// The header of a unidirectional stream.
pub(super) fn opening(r: &mut Reader<'_>) -> Result<Opening, DecodeError> {
    let start = r.offset();
    let kind = r.varint("Stream Type")?;
    if kind == FETCH_HEADER {
        return Ok(Opening::Fetch(RequestId(r.varint("Request ID")?)));
    }
    let is_subgroup =
        kind < subgroup::END && kind & subgroup::ALWAYS != 0 && kind & subgroup::ID_MODE != subgroup::ID_MODE;
    if !is_subgroup {
        return Err(DecodeError::new("Stream Type", Fault::Unknown(kind), start));
    }
    Ok(Opening::Subgroup(SubgroupHeader {
        track_alias: TrackAlias(r.varint("Track Alias")?),
        group_id: r.varint("Group ID")?,
        subgroup_id: match kind & subgroup::ID_MODE {
            subgroup::ID_ZERO => SubgroupId::Zero,
            subgroup::ID_FIRST_OBJECT => SubgroupId::FirstObject,
            _ => SubgroupId::Id(r.varint("Subgroup ID")?),
        },
        publisher_priority: priority(kind & subgroup::DEFAULT_PRIORITY != 0, r)?,
        extensions: kind & subgroup::EXTENSIONS != 0,
        end_of_group: kind & subgroup::END_OF_GROUP != 0,
    }))
}

pub(super) fn write_opening(opening: &Opening, w: &mut Writer) -> Result<(), EncodeError> {
    match opening {
        Opening::Other(kind) => w.varint(*kind, "Stream Type"),
        Opening::Fetch(id) => {
            w.varint(FETCH_HEADER, "Stream Type")?;
            w.varint(id.0, "Request ID")
        }
        Opening::Subgroup(header) => {
            w.varint(subgroup_type(header), "Stream Type")?;
            w.varint(header.track_alias.0, "Track Alias")?;
            w.varint(header.group_id, "Group ID")?;
            if let SubgroupId::Id(id) = header.subgroup_id {
                w.varint(id, "Subgroup ID")?;
            }
            if let Some(priority) = header.publisher_priority {
                w.u8(priority);
            }
            Ok(())
        }
    }
}

const fn subgroup_type(header: &SubgroupHeader) -> u64 {
    subgroup::ALWAYS
        | match header.subgroup_id {
            SubgroupId::Zero => subgroup::ID_ZERO,
            SubgroupId::FirstObject => subgroup::ID_FIRST_OBJECT,
            SubgroupId::Id(_) => subgroup::ID_PRESENT,
        }
        | bit(header.extensions, subgroup::EXTENSIONS)
        | bit(header.end_of_group, subgroup::END_OF_GROUP)
        | bit(header.publisher_priority.is_none(), subgroup::DEFAULT_PRIORITY)
}

const fn bit(set: bool, bit: u64) -> u64 {
    if set { bit } else { 0 }
}

/// A Publisher Priority, absent where the track's default applies.
fn priority(default: bool, r: &mut Reader<'_>) -> Result<Option<u8>, DecodeError> {
    match default {
        true => Ok(None),
        false => r.u8("Publisher Priority").map(Some),
    }
}

/// An object of a subgroup stream up to its payload.
#[inline]
pub(super) fn object(at: &SubgroupCursor, r: &mut Reader<'_>) -> Result<ObjectHeader, DecodeError> {
    let start = r.offset();
    let delta = r.varint("Object ID Delta")?;
    let object_id = match at.previous {
        None => delta,
        Some(previous) => successor(previous, delta, "Object ID Delta", start)?,
    };
    let extensions = if at.extensions { extensions(r)? } else { Extensions::NONE };
    let payload_length = r.varint("Object Payload Length")?;
    let status = match payload_length {
        0 => status(r, &extensions)?,
        _ => ObjectStatus::Normal,
    };
    Ok(ObjectHeader { object_id, extensions, status, payload_length })
}

/// The ID that lies `gap` IDs behind the one after `previous`; an ID has to fit the wire.
#[inline]
pub(super) fn successor(
    previous: u64,
    gap: u64,
    field: &'static str,
    offset: usize,
) -> Result<u64, DecodeError> {
    match previous.checked_add(gap).and_then(|id| id.checked_add(1)) {
        Some(id) if id <= integer::MAX => Ok(id),
        _ => Err(DecodeError::new(field, Fault::Invalid("the ID is over 2^62-1"), offset)),
    }
}

/// Extension Headers behind their length (§10.2.1.2).
#[inline]
pub(super) fn extensions(r: &mut Reader<'_>) -> Result<Extensions, DecodeError> {
    field::extension_headers(r, Keys::Delta)
}

pub(super) fn write_extensions(extensions: &Extensions, w: &mut Writer) -> Result<(), EncodeError> {
    field::write_extension_headers(w, extensions, Keys::Delta)
}

/// An Object Status (§10.2.1.1); only Normal objects have extensions (§10.2.1.2).
fn status(r: &mut Reader<'_>, extensions: &Extensions) -> Result<ObjectStatus, DecodeError> {
    const FIELD: &str = "Object Status";
    let start = r.offset();
    let status = match r.varint(FIELD)? {
        0 => ObjectStatus::Normal,
        3 => ObjectStatus::EndOfGroup,
        4 => ObjectStatus::EndOfTrack,
        other => return Err(DecodeError::new(FIELD, Fault::Unknown(other), start)),
    };
    if status != ObjectStatus::Normal && !extensions.is_empty() {
        let fault = Fault::Invalid("an object with extension headers has the status Normal");
        return Err(DecodeError::new(FIELD, fault, start));
    }
    Ok(status)
}

fn write_status(status: ObjectStatus, extensions: &Extensions, w: &mut Writer) -> Result<(), EncodeError> {
    let number = match status {
        ObjectStatus::Normal => 0,
        ObjectStatus::EndOfGroup => 3,
        ObjectStatus::EndOfTrack => 4,
        ObjectStatus::DoesNotExist => return Err(EncodeError::Inexpressible("Object Status")),
    };
    if number != 0 && !extensions.is_empty() {
        return Err(EncodeError::Inexpressible("extension headers of an object that is not Normal"));
    }
    w.varint(number, "Object Status")
}

pub(super) fn write_object(
    at: &SubgroupCursor,
    object: &ObjectHeader,
    w: &mut Writer,
) -> Result<(), EncodeError> {
    let delta = match at.previous {
        None => Some(object.object_id),
        Some(previous) => object.object_id.checked_sub(previous).and_then(|delta| delta.checked_sub(1)),
    };
    w.varint(delta.ok_or(EncodeError::Inexpressible("Object ID that does not ascend"))?, "Object ID Delta")?;
    match at.extensions {
        true => write_extensions(&object.extensions, w)?,
        false if object.extensions.is_empty() => {}
        false => return Err(EncodeError::Inexpressible("extension headers on a stream without them")),
    }
    w.varint(object.payload_length, "Object Payload Length")?;
    match object.payload_length {
        0 => write_status(object.status, &object.extensions, w),
        _ if object.status == ObjectStatus::Normal => Ok(()),
        _ => Err(EncodeError::Inexpressible("payload of an object that is not Normal")),
    }
}

/// A whole datagram.
pub(super) fn datagram(r: &mut Reader<'_>) -> Result<Datagram, DecodeError> {
    use datagram_type as bits;
    let kind = datagram_kind(r)?;
    let track_alias = TrackAlias(r.varint("Track Alias")?);
    let group_id = r.varint("Group ID")?;
    let object_id = match kind & bits::ZERO_OBJECT_ID {
        0 => r.varint("Object ID")?,
        _ => 0,
    };
    let publisher_priority = priority(kind & bits::DEFAULT_PRIORITY != 0, r)?;
    let extensions = match kind & bits::EXTENSIONS {
        0 => Extensions::NONE,
        _ => some_extensions(r)?,
    };
    let body = match kind & bits::STATUS {
        0 => DatagramBody::Payload(r.rest("Object Payload")),
        _ => DatagramBody::Status(status(r, &extensions)?),
    };
    r.finish("Object Status")?;
    let end_of_group = kind & bits::END_OF_GROUP != 0;
    Ok(Datagram { track_alias, group_id, object_id, publisher_priority, end_of_group, extensions, body })
}

fn datagram_kind(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    use datagram_type as bits;
    const STATUS_AND_END: u64 = bits::STATUS | bits::END_OF_GROUP;
    let start = r.offset();
    match r.varint("Datagram Type")? {
        kind if kind < bits::END && kind & bits::NEVER == 0 && kind & STATUS_AND_END != STATUS_AND_END => {
            Ok(kind)
        }
        other => Err(DecodeError::new("Datagram Type", Fault::Unknown(other), start)),
    }
}

/// Extension Headers of a datagram, which leaves them out if there are none (§10.3.1).
fn some_extensions(r: &mut Reader<'_>) -> Result<Extensions, DecodeError> {
    let start = r.offset();
    let extensions = extensions(r)?;
    if extensions.is_empty() {
        let fault = Fault::Invalid("a datagram with the EXTENSIONS bit has extension headers");
        return Err(DecodeError::new("Extension Headers Length", fault, start));
    }
    Ok(extensions)
}

pub(super) fn write_datagram(datagram: &Datagram, w: &mut Writer) -> Result<(), EncodeError> {
    w.varint(datagram_type(datagram)?, "Datagram Type")?;
    w.varint(datagram.track_alias.0, "Track Alias")?;
    w.varint(datagram.group_id, "Group ID")?;
    if datagram.object_id != 0 {
        w.varint(datagram.object_id, "Object ID")?;
    }
    if let Some(priority) = datagram.publisher_priority {
        w.u8(priority);
    }
    if !datagram.extensions.is_empty() {
        write_extensions(&datagram.extensions, w)?;
    }
    match &datagram.body {
        DatagramBody::Payload(payload) => {
            w.bytes(payload);
            Ok(())
        }
        DatagramBody::Status(status) => write_status(*status, &datagram.extensions, w),
    }
}

/// The shortest form: an Object ID of 0 is left out.
fn datagram_type(datagram: &Datagram) -> Result<u64, EncodeError> {
    use datagram_type as bits;
    let has_status = matches!(datagram.body, DatagramBody::Status(_));
    if has_status && datagram.end_of_group {
        return Err(EncodeError::Inexpressible("END_OF_GROUP of a datagram with a status"));
    }
    Ok(bit(!datagram.extensions.is_empty(), bits::EXTENSIONS)
        | bit(datagram.end_of_group, bits::END_OF_GROUP)
        | bit(datagram.object_id == 0, bits::ZERO_OBJECT_ID)
        | bit(datagram.publisher_priority.is_none(), bits::DEFAULT_PRIORITY)
        | bit(has_status, bits::STATUS))
}
