//! What the datagrams of `datagram.tsv` mean, and that they are written back as they were.

use bytes::Bytes;
use moqingbird_ledger::covers;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::model::*;
use moqingbird_wire::{DecodeError, Fault};

use crate::support::{draft, extensions, hex, varint, vectors};

/// The table of the vectors.
const VECTORS: &str = "datagram";

fn payload(object_id: u64, publisher_priority: Option<u8>, payload: &'static str) -> Datagram {
    Datagram {
        track_alias: TrackAlias(7),
        group_id: 3,
        object_id,
        publisher_priority,
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(payload.into()),
    }
}

fn status(object_id: u64, publisher_priority: Option<u8>, status: ObjectStatus) -> Datagram {
    Datagram { body: DatagramBody::Status(status), ..payload(object_id, publisher_priority, "") }
}

/// The vectors of all types differ in what the bits say.
fn of_type(kind: u8) -> Datagram {
    let object_id = if kind & 0x04 != 0 { 0 } else { 4 };
    let priority = (kind & 0x08 == 0).then_some(200);
    Datagram {
        end_of_group: kind & 0x02 != 0,
        extensions: if kind & 0x01 != 0 { extensions("3c 01") } else { Extensions::NONE },
        ..match kind & 0x20 {
            0 => payload(object_id, priority, "hi"),
            _ => status(object_id, priority, ObjectStatus::Normal),
        }
    }
}

fn meaning(name: &str) -> Datagram {
    if let Some(kind) = name.strip_prefix("datagram 0x") {
        return of_type(u8::from_str_radix(kind, 16).unwrap());
    }
    match name {
        "datagram of the reference" => Datagram { end_of_group: true, ..payload(0, None, "hi") },
        "datagram of the reference with a status" => status(4, Some(128), ObjectStatus::EndOfGroup),
        "datagram without a payload" => payload(0, None, ""),
        "datagram at the end of the track" => status(4, None, ObjectStatus::EndOfTrack),
        other => panic!("a meaning for the vector {other}"),
    }
}

fn decode(bytes: &Bytes) -> Result<Datagram, DecodeError> {
    draft().decode_datagram(&mut Reader::new(bytes))
}

#[test]
fn every_vector_has_its_meaning_and_is_written_back_as_it_was() {
    covers!("D16-10.3.1-03", "D16-10.3.1-05");
    for vector in vectors(VECTORS) {
        let datagram = decode(&vector.bytes).unwrap_or_else(|error| panic!("{vector}: {error}"));
        assert_eq!(datagram, meaning(vector.name), "{vector}");
        let mut w = Writer::new();
        draft().encode_datagram(&datagram, &mut w).unwrap();
        assert_eq!(w.take(), vector.bytes, "{vector}");
    }
}

#[test]
fn exactly_24_types_are_datagrams() {
    let valid =
        |kind: u64| matches!(kind, 0x00..=0x0f | 0x20 | 0x21 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2c | 0x2d);
    assert_eq!((0..0x4000).filter(|kind| valid(*kind)).count(), 24);
    for kind in 0..0x4000 {
        // Long enough for every field: alias, group, object, priority, two bytes of extensions, a status.
        let mut bytes = varint(kind, 2);
        bytes.extend([7, 3].iter().chain([4].iter().filter(|_| kind & 0x04 == 0)));
        bytes.extend([200].iter().filter(|_| kind & 0x08 == 0));
        bytes.extend([2, 0x3c, 1].iter().filter(|_| kind & 0x01 != 0));
        bytes.push(0);
        let datagram = decode(&bytes.into());
        match valid(kind) {
            true => assert!(datagram.is_ok(), "{kind:#x}: {datagram:?}"),
            false => assert_eq!(datagram, Err(DecodeError::new("Datagram Type", Fault::Unknown(kind), 0))),
        }
    }
}

#[test]
fn a_stated_object_id_of_zero_is_read_and_left_out_when_written() {
    let datagram = decode(&hex("08 07 03 00 68")).unwrap();
    assert_eq!(datagram, payload(0, None, "h"));
    let mut w = Writer::new();
    draft().encode_datagram(&datagram, &mut w).unwrap();
    assert_eq!(w.take(), hex("0c 07 03 68"));
}
