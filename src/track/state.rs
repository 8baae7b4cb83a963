//! What a track holds, behind its one lock.

mod evict;
mod lock;
mod runs;

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map};
use std::sync::Arc;

use moqingbird_wire::Version;
use moqingbird_wire::model::{Datagram, DatagramBody, Location, PublishDoneCode};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::Budget;
use super::pack::{self, Drafts, Packed};
use super::range::Range;
use super::{Item, SubgroupEnd, SubgroupInfo, TrackEnd, TrackOptions, TrackStats};

pub(super) use evict::Victims;
pub(super) use lock::Shared;
pub(super) use runs::Part;
use runs::Run;

/// How many items a reader takes under one lock.
const BATCH: usize = 256;

/// What it costs to know of a datagram, or of a subgroup that has ended.
const ARRIVAL_WEIGHT: usize = size_of::<Arrival>();

#[derive(Debug)]
pub(super) struct State {
    options: TrackOptions,
    /// What it shares with other tracks, and what that knows of it.
    budget: Option<Budget>,
    accounted: usize,
    pub(super) largest: Option<Location>,
    pub(super) end: Option<TrackEnd>,
    /// The largest location whose object was evicted, or given up by the writer.
    pub(super) lost: Option<Location>,
    /// Subgroups and datagrams by the order in which they began. What is missing has been evicted.
    pub(super) arrivals: BTreeMap<u64, Arrival>,
    /// The first group behind all that were begun.
    next_group: u64,
    /// The number of the next arrival.
    next: u64,
    pub(super) groups: BTreeMap<u64, Group>,
    /// How many of them are within [`TrackOptions::max_groups`].
    current_groups: usize,
    /// What is kept.
    bytes: usize,
    /// What is kept, wanted, and not yet read by anybody.
    unread: usize,
    /// How many readers there are.
    readers: usize,
    /// How many of them write streams of each draft.
    encoding: [usize; Version::ALL.len()],
    /// A feeder waits for the readers.
    held_back: bool,
    /// The readers were given up as too slow, and none has moved since.
    stalled: bool,
    /// What was written, read and missed so far.
    counts: TrackStats,
}

#[derive(Debug)]
pub(super) struct Group {
    /// Its arrivals.
    pub(super) arrivals: BTreeSet<u64>,
    /// It gave way to newer groups. What is written to it nevertheless is kept while bytes allow.
    expired: bool,
    /// When it was written to last.
    written: Instant,
}

#[derive(Debug)]
pub(super) struct Arrival {
    /// The readers of the track that have not come to this yet.
    pending: usize,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Subgroup(Subgroup),
    Datagram {
        datagram: Datagram,
        /// Some reader is to come to it, and none has.
        unread: bool,
    },
}

#[derive(Debug)]
pub(super) struct Subgroup {
    pub(super) info: SubgroupInfo,
    /// What is kept of it.
    pub(super) items: VecDeque<Item>,
    /// How they came, where they were encoded.
    runs: VecDeque<Run>,
    /// The number of the first item that is kept.
    pub(super) first: u64,
    /// The number behind the last item that anybody has read.
    read: u64,
    /// What is kept from there on and has readers to come.
    unread: usize,
    pub(super) end: Option<SubgroupEnd>,
    /// It was evicted whole after its end: readers that have not come to it miss it.
    evicted: bool,
    /// How many readers it has.
    attached: usize,
    /// Where they are, and how many are at each place: kept up to date where what was read is not kept.
    places: BTreeMap<u64, usize>,
    pub(super) changed: Arc<Notify>,
}

/// What a cursor over arrivals meets.
pub(super) enum Met {
    Subgroup(Attached),
    Datagram(Datagram),
    /// Nothing more yet.
    Nothing,
    /// Nothing more, ever.
    End(TrackEnd),
}

/// A place in a subgroup, counted among its readers until [`State::detach`].
pub(super) struct Attached {
    pub(super) arrival: u64,
    pub(super) info: SubgroupInfo,
    pub(super) position: u64,
    pub(super) changed: Arc<Notify>,
}

/// A cursor over the items of a subgroup.
#[derive(Debug)]
pub(super) struct ItemCursor {
    pub(super) arrival: u64,
    /// As of the last reading.
    pub(super) info: SubgroupInfo,
    pub(super) position: u64,
    pub(super) range: Range,
    /// The object at the cursor is not wanted, or its beginning was not seen.
    pub(super) skipping: bool,
}

impl State {
    fn new(options: TrackOptions, budget: Option<Budget>) -> Self {
        Self {
            options,
            budget,
            accounted: 0,
            largest: None,
            end: None,
            lost: None,
            arrivals: BTreeMap::new(),
            next_group: 0,
            next: 0,
            groups: BTreeMap::new(),
            current_groups: 0,
            bytes: 0,
            unread: 0,
            readers: 0,
            encoding: Default::default(),
            held_back: false,
            stalled: false,
            counts: TrackStats::default(),
        }
    }

    // --- the writer's side ---

    pub(super) fn open(&mut self, info: SubgroupInfo) -> (u64, Drafts, Arc<Notify>) {
        let changed = Arc::new(Notify::new());
        let subgroup = Subgroup {
            info,
            items: VecDeque::new(),
            runs: VecDeque::new(),
            first: 0,
            read: 0,
            unread: 0,
            end: None,
            evicted: false,
            attached: 0,
            places: BTreeMap::new(),
            changed: Arc::clone(&changed),
        };
        (self.arrive(info.group_id, Content::Subgroup(subgroup)), self.drafts(), changed)
    }

    pub(super) fn datagram(&mut self, datagram: Datagram) {
        let weight = datagram_weight(&datagram);
        self.make_room(weight);
        self.counts.written_objects += 1;
        self.counts.written_bytes += datagram_payload(&datagram) as u64;
        self.raise_largest(Location::new(datagram.group_id, datagram.object_id));
        self.bytes += weight;
        let unread = self.readers > 0;
        self.unread += if unread { weight } else { 0 };
        self.arrive(datagram.group_id, Content::Datagram { datagram, unread });
    }

    fn arrive(&mut self, group: u64, content: Content) -> u64 {
        let number = self.next;
        self.next += 1;
        self.arrivals.insert(number, Arrival { pending: self.readers, content });
        self.next_group = self.next_group.max(group.saturating_add(1));
        let written = Instant::now();
        let group = self.groups.entry(group).or_insert_with(|| {
            self.current_groups += 1;
            Group { arrivals: BTreeSet::new(), expired: false, written }
        });
        group.arrivals.insert(number);
        group.written = written;
        number
    }

    /// Appends to a subgroup that has not ended. Whether the largest group moved, and which drafts are read now.
    pub(super) fn push(&mut self, arrival: u64, packed: Packed) -> (bool, Drafts) {
        let before = self.largest.map(|largest| largest.group);
        let Packed { items, encoded } = packed;
        let next = self.subgroup(arrival).map_or(0, Subgroup::behind_last);
        let run = (!encoded.is_empty()).then(|| Run::new(next, &items, encoded));
        let weight = items.iter().map(item_weight).sum();
        let whole = run.as_ref().map_or(weight, Run::weight);
        self.make_room(whole);
        let drafts = self.drafts();
        let Some(Arrival { pending, content: Content::Subgroup(subgroup) }) = self.arrivals.get_mut(&arrival)
        else {
            return (false, drafts);
        };
        let group = subgroup.info.group_id;
        if let Some(group) = self.groups.get_mut(&group) {
            group.written = Instant::now();
        }
        let mut largest = None;
        for item in &items {
            match item {
                Item::Object(header) => {
                    largest = Some(Location::new(group, header.object_id));
                    subgroup.info.subgroup_id.get_or_insert(header.object_id);
                    self.counts.written_objects += 1;
                }
                Item::Payload(bytes) => self.counts.written_bytes += bytes.len() as u64,
            }
        }
        subgroup.items.extend(items);
        subgroup.runs.extend(run);
        self.bytes += whole;
        if *pending + subgroup.attached > 0 {
            subgroup.unread += weight;
            self.unread += weight;
        } else {
            subgroup.read = subgroup.behind_last();
            self.prune(arrival);
        }
        if let Some(location) = largest {
            self.raise_largest(location);
        }
        (self.largest.map(|largest| largest.group) != before, drafts)
    }

    /// The drafts in which somebody reads.
    fn drafts(&self) -> Drafts {
        let mut drafts = Drafts::default();
        for version in Version::ALL.iter().filter(|version| self.encoding[pack::place(**version)] > 0) {
            drafts.add(*version);
        }
        drafts
    }

    /// Ends a subgroup; the first end counts.
    pub(super) fn end_subgroup(&mut self, arrival: u64, end: SubgroupEnd) {
        if self.is_open(arrival) {
            self.make_room(ARRIVAL_WEIGHT);
            self.bytes += ARRIVAL_WEIGHT;
            if let Some(subgroup) = self.subgroup_mut(arrival) {
                subgroup.end = Some(end);
            }
            self.settle(arrival);
        }
    }

    pub(super) fn raise_largest(&mut self, location: Location) {
        self.largest = self.largest.max(Some(location));
        self.next_group = self.next_group.max(location.group.saturating_add(1));
    }

    /// The group that follows all that were begun, which is thereby begun.
    pub(super) const fn next_group(&mut self) -> u64 {
        let group = self.next_group;
        self.next_group = group.saturating_add(1);
        group
    }

    pub(super) const fn options(&self) -> &TrackOptions {
        &self.options
    }

    pub(super) const fn has_readers(&self) -> bool {
        self.readers > 0
    }

    /// Whether the writer has said that there is nothing more.
    pub(super) fn is_complete(&self) -> bool {
        matches!(&self.end, Some(TrackEnd::Finished { code: PublishDoneCode::TrackEnded, .. }))
    }

    pub(super) fn lose(&mut self, location: Location) {
        self.lost = self.lost.max(Some(location));
    }

    pub(super) fn is_ready(&self) -> bool {
        self.stalled || self.unread <= self.window()
    }

    /// How many bytes the fastest reader may be behind.
    fn window(&self) -> usize {
        let window = self.options.window;
        self.budget.as_ref().map_or(window, |budget| window.min(budget.share() / 2))
    }

    /// What it shares with other tracks.
    pub(super) fn budget(&self) -> Option<Budget> {
        self.budget.clone()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a feeder has to wait: it is woken then as soon as it may go on.
    pub(super) fn holds_back(&mut self) -> bool {
        self.held_back = !self.is_ready();
        self.held_back
    }

    pub(super) const fn give_up(&mut self) {
        self.stalled = true;
    }

    // --- the readers' side ---

    /// A cursor over what arrives from now on, and the rest of every subgroup that is open.
    pub(super) fn join(&mut self, range: Range) -> (u64, Vec<Attached>) {
        self.expire();
        self.readers += 1;
        let mut open = Vec::new();
        for (&number, arrival) in &mut self.arrivals {
            if let Content::Subgroup(subgroup) = &mut arrival.content
                && subgroup.end.is_none()
                && range.passes_group(subgroup.info.group_id)
            {
                open.push(subgroup.attach(number, subgroup.behind_last()));
            }
        }
        (self.next, open)
    }

    /// Moves a cursor to the next arrival that its range passes. Counts in `missed` what was evicted before.
    pub(super) fn advance(&mut self, cursor: &mut u64, range: &Range, missed: &mut u64) -> Met {
        while let Some((&number, arrival)) = self.arrivals.range_mut(*cursor..).next() {
            *missed += number - *cursor;
            *cursor = number + 1;
            arrival.pending -= 1;
            match &mut arrival.content {
                Content::Subgroup(subgroup) if range.passes_group(subgroup.info.group_id) => {
                    return Met::Subgroup(subgroup.attach(number, 0));
                }
                Content::Datagram { datagram, unread } => {
                    if std::mem::take(unread) {
                        self.unread -= datagram_weight(datagram);
                        self.stalled = false;
                    }
                    let datagram = datagram.clone();
                    self.settle(number);
                    if range.passes(Location::new(datagram.group_id, datagram.object_id)) {
                        self.counts.read_objects += 1;
                        self.counts.read_bytes += datagram_payload(&datagram) as u64;
                        return Met::Datagram(datagram);
                    }
                }
                Content::Subgroup(_) => self.settle(number),
            }
        }
        *missed += self.next - *cursor;
        *cursor = self.next;
        if self.is_past(range) {
            return Met::End(TrackEnd::EndOfRange);
        }
        self.end.clone().map_or(Met::Nothing, Met::End)
    }

    /// Whether a range is over: a later group has begun, and no subgroup within the range is open.
    fn is_past(&self, range: &Range) -> bool {
        let Some(end) = range.end_group() else { return false };
        self.largest.is_some_and(|largest| largest.group > end)
            && !self.groups.range(..=end).any(|(&id, group)| {
                range.passes_group(id) && group.arrivals.iter().any(|&number| self.is_open(number))
            })
    }

    fn is_open(&self, number: u64) -> bool {
        self.subgroup(number).is_some_and(|subgroup| subgroup.end.is_none())
    }

    /// One of the readers writes streams of a draft, or does no longer.
    pub(super) fn encodes(&mut self, version: Version, does: bool) {
        let readers = &mut self.encoding[pack::place(version)];
        *readers = if does { *readers + 1 } else { readers.saturating_sub(1) };
    }

    /// Ends a cursor over arrivals.
    pub(super) fn leave(&mut self, cursor: u64) {
        self.readers -= 1;
        let rest: Vec<u64> = self.arrivals.range(cursor..).map(|(&number, _)| number).collect();
        for number in rest {
            if let Some(arrival) = self.arrivals.get_mut(&number) {
                arrival.pending -= 1;
            }
            self.settle(number);
        }
    }

    /// Gives what is ready at a cursor, and how the subgroup ended if nothing follows.
    pub(super) fn read(&mut self, at: &mut ItemCursor, items: &mut Vec<Item>) -> Option<SubgroupEnd> {
        let from = at.position;
        if self.begin_reading(at).is_none() {
            return Some(SubgroupEnd::TooFarBehind);
        }
        self.read_items(at, BATCH, items);
        self.end_reading(at, from)
    }

    /// The subgroup at a cursor; `None` if what comes next is gone.
    fn begin_reading(&mut self, at: &mut ItemCursor) -> Option<&mut Subgroup> {
        let subgroup = match self.arrivals.get_mut(&at.arrival).map(|arrival| &mut arrival.content) {
            Some(Content::Subgroup(subgroup)) if subgroup.first <= at.position => subgroup,
            _ => {
                self.counts.too_far_behind += 1;
                return None;
            }
        };
        at.info = subgroup.info;
        // A reader that began behind what nobody has read will not come to it: it is the fastest from here on.
        self.unread -= subgroup.pass_over(at.position);
        Some(subgroup)
    }

    fn read_items(&mut self, at: &mut ItemCursor, limit: usize, items: &mut Vec<Item>) {
        let Some(Arrival { content: Content::Subgroup(subgroup), .. }) = self.arrivals.get_mut(&at.arrival)
        else {
            return;
        };
        let skip = usize::try_from(at.position - subgroup.first).unwrap_or(usize::MAX);
        for item in subgroup.items.iter().skip(skip).take(limit) {
            if let Item::Object(header) = item {
                at.skipping = !at.range.passes(Location::new(at.info.group_id, header.object_id));
            }
            if !at.skipping {
                match item {
                    Item::Object(_) => self.counts.read_objects += 1,
                    Item::Payload(bytes) => self.counts.read_bytes += bytes.len() as u64,
                }
                items.push(item.clone());
            }
            if at.position >= subgroup.read {
                let weight = item_weight(item);
                subgroup.unread -= weight;
                self.unread -= weight;
                self.stalled = false;
            }
            at.position += 1;
        }
        subgroup.read = subgroup.read.max(at.position);
    }

    /// How the subgroup ended, if nothing follows. What all have read is forgotten where it is not to be kept.
    fn end_reading(&mut self, at: &ItemCursor, from: u64) -> Option<SubgroupEnd> {
        let keep_read = self.options.keep_read;
        let subgroup = self.subgroup_mut(at.arrival)?;
        let end = if at.position == subgroup.behind_last() { subgroup.end } else { None };
        if !keep_read && from < at.position {
            subgroup.moved(from, at.position);
            self.prune(at.arrival);
        }
        end
    }

    /// Whether what comes next at a cursor is gone.
    pub(super) fn is_evicted(&self, at: &ItemCursor) -> bool {
        self.subgroup(at.arrival).is_none_or(|subgroup| subgroup.first > at.position)
    }

    /// Whether a cursor has something to read that is not an end.
    pub(super) fn has_more(&self, at: &ItemCursor) -> bool {
        self.subgroup(at.arrival).is_some_and(|subgroup| at.position < subgroup.behind_last())
    }

    pub(super) fn detach(&mut self, number: u64, position: u64) {
        if let Some(subgroup) = self.subgroup_mut(number) {
            subgroup.attached -= 1;
            subgroup.left(position);
        }
        self.settle(number);
    }
}

impl State {
    fn subgroup(&self, number: u64) -> Option<&Subgroup> {
        match &self.arrivals.get(&number)?.content {
            Content::Subgroup(subgroup) => Some(subgroup),
            Content::Datagram { .. } => None,
        }
    }

    fn subgroup_mut(&mut self, number: u64) -> Option<&mut Subgroup> {
        match &mut self.arrivals.get_mut(&number)?.content {
            Content::Subgroup(subgroup) => Some(subgroup),
            Content::Datagram { .. } => None,
        }
    }

    /// Forgets, unless it is to be kept, what every reader has read that is there.
    fn prune(&mut self, number: u64) {
        if self.options.keep_read {
            return;
        }
        let Some(Arrival { pending: 0, content: Content::Subgroup(subgroup) }) =
            self.arrivals.get_mut(&number)
        else {
            return;
        };
        let slowest = subgroup.places.keys().next().copied().unwrap_or(subgroup.read).min(subgroup.read);
        while subgroup.first < slowest
            && let Some(item) = subgroup.items.pop_front()
        {
            self.bytes -= item_weight(&item);
            subgroup.first += 1;
        }
        self.bytes -= subgroup.trim_runs();
    }

    /// Counts as read what no reader is to come to any more, and forgets a subgroup that is of no use to anybody.
    fn settle(&mut self, number: u64) {
        let Some(arrival) = self.arrivals.get_mut(&number) else { return };
        let pending = arrival.pending;
        if let Content::Subgroup(subgroup) = &mut arrival.content
            && pending + subgroup.attached == 0
        {
            subgroup.read = subgroup.behind_last();
            self.unread -= std::mem::take(&mut subgroup.unread);
        }
        self.prune(number);
        let Some(arrival) = self.arrivals.get_mut(&number) else { return };
        match &mut arrival.content {
            Content::Subgroup(subgroup) => {
                let useless = subgroup.items.is_empty() && (subgroup.evicted || pending == 0);
                if useless && subgroup.end.is_some() && subgroup.attached == 0 {
                    let group = subgroup.info.group_id;
                    self.bytes -= if subgroup.evicted { 0 } else { ARRIVAL_WEIGHT };
                    self.forget(number, group);
                }
            }
            Content::Datagram { datagram, unread } => {
                let (weight, group) = (datagram_weight(datagram), datagram.group_id);
                if pending == 0 && std::mem::take(unread) {
                    self.unread -= weight;
                }
                if pending == 0 && !self.options.keep_read {
                    self.bytes -= weight;
                    self.forget(number, group);
                }
            }
        }
    }

    fn forget(&mut self, number: u64, group: u64) {
        self.arrivals.remove(&number);
        if let btree_map::Entry::Occupied(mut entry) = self.groups.entry(group) {
            entry.get_mut().arrivals.remove(&number);
            if entry.get().arrivals.is_empty() {
                self.current_groups -= if entry.remove().expired { 0 } else { 1 };
            }
        }
    }

    /// What was written, read and missed so far, and what is kept.
    pub(super) const fn stats(&self) -> TrackStats {
        TrackStats { kept_bytes: self.bytes, readers: self.readers, ..self.counts }
    }

    /// What is kept, what is unread, and how many arrivals are known.
    #[cfg(test)]
    pub(super) fn figures(&self) -> (usize, usize, usize) {
        (self.bytes, self.unread, self.arrivals.len())
    }
}

impl Subgroup {
    fn behind_last(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    /// Counts as read what is kept before a position. Gives what that was.
    fn pass_over(&mut self, position: u64) -> usize {
        let from = self.read.max(self.first);
        if position <= from {
            return 0;
        }
        let place =
            |number: u64| usize::try_from(number - self.first).unwrap_or(usize::MAX).min(self.items.len());
        let passed = self.items.range(place(from)..place(position)).map(item_weight).sum();
        self.unread -= passed;
        self.read = position;
        passed
    }

    fn moved(&mut self, from: u64, to: u64) {
        self.left(from);
        *self.places.entry(to).or_default() += 1;
    }

    fn left(&mut self, position: u64) {
        if let btree_map::Entry::Occupied(mut place) = self.places.entry(position) {
            *place.get_mut() -= 1;
            if *place.get() == 0 {
                place.remove();
            }
        }
    }

    fn attach(&mut self, arrival: u64, position: u64) -> Attached {
        self.attached += 1;
        *self.places.entry(position).or_default() += 1;
        Attached { arrival, position, info: self.info, changed: Arc::clone(&self.changed) }
    }
}

/// What an item costs: its bytes, and the room for what describes them.
fn item_weight(item: &Item) -> usize {
    size_of::<Item>()
        + match item {
            Item::Object(header) => header.extensions.byte_length(),
            Item::Payload(bytes) => bytes.len(),
        }
}

fn datagram_weight(datagram: &Datagram) -> usize {
    ARRIVAL_WEIGHT + datagram.extensions.byte_length() + datagram_payload(datagram)
}

const fn datagram_payload(datagram: &Datagram) -> usize {
    match &datagram.body {
        DatagramBody::Payload(bytes) => bytes.len(),
        _ => 0,
    }
}
