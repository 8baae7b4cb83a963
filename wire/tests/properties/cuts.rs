//! A stream's bytes in cuts, and everything that a reader makes of them.

use bytes::{Bytes, BytesMut};
use moqingbird_wire::model::{FetchObject, Location, ObjectHeader, Opening, RangeStatus};
use moqingbird_wire::stream::{
    FetchReader, FetchStreamItem, OpeningReader, ReadError, SubgroupItem, SubgroupReader,
};
use moqingbird_wire::{Assembler, Draft, Frame};

/// What a unidirectional stream said, payloads joined.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) opening: Option<Opening>,
    pub(crate) items: Vec<Item>,
    pub(crate) error: Option<ReadError>,
}

/// An item of either kind of stream.
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    Object(ObjectHeader, BytesMut),
    Fetched(FetchObject, BytesMut),
    EndOfRange(Location, RangeStatus),
    EndOfSubgroup(Option<u64>, bool),
    EndOfFetch,
}

/// Reads a whole unidirectional stream that ends in FIN, its bytes in chunks of these widths.
pub(crate) fn read_stream(draft: &'static dyn Draft, stream: &Bytes, widths: &[usize]) -> Said {
    let mut said = Said::default();
    let mut chunks = chunks(stream, widths);
    let mut reader = OpeningReader::new();
    let opening = loop {
        match reader.next_opening(draft) {
            Ok(Some(opening)) => break opening,
            Ok(None) => match chunks.next() {
                Some(chunk) => reader.push(chunk),
                None => reader.finish(),
            },
            Err(error) => {
                said.error = Some(error.into());
                return said;
            }
        }
    };
    let leftover = reader.into_leftover();
    match &opening {
        Opening::Subgroup(header) => {
            subgroup(SubgroupReader::new(draft, *header, leftover), &mut chunks, &mut said);
        }
        Opening::Fetch(id) => fetch(FetchReader::new(draft, *id, None, leftover), &mut chunks, &mut said),
        other => panic!("no reader for {other:?}"),
    }
    said.opening = Some(opening);
    said
}

/// Cuts bytes into chunks, their widths taken from `widths` again and again, each an allocation of its own as a
/// transport's are.
pub(crate) fn chunks(bytes: &Bytes, widths: &[usize]) -> impl Iterator<Item = Bytes> {
    let mut rest = bytes.clone();
    let mut widths = widths.iter().copied().cycle();
    std::iter::from_fn(move || {
        let chunk = rest.split_to(rest.len().min(widths.next()?));
        (!chunk.is_empty()).then(|| Bytes::copy_from_slice(&chunk))
    })
}

/// The frames of a control stream that is cut, and whether it ends between two.
pub(crate) fn read_control(stream: &Bytes, widths: &[usize]) -> (Vec<Frame>, bool) {
    let mut assembler = Assembler::new();
    let mut frames = Vec::new();
    for chunk in chunks(stream, widths) {
        assembler.push(chunk);
        frames.extend(std::iter::from_fn(|| assembler.next_frame()));
    }
    (frames, assembler.is_empty())
}

fn subgroup(mut reader: SubgroupReader, chunks: &mut impl Iterator<Item = Bytes>, said: &mut Said) {
    loop {
        match reader.next_item() {
            Ok(Some(SubgroupItem::Object(object))) => said.items.push(Item::Object(object, BytesMut::new())),
            Ok(Some(SubgroupItem::Payload(part))) => said.payload(&part),
            Ok(Some(SubgroupItem::End { last, end_of_group })) => {
                said.items.push(Item::EndOfSubgroup(last, end_of_group));
                return;
            }
            Ok(Some(other)) => panic!("{other:?} is new"),
            Ok(None) => match chunks.next() {
                Some(chunk) => reader.push(chunk),
                None => reader.finish(),
            },
            Err(error) => {
                said.error = Some(error);
                return;
            }
        }
    }
}

fn fetch(mut reader: FetchReader, chunks: &mut impl Iterator<Item = Bytes>, said: &mut Said) {
    loop {
        match reader.next_item() {
            Ok(Some(FetchStreamItem::Object(object))) => {
                said.items.push(Item::Fetched(object, BytesMut::new()));
            }
            Ok(Some(FetchStreamItem::Payload(part))) => said.payload(&part),
            Ok(Some(FetchStreamItem::EndOfRange { end, status })) => {
                said.items.push(Item::EndOfRange(end, status));
            }
            Ok(Some(FetchStreamItem::End)) => {
                said.items.push(Item::EndOfFetch);
                return;
            }
            Ok(Some(other)) => panic!("{other:?} is new"),
            Ok(None) => match chunks.next() {
                Some(chunk) => reader.push(chunk),
                None => reader.finish(),
            },
            Err(error) => {
                said.error = Some(error);
                return;
            }
        }
    }
}

impl Said {
    fn payload(&mut self, part: &Bytes) {
        assert!(!part.is_empty(), "a part of a payload is never empty");
        match self.items.last_mut() {
            Some(Item::Object(_, payload) | Item::Fetched(_, payload)) => payload.extend_from_slice(part),
            other => panic!("payload behind {other:?}"),
        }
    }
}
