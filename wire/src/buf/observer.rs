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
    /// What has been seen since this was last asked.
    pub(super) fn take(&self) -> Vec<Field> {
        self.seen.take()
    }

    pub(super) fn see(&self, name: &'static str, range: Range<usize>, value: FieldValue) {
        self.seen.borrow_mut().push(Field { name, range, value });
    }

    pub(super) fn called(&self, called: Option<&'static str>) {
        let mut seen = self.seen.borrow_mut();
        let key = seen.iter_mut().rev().find_map(|seen| match &mut seen.value {
            FieldValue::Key { name, .. } => Some(name),
            _ => None,
        });
        if let Some(name) = key {
            *name = called;
        }
    }
}
