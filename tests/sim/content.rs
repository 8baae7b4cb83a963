//! What tracks hold: everything about an object is a function of its track and location, so that whoever receives it knows
//! what it must be.

use std::sync::OnceLock;

use bytes::Bytes;
use moqingbird::wire::list::{KeyValue, Keys, Value};
use moqingbird::wire::model::{
    EndLocation, Extensions, FullTrackName, Location, ObjectHeader, ObjectStatus, TrackNamespace, extension,
};

use crate::rng::mix;

const NOISE: usize = 1 << 16;
const MAX_PAYLOAD: usize = 4096;

/// A track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Content {
    key: u64,
}

/// The name of a track.
pub(crate) fn track(number: u64) -> FullTrackName {
    let namespace = TrackNamespace::from_path(&format!("sim/{}", number % 3)).unwrap();
    FullTrackName::new(namespace, format!("track{number}")).unwrap()
}

impl Content {
    pub(crate) fn of(name: &FullTrackName) -> Self {
        Self { key: name.name.iter().fold(7, |key, byte| mix(key ^ u64::from(*byte))) }
    }

    fn draw(self, what: u64, group: u64, object: u64) -> u64 {
        mix(mix(mix(self.key ^ what) ^ group) ^ object)
    }

    /// Whether the track's objects travel in datagrams.
    pub(crate) fn in_datagrams(self) -> bool {
        self.draw(1, 0, 0).is_multiple_of(4)
    }

    pub(crate) fn subgroups(self) -> u64 {
        1 + self.draw(2, 0, 0) % 3
    }

    pub(crate) fn subgroup_of(self, object: u64) -> u64 {
        object % self.subgroups()
    }

    pub(crate) fn priority(self, group: u64, subgroup: u64) -> u8 {
        [128, 128, 3, 200][(self.draw(3, group / 4, subgroup) % 4) as usize]
    }

    pub(crate) fn has_group(self, group: u64) -> bool {
        group == 0 || !self.draw(4, group, 0).is_multiple_of(7)
    }

    /// Behind the last object of a group.
    pub(crate) fn group_end(self, group: u64) -> u64 {
        if self.has_group(group) { 1 + self.draw(5, group, 0) % 8 } else { 0 }
    }

    /// The first object of a group and the last exist always.
    pub(crate) fn exists(self, at: Location) -> bool {
        let end = self.group_end(at.group);
        at.object < end
            && (at.object == 0
                || at.object + 1 == end
                || !self.draw(6, at.group, at.object).is_multiple_of(6))
    }

    /// The objects of a subgroup that exist.
    pub(crate) fn objects(self, group: u64, subgroup: u64) -> impl Iterator<Item = u64> {
        let all = 0..self.group_end(group);
        all.filter(move |object| {
            self.subgroup_of(*object) == subgroup && self.exists(Location::new(group, *object))
        })
    }

    /// Whether the stream of a subgroup tells by its header that its last object ends the group.
    pub(crate) fn flags_end(self, group: u64, subgroup: u64) -> bool {
        let end = self.group_end(group);
        self.draw(7, group, 0).is_multiple_of(3) && end > 0 && self.subgroup_of(end - 1) == subgroup
    }

    /// The Object ID of the status that ends a group on the stream of a subgroup.
    pub(crate) fn end_status(self, group: u64, subgroup: u64) -> Option<u64> {
        let end = self.group_end(group);
        (self.draw(7, group, 0) % 3 == 1 && end > 0 && self.subgroup_of(end - 1) == subgroup).then_some(end)
    }

    /// How many of the groups just before this one do not exist.
    fn absent_groups(self, group: u64) -> u64 {
        (0..group).rev().take_while(|group| !self.has_group(*group)).count() as u64
    }

    fn absent_objects(self, at: Location) -> u64 {
        let before = (0..at.object).rev();
        before.take_while(|object| !self.exists(Location::new(at.group, *object))).count() as u64
    }

    pub(crate) fn extensions(self, at: Location, keys: Keys) -> Extensions {
        let kind = self.draw(8, at.group, at.object);
        if kind.is_multiple_of(3) {
            return Extensions::NONE;
        }
        let mut pairs = vec![KeyValue { key: 0x70 + 2 * (kind % 5), value: Value::Integer(kind >> 40) }];
        if kind & 8 != 0 {
            let value = self.noise(9, at, (kind % 60) as usize);
            pairs.push(KeyValue { key: 0x101, value: Value::Bytes(value) });
        }
        if kind & 16 != 0 {
            let inner = [
                KeyValue { key: 0x82, value: Value::Integer(kind >> 50) },
                KeyValue { key: 0x91, value: Value::Bytes(self.noise(10, at, 5)) },
            ];
            let inner = Extensions::from_pairs(inner, keys).unwrap().respelled(keys).unwrap();
            pairs.push(KeyValue { key: extension::IMMUTABLE_EXTENSIONS, value: Value::Bytes(inner) });
        }
        let gap = |key, length| KeyValue { key, value: Value::Integer(length) };
        if kind & 32 != 0 && self.absent_groups(at.group) > 0 {
            pairs.push(gap(extension::PRIOR_GROUP_ID_GAP, self.absent_groups(at.group)));
        }
        if kind & 64 != 0 && self.absent_objects(at) > 0 {
            pairs.push(gap(extension::PRIOR_OBJECT_ID_GAP, self.absent_objects(at)));
        }
        Extensions::from_pairs(pairs, keys).unwrap()
    }

    pub(crate) fn length(self, at: Location) -> usize {
        let kind = self.draw(11, at.group, at.object);
        match kind % 16 {
            0 => 0,
            1 => (kind >> 8) as usize % MAX_PAYLOAD,
            _ => (kind >> 8) as usize % 200,
        }
    }

    pub(crate) fn payload(self, at: Location) -> Bytes {
        self.noise(12, at, self.length(at))
    }

    pub(crate) fn header(self, at: Location, keys: Keys) -> ObjectHeader {
        ObjectHeader {
            object_id: at.object,
            extensions: self.extensions(at, keys),
            status: ObjectStatus::Normal,
            payload_length: self.length(at) as u64,
        }
    }

    /// What a FETCH brings of the range, groups ascending.
    pub(crate) fn range(self, start: Location, end: EndLocation) -> Vec<Location> {
        let groups = start.group..=end.group;
        let all = groups
            .flat_map(|group| (0..self.group_end(group)).map(move |object| Location::new(group, object)));
        let wanted = |at: &Location| *at >= start && end.reaches(*at) && self.exists(*at);
        all.filter(wanted).collect()
    }

    fn noise(self, what: u64, at: Location, length: usize) -> Bytes {
        static NOISES: OnceLock<Bytes> = OnceLock::new();
        let noise = NOISES.get_or_init(|| (0..NOISE as u64).map(|at| mix(at) as u8).collect());
        let from = self.draw(what, at.group, at.object) as usize % (NOISE - MAX_PAYLOAD);
        noise.slice(from..from + length)
    }
}
