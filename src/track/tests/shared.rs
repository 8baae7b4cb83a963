//! What subscribers of one draft share, and what many tracks have together.

use std::sync::Arc;

use moqingbird_wire::Version;
use moqingbird_wire::model::{SubgroupHeader, SubgroupId};
use moqingbird_wire::stream::{
    Stash, SubgroupItem, SubgroupReader as StreamReader, SubgroupWriter as StreamWriter,
};

use super::*;
use crate::api::{Encoded, StreamPlace, as_expressible};
use crate::track::state::Part;

/// A subscriber of a draft: a subgroup's reader, and the stream that is written from it.
struct Subscriber {
    subgroup: SubgroupReader,
    version: Version,
    writer: StreamWriter,
    payload_left: u64,
    stream: Vec<u8>,
    shared: Vec<Arc<Encoded>>,
}

const HEADER: SubgroupHeader = SubgroupHeader {
    track_alias: TrackAlias(0),
    group_id: 0,
    subgroup_id: SubgroupId::Zero,
    publisher_priority: Some(7),
    extensions: true,
    end_of_group: false,
};

impl Subscriber {
    fn new(reader: &mut Reader, version: Version) -> Self {
        reader.encode_in(version);
        let writer = StreamWriter::new(version.draft(), HEADER);
        let (stream, shared) = (Vec::new(), Vec::new());
        Self { subgroup: subgroup(reader), version, writer, payload_left: 0, stream, shared }
    }

    fn place(&self) -> StreamPlace {
        StreamPlace {
            object: self.writer.position(),
            payload_left: self.payload_left,
            is_closed: self.writer.is_closed(),
        }
    }

    /// Writes what is ready.
    fn read(&mut self) {
        let mut parts = Vec::new();
        let place = self.place();
        now(self.subgroup.next_parts(self.version, place, &mut parts));
        for part in parts {
            match part {
                Part::Encoded(encoded) => {
                    assert_eq!((encoded.version, encoded.begun), (self.version, self.place()));
                    encoded.pieces.iter().for_each(|piece| self.stream.extend_from_slice(piece));
                    self.writer.follow(encoded.behind.object, encoded.behind.is_closed);
                    self.payload_left = encoded.behind.payload_left;
                    self.shared.push(encoded);
                }
                Part::Item(Item::Object(header)) => {
                    self.payload_left = header.payload_length;
                    let mut write = |header: &ObjectHeader| {
                        self.stream.extend_from_slice(&self.writer.object(header)?);
                        Ok::<_, moqingbird_wire::EncodeError>(())
                    };
                    as_expressible(&header, &mut write, |_| true).unwrap();
                }
                Part::Item(Item::Payload(part)) => {
                    self.payload_left -= part.len() as u64;
                    self.stream.extend_from_slice(&part);
                }
            }
        }
    }

    fn read_all(&mut self) {
        for _ in 0..1_000 {
            self.read();
        }
    }

    /// The objects that are on its stream, with their payload.
    fn objects(&self) -> Vec<(ObjectHeader, Vec<u8>)> {
        let stream = Stash::from(Bytes::from(self.stream.clone()));
        let mut reader = StreamReader::new(self.version.draft(), HEADER, stream);
        let mut objects: Vec<(ObjectHeader, Vec<u8>)> = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            match item {
                SubgroupItem::Object(header) => objects.push((header, Vec::new())),
                SubgroupItem::Payload(part) => objects.last_mut().unwrap().1.extend_from_slice(&part),
                _ => break,
            }
        }
        objects
    }
}

fn open(writer: &Writer) -> SubgroupWriter {
    writer.open_subgroup(SubgroupInfo { extensions: true, ..info(0) })
}

#[test]
fn headers_are_encoded_once_a_draft() {
    let writer = writer();
    let mut out = open(&writer);
    let mut readers: Vec<_> = (0..4).map(|_| writer.reader(None)).collect();
    let mut subscribers: Vec<_> = readers
        .iter_mut()
        .zip(Version::ALL.iter().cycle())
        .map(|(reader, version)| Subscriber::new(reader, *version))
        .collect();
    // The drafts are known to the writer from its next writing on.
    object(&mut out, 0, b"first");
    for id in 1..20 {
        let part = Bytes::from(vec![id as u8; 300]);
        let items = vec![Item::Object(header(id, 600)), Item::Payload(part.clone()), Item::Payload(part)];
        let packed = out.pack(items).unwrap();
        assert!(matches!(packed.items(), [Item::Object(_), Item::Payload(whole)] if whole.len() == 600));
        out.write_packed(packed);
        subscribers.iter_mut().for_each(Subscriber::read_all);
    }
    for (one, other) in [(0, 2), (1, 3)] {
        let (one, other) = (&subscribers[one].shared, &subscribers[other].shared);
        assert!(one.len() >= 19 && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other)));
        // Header and payload are one piece.
        assert!(one[1..].iter().all(|it| it.pieces.len() == 1));
    }
    assert!(!Arc::ptr_eq(&subscribers[0].shared[1], &subscribers[1].shared[1]));
}

#[test]
fn streams_of_subscribers_who_join_at_any_time_hold_the_objects_from_there_on() {
    for seed in 0..60_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        let options = TrackOptions { keep_read: random(2) == 0, ..TrackOptions::default() };
        let writer = Writer::new(options);
        let mut out = open(&writer);
        let (mut written, mut readers, mut subscribers) = (Vec::new(), Vec::new(), Vec::new());
        let (mut next, mut left) = (0, 0_u64);
        for _ in 0..40 {
            if random(6) == 0 {
                let mut reader = writer.reader(None);
                let version = Version::ALL[random(2) as usize];
                subscribers.push((written.len(), Subscriber::new(&mut reader, version)));
                readers.push(reader);
            }
            let mut items = Vec::new();
            for _ in 0..random(5) {
                if left == 0 {
                    next += 1 + random(3);
                    let status = match random(12) {
                        0 => ObjectStatus::DoesNotExist,
                        _ => ObjectStatus::Normal,
                    };
                    left = if status == ObjectStatus::Normal { random(1_500) } else { 0 };
                    let header = ObjectHeader { status, ..header(next, left) };
                    written.push((header.clone(), Vec::new()));
                    items.push(Item::Object(header));
                }
                let part = vec![random(256) as u8; (1 + random(900)).min(left) as usize];
                left -= part.len() as u64;
                written.last_mut().unwrap().1.extend_from_slice(&part);
                if !part.is_empty() {
                    items.push(Item::Payload(Bytes::from(part)));
                }
            }
            match random(2) {
                0 => out.write(&mut items).unwrap(),
                _ => {
                    let packed = out.pack(items).unwrap();
                    out.write_packed(packed);
                }
            }
            for (_, subscriber) in &mut subscribers {
                if random(2) == 0 {
                    subscriber.read();
                }
            }
        }
        for (from, mut subscriber) in subscribers {
            subscriber.read_all();
            let is_known = |header: &ObjectHeader| {
                subscriber.version != Version::Draft16 || header.status == ObjectStatus::Normal
            };
            let expected: Vec<_> =
                written[from..].iter().filter(|(header, _)| is_known(header)).cloned().collect();
            assert_eq!(subscriber.objects(), expected, "seed {seed}, {} from {from}", subscriber.version);
        }
    }
}

#[test]
fn many_tracks_hold_no_more_than_their_budget_whatever_slow_readers_have_not_read() {
    const BUDGET: usize = 100_000;
    let budget = Budget::new(BUDGET);
    let tracks: Vec<_> = (0..20).map(|_| Writer::new_within(TrackOptions::default(), &budget)).collect();
    let mut readers = Vec::new();
    for track in &tracks {
        let mut out = track.open_subgroup(info(0));
        let (mut fast, slow) = (track.reader(None), track.reader(None));
        let mut reading = subgroup(&mut fast);
        for id in 0..50 {
            assert!(now(track.ready()).is_some(), "the fast reader has read all");
            out.write(&mut vec![Item::Object(header(id, 900)), Item::Payload(Bytes::from(vec![1; 900]))])
                .unwrap();
            assert!(budget.held() <= BUDGET, "{} bytes are held", budget.held());
            assert_eq!(ready(&mut reading), (vec![id], vec![1; 900], None));
        }
        readers.push((fast, slow, reading, out));
    }
    // They would be a million.
    assert!(budget.held() > BUDGET / 2);
    let behind = readers.iter_mut().map(|(_, slow, ..)| ready(&mut subgroup(slow)).2);
    assert!(behind.filter(|end| *end == Some(SubgroupEnd::TooFarBehind)).count() > 15);
    drop((readers, tracks));
    assert_eq!(budget.held(), 0);
}

#[test]
fn a_writer_waits_for_the_fastest_reader_within_its_share_of_the_budget() {
    let budget = Budget::new(40_000);
    let [one, other] = [(); 2].map(|()| Writer::new_within(TrackOptions::default(), &budget));
    let mut reader = one.reader(None);
    let mut out = one.open_subgroup(info(0));
    let mut reading = subgroup(&mut reader);
    object(&mut out, 0, &[0; 9_000]);
    assert!(now(one.ready()).is_some());
    object(&mut out, 1, &[0; 9_000]);
    assert!(now(one.ready()).is_none(), "a share is 20,000 bytes, of which half may be unread");
    drop(other);
    assert!(now(one.ready()).is_some(), "a share is 40,000 bytes");
    assert_eq!(ready(&mut reading).0, [0, 1]);
}
