//! What the fuzz targets run, as functions of stable Rust: libFuzzer drives them (`cargo xtask fuzz`), and so does the
//! replay of the corpus in every test run (`tests/replay.rs`).

#[path = "../../wire/tests/properties/cuts.rs"]
mod cuts;

use bytes::Bytes;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::model::{Location, Message};
use moqingbird_wire::stream::{FetchCursor, SubgroupCursor};
use moqingbird_wire::{DecodeError, Draft, EncodeError, Version};

/// What a target does with an input; a finding is a panic.
pub type Body = fn(&[u8]);

/// The targets: their names, which are those of the files of `fuzz_targets` and the folders of `corpus`, and what they run.
pub const TARGETS: &[(&str, Body)] = &[
    ("control14", |data| control(Version::Draft14.draft(), data)),
    ("control16", |data| control(Version::Draft16.draft(), data)),
    ("data14", |data| decoders(Version::Draft14.draft(), data)),
    ("data16", |data| decoders(Version::Draft16.draft(), data)),
    ("differential", |data| {
        if let [draft, unit, data @ ..] = data {
            differential(pick(*draft), Unit::ALL[usize::from(*unit) % Unit::ALL.len()], data);
        }
    }),
    ("streams", |data| {
        if let [draft, count, data @ ..] = data {
            let (widths, data) = data.split_at(data.len().min(usize::from(*count % 8) + 1));
            let widths: Vec<_> = widths.iter().map(|width| usize::from(*width) + 1).collect();
            streams(pick(*draft), &widths, data);
        }
    }),
];

/// Runs a target.
///
/// # Panics
/// There is no such target, or `data` is a finding.
pub fn run(target: &str, data: &[u8]) {
    match TARGETS.iter().find(|(name, _)| *name == target) {
        Some((_, body)) => body(data),
        None => panic!("no target {target}"),
    }
}

/// The draft that a byte of the input stands for.
fn pick(byte: u8) -> &'static dyn Draft {
    Version::ALL[usize::from(byte) % Version::ALL.len()].draft()
}

/// Reads bytes as a control stream.
pub fn control(draft: &dyn Draft, data: &[u8]) {
    for frame in cuts::read_control(&Bytes::copy_from_slice(data), &[data.len().max(1)]).0 {
        drop(draft.decode_control(&frame));
    }
}

/// Reads bytes as everything that stands on data streams and in datagrams.
pub fn decoders(draft: &dyn Draft, data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    for unit in Unit::ALL.iter().filter(|unit| **unit != Unit::Control) {
        drop(Decoded::read(draft, *unit, &bytes));
    }
    for previous in [Some(0), Some((1 << 62) - 1)] {
        let at = SubgroupCursor { extensions: true, previous };
        drop(draft.decode_object(&at, &mut Reader::new(&bytes)));
    }
    let at = FetchCursor {
        location: Some(Location::new((1 << 62) - 1, (1 << 62) - 1)),
        subgroup_id: Some((1 << 62) - 1),
        publisher_priority: Some(0),
        after_datagram: false,
    };
    drop(draft.decode_fetch_item(&at, &mut Reader::new(&bytes)));
}

/// A range that ends before it starts: a receiver declines it and reads it for that, and a sender may not ask for it
/// (draft-14 §9.7, draft-16 §5.1.2).
const BACKWARD_RANGE: EncodeError = EncodeError::Inexpressible("End Group before the Start Location");

/// What a draft reads it writes so that it reads the same, a range that ends before it starts excepted; what another draft can write of it,
/// that one reads.
///
/// # Panics
/// It is not so.
pub fn differential(draft: &dyn Draft, unit: Unit, data: &[u8]) {
    let Ok(value) = Decoded::read(draft, unit, &Bytes::copy_from_slice(data)) else { return };
    match value.write(draft) {
        Ok(bytes) => {
            assert_eq!(Decoded::read(draft, unit, &bytes).as_ref(), Ok(&value), "{draft:?} {bytes:02x?}");
        }
        Err(BACKWARD_RANGE) => {}
        Err(error) => panic!("{draft:?} reads {value:?} and does not write it: {error}"),
    }
    for other in Version::ALL.iter().map(|version| version.draft()) {
        if let Ok(bytes) = value.write(other) {
            assert!(
                Decoded::read(other, unit, &bytes).is_ok(),
                "{other:?} does not read what it writes: {bytes:02x?}"
            );
        }
    }
}

/// A stream in chunks of these widths says what it says as a whole.
///
/// # Panics
/// It does not.
pub fn streams(draft: &'static dyn Draft, widths: &[usize], data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let whole = cuts::read_stream(draft, &bytes, &[data.len().max(1)]);
    assert_eq!(cuts::read_stream(draft, &bytes, widths), whole, "{draft:?} in chunks of {widths:?}");
    let whole = cuts::read_control(&bytes, &[data.len().max(1)]);
    assert_eq!(cuts::read_control(&bytes, widths), whole, "{draft:?} in chunks of {widths:?}");
}

/// What bytes may be read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A control message in its frame.
    Control,
    /// A datagram.
    Datagram,
    /// The first bytes of a unidirectional stream.
    Opening,
    /// An object that is the first of a subgroup stream with extension headers.
    Object,
    /// An item that is the first of a fetch stream.
    FetchItem,
}

impl Unit {
    /// All of them, in the order of the numbers by which inputs choose.
    pub const ALL: &'static [Self] =
        &[Self::Control, Self::Datagram, Self::Opening, Self::Object, Self::FetchItem];
}

/// A value that has been read.
#[derive(Debug, PartialEq)]
enum Decoded {
    Control(Message),
    Datagram(moqingbird_wire::model::Datagram),
    Opening(moqingbird_wire::model::Opening),
    Object(moqingbird_wire::model::ObjectHeader),
    FetchItem(moqingbird_wire::model::FetchItem),
}

const FIRST_OBJECT: SubgroupCursor = SubgroupCursor { extensions: true, previous: None };

impl Decoded {
    fn read(draft: &dyn Draft, unit: Unit, bytes: &Bytes) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(bytes);
        Ok(match unit {
            Unit::Control => {
                let (frames, _) = cuts::read_control(bytes, &[bytes.len().max(1)]);
                let frame = frames.first().ok_or_else(|| {
                    DecodeError::new("Message Length", moqingbird_wire::Fault::Incomplete, bytes.len())
                })?;
                Self::Control(draft.decode_control(frame)?)
            }
            Unit::Datagram => Self::Datagram(draft.decode_datagram(r)?),
            Unit::Opening => Self::Opening(draft.decode_opening(r)?),
            Unit::Object => Self::Object(draft.decode_object(&FIRST_OBJECT, r)?),
            Unit::FetchItem => Self::FetchItem(draft.decode_fetch_item(&FetchCursor::default(), r)?),
        })
    }

    fn write(&self, draft: &dyn Draft) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        match self {
            Self::Control(message) => draft.encode_control(message, &mut w)?,
            Self::Datagram(datagram) => draft.encode_datagram(datagram, &mut w)?,
            Self::Opening(opening) => draft.encode_opening(opening, &mut w)?,
            Self::Object(object) => draft.encode_object(&FIRST_OBJECT, object, &mut w)?,
            Self::FetchItem(item) => draft.encode_fetch_item(&FetchCursor::default(), item, &mut w)?,
        }
        Ok(w.take())
    }
}
