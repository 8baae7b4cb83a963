//! Who is told what a reader reads.

use std::cell::RefCell;
use std::ops::Range;

/// Collects the fields that a watched [`Reader`](super::Reader) reads, in the order in which it reads them.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    seen: RefCell<Vec<Field>>,
}

/// A field that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, in the draft's words.
    pub name: &'static str,
    /// Its place among the bytes.
    pub range: Range<usize>,
    /// What it holds.
    pub value: FieldValue,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldValue {
    /// A number.
    Number(u64),
    /// The length or count of what follows.
    Length(u64),
    /// The type of a key-value pair, and what the draft calls it.
    Key {
        /// The type, whether it is spelled as it is or as the distance from another.
        key: u64,
        /// Its name, if it has one there.
        name: Option<&'static str>,
    },
    /// Bytes.
    Bytes,
}

impl Observer {
    /// Watches a unit that begins at `base` of what is observed.
    pub(crate) const fn from(&self, base: usize) -> Watch<'_> {
        Watch { observer: self, base }
    }
}

/// An observer, and where the unit begins that it is told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch<'a> {
    observer: &'a Observer,
    base: usize,
}

impl Watch<'_> {
    /// The same observer, told of a part of the unit.
    pub(crate) const fn from(self, offset: usize) -> Self {
        Self { base: self.base + offset, ..self }
    }

    /// What has been seen since this was last asked.
    pub(super) fn take(self) -> Vec<Field> {
        self.observer.seen.take()
    }

    pub(super) fn see(self, name: &'static str, range: Range<usize>, value: FieldValue) {
        let range = self.base + range.start..self.base + range.end;
        self.observer.seen.borrow_mut().push(Field { name, range, value });
    }

    pub(super) fn called(self, called: Option<&'static str>) {
        let mut seen = self.observer.seen.borrow_mut();
        let key = seen.iter_mut().rev().find_map(|seen| match &mut seen.value {
            FieldValue::Key { name, .. } => Some(name),
            _ => None,
        });
        if let Some(name) = key {
            *name = called;
        }
    }
}
