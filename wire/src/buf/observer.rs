//! Who is told what a reader reads.

use std::cell::RefCell;
use std::ops::Range;

/// Collects the fields that a watched [`Reader`](super::Reader) reads, in the order in which it reads them.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    seen: RefCell<Vec<Seen>>,
}

/// A field that has been read.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The field, in the draft's words.
    pub(crate) field: &'static str,
    /// Its place in what the observer watches.
    pub(crate) range: Range<usize>,
    /// What it holds.
    pub(crate) sight: Sight,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sight {
    /// A number.
    Number(u64),
    /// The length or count of what follows.
    Length(u64),
    /// The type of a key-value pair, and what the draft calls it.
    Key { key: u64, name: Option<&'static str> },
    /// Bytes.
    Bytes,
}

impl Observer {
    /// Watches a unit that begins at `base` of what is observed.
    pub(crate) const fn from(&self, base: usize) -> Watch<'_> {
        Watch { observer: self, base }
    }

    /// What has been seen since this was last asked.
    pub(crate) fn take(&self) -> Vec<Seen> {
        self.seen.take()
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

    pub(super) fn see(self, field: &'static str, range: Range<usize>, sight: Sight) {
        let range = self.base + range.start..self.base + range.end;
        self.observer.seen.borrow_mut().push(Seen { field, range, sight });
    }

    pub(super) fn called(self, called: Option<&'static str>) {
        let mut seen = self.observer.seen.borrow_mut();
        let key = seen.iter_mut().rev().find_map(|seen| match &mut seen.sight {
            Sight::Key { name, .. } => Some(name),
            _ => None,
        });
        if let Some(name) = key {
            *name = called;
        }
    }
}
