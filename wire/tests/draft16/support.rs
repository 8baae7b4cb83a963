//! Vectors, and short ways to say what tests say often.

use bytes::Bytes;
use moqingbird_wire::buf::{Reader, Writer, integer};
use moqingbird_wire::model::*;
use moqingbird_wire::{Assembler, DecodeError, Draft, EncodeError, Version};

pub(crate) use crate::vectors::{Vector, hex};

/// The vectors of one table.
pub(crate) fn vectors(file: &str) -> Vec<Vector> {
    crate::vectors::vectors(Version::Draft16, |name| name == file)
}

pub(crate) fn draft() -> &'static dyn Draft {
    Version::Draft16.draft()
}

/// The one message of these bytes.
pub(crate) fn decode(bytes: &Bytes) -> Result<Message, DecodeError> {
    let mut assembler = Assembler::new();
    assembler.push(bytes.clone());
    let frame = assembler.next_frame().expect("a whole frame");
    assert!(assembler.is_empty(), "one frame");
    draft().decode_control(&frame)
}

/// A message of this type and payload, as a peer sends it.
pub(crate) fn decode_payload(kind: u8, payload: &str) -> Result<Message, DecodeError> {
    let payload = hex(payload);
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&payload);
    decode(&bytes.into())
}

pub(crate) fn encode(message: &Message) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    w.u8(0xaa);
    let result = draft().encode_control(message, &mut w);
    let bytes = w.take();
    match result {
        Ok(()) => Ok(bytes.slice(1..)),
        Err(error) => {
            assert_eq!(bytes.len(), 1, "nothing is written on an error");
            Err(error)
        }
    }
}

/// `value` in the form of `length` bytes, shortest or not.
pub(crate) fn varint(value: u64, length: usize) -> Vec<u8> {
    let prefix = [0, 0, 0x40, 0, 0x80, 0, 0, 0, 0xc0][length];
    let mut bytes = value.to_be_bytes()[8 - length..].to_vec();
    bytes[0] |= prefix;
    assert_eq!(integer::decode(&bytes), Some((value, length)));
    bytes
}

pub(crate) fn track(namespace: &str, name: &'static str) -> FullTrackName {
    FullTrackName::new(TrackNamespace::from_path(namespace).unwrap(), name).unwrap()
}

pub(crate) fn namespace(path: &str) -> TrackNamespace {
    TrackNamespace::from_path(path).unwrap()
}

/// What most vectors ask for.
pub(crate) fn video() -> FullTrackName {
    track("live/cam1", "video")
}

/// USE_VALUE of type 0, "z".
pub(crate) fn token() -> AuthorizationToken {
    AuthorizationToken::UseValue { token_type: 0, value: "z".into() }
}

/// A subscription with nothing but defaults of this draft.
pub(crate) fn plain(track: FullTrackName) -> Subscribe {
    Subscribe { filter: None, ..Subscribe::new(track) }
}

/// Extension headers from this draft's bytes.
pub(crate) fn extensions(block: &str) -> Extensions {
    let block = hex(block);
    Extensions::decode(&mut Reader::new(&block), draft().rules().extension_keys, "extensions").unwrap()
}
