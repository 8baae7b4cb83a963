//! A QUIC-like network in simulated time: streams that keep their own order and no other, in any cuts, with small windows;
//! datagrams that get lost; resets that overtake; ends without warning.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use bytes::Bytes;

use crate::rng::Rng;

/// Microseconds since the beginning.
pub(crate) type Time = u64;
/// A connection.
pub(crate) type ConnId = usize;
/// An end of a connection: 0 is the client.
pub(crate) type End = usize;
/// A stream as the network numbers it.
pub(crate) type Wire = u64;

pub(crate) const MILLI: Time = 1_000;
pub(crate) const SECOND: Time = 1_000_000;

/// What comes about at a moment.
#[derive(Debug)]
pub(crate) enum Happening {
    /// Something reaches an end of a connection.
    Arrives { conn: ConnId, at: End, what: Arrival },
    /// An engine may have a deadline.
    Deadline(usize),
    /// An application may do something.
    Tick(usize),
}

#[derive(Debug)]
pub(crate) enum Arrival {
    Data { wire: Wire, data: Bytes, fin: bool },
    Reset { wire: Wire, code: u64 },
    Stopped { wire: Wire, code: u64 },
    Credit { wire: Wire, bytes: usize },
    Acknowledged { wire: Wire },
    Datagram(Bytes),
    Closed { code: u64, reason: String },
    Lost,
}

/// How bad a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    delay: Time,
    jitter: Time,
    /// One datagram in so many is lost.
    loss: u64,
    window: usize,
    /// The longest piece in which bytes arrive.
    chunk: u64,
}

impl Quality {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        Self {
            delay: rng.below(40 * MILLI),
            jitter: rng.below(60 * MILLI) + 1,
            loss: rng.within(2, 30),
            window: [300, 2_000, 20_000, 1 << 20][rng.below(4) as usize],
            chunk: [3, 40, 300, 1_200, 1_200, 1_200, 60_000, 60_000][rng.below(8) as usize],
        }
    }
}

#[derive(Debug)]
struct Conn {
    quality: Quality,
    over: [bool; 2],
    next_wire: Wire,
    halves: BTreeMap<(Wire, End), Half>,
}

/// What one end sends on a stream. The end is the sender's.
#[derive(Debug)]
struct Half {
    credit: usize,
    /// When what was sent last arrives: nothing behind it may be earlier.
    last: Time,
    ended: bool,
    /// What has arrived and was not read.
    unread: VecDeque<Bytes>,
    finished: bool,
    /// Whether a reset has been sent, and whether it has arrived.
    reset: bool,
    broken: bool,
}

/// What a read gives.
#[derive(Debug)]
pub(crate) enum Read {
    Data(Bytes),
    Finished,
    Nothing,
}

#[derive(Debug)]
struct Entry(Time, u64, Happening);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// All connections, and everything that is to come.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) now: Time,
    rng: Rng,
    queue: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    conns: Vec<Conn>,
}

impl Net {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { now: SECOND, rng, queue: BinaryHeap::new(), sequence: 0, conns: Vec::new() }
    }

    pub(crate) fn connect(&mut self, quality: Quality) -> ConnId {
        self.conns.push(Conn { quality, over: [false; 2], next_wire: 0, halves: BTreeMap::new() });
        self.conns.len() - 1
    }

    /// What comes about next, up to a moment.
    pub(crate) fn next(&mut self, until: Time) -> Option<Happening> {
        if self.queue.peek().is_none_or(|Reverse(entry)| entry.0 > until) {
            return None;
        }
        let Reverse(Entry(at, _, happening)) = self.queue.pop()?;
        self.now = self.now.max(at);
        Some(happening)
    }

    pub(crate) fn at(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse(Entry(at.max(self.now), self.sequence, happening)));
    }

    fn arrives(&mut self, at: Time, conn: ConnId, end: End, what: Arrival) {
        self.at(at, Happening::Arrives { conn, at: end, what });
    }

    fn delay(&mut self, conn: ConnId) -> Time {
        let Quality { delay, jitter, .. } = self.conns[conn].quality;
        self.now + delay + self.rng.below(jitter)
    }

    /// Opens a stream; a bidirectional one has two halves.
    pub(crate) fn open(&mut self, conn: ConnId, by: End, bidirectional: bool) -> Wire {
        let now = self.now;
        let Conn { quality, next_wire, halves, .. } = &mut self.conns[conn];
        *next_wire += 1;
        for end in [by, 1 - by].into_iter().take(if bidirectional { 2 } else { 1 }) {
            let half = Half {
                credit: quality.window,
                last: now,
                ended: false,
                unread: VecDeque::new(),
                finished: false,
                reset: false,
                broken: false,
            };
            halves.insert((*next_wire, end), half);
        }
        *next_wire
    }

    pub(crate) fn is_bidirectional(&self, conn: ConnId, wire: Wire) -> bool {
        (0..2).all(|end| self.conns[conn].halves.contains_key(&(wire, end)))
    }

    /// Sends as much as the window lets through. Gives how many bytes that is.
    pub(crate) fn write(&mut self, conn: ConnId, by: End, wire: Wire, data: &Bytes) -> usize {
        let Some(half) = self.conns[conn].halves.get_mut(&(wire, by)).filter(|half| !half.ended) else {
            return data.len();
        };
        let taken = data.len().min(half.credit);
        half.credit -= taken;
        let mut rest = data.slice(..taken);
        while !rest.is_empty() {
            let length = (1 + self.rng.below(self.conns[conn].quality.chunk) as usize).min(rest.len());
            let data = rest.split_to(length);
            self.fly(conn, by, wire, Arrival::Data { wire, data, fin: false });
        }
        taken
    }

    /// Ends what an end sends, behind all that was written.
    pub(crate) fn finish(&mut self, conn: ConnId, by: End, wire: Wire) {
        self.fly(conn, by, wire, Arrival::Data { wire, data: Bytes::new(), fin: true });
        if let Some(half) = self.conns[conn].halves.get_mut(&(wire, by)) {
            half.ended = true;
        }
    }

    /// Sends something that keeps the order of its stream.
    fn fly(&mut self, conn: ConnId, by: End, wire: Wire, what: Arrival) {
        let at = self.delay(conn);
        let Some(half) = self.conns[conn].halves.get_mut(&(wire, by)).filter(|half| !half.ended) else {
            return;
        };
        half.last = half.last.max(at);
        let at = half.last;
        self.arrives(at, conn, 1 - by, what);
    }

    /// Ends what an end sends at once: it may overtake what was written.
    pub(crate) fn reset(&mut self, conn: ConnId, by: End, wire: Wire, code: u64) {
        let at = self.delay(conn);
        if let Some(half) = self.conns[conn].halves.get_mut(&(wire, by))
            && !half.reset
        {
            (half.ended, half.reset) = (true, true);
            self.arrives(at, conn, 1 - by, Arrival::Reset { wire, code });
        }
    }

    /// Reads no more of what the other end sends.
    pub(crate) fn stop(&mut self, conn: ConnId, by: End, wire: Wire, code: u64) {
        let at = self.delay(conn);
        if self.conns[conn].halves.contains_key(&(wire, 1 - by)) {
            self.arrives(at, conn, 1 - by, Arrival::Stopped { wire, code });
        }
    }

    pub(crate) fn datagram(&mut self, conn: ConnId, by: End, data: Bytes) {
        if !self.rng.once_in(self.conns[conn].quality.loss) {
            let at = self.delay(conn);
            self.arrives(at, conn, 1 - by, Arrival::Datagram(data));
        }
    }

    /// Nothing more comes to this end, and the other hears of it.
    pub(crate) fn close(&mut self, conn: ConnId, by: End, code: u64, reason: String) {
        let was_over = std::mem::replace(&mut self.conns[conn].over[by], true);
        if !was_over {
            // What was said before a close may come too late, or not.
            let before = if self.rng.once_in(3) { 0 } else { self.last(conn, by) };
            let at = self.delay(conn).max(before);
            self.arrives(at, conn, 1 - by, Arrival::Closed { code, reason });
        }
    }

    /// When all that an end has sent has arrived.
    fn last(&self, conn: ConnId, by: End) -> Time {
        let sent = self.conns[conn].halves.iter().filter(|((_, end), _)| *end == by);
        sent.map(|(_, half)| half.last).max().unwrap_or(0)
    }

    /// The connection breaks: each end finds out by itself.
    pub(crate) fn lose(&mut self, conn: ConnId) {
        for end in 0..2 {
            let at = self.now + self.rng.below(3 * SECOND);
            self.arrives(at, conn, end, Arrival::Lost);
        }
    }

    /// Takes in what has arrived. Says whether the end is to hear of it.
    pub(crate) fn receive(&mut self, conn: ConnId, at: End, what: &Arrival) -> bool {
        if self.conns[conn].over[at] {
            return false;
        }
        let acknowledged = self.delay(conn);
        let Conn { over, halves, .. } = &mut self.conns[conn];
        match what {
            Arrival::Data { wire, data, fin } => {
                let Some(half) = halves.get_mut(&(*wire, 1 - at)).filter(|half| !half.broken) else {
                    return false;
                };
                half.unread.extend((!data.is_empty()).then(|| data.clone()));
                half.finished = *fin;
                if *fin {
                    self.arrives(acknowledged, conn, 1 - at, Arrival::Acknowledged { wire: *wire });
                }
            }
            Arrival::Reset { wire, .. } => {
                // Once all has arrived a reset changes nothing.
                let Some(half) = halves.get_mut(&(*wire, 1 - at)).filter(|half| !half.finished) else {
                    return false;
                };
                half.unread.clear();
                half.broken = true;
            }
            Arrival::Credit { wire, bytes } => {
                if let Some(half) = halves.get_mut(&(*wire, at)) {
                    half.credit += bytes;
                }
            }
            Arrival::Closed { .. } | Arrival::Lost => over[at] = true,
            _ => {}
        }
        true
    }

    /// Reads what has arrived on a stream.
    pub(crate) fn read(&mut self, conn: ConnId, at: End, wire: Wire) -> Read {
        let credit = self.delay(conn);
        let Some(half) = self.conns[conn].halves.get_mut(&(wire, 1 - at)) else { return Read::Nothing };
        match half.unread.pop_front() {
            Some(data) => {
                let bytes = data.len();
                self.arrives(credit, conn, 1 - at, Arrival::Credit { wire, bytes });
                Read::Data(data)
            }
            None if half.finished => Read::Finished,
            None => Read::Nothing,
        }
    }
}
