//! Data streams and datagrams (draft-14 §10).

use crate::buf::{Reader, Writer, integer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::field;
use crate::list::Keys;
use crate::model::{
    Datagram, DatagramBody, Extensions, FetchObject, Location, ObjectHeader, ObjectStatus, Opening,
    RequestId, SubgroupHeader, SubgroupId, TrackAlias,
};
use crate::stream::SubgroupCursor;

/// Types of unidirectional streams (draft-14 §10): FETCH_HEADER, and SUBGROUP_HEADER with its bits (§10.4.2).
mod stream {
    pub(super) const FETCH: u64 = 0x05;
    pub(super) const SUBGROUP: u64 = 0x10;
    pub(super) const EXTENSIONS: u64 = 0x01;
    pub(super) const SUBGROUP_ID: u64 = 0x06;
    pub(super) const END_OF_GROUP: u64 = 0x08;

    /// The values of the bits [`SUBGROUP_ID`]; the fourth, 0x06, is no type.
    pub(super) const ZERO: u64 = 0x00;
    pub(super) const FIRST_OBJECT: u64 = 0x02;
    pub(super) const STATED: u64 = 0x04;
}

/// The bits of datagram types (draft-14 §10.3.1).
mod bit {
    pub(super) const EXTENSIONS: u64 = 0x01;
    pub(super) const END_OF_GROUP: u64 = 0x02;
    pub(super) const NO_OBJECT_ID: u64 = 0x04;
    pub(super) const STATUS: u64 = 0x20;
}

pub(super) fn opening(r: &mut Reader<'_>) -> Result<Opening, DecodeError> {
    let start = r.offset();
    match r.varint("Stream Type")? {
        stream::FETCH => Ok(Opening::Fetch(RequestId(r.varint("Request ID")?))),
        kind @ (0x10..=0x15 | 0x18..=0x1d) => subgroup_header(kind, r).map(Opening::Subgroup),
        // §10: the session is closed; the draft names no code for it.
        other => Err(DecodeError::new("Stream Type", Fault::Unknown(other), start)),
    }
}

pub(super) fn write_opening(w: &mut Writer, opening: &Opening) -> Result<(), EncodeError> {
    match opening {
        Opening::Other(kind) => w.varint(*kind, "Stream Type"),
        Opening::Fetch(id) => {
            w.varint(stream::FETCH, "Stream Type")?;
            w.varint(id.0, "Request ID")
        }
        Opening::Subgroup(header) => write_subgroup_header(w, header),
    }
}

fn subgroup_header(kind: u64, r: &mut Reader<'_>) -> Result<SubgroupHeader, DecodeError> {
    Ok(SubgroupHeader {
        track_alias: TrackAlias(r.varint("Track Alias")?),
        group_id: r.varint("Group ID")?,
        subgroup_id: match kind & stream::SUBGROUP_ID {
            stream::ZERO => SubgroupId::Zero,
            stream::FIRST_OBJECT => SubgroupId::FirstObject,
            _ => SubgroupId::Id(r.varint("Subgroup ID")?),
        },
        publisher_priority: Some(r.u8("Publisher Priority")?),
        extensions: kind & stream::EXTENSIONS != 0,
        end_of_group: kind & stream::END_OF_GROUP != 0,
    })
}

fn write_subgroup_header(w: &mut Writer, header: &SubgroupHeader) -> Result<(), EncodeError> {
    let (mode, subgroup_id) = match header.subgroup_id {
        SubgroupId::Zero => (stream::ZERO, None),
        SubgroupId::FirstObject => (stream::FIRST_OBJECT, None),
        SubgroupId::Id(id) => (stream::STATED, Some(id)),
    };
    let kind = stream::SUBGROUP
        | mode
        | when(header.extensions, stream::EXTENSIONS)
        | when(header.end_of_group, stream::END_OF_GROUP);
    w.varint(kind, "Stream Type")?;
    w.varint(header.track_alias.0, "Track Alias")?;
    w.varint(header.group_id, "Group ID")?;
    if let Some(id) = subgroup_id {
        w.varint(id, "Subgroup ID")?;
    }
    w.u8(stated_priority(header.publisher_priority)?);
    Ok(())
}

/// An object of a subgroup stream up to its payload (draft-14 §10.4.2).
#[inline]
pub(super) fn object(at: &SubgroupCursor, r: &mut Reader<'_>) -> Result<ObjectHeader, DecodeError> {
    let object_id = object_id(at.previous, r)?;
    let start = r.offset();
    let extensions = if at.extensions { extensions(r)? } else { Extensions::NONE };
    let (payload_length, status) = payload_or_status(r)?;
    permits_extensions(status, &extensions, start)?;
    Ok(ObjectHeader { object_id, extensions, status, payload_length })
}

pub(super) fn write_object(
    w: &mut Writer,
    at: &SubgroupCursor,
    object: &ObjectHeader,
) -> Result<(), EncodeError> {
    expressible_extensions(object.status, &object.extensions)?;
    let delta = match at.previous {
        None => Some(object.object_id),
        Some(previous) => object.object_id.checked_sub(previous).and_then(|ahead| ahead.checked_sub(1)),
    };
    w.varint(delta.ok_or(EncodeError::Inexpressible("Object ID Delta"))?, "Object ID Delta")?;
    if at.extensions {
        write_extensions(w, &object.extensions)?;
    } else if !object.extensions.is_empty() {
        return Err(EncodeError::Inexpressible("Extension Headers"));
    }
    write_payload_or_status(w, object.payload_length, object.status)
}

/// Object ID Delta: the first object's ID, then one less than the distance from the ID before (draft-14 §10.4.2).
#[inline]
fn object_id(previous: Option<u64>, r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let start = r.offset();
    let delta = r.varint("Object ID Delta")?;
    let Some(previous) = previous else { return Ok(delta) };
    previous.checked_add(delta).filter(|id| *id < integer::MAX).map(|id| id + 1).ok_or_else(|| {
        DecodeError::new("Object ID Delta", Fault::Invalid("the Object ID is over 2^62-1"), start)
    })
}

/// An object of a fetch stream up to its payload (draft-14 §10.4.4): nothing in it is relative to another.
pub(super) fn fetch_object(r: &mut Reader<'_>) -> Result<FetchObject, DecodeError> {
    let group = r.varint("Group ID")?;
    let subgroup_id = r.varint("Subgroup ID")?;
    let object = r.varint("Object ID")?;
    let publisher_priority = r.u8("Publisher Priority")?;
    let start = r.offset();
    let extensions = extensions(r)?;
    let (payload_length, status) = payload_or_status(r)?;
    permits_extensions(status, &extensions, start)?;
    Ok(FetchObject {
        location: Location { group, object },
        subgroup_id: Some(subgroup_id),
        publisher_priority,
        extensions,
        status,
        payload_length,
    })
}

/// An object of forwarding preference Datagram has its Object ID for a Subgroup ID (draft-14 §10.4.4).
pub(super) fn write_fetch_object(w: &mut Writer, object: &FetchObject) -> Result<(), EncodeError> {
    expressible_extensions(object.status, &object.extensions)?;
    w.varint(object.location.group, "Group ID")?;
    w.varint(object.subgroup_id.unwrap_or(object.location.object), "Subgroup ID")?;
    w.varint(object.location.object, "Object ID")?;
    w.u8(object.publisher_priority);
    write_extensions(w, &object.extensions)?;
    write_payload_or_status(w, object.payload_length, object.status)
}

/// OBJECT_DATAGRAM (draft-14 §10.3.1).
pub(super) fn datagram(r: &mut Reader<'_>) -> Result<Datagram, DecodeError> {
    let start = r.offset();
    let kind = r.varint("Type")?;
    if !matches!(kind, 0x00..=0x07 | 0x20..=0x21) {
        return Err(DecodeError::new("Type", Fault::Unknown(kind), start));
    }
    let track_alias = TrackAlias(r.varint("Track Alias")?);
    let group_id = r.varint("Group ID")?;
    let object_id = if kind & bit::NO_OBJECT_ID == 0 { r.varint("Object ID")? } else { 0 };
    let publisher_priority = Some(r.u8("Publisher Priority")?);
    let at = r.offset();
    let extensions = if kind & bit::EXTENSIONS != 0 { some_extensions(r)? } else { Extensions::NONE };
    let body = if kind & bit::STATUS != 0 {
        status_body(r)?
    } else {
        DatagramBody::Payload(r.rest("Object Payload"))
    };
    if let DatagramBody::Status(status) = body {
        permits_extensions(status, &extensions, at)?;
    }
    let end_of_group = kind & bit::END_OF_GROUP != 0;
    Ok(Datagram { track_alias, group_id, object_id, publisher_priority, end_of_group, extensions, body })
}

/// Leaves Object ID 0 to the type where a type does that.
pub(super) fn write_datagram(w: &mut Writer, datagram: &Datagram) -> Result<(), EncodeError> {
    let kind = datagram_type(datagram)?;
    w.varint(kind, "Type")?;
    w.varint(datagram.track_alias.0, "Track Alias")?;
    w.varint(datagram.group_id, "Group ID")?;
    if kind & bit::NO_OBJECT_ID == 0 {
        w.varint(datagram.object_id, "Object ID")?;
    }
    w.u8(stated_priority(datagram.publisher_priority)?);
    if kind & bit::EXTENSIONS != 0 {
        write_extensions(w, &datagram.extensions)?;
    }
    match &datagram.body {
        DatagramBody::Payload(payload) => w.bytes(payload),
        DatagramBody::Status(status) => w.varint(status_number(*status), "Object Status")?,
    }
    Ok(())
}

fn datagram_type(datagram: &Datagram) -> Result<u64, EncodeError> {
    let extensions = when(!datagram.extensions.is_empty(), bit::EXTENSIONS);
    match datagram.body {
        DatagramBody::Payload(_) => Ok(extensions
            | when(datagram.end_of_group, bit::END_OF_GROUP)
            | when(datagram.object_id == 0, bit::NO_OBJECT_ID)),
        // §10.3.1 has no type for a status that also ends the group; the status End of Group says it.
        DatagramBody::Status(_) if datagram.end_of_group => Err(EncodeError::Inexpressible("End of Group")),
        DatagramBody::Status(status) => {
            expressible_extensions(status, &datagram.extensions)?;
            Ok(bit::STATUS | extensions)
        }
    }
}

fn status_body(r: &mut Reader<'_>) -> Result<DatagramBody, DecodeError> {
    let status = status(r)?;
    // An object with a status has no payload (draft-14 §10.2.1.1).
    r.finish("Object Status")?;
    Ok(DatagramBody::Status(status))
}

/// Extension headers on streams, where a length of 0 is legal (draft-14 §10.4.2, §10.4.4).
#[inline]
fn extensions(r: &mut Reader<'_>) -> Result<Extensions, DecodeError> {
    field::extension_headers(r, Keys::Absolute)
}

/// The extension headers of a datagram whose type announces some: the length is not 0 (draft-14 §10.3.1).
fn some_extensions(r: &mut Reader<'_>) -> Result<Extensions, DecodeError> {
    let start = r.offset();
    let extensions = extensions(r)?;
    if extensions.is_empty() {
        let fault = Fault::Invalid("the type announces extension headers and the length is 0");
        return Err(DecodeError::new("Extension Headers Length", fault, start));
    }
    Ok(extensions)
}

fn write_extensions(w: &mut Writer, extensions: &Extensions) -> Result<(), EncodeError> {
    field::write_extension_headers(w, extensions, Keys::Absolute)
}

/// Object Payload Length, and Object Status if it is 0 (draft-14 §10.4.2, §10.4.4).
#[inline]
fn payload_or_status(r: &mut Reader<'_>) -> Result<(u64, ObjectStatus), DecodeError> {
    match r.varint("Object Payload Length")? {
        0 => Ok((0, status(r)?)),
        length => Ok((length, ObjectStatus::Normal)),
    }
}

fn write_payload_or_status(w: &mut Writer, length: u64, status: ObjectStatus) -> Result<(), EncodeError> {
    w.varint(length, "Object Payload Length")?;
    match (length, status) {
        (0, status) => w.varint(status_number(status), "Object Status"),
        (_, ObjectStatus::Normal) => Ok(()),
        _ => Err(EncodeError::Inexpressible("Object Status")),
    }
}

/// Object Status (draft-14 §10.2.1.1).
#[inline]
fn status(r: &mut Reader<'_>) -> Result<ObjectStatus, DecodeError> {
    let start = r.offset();
    match r.varint("Object Status")? {
        0x0 => Ok(ObjectStatus::Normal),
        0x1 => Ok(ObjectStatus::DoesNotExist),
        0x3 => Ok(ObjectStatus::EndOfGroup),
        0x4 => Ok(ObjectStatus::EndOfTrack),
        other => Err(DecodeError::new("Object Status", Fault::Unknown(other), start)),
    }
}

const fn status_number(status: ObjectStatus) -> u64 {
    match status {
        ObjectStatus::Normal => 0x0,
        ObjectStatus::DoesNotExist => 0x1,
        ObjectStatus::EndOfGroup => 0x3,
        ObjectStatus::EndOfTrack => 0x4,
    }
}

/// What does not exist has no extension headers (draft-14 §10.2.1.1).
#[inline]
fn permits_extensions(
    status: ObjectStatus,
    extensions: &Extensions,
    offset: usize,
) -> Result<(), DecodeError> {
    if status == ObjectStatus::DoesNotExist && !extensions.is_empty() {
        let fault = Fault::Invalid("an object that does not exist has no extension headers");
        return Err(DecodeError::new("Extension Headers", fault, offset));
    }
    Ok(())
}

fn expressible_extensions(status: ObjectStatus, extensions: &Extensions) -> Result<(), EncodeError> {
    match status {
        ObjectStatus::DoesNotExist if !extensions.is_empty() => {
            Err(EncodeError::Inexpressible("Extension Headers"))
        }
        _ => Ok(()),
    }
}

/// Every header states its priority (draft-14 §10.3.1, §10.4.2).
fn stated_priority(priority: Option<u8>) -> Result<u8, EncodeError> {
    priority.ok_or(EncodeError::Inexpressible("Publisher Priority"))
}

const fn when(condition: bool, bits: u64) -> u64 {
    if condition { bits } else { 0 }
}
