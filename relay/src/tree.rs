//! What is filed under namespaces, found by prefix in both directions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use moqingbird::wire::model::TrackNamespace;

/// Sets of `K`, each under a namespace or prefix. Fields match whole and exactly (draft-14 §8, draft-16 §8.5).
///
/// A node stands for the fields on the way to it: one way down finds every prefix of a namespace.
#[derive(Debug)]
pub(crate) struct NamespaceTree<K> {
    root: Node<K>,
}

#[derive(Debug)]
struct Node<K> {
    place: Option<Place<K>>,
    children: BTreeMap<Bytes, Self>,
}

/// A namespace, and what is filed under exactly this.
#[derive(Debug)]
struct Place<K> {
    namespace: TrackNamespace,
    keys: BTreeSet<K>,
}

impl<K> Default for NamespaceTree<K> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<K> Default for Node<K> {
    fn default() -> Self {
        Self { place: None, children: BTreeMap::new() }
    }
}

impl<K: Copy + Ord> NamespaceTree<K> {
    /// Files `key`. Whether it is the first at its place.
    pub(crate) fn insert(&mut self, namespace: TrackNamespace, key: K) -> bool {
        let mut node = &mut self.root;
        for field in namespace.fields() {
            node = node.children.entry(field.clone()).or_default();
        }
        let place = node.place.get_or_insert_with(|| Place { namespace, keys: BTreeSet::new() });
        place.keys.insert(key);
        place.keys.len() == 1
    }

    /// Takes `key` out. Whether nothing is left at its place.
    pub(crate) fn remove(&mut self, namespace: &TrackNamespace, key: K) -> bool {
        self.root.remove(namespace.fields(), key)
    }

    /// What is filed under exactly `namespace`.
    pub(crate) fn at(&self, namespace: &TrackNamespace) -> impl Iterator<Item = K> {
        let place = self.node(namespace).and_then(|node| node.place.as_ref());
        place.into_iter().flat_map(|place| &place.keys).copied()
    }

    /// What is filed under `namespace` or a prefix of it: longest first, then latest first.
    pub(crate) fn prefixes_of(&self, namespace: &TrackNamespace) -> impl Iterator<Item = K> {
        let fields = namespace.fields();
        let mut places = Vec::with_capacity(fields.len() + 1);
        places.extend(&self.root.place);
        let mut node = &self.root;
        for field in fields {
            let Some(child) = node.children.get(field) else { break };
            places.extend(&child.place);
            node = child;
        }
        places.into_iter().rev().flat_map(|place| place.keys.iter().rev().copied())
    }

    /// The places that are `prefix` or begin with it, in order.
    pub(crate) fn under(&self, prefix: &TrackNamespace) -> impl Iterator<Item = &TrackNamespace> {
        let mut waiting: Vec<_> = self.node(prefix).into_iter().collect();
        let nodes = std::iter::from_fn(move || {
            let node = waiting.pop()?;
            waiting.extend(node.children.values().rev());
            Some(node)
        });
        nodes.filter_map(|node| Some(&node.place.as_ref()?.namespace))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    fn node(&self, namespace: &TrackNamespace) -> Option<&Node<K>> {
        namespace.fields().iter().try_fold(&self.root, |node, field| node.children.get(field))
    }
}

impl<K: Copy + Ord> Node<K> {
    /// Takes `key` out from the place at the end of these fields, and with it every node that stands for nothing any more.
    /// Whether nothing is left at its place. Namespaces have few fields.
    fn remove(&mut self, fields: &[Bytes], key: K) -> bool {
        let Some((field, rest)) = fields.split_first() else {
            let Some(place) = &mut self.place else { return false };
            place.keys.remove(&key);
            let empty = place.keys.is_empty();
            if empty {
                self.place = None;
            }
            return empty;
        };
        let Some(child) = self.children.get_mut(field) else { return false };
        let empty = child.remove(rest, key);
        if child.is_empty() {
            self.children.remove(field);
        }
        empty
    }

    fn is_empty(&self) -> bool {
        self.place.is_none() && self.children.is_empty()
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

    #[test]
    fn what_is_taken_out_leaves_nothing_behind_and_its_neighbours_alone() {
        let mut tree = tree(&["a/b", "a/b/c/d", "a/b", ""]);
        let namespace = |path| TrackNamespace::from_path(path).unwrap();
        assert!(!tree.remove(&namespace("a/b"), 0), "another is left there");
        assert!(!tree.remove(&namespace("a/b/c"), 1), "nothing is filed there");
        assert!(tree.remove(&namespace("a/b"), 2));
        assert_eq!(tree.at(&namespace("a/b/c/d")).collect::<Vec<_>>(), [1]);
        assert!(tree.remove(&namespace("a/b/c/d"), 1));
        assert_eq!(prefixes_of(&tree, "a/b/c/d"), [3]);
        assert!(tree.remove(&namespace(""), 3));
        assert!(tree.is_empty());
    }
}
