//! A table for what comes in ascending order and mostly goes in that order: streams by their numbers, groups by their IDs.

use std::collections::VecDeque;

/// Emptied places between others that are put up with, besides as many as there are values.
const SPARE: usize = 32;

/// Values by their keys, in ascending order. At the ends it costs next to nothing to add and to remove.
#[derive(Clone, Debug)]
pub(crate) struct Ascending<K, V> {
    /// Neither the first nor the last is an emptied place.
    places: VecDeque<(K, Option<V>)>,
    len: usize,
}

impl<K, V> Default for Ascending<K, V> {
    fn default() -> Self {
        Self { places: VecDeque::new(), len: 0 }
    }
}

impl<K: Copy + Ord, V> Ascending<K, V> {
    /// Adds a value, in place of one that had this key.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let before = match self.find(key) {
            Ok(at) => self.places.get_mut(at).and_then(|(_, place)| place.replace(value)),
            Err(at) => {
                self.places.insert(at, (key, Some(value)));
                None
            }
        };
        self.len += usize::from(before.is_none());
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let at = self.find(key).ok()?;
        let value = self.places.get_mut(at)?.1.take()?;
        self.len -= 1;
        self.close_gaps();
        Some(value)
    }

    fn close_gaps(&mut self) {
        while self.places.front().is_some_and(|(_, place)| place.is_none()) {
            self.places.pop_front();
        }
        while self.places.back().is_some_and(|(_, place)| place.is_none()) {
            self.places.pop_back();
        }
        if self.places.len() > 2 * self.len + SPARE {
            self.places.retain(|(_, place)| place.is_some());
        }
        // What many have taken is given back.
        if self.places.is_empty() && self.places.capacity() > SPARE {
            self.places = VecDeque::new();
        }
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.places.get(self.find(key).ok()?)?.1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        self.places.get_mut(at)?.1.as_mut()
    }

    pub(crate) fn first_key(&self) -> Option<K> {
        self.places.front().map(|(key, _)| *key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.places.iter().filter_map(|(key, place)| Some((*key, place.as_ref()?)))
    }

    pub(crate) fn into_keys(self) -> impl Iterator<Item = K> {
        self.places.into_iter().filter_map(|(key, place)| place.map(|_| key))
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the key is, or would be. First where it mostly is.
    fn find(&self, key: K) -> Result<usize, usize> {
        match (self.places.front(), self.places.back()) {
            (Some((first, _)), _) if *first == key => Ok(0),
            (_, Some((last, _))) if *last < key => Err(self.places.len()),
            _ => self.places.binary_search_by_key(&key, |(key, _)| *key),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_holds_what_a_sorted_map_holds_whatever_comes_and_goes() {
        let (mut table, mut model) = (Ascending::default(), BTreeMap::new());
        let mut chance = 7_u64;
        for step in 0..20_000_u64 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = step / 4 + (chance >> 40) % 60;
            if (chance >> 33).is_multiple_of(2) {
                table.insert(key, step);
                model.insert(key, step);
            } else {
                assert_eq!(table.remove(key), model.remove(&key));
            }
            assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
            assert_eq!(table.first_key(), model.keys().next().copied());
            assert_eq!(table.get(key), model.get(&key));
            assert_eq!(table.get_mut(key), model.get_mut(&key));
        }
        assert!(table.iter().eq(model.iter().map(|(key, value)| (*key, value))));
        assert!(table.into_keys().eq(model.into_keys()));
    }

    #[test]
    fn one_that_stays_keeps_no_room_for_those_that_have_gone() {
        let mut table = Ascending::default();
        table.insert(0, ());
        for key in 1..100_000 {
            table.insert(key, ());
            table.insert(key + 100_000, ());
            table.remove(key);
            table.remove(key + 100_000);
            assert!(table.places.len() <= 2 * table.len() + SPARE);
        }
    }
}
