//! Vectors, and the shortest ways through the codec.

use bytes::Bytes;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::model::{
    Datagram, Extensions, FetchItem, FullTrackName, Message, ObjectHeader, Opening, TrackNamespace,
};
use moqingbird_wire::stream::{FetchCursor, SubgroupCursor};
use moqingbird_wire::{Assembler, DecodeError, Draft, EncodeError, Version};

pub(crate) use crate::vectors::{Vector, hex};

pub(crate) fn draft() -> &'static dyn Draft {
    Version::Draft14.draft()
}

/// The vectors of one table.
pub(crate) fn vectors(file: &str) -> Vec<Vector> {
    crate::vectors::vectors(Version::Draft14, |name| name == file)
}

/// The vector of a table that has a name.
pub(crate) fn vector_of(file: &str, name: &str) -> Vector {
    let found = vectors(file).into_iter().find(|vector| vector.name == name);
    found.unwrap_or_else(|| panic!("no vector {name} in {file}"))
}

/// The bytes of a control message that has a name.
pub(crate) fn vector(name: &str) -> Bytes {
    vector_of("control", name).bytes
}

/// Reads one control message that fills `bytes`.
pub(crate) fn read(bytes: &Bytes) -> Result<Message, DecodeError> {
    let mut assembler = Assembler::new();
    assembler.push(bytes.clone());
    let frame = assembler.next_frame().expect("a whole frame");
    assert!(assembler.is_empty(), "one frame");
    draft().decode_control(&frame)
}

/// Reads the control message of these bytes in hexadecimal.
pub(crate) fn read_hex(text: &str) -> Result<Message, DecodeError> {
    read(&hex(text))
}

/// A control message of this type and payload.
pub(crate) fn framed(kind: u8, payload: &[u8]) -> Bytes {
    let length = u16::try_from(payload.len()).expect("a payload that fits").to_be_bytes();
    [&[kind], &length[..], payload].concat().into()
}

fn written(encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    w.u8(0xee);
    let result = encode(&mut w);
    let bytes = w.take().slice(1..);
    match result {
        Ok(()) => Ok(bytes),
        Err(error) => {
            assert!(bytes.is_empty(), "something was written in spite of {error}");
            Err(error)
        }
    }
}

pub(crate) fn write(message: &Message) -> Result<Bytes, EncodeError> {
    written(|w| draft().encode_control(message, w))
}

pub(crate) fn write_opening(opening: &Opening) -> Result<Bytes, EncodeError> {
    written(|w| draft().encode_opening(opening, w))
}

pub(crate) fn write_object(at: &SubgroupCursor, object: &ObjectHeader) -> Result<Bytes, EncodeError> {
    written(|w| draft().encode_object(at, object, w))
}

pub(crate) fn write_fetch_item(at: &FetchCursor, item: &FetchItem) -> Result<Bytes, EncodeError> {
    written(|w| draft().encode_fetch_item(at, item, w))
}

pub(crate) fn write_datagram(datagram: &Datagram) -> Result<Bytes, EncodeError> {
    written(|w| draft().encode_datagram(datagram, w))
}

/// Reads a unit that fills `bytes`.
pub(crate) fn whole<T>(
    bytes: &Bytes,
    decode: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let mut r = Reader::new(bytes);
    let value = decode(&mut r)?;
    r.finish("unit")?;
    Ok(value)
}

/// The start of a subgroup stream.
pub(crate) const fn at_start(extensions: bool) -> SubgroupCursor {
    SubgroupCursor { extensions, previous: None }
}

/// `("live", "cam")/"v"`.
pub(crate) fn track() -> FullTrackName {
    FullTrackName::new(namespace(&["live", "cam"]), "v").unwrap()
}

pub(crate) fn namespace(fields: &[&'static str]) -> TrackNamespace {
    TrackNamespace::new(fields.iter().copied()).unwrap()
}

/// Extension headers from their bytes in this draft's spelling.
pub(crate) fn extensions(text: &str) -> Extensions {
    let bytes = hex(text);
    Extensions::decode(&mut Reader::new(&bytes), draft().rules().extension_keys, "extensions").unwrap()
}
