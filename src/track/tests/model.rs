//! Random operations on a track and on a model that remembers everything, compared after each step.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Open { group: u64 },
    Object { subgroup: usize, payload: usize },
    Chunk { subgroup: usize, bytes: usize },
    End { subgroup: usize, reset: bool },
    Datagram { group: u64 },
    Reader { filter: Option<SubscriptionFilter> },
    Accept { reader: usize },
    Read { reader: usize, subgroup: usize },
    DropReader { reader: usize },
}

fn operation() -> impl Strategy<Value = Operation> {
    let filter = prop_oneof![
        Just(None),
        Just(Some(SubscriptionFilter::LargestObject)),
        Just(Some(SubscriptionFilter::NextGroupStart)),
        (0..6u64, 0..4u64).prop_map(|(g, o)| Some(SubscriptionFilter::AbsoluteStart(Location::new(g, o)))),
        (0..6u64, 0..4u64).prop_map(|(g, n)| {
            Some(SubscriptionFilter::AbsoluteRange { start: Location::new(g, 1), end_group: g + n })
        }),
    ];
    prop_oneof![
        2 => (0..8u64).prop_map(|group| Operation::Open { group }),
        6 => (any::<usize>(), 0..50usize).prop_map(|(subgroup, payload)| Operation::Object { subgroup, payload }),
        6 => (any::<usize>(), 1..30usize).prop_map(|(subgroup, bytes)| Operation::Chunk { subgroup, bytes }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(subgroup, reset)| Operation::End { subgroup, reset }),
        1 => (0..8u64).prop_map(|group| Operation::Datagram { group }),
        1 => filter.prop_map(|filter| Operation::Reader { filter }),
        4 => any::<usize>().prop_map(|reader| Operation::Accept { reader }),
        8 => any::<(usize, usize)>().prop_map(|(reader, subgroup)| Operation::Read { reader, subgroup }),
        1 => any::<usize>().prop_map(|reader| Operation::DropReader { reader }),
    ]
}

/// A subgroup as it was written: each object's payload so far, and the end.
#[derive(Default)]
struct Written {
    group: u64,
    objects: BTreeMap<u64, Vec<u8>>,
    left: usize,
    end: Option<SubgroupEnd>,
}

/// What a reader must get of a subgroup: `from` is the first object that began after it was made.
struct Expected {
    subgroup: usize,
    from: u64,
}

struct ModelReader {
    reader: Reader,
    passes: Box<dyn Fn(Location) -> bool>,
    /// Subgroups that it is to be given, in order.
    coming: Vec<Expected>,
    subgroups: Vec<(SubgroupReader, Expected, Vec<Item>, Option<SubgroupEnd>)>,
    datagrams: Vec<Location>,
    got_datagrams: Vec<Location>,
}

fn passes(filter: Option<SubscriptionFilter>, largest: Option<Location>) -> Box<dyn Fn(Location) -> bool> {
    match filter {
        Some(SubscriptionFilter::LargestObject) => Box::new(move |at| Some(at) > largest),
        Some(SubscriptionFilter::NextGroupStart) => {
            Box::new(move |at| largest.is_none_or(|largest| at.group > largest.group))
        }
        Some(SubscriptionFilter::AbsoluteStart(start)) => Box::new(move |at| at >= start),
        Some(SubscriptionFilter::AbsoluteRange { start, end_group }) => {
            Box::new(move |at| at >= start && at.group <= end_group)
        }
        _ => Box::new(|_| true),
    }
}

struct World {
    writer: Writer,
    open: Vec<(usize, SubgroupWriter)>,
    written: Vec<Written>,
    readers: Vec<ModelReader>,
    largest: Option<Location>,
    next_datagram: u64,
}

impl World {
    fn new(options: TrackOptions) -> Self {
        Self {
            writer: Writer::new(options),
            open: Vec::new(),
            written: Vec::new(),
            readers: Vec::new(),
            largest: None,
            next_datagram: 1000,
        }
    }

    fn step(&mut self, operation: Operation) {
        match operation {
            Operation::Open { group } => {
                let number = self.written.len();
                let info = SubgroupInfo { subgroup_id: Some(number as u64), ..info(group) };
                self.open.push((number, self.writer.open_subgroup(info)));
                self.written.push(Written { group, ..Written::default() });
                for reader in self.readers.iter_mut().filter(|it| it.reader.end().is_none()) {
                    reader.coming.push(Expected { subgroup: number, from: 0 });
                }
            }
            Operation::Object { subgroup, payload } => {
                let Some(index) = subgroup.checked_rem(self.open.len()) else { return };
                let (number, out) = &mut self.open[index];
                let written = &mut self.written[*number];
                let id = written.objects.last_key_value().map_or(0, |(id, _)| id + 1);
                let result = out.object(header(id, payload as u64));
                assert_eq!(result.is_ok(), written.left == 0);
                if result.is_ok() {
                    written.objects.insert(id, Vec::new());
                    written.left = payload;
                    self.largest = self.largest.max(Some(Location::new(written.group, id)));
                }
            }
            Operation::Chunk { subgroup, bytes } => {
                let Some(index) = subgroup.checked_rem(self.open.len()) else { return };
                let (number, out) = &mut self.open[index];
                let written = &mut self.written[*number];
                let chunk = vec![u8::try_from(written.left % 251).unwrap(); bytes];
                let result = out.chunk(Bytes::from(chunk.clone()));
                assert_eq!(result.is_ok(), bytes <= written.left);
                if result.is_ok() {
                    written.left -= bytes;
                    written.objects.last_entry().unwrap().get_mut().extend(chunk);
                }
            }
            Operation::End { subgroup, reset } => {
                let Some(index) = subgroup.checked_rem(self.open.len()) else { return };
                let (number, out) = self.open.swap_remove(index);
                let written = &mut self.written[number];
                written.end = Some(if reset {
                    out.reset(ResetCode::DeliveryTimeout);
                    SubgroupEnd::Reset(ResetCode::DeliveryTimeout)
                } else if out.finish().is_ok() {
                    SubgroupEnd::Finished
                } else {
                    SubgroupEnd::Reset(ResetCode::InternalError)
                });
            }
            Operation::Datagram { group } => {
                self.next_datagram += 1;
                let location = Location::new(group, self.next_datagram);
                self.writer.datagram(datagram(location.group, location.object));
                self.largest = self.largest.max(Some(location));
                for reader in &mut self.readers {
                    if reader.reader.end().is_none() && (reader.passes)(location) {
                        reader.datagrams.push(location);
                    }
                }
            }
            Operation::Reader { filter } => {
                let mut coming: Vec<_> = self
                    .open
                    .iter()
                    .map(|(number, _)| Expected {
                        subgroup: *number,
                        from: self.written[*number].objects.last_key_value().map_or(0, |(id, _)| id + 1),
                    })
                    .collect();
                coming.sort_by_key(|expected| expected.subgroup);
                self.readers.push(ModelReader {
                    reader: self.writer.reader(filter),
                    passes: passes(filter, self.largest),
                    coming,
                    subgroups: Vec::new(),
                    datagrams: Vec::new(),
                    got_datagrams: Vec::new(),
                });
            }
            Operation::Accept { reader } => {
                let Some(index) = reader.checked_rem(self.readers.len()) else { return };
                self.readers[index].accept(&self.written);
            }
            Operation::Read { reader, subgroup } => {
                let Some(index) = reader.checked_rem(self.readers.len()) else { return };
                let reader = &mut self.readers[index];
                let Some(index) = subgroup.checked_rem(reader.subgroups.len()) else { return };
                let (from, _, items, end) = &mut reader.subgroups[index];
                *end = from.try_next(items);
            }
            Operation::DropReader { reader } => {
                let Some(index) = reader.checked_rem(self.readers.len()) else { return };
                self.readers.swap_remove(index);
            }
        }
        assert_eq!(self.writer.largest(), self.largest);
    }

    /// Reads all there is. Gives how often a reader was too far behind.
    fn drain_and_compare(mut self) -> u64 {
        let mut behind = 0;
        for reader in &mut self.readers {
            while reader.accept(&self.written) {}
            behind += reader.reader.missed();
            for (from, expected, items, end) in &mut reader.subgroups {
                loop {
                    let before = items.len();
                    *end = from.try_next(items);
                    if end.is_some() || items.len() == before {
                        break;
                    }
                }
                let written = &self.written[expected.subgroup];
                let wanted: BTreeMap<u64, Vec<u8>> = written
                    .objects
                    .range(expected.from..)
                    .filter(|(id, _)| (reader.passes)(Location::new(written.group, **id)))
                    .map(|(id, payload)| (*id, payload.clone()))
                    .collect();
                if *end == Some(SubgroupEnd::TooFarBehind) {
                    behind += 1;
                    assert_prefix(&objects(items), &wanted);
                } else {
                    assert_eq!(objects(items), wanted);
                    assert_eq!(*end, written.end);
                }
            }
            if reader.reader.missed() == 0 {
                assert_eq!(reader.got_datagrams, reader.datagrams);
            }
        }
        self.readers.clear();
        assert_eq!(self.writer.track().figures().1, 0, "nothing is unread without readers");
        behind
    }
}

impl ModelReader {
    fn accept(&mut self, written: &[Written]) -> bool {
        match self.reader.try_next() {
            None => return false,
            Some(Delivery::Datagram(it)) => {
                self.got_datagrams.push(Location::new(it.group_id, it.object_id));
            }
            Some(Delivery::Subgroup(subgroup)) => {
                let number = subgroup.info().subgroup_id;
                let place = self.coming.iter().position(|it| Some(it.subgroup as u64) == number).unwrap();
                assert_eq!(subgroup.info().group_id, written[self.coming[place].subgroup].group);
                let expected = self.coming.remove(place);
                self.subgroups.push((subgroup, expected, Vec::new(), None));
            }
        }
        true
    }
}

fn objects(items: &[Item]) -> BTreeMap<u64, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for item in items {
        match item {
            Item::Object(header) => assert!(objects.insert(header.object_id, Vec::new()).is_none()),
            Item::Payload(bytes) => {
                objects.last_entry().expect("payload before an object").get_mut().extend_from_slice(bytes);
            }
        }
    }
    objects
}

/// Whether `got` is what stands at the beginning of `wanted`, its last object perhaps in part.
fn assert_prefix(got: &BTreeMap<u64, Vec<u8>>, wanted: &BTreeMap<u64, Vec<u8>>) {
    for (index, ((id, payload), (wanted_id, wanted_payload))) in got.iter().zip(wanted).enumerate() {
        assert_eq!(id, wanted_id);
        match index + 1 == got.len() {
            true => assert!(wanted_payload.starts_with(payload)),
            false => assert_eq!(payload, wanted_payload),
        }
    }
    assert!(got.len() <= wanted.len());
}

proptest! {
    #[test]
    fn every_reader_gets_what_its_start_and_filter_promise(
        operations in prop::collection::vec(operation(), 0..200)
    ) {
        let mut world = World::new(TrackOptions::default());
        for operation in operations {
            world.step(operation);
        }
        prop_assert_eq!(world.drain_and_compare(), 0);
    }

    #[test]
    fn what_a_reader_gets_of_a_track_that_evicts_has_no_hole_within_a_subgroup(
        operations in prop::collection::vec(operation(), 0..200)
    ) {
        let options = TrackOptions { max_bytes: 3000, max_groups: 3, ..TrackOptions::default() };
        let mut world = World::new(options);
        for operation in operations {
            world.step(operation);
            prop_assert!(world.writer.track().figures().0 <= 3000);
        }
        world.drain_and_compare();
    }
}
