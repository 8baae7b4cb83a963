//! What is not known of a track is fetched from upstream, once for all who want it at a time.

use std::sync::{Arc, Mutex, PoisonError};

use moqingbird::wire::model::{EndLocation, FetchOk, GroupOrder, Location, RangeStatus};
use moqingbird::wire::stream::FetchStreamItem;
use tokio::sync::watch;

use super::{CachedTrack, Gathered};

/// The fetches from upstream of one track that are under way.
#[derive(Debug, Default)]
pub(crate) struct Fills {
    running: Mutex<Vec<Running>>,
}

#[derive(Debug)]
struct Running {
    number: u64,
    range: Range,
    answer: watch::Receiver<Option<FetchOk>>,
}

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Location,
    pub(crate) end: EndLocation,
    pub(crate) order: GroupOrder,
}

impl Range {
    /// Whether what follows from a location on is part of it.
    fn covers(&self, start: Location, order: GroupOrder) -> bool {
        self.order == order && self.start <= start && self.end.reaches(start)
    }
}

/// Who fetches.
#[derive(Debug)]
pub(crate) enum Join {
    /// Whoever asked.
    Lead(Lead),
    /// Somebody else already does: the answer, once it has come. Its sender is gone when the fetch is over.
    Follow(watch::Receiver<Option<FetchOk>>),
}

/// A fetch from upstream on its way into the cache. It counts as under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Lead {
    track: Arc<CachedTrack>,
    number: u64,
    range: Range,
    answer: watch::Sender<Option<FetchOk>>,
    /// Everything before is taken in, in the order of the range; `None`: nothing yet.
    at: Option<Location>,
    /// The object whose payload comes.
    object: Option<Location>,
}

impl CachedTrack {
    /// Joins the fetch that brings what follows from the start of a range; or begins one, if there is none or `alone` says
    /// so. If only the same range will do, because its end is asked for, `exactly` says so.
    pub(crate) fn join(self: &Arc<Self>, range: Range, exactly: bool, alone: bool) -> Join {
        let mut running = self.fills.running.lock().unwrap_or_else(PoisonError::into_inner);
        let same = running.iter().find(|it| match exactly {
            true => it.range == range,
            false => it.range.covers(range.start, range.order),
        });
        if let Some(same) = same.filter(|_| !alone) {
            return Join::Follow(same.answer.clone());
        }
        let number = running.last().map_or(0, |last| last.number + 1);
        let (answer, answered) = watch::channel(None);
        running.push(Running { number, range, answer: answered });
        drop(running);
        Join::Lead(Lead { track: Arc::clone(self), number, range, answer, at: None, object: None })
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.track
            .fills
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|it| it.number != self.number);
        if let Some(object) = self.object {
            self.track.write(|store, _| store.give_up(object));
        }
        self.track.changed.notify_waiters();
    }
}

impl Lead {
    pub(crate) const fn range(&self) -> Range {
        self.range
    }

    /// The upstream has granted it.
    pub(crate) fn granted(&mut self, ok: &FetchOk) {
        self.track.describe(None, &ok.extensions);
        if ok.end.reaches(self.range.start) && !reaches(ok.end, self.range.end) {
            self.range.end = ok.end;
        }
        self.answer.send_replace(Some(ok.clone()));
    }

    /// Where another upstream is to go on, if an ascending fetch has broken off.
    pub(crate) fn rest(&self) -> Option<Location> {
        self.at.filter(|at| self.range.order == GroupOrder::Ascending && self.range.end.reaches(*at))
    }

    /// The upstream says that there is no object.
    pub(crate) fn nothing(&mut self) {
        self.take(&[FetchStreamItem::End]);
    }

    /// Takes in what has come.
    pub(crate) fn take(&mut self, items: &[FetchStreamItem]) {
        let track = Arc::clone(&self.track);
        track.write(|store, now| {
            let mut payload = Gathered::default();
            for item in items {
                match item {
                    FetchStreamItem::Object(header) => {
                        payload.store(store, self.object);
                        self.skip_to(header.location, |start, end| store.insert_absent(start, end, now));
                        self.object = store.header(header.location).is_none().then_some(header.location);
                        if self.object.is_some() {
                            let extensions = header.extensions.detached();
                            store.insert(
                                moqingbird::wire::model::FetchObject { extensions, ..header.clone() },
                                now,
                            );
                        }
                        self.at = behind(header.location);
                    }
                    FetchStreamItem::Payload(part) => payload.add(part),
                    FetchStreamItem::EndOfRange { end, status } => {
                        payload.store(store, self.object);
                        self.object = None;
                        if *status == RangeStatus::NonExistent {
                            self.skip_to(*end, |start, end| store.insert_absent(start, end, now));
                            let last = EndLocation { group: end.group, object: Some(end.object) };
                            store.insert_absent(*end, last, now);
                        }
                        self.at = behind(*end);
                    }
                    _ => {
                        payload.store(store, self.object);
                        self.object = None;
                        self.skip_rest(|start, end| store.insert_absent(start, end, now));
                    }
                }
            }
            payload.store(store, self.object);
        });
    }

    /// Nothing is between where the fetch is and a location further on.
    fn skip_to(&self, to: Location, mut absent: impl FnMut(Location, EndLocation)) {
        let mut skip = |start: Location, end: Option<EndLocation>| {
            if let Some(end) = end {
                absent(start, end);
            }
        };
        match (self.range.order, self.at) {
            (GroupOrder::Ascending, at) => skip(at.unwrap_or(self.range.start), before(to)),
            (GroupOrder::Descending, Some(at)) if at.group == to.group => skip(at, before(to)),
            (GroupOrder::Descending, at) => {
                match at {
                    Some(at) => skip(at, Some(EndLocation { group: at.group, object: None })),
                    None if self.range.end.group > to.group => {
                        skip(Location::new(self.range.end.group, 0), Some(self.range.end));
                    }
                    None => {}
                }
                let above = at.map_or(self.range.end.group, |at| at.group);
                if let Some(last) = above.checked_sub(1).filter(|last| *last > to.group) {
                    skip(Location::new(to.group + 1, 0), Some(EndLocation { group: last, object: None }));
                }
                skip(Location::new(to.group, 0).max(self.range.start), before(to));
            }
        }
    }

    /// Nothing is between where the fetch is and its end.
    fn skip_rest(&self, mut absent: impl FnMut(Location, EndLocation)) {
        let Range { start, end, order } = self.range;
        match (order, self.at) {
            (_, None) => absent(start, end),
            (GroupOrder::Ascending, Some(at)) => absent(at, end),
            (GroupOrder::Descending, Some(at)) => {
                let rest = match end.object {
                    Some(object) if end.group == at.group => Some(object),
                    _ => None,
                };
                absent(at, EndLocation { group: at.group, object: rest });
                if let Some(last) = at.group.checked_sub(1) {
                    absent(start, EndLocation { group: last, object: None });
                }
            }
        }
    }
}

/// The place behind a location.
fn behind(location: Location) -> Option<Location> {
    Some(match location.object.checked_add(1) {
        Some(object) => Location::new(location.group, object),
        None => Location::new(location.group.checked_add(1)?, 0),
    })
}

/// Where a range ends that ends before a location.
fn before(location: Location) -> Option<EndLocation> {
    match location.object.checked_sub(1) {
        Some(object) => Some(EndLocation { group: location.group, object: Some(object) }),
        None => Some(EndLocation { group: location.group.checked_sub(1)?, object: None }),
    }
}

/// Whether a range that ends at `end` goes as far as one that ends at `other`.
fn reaches(end: EndLocation, other: EndLocation) -> bool {
    let object = |end: EndLocation| end.object.unwrap_or(u64::MAX);
    (end.group, object(end)) >= (other.group, object(other))
}
