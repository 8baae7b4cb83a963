//! The vectors are complete: every type of message, stream and datagram has one that is read, and every other type number of
//! one byte, and of two up to 0x7f, one that is refused. That no further number is a type is tried for all of two bytes.

mod vectors;

use std::collections::BTreeSet;

use bytes::Bytes;
use moqingbird_wire::buf::{Reader, integer};
use moqingbird_wire::model::SessionErrorCode;
use moqingbird_wire::{Assembler, DecodeError, Draft, Fault, Version};

use vectors::{Vector, vectors};

/// What begins with a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Control,
    Stream,
    Datagram,
}

impl Unit {
    const ALL: [Self; 3] = [Self::Control, Self::Stream, Self::Datagram];

    /// What a vector is of; `None` for what stands behind an opening.
    fn of(vector: &Vector) -> Option<Self> {
        let unit = match vector.file.split('-').next().unwrap() {
            "data" | "refused" => vector["unit"],
            table => table,
        };
        match unit {
            "control" | "accepted" => Some(Self::Control),
            "uni" | "streams" | "stream" => Some(Self::Stream),
            "datagram" => Some(Self::Datagram),
            _ => None,
        }
    }

    /// How many types the drafts define.
    const fn types(self, version: Version) -> usize {
        match (version, self) {
            (Version::Draft14, Self::Control) => 30,
            (Version::Draft14, Self::Stream) => 12 + 1,
            (Version::Draft14, Self::Datagram) => 10,
            (_, Self::Control) => 24,
            (_, Self::Stream) => 24 + 1,
            (_, Self::Datagram) => 24,
        }
    }

    fn read(self, draft: &dyn Draft, bytes: &Bytes) -> Result<(), DecodeError> {
        let mut r = Reader::new(bytes);
        match self {
            Self::Control => {
                let mut assembler = Assembler::new();
                assembler.push(bytes.clone());
                draft.decode_control(&assembler.next_frame().expect("a whole message")).map(drop)
            }
            Self::Stream => draft.decode_opening(&mut r).map(drop),
            Self::Datagram => draft.decode_datagram(&mut r).map(drop),
        }
    }

    /// Whether bytes that begin with the type `kind` are refused for that, whatever follows.
    fn refuses(self, draft: &dyn Draft, kind: u64, bytes: &Bytes) -> bool {
        let error = self.read(draft, bytes).err();
        let refused = error.filter(|error| error.offset == 0 && error.fault == Fault::Unknown(kind));
        refused.is_some_and(|error| error.code() == SessionErrorCode::ProtocolViolation)
    }
}

/// The type with which a vector begins, `None` if it ends within.
fn kind(vector: &Vector) -> Option<u64> {
    integer::decode(&vector.bytes).map(|(kind, _)| kind)
}

/// The types of those vectors that are read, or refused for their type.
fn types(version: Version, unit: Unit, read: bool) -> BTreeSet<u64> {
    let of_unit = vectors(version, |_| true).into_iter().filter(|vector| Unit::of(vector) == Some(unit));
    let typed = of_unit.filter_map(|vector| Some((kind(&vector)?, vector.bytes)));
    let chosen = typed.filter(|(kind, bytes)| match read {
        true => unit.read(version.draft(), bytes).is_ok(),
        false => unit.refuses(version.draft(), *kind, bytes),
    });
    chosen.map(|(kind, _)| kind).collect()
}

/// A number in the form of `length` bytes.
fn spelled(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes()[8 - length..].to_vec();
    bytes[0] |= (length.trailing_zeros() as u8) << 6;
    bytes
}

#[test]
fn every_type_of_a_draft_has_a_vector_that_is_read() {
    for version in Version::ALL {
        for unit in Unit::ALL {
            let read = types(*version, unit, true);
            assert_eq!(read.len(), unit.types(*version), "{version} {unit:?}: {read:x?}");
        }
        let named = (0..0x4000).filter(|kind| version.draft().message_name(*kind).is_some());
        assert_eq!(types(*version, Unit::Control, true), named.collect(), "{version}");
    }
}

#[test]
fn every_other_type_has_a_vector_that_is_refused() {
    for version in Version::ALL {
        for unit in Unit::ALL {
            let (read, refused) = (types(*version, unit, true), types(*version, unit, false));
            let missing: Vec<_> =
                (0..0x80).filter(|kind| read.contains(kind) == refused.contains(kind)).collect();
            assert!(missing.is_empty(), "{version} {unit:?}: {missing:x?}");
            let four_bytes = refused.range(0x4000..1 << 30).count();
            assert!(four_bytes > 0 && refused.contains(&integer::MAX), "{version} {unit:?}: longer forms");
        }
    }
}

#[test]
fn a_type_without_a_vector_that_is_read_is_refused_in_every_form() {
    for version in Version::ALL {
        for unit in Unit::ALL {
            let read = types(*version, unit, true);
            let longer =
                (14..62).flat_map(|bit| [1 << bit, (1 << bit) | 3, (1 << bit) | 0x10, (2 << bit) - 1]);
            for kind in (0..0x4000).chain(longer) {
                for length in [1, 2, 4, 8].into_iter().filter(|length| *length >= integer::length(kind)) {
                    let bytes = Bytes::from([&spelled(kind, length)[..], &[0, 8], &[1; 8]].concat());
                    let refused = unit.refuses(version.draft(), kind, &bytes);
                    assert_eq!(
                        refused,
                        !read.contains(&kind),
                        "{version} {unit:?} {kind:#x}, {length} bytes"
                    );
                }
            }
        }
    }
}

#[test]
fn every_vector_names_its_section() {
    for version in Version::ALL {
        for vector in vectors(*version, |_| true) {
            let mut numbers = vector["section"].split('.');
            assert!(numbers.all(|number| number.parse::<u8>().is_ok_and(|number| number > 0)), "{vector}");
        }
    }
}
