//! What is filed under namespaces, found by prefix in both directions.

use std::collections::{BTreeMap, BTreeSet};

use moqingbird::wire::model::TrackNamespace;

/// Sets of `K`, each under a namespace or prefix. Fields match whole and exactly (draft-14 §8, draft-16 §8.5).
#[derive(Debug)]
pub(crate) struct NamespaceTree<K> {
    entries: BTreeMap<TrackNamespace, BTreeSet<K>>,
}

impl<K> Default for NamespaceTree<K> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<K: Copy + Ord> NamespaceTree<K> {
    /// Files `key`. Whether it is the first at its place.
    pub(crate) fn insert(&mut self, namespace: TrackNamespace, key: K) -> bool {
        let keys = self.entries.entry(namespace).or_default();
        keys.insert(key);
        keys.len() == 1
    }

    /// Takes `key` out. Whether nothing is left at its place.
    pub(crate) fn remove(&mut self, namespace: &TrackNamespace, key: K) -> bool {
        let Some(keys) = self.entries.get_mut(namespace) else { return false };
        keys.remove(&key);
        let empty = keys.is_empty();
        if empty {
            self.entries.remove(namespace);
        }
        empty
    }

    /// What is filed under exactly `namespace`.
    pub(crate) fn at(&self, namespace: &TrackNamespace) -> impl Iterator<Item = K> {
        self.entries.get(namespace).into_iter().flatten().copied()
    }

    /// What is filed under `namespace` or a prefix of it: longest first, then latest first.
    pub(crate) fn prefixes_of(&self, namespace: &TrackNamespace) -> impl Iterator<Item = K> {
        let fields = namespace.fields();
        (0..=fields.len())
            .rev()
            .filter_map(|count| TrackNamespace::new(fields[..count].iter().cloned()).ok())
            .filter_map(|prefix| self.entries.get(&prefix))
            .flat_map(|keys| keys.iter().rev().copied())
    }

    /// The places that are `prefix` or begin with it, in order.
    pub(crate) fn under(&self, prefix: &TrackNamespace) -> impl Iterator<Item = &TrackNamespace> {
        self.entries
            .range(prefix.clone()..)
            .map(|(namespace, _)| namespace)
            .take_while(|it| it.starts_with(prefix))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> NamespaceTree<usize> {
        let mut tree = NamespaceTree::default();
        for (key, path) in paths.iter().enumerate() {
            tree.insert(TrackNamespace::from_path(path).unwrap(), key);
        }
        tree
    }

    fn prefixes_of(tree: &NamespaceTree<usize>, path: &str) -> Vec<usize> {
        tree.prefixes_of(&TrackNamespace::from_path(path).unwrap()).collect()
    }

    #[test]
    fn prefixes_match_whole_fields() {
        moqingbird_ledger::covers!("D14-8.4-04", "D16-8.5-05");
        let tree = tree(&["foo", "foo/bar", "foobar", "foo/bar/baz"]);
        assert_eq!(prefixes_of(&tree, "foo/bar"), vec![1, 0]);
    }

    #[test]
    fn the_longest_prefix_comes_first_and_then_the_latest() {
        let tree = tree(&["a", "a/b", "a/b", "", "a"]);
        assert_eq!(prefixes_of(&tree, "a/b/c"), vec![2, 1, 4, 0, 3]);
    }

    #[test]
    fn what_is_under_a_prefix_is_found_without_its_neighbours() {
        let tree = tree(&["a", "a/b", "a/b/c", "a/c", "ab", "b"]);
        let under = |path| -> Vec<_> {
            tree.under(&TrackNamespace::from_path(path).unwrap()).map(ToString::to_string).collect()
        };
        assert_eq!(under("a/b"), ["a-b", "a-b-c"]);
        assert_eq!(under("").len(), 6);
        assert!(under("c").is_empty());
    }
}
