//! What is measured: values that are decoded and encoded, and subgroup streams that are read.

use std::hint::black_box;

use bytes::Bytes;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::list::{KeyValue, Value};
use moqingbird_wire::model::{
    AuthorizationToken, Datagram, DatagramBody, Extensions, FetchItem, FetchObject, FullTrackName, Location,
    Message, ObjectHeader, ObjectStatus, Publish, Request, RequestId, SubgroupHeader, SubgroupId, Subscribe,
    SubscriptionFilter, TrackAlias, TrackExtensions, TrackNamespace,
};
use moqingbird_wire::stream::{
    FetchCursor, Stash, SubgroupCursor, SubgroupItem, SubgroupReader, SubgroupWriter,
};
use moqingbird_wire::{Assembler, Draft, Frame, Version};

/// Visits every case that codes one value, with its name and what does it once.
pub(crate) fn each_value(mut visit: impl FnMut(&str, &mut dyn FnMut())) {
    for version in Version::ALL {
        let draft = version.draft();
        message(draft, "SUBSCRIBE", &subscribe(), &mut visit);
        message(draft, "PUBLISH", &publish(), &mut visit);
        object(draft, "object header", Extensions::NONE, &mut visit);
        object(draft, "object header with an 8-byte extension", eight_bytes(draft), &mut visit);
        datagram(draft, &mut visit);
        fetch_item(draft, &mut visit);
    }
}

fn message(draft: &dyn Draft, what: &str, message: &Message, visit: &mut impl FnMut(&str, &mut dyn FnMut())) {
    let mut w = Writer::new();
    draft.encode_control(message, &mut w).unwrap();
    let frame = frame(w.take());
    visit(&format!("{}/decode {what}", draft.version()), &mut || {
        black_box(draft.decode_control(black_box(&frame))).unwrap();
    });
    visit(&format!("{}/encode {what}", draft.version()), &mut || {
        draft.encode_control(black_box(message), &mut w).unwrap();
        w.truncate(0);
    });
}

fn frame(bytes: Bytes) -> Frame {
    let mut assembler = Assembler::new();
    assembler.push(bytes);
    assembler.next_frame().unwrap()
}

fn object(
    draft: &dyn Draft,
    what: &str,
    extensions: Extensions,
    visit: &mut impl FnMut(&str, &mut dyn FnMut()),
) {
    let at = SubgroupCursor { extensions: !extensions.is_empty(), previous: Some(6) };
    let object =
        ObjectHeader { object_id: 7, extensions, status: ObjectStatus::Normal, payload_length: 1024 };
    let mut w = Writer::new();
    draft.encode_object(&at, &object, &mut w).unwrap();
    let bytes = w.take();
    visit(&format!("{}/decode {what}", draft.version()), &mut || {
        black_box(draft.decode_object(black_box(&at), &mut Reader::new(black_box(&bytes)))).unwrap();
    });
    visit(&format!("{}/encode {what}", draft.version()), &mut || {
        draft.encode_object(black_box(&at), black_box(&object), &mut w).unwrap();
        w.truncate(0);
    });
}

fn datagram(draft: &dyn Draft, visit: &mut impl FnMut(&str, &mut dyn FnMut())) {
    let datagram = Datagram {
        track_alias: TrackAlias(7),
        group_id: 300,
        object_id: 5,
        publisher_priority: Some(128),
        end_of_group: false,
        extensions: eight_bytes(draft),
        body: DatagramBody::Payload(Bytes::from(vec![0; 1000])),
    };
    let mut w = Writer::new();
    draft.encode_datagram(&datagram, &mut w).unwrap();
    // As a transport gives it: a part of a buffer that holds more.
    let bytes = w.take();
    let _buffer = bytes.clone();
    visit(&format!("{}/decode datagram", draft.version()), &mut || {
        black_box(draft.decode_datagram(&mut Reader::new(black_box(&bytes)))).unwrap();
    });
    visit(&format!("{}/encode datagram", draft.version()), &mut || {
        draft.encode_datagram(black_box(&datagram), &mut w).unwrap();
        w.truncate(0);
    });
}

fn fetch_item(draft: &dyn Draft, visit: &mut impl FnMut(&str, &mut dyn FnMut())) {
    let at = FetchCursor {
        location: Some(Location::new(300, 6)),
        subgroup_id: Some(2),
        publisher_priority: Some(128),
        after_datagram: false,
    };
    let item = FetchItem::Object(FetchObject {
        location: Location::new(300, 7),
        subgroup_id: Some(2),
        publisher_priority: 128,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: 1024,
    });
    let mut w = Writer::new();
    draft.encode_fetch_item(&at, &item, &mut w).unwrap();
    let bytes = w.take();
    visit(&format!("{}/decode FETCH item", draft.version()), &mut || {
        black_box(draft.decode_fetch_item(black_box(&at), &mut Reader::new(black_box(&bytes)))).unwrap();
    });
    visit(&format!("{}/encode FETCH item", draft.version()), &mut || {
        draft.encode_fetch_item(black_box(&at), black_box(&item), &mut w).unwrap();
        w.truncate(0);
    });
}

fn track() -> FullTrackName {
    FullTrackName::new(TrackNamespace::from_path("meet.example/room-42/alice").unwrap(), "camera").unwrap()
}

fn subscribe() -> Message {
    let request = Request::Subscribe(Subscribe {
        subscriber_priority: 64,
        filter: Some(SubscriptionFilter::LargestObject),
        ..Subscribe::new(track())
    });
    Message::Request { id: RequestId(12), request }
}

fn publish() -> Message {
    let value = Bytes::from_static(b"0123456789abcdef");
    let request = Request::Publish(Publish {
        track: track(),
        track_alias: TrackAlias(7),
        largest: Some(Location::new(300, 5)),
        forward: true,
        expires: None,
        extensions: TrackExtensions::default(),
        authorization_tokens: vec![AuthorizationToken::UseValue { token_type: 0, value }],
    });
    Message::Request { id: RequestId(12), request }
}

/// One extension header whose value is an integer of 8 bytes.
fn eight_bytes(draft: &dyn Draft) -> Extensions {
    let capture_time = KeyValue { key: 0x40, value: Value::Integer(1_700_000_000_000_000) };
    Extensions::from_pairs([capture_time], draft.rules().extension_keys).unwrap()
}

/// A subgroup stream of objects of one size, as chunks of one size.
pub(crate) struct Stream {
    draft: &'static dyn Draft,
    header: SubgroupHeader,
    pub(crate) objects: u64,
    chunks: Vec<Bytes>,
}

/// Every stream that is read: objects and chunks of these many bytes.
pub(crate) fn streams() -> impl Iterator<Item = (String, Stream)> {
    let sizes = [100, 1024, 16 * 1024].into_iter().flat_map(|object| [(object, 1200), (object, 64 * 1024)]);
    Version::ALL.iter().flat_map(move |version| {
        sizes.clone().map(move |(object, chunk)| {
            let name = format!("{version}/read objects of {object} B in chunks of {chunk} B");
            (name, Stream::new(version.draft(), object, chunk))
        })
    })
}

impl Stream {
    /// About 2 MiB.
    pub(crate) fn new(draft: &'static dyn Draft, object: usize, chunk: usize) -> Self {
        let header = SubgroupHeader {
            track_alias: TrackAlias(7),
            group_id: 300,
            subgroup_id: SubgroupId::Zero,
            publisher_priority: Some(128),
            extensions: false,
            end_of_group: false,
        };
        let mut writer = SubgroupWriter::new(draft, header);
        let objects = (2 << 20) / object as u64;
        let mut bytes = Vec::new();
        for object_id in 0..objects {
            let header = ObjectHeader {
                object_id,
                extensions: Extensions::NONE,
                status: ObjectStatus::Normal,
                payload_length: object as u64,
            };
            bytes.extend_from_slice(&writer.object(&header).unwrap());
            bytes.resize(bytes.len() + object, object_id as u8);
        }
        // As a transport gives them: each a part of a receive buffer that it shares.
        let buffer = Bytes::from(bytes);
        let chunks = (0..buffer.len())
            .step_by(chunk)
            .map(|at| buffer.slice(at..buffer.len().min(at + chunk)))
            .collect();
        Self { draft, header, objects, chunks }
    }

    /// The chunks, to be read once.
    pub(crate) fn chunks(&self) -> Vec<Bytes> {
        self.chunks.clone()
    }

    /// Reads the stream to its end, giving each part of a payload to `take`: how many objects there were.
    pub(crate) fn read(&self, chunks: Vec<Bytes>, mut take: impl FnMut(Bytes)) -> u64 {
        let mut reader = SubgroupReader::new(self.draft, self.header, Stash::default());
        let mut objects = 0;
        for chunk in chunks {
            reader.push(chunk);
            while let Some(item) = reader.next_item().unwrap() {
                match item {
                    SubgroupItem::Object(_) => objects += 1,
                    SubgroupItem::Payload(part) => take(part),
                    _ => unreachable!("FIN is not told"),
                }
            }
        }
        objects
    }

    /// Reads the stream once, counting.
    pub(crate) fn costs(&self) -> Costs {
        let mut copied = 0;
        let (chunks, given) = (self.chunks(), self.chunks());
        let mut given = given.iter().peekable();
        let info = allocation_counter::measure(|| {
            let read = self.read(chunks, |part| {
                while given.next_if(|chunk| !lies_within(&part, chunk)).is_some() {}
                copied += if given.peek().is_some() { 0 } else { part.len() };
            });
            assert_eq!(read, self.objects);
        });
        Costs { objects: self.objects, allocations: info.count_total, copied: copied as u64 }
    }
}

fn lies_within(part: &Bytes, chunk: &Bytes) -> bool {
    let (part, chunk) = (part.as_ptr_range(), chunk.as_ptr_range());
    chunk.start <= part.start && part.end <= chunk.end
}

/// What reading a stream has cost, besides time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    pub(crate) objects: u64,
    pub(crate) allocations: u64,
    /// Bytes of payload that lie in no chunk that was pushed.
    pub(crate) copied: u64,
}
