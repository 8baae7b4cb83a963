//! Reads a subgroup stream of one draft, cut as a network cuts, and writes it in another:
//! `cargo run -p moqingbird-wire --example transcode`.

use std::error::Error;

use bytes::Bytes;
use moqingbird_wire::list::{KeyValue, Value};
use moqingbird_wire::model::{
    Extensions, ObjectHeader, ObjectStatus, Opening, SubgroupHeader, SubgroupId, TrackAlias,
};
use moqingbird_wire::stream::{OpeningReader, Stash, SubgroupItem, SubgroupReader, SubgroupWriter};
use moqingbird_wire::{Draft, Version, explain};

fn main() -> Result<(), Box<dyn Error>> {
    let (from, to) = (Version::Draft14.draft(), Version::Draft16.draft());
    let stream = published(from)?;
    println!("{}:\n{}", from.version(), explain::uni(from, stream.clone()));

    let transcoded = transcode(stream.chunks(5).map(Bytes::copy_from_slice), from, to)?;
    println!("{}:\n{}", to.version(), explain::uni(to, transcoded));
    Ok(())
}

/// Two objects with extension headers, which one draft spells by types and the other by their distances.
fn published(draft: &'static dyn Draft) -> Result<Bytes, Box<dyn Error>> {
    let header = SubgroupHeader {
        track_alias: TrackAlias(7),
        group_id: 3,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: Some(128),
        extensions: true,
        end_of_group: true,
    };
    let mut writer = SubgroupWriter::new(draft, header);
    let mut stream = vec![writer.opening()?];
    for (object_id, payload) in [(0, "hello"), (1, "world")] {
        let pairs = [
            KeyValue { key: 0x20, value: Value::Integer(1_700_000_000 + object_id) },
            KeyValue { key: 0x21, value: Value::Bytes(Bytes::from_static(b"en")) },
        ];
        let extensions = Extensions::from_pairs(pairs, draft.rules().extension_keys)?;
        let payload_length = payload.len() as u64;
        let object = ObjectHeader { object_id, extensions, status: ObjectStatus::Normal, payload_length };
        stream.extend([writer.object(&object)?, Bytes::from_static(payload.as_bytes())]);
    }
    Ok(stream.concat().into())
}

/// Bytes in any cuts in, bytes of the other draft out. Here they are gathered; a program sends each part as it comes.
fn transcode(
    mut chunks: impl Iterator<Item = Bytes>,
    from: &'static dyn Draft,
    to: &'static dyn Draft,
) -> Result<Bytes, Box<dyn Error>> {
    let (header, leftover) = opening(&mut chunks, from)?;
    let mut reader = SubgroupReader::new(from, header, leftover);
    let mut writer = SubgroupWriter::new(to, header);
    let mut sent = vec![writer.opening()?];
    loop {
        match reader.next_item()? {
            Some(SubgroupItem::Object(object)) => sent.push(writer.object(&object)?),
            Some(SubgroupItem::Payload(part)) => sent.push(part),
            Some(_) => return Ok(sent.concat().into()),
            None => match chunks.next() {
                Some(chunk) => reader.push(chunk),
                None => reader.finish(),
            },
        }
    }
}

fn opening(
    chunks: &mut impl Iterator<Item = Bytes>,
    draft: &dyn Draft,
) -> Result<(SubgroupHeader, Stash), Box<dyn Error>> {
    let mut reader = OpeningReader::new();
    loop {
        match reader.next_opening(draft)? {
            Some(Opening::Subgroup(header)) => return Ok((header, reader.into_leftover())),
            Some(_) => return Err("not a subgroup stream".into()),
            None => match chunks.next() {
                Some(chunk) => reader.push(chunk),
                None => reader.finish(),
            },
        }
    }
}
