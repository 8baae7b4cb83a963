//! Two engines and all that is on its way between them, in memory and in simulated time.
//!
//! Each stream keeps its order; a shuffled pair delivers streams in any order among each other, and bytes in any cut.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use moqingbird::session::{
    Config, Event, Input, Instant, Lost, Misuse, OpenedFetch, OpenedStream, Output, Session, Side, StreamEnd,
    StreamId, Trace,
};
use moqingbird::wire::Draft;
use moqingbird::wire::buf::{Reader, Writer};
use moqingbird::wire::model::{Datagram, Opening, RequestId, SubgroupId};

use super::Rng;

/// Which end.
pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

/// One end: its engine, and what a driver and an application of it have seen.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) events: VecDeque<Event>,
    pub(crate) delivered: Vec<(StreamId, RequestId)>,
    pub(crate) datagrams: Vec<(RequestId, Datagram)>,
    pub(crate) stopped: Vec<StreamId>,
    pub(crate) reset: Vec<StreamId>,
    pub(crate) priorities: Vec<(StreamId, i32)>,
    pub(crate) traces: Vec<Trace>,
    wires: BTreeMap<StreamId, u64>,
    streams: BTreeMap<u64, StreamId>,
    /// Data streams whose end came before they were delivered.
    ended: BTreeMap<StreamId, StreamEnd>,
}

#[derive(Debug)]
enum Item {
    Lane(Bytes, bool),
    LaneReset(u64),
    LaneStopped(u64),
    Opening(Bytes),
    DataEnd(StreamEnd),
    DataStopped(u64),
    Datagram(Bytes),
    Close(u64, String),
}

#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) ends: [End; 2],
    draft: &'static dyn Draft,
    /// By receiver and stream.
    flying: BTreeMap<(usize, u64), VecDeque<(u64, Item)>>,
    sequence: u64,
    next_wire: u64,
    /// The streams that carry objects.
    data: BTreeSet<u64>,
    shuffle: Option<Rng>,
}

impl Pair {
    /// An established pair that delivers in order.
    pub(crate) fn new(draft: &'static dyn Draft) -> Self {
        Self::with(draft, Config::default(), Config::default())
    }

    pub(crate) fn with(draft: &'static dyn Draft, client: Config, server: Config) -> Self {
        let mut pair = Self::opening(draft, client, server, None);
        pair.run();
        for end in 0..2 {
            assert!(matches!(pair.event(end), Event::Established(_)));
        }
        pair
    }

    /// A pair of which nothing has been delivered yet. With a seed it is shuffled.
    pub(crate) fn opening(
        draft: &'static dyn Draft,
        client: Config,
        server: Config,
        seed: Option<u64>,
    ) -> Self {
        let now = Instant::from_micros(1_000_000);
        let end = |side, config| End {
            session: Session::new(draft, side, config, now),
            events: VecDeque::new(),
            delivered: Vec::new(),
            datagrams: Vec::new(),
            stopped: Vec::new(),
            reset: Vec::new(),
            priorities: Vec::new(),
            traces: Vec::new(),
            wires: BTreeMap::new(),
            streams: BTreeMap::new(),
            ended: BTreeMap::new(),
        };
        Self {
            now,
            ends: [end(Side::Client, client), end(Side::Server, server)],
            draft,
            flying: BTreeMap::new(),
            sequence: 0,
            next_wire: 10,
            data: BTreeSet::new(),
            shuffle: seed.map(Rng),
        }
    }

    pub(crate) fn session(&mut self, end: usize) -> &mut Session {
        &mut self.ends[end].session
    }

    /// The next event of an end, after everything has arrived.
    pub(crate) fn event(&mut self, end: usize) -> Event {
        self.run();
        self.ends[end].events.pop_front().expect("an event")
    }

    pub(crate) fn no_event(&mut self, end: usize) {
        self.run();
        assert!(self.ends[end].events.is_empty(), "{:?}", self.ends[end].events);
    }

    /// Asks from one end; gives the number, and takes the request's event at the other end.
    pub(crate) fn ask(&mut self, from: usize, request: moqingbird::wire::model::Request) -> RequestId {
        let now = self.now;
        let id = self.session(from).request(now, request).unwrap();
        match self.event(1 - from) {
            Event::Request { id: seen, .. } => assert_eq!(seen, id),
            other => panic!("{other:?}"),
        }
        id
    }

    /// Accepts at one end; takes the event at the other.
    pub(crate) fn accept(&mut self, end: usize, id: RequestId, response: moqingbird::wire::model::Response) {
        let now = self.now;
        self.session(end).accept(now, id, response).unwrap();
        match self.event(1 - end) {
            Event::Accepted { id: seen, .. } => assert_eq!(seen, id),
            other => panic!("{other:?}"),
        }
    }

    /// Opens a subgroup stream and sends its header.
    pub(crate) fn open(&mut self, end: usize, id: RequestId, group: u64) -> OpenedStream {
        self.try_open(end, id, group).unwrap()
    }

    pub(crate) fn try_open(&mut self, end: usize, id: RequestId, group: u64) -> Result<OpenedStream, Misuse> {
        let opened = self.session(end).open_subgroup(id, group, SubgroupId::Zero, 128, false, false)?;
        let mut w = Writer::new();
        self.draft.encode_opening(&Opening::Subgroup(opened.header), &mut w).unwrap();
        let wire = self.wire(end, opened.stream);
        self.data.insert(wire);
        self.fly(1 - end, wire, Item::Opening(w.take()));
        Ok(opened)
    }

    /// Opens the stream of a FETCH and sends its header.
    pub(crate) fn open_fetch(&mut self, end: usize, id: RequestId) -> OpenedFetch {
        let opened = self.session(end).open_fetch(id, 128).unwrap();
        let mut w = Writer::new();
        self.draft.encode_opening(&Opening::Fetch(opened.request_id), &mut w).unwrap();
        let wire = self.wire(end, opened.stream);
        self.data.insert(wire);
        self.fly(1 - end, wire, Item::Opening(w.take()));
        opened
    }

    /// Finishes a stream that [`Pair::open`] opened.
    pub(crate) fn finish(&mut self, end: usize, stream: StreamId) {
        let wire = self.wire(end, stream);
        self.fly(1 - end, wire, Item::DataEnd(StreamEnd::Finished));
    }

    pub(crate) fn send_datagram(&mut self, end: usize, data: Bytes) {
        self.next_wire += 1;
        self.fly(1 - end, self.next_wire, Item::Datagram(data));
    }

    /// Delivers all that flies, and what comes of it.
    pub(crate) fn run(&mut self) {
        while self.step() {}
    }

    /// Delivers one thing that flies. Says whether there was one.
    pub(crate) fn step(&mut self) -> bool {
        self.drain(CLIENT);
        self.drain(SERVER);
        let Some(at) = self.choose() else { return false };
        let Some(queue) = self.flying.get_mut(&at) else { return false };
        let (sequence, item) = queue.pop_front().unwrap();
        let item = match (item, &mut self.shuffle) {
            (Item::Lane(data, fin), Some(rng)) if data.len() > 1 => {
                let cut = 1 + rng.below(data.len());
                if cut < data.len() {
                    queue.push_front((sequence, Item::Lane(data.slice(cut..), fin)));
                    Item::Lane(data.slice(..cut), false)
                } else {
                    Item::Lane(data, fin)
                }
            }
            (item, _) => item,
        };
        if queue.is_empty() {
            self.flying.remove(&at);
        }
        self.deliver(at.0, at.1, item);
        true
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            self.run();
            let next = self.ends.iter().filter_map(|end| end.session.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            for end in &mut self.ends {
                end.session.handle(self.now, Input::Timeout);
            }
        }
        self.now = until;
    }

    pub(crate) fn assert_idle(&mut self) {
        self.run();
        for end in &self.ends {
            assert!(end.session.is_idle(), "{:#?}", end.session);
        }
    }

    fn choose(&mut self) -> Option<(usize, u64)> {
        match &mut self.shuffle {
            Some(rng) if !self.flying.is_empty() => {
                let index = rng.below(self.flying.len());
                self.flying.keys().nth(index).copied()
            }
            _ => self.flying.iter().min_by_key(|(_, queue)| queue[0].0).map(|(at, _)| *at),
        }
    }

    fn fly(&mut self, to: usize, wire: u64, item: Item) {
        self.sequence += 1;
        self.flying.entry((to, wire)).or_default().push_back((self.sequence, item));
    }

    fn wire(&mut self, end: usize, stream: StreamId) -> u64 {
        let End { wires, streams, .. } = &mut self.ends[end];
        *wires.entry(stream).or_insert_with(|| {
            self.next_wire += 1;
            streams.insert(self.next_wire, stream);
            self.next_wire
        })
    }

    fn stream(&mut self, end: usize, wire: u64) -> StreamId {
        let End { wires, streams, session, .. } = &mut self.ends[end];
        *streams.entry(wire).or_insert_with(|| {
            let stream = session.new_stream();
            wires.insert(stream, wire);
            stream
        })
    }

    fn deliver(&mut self, to: usize, wire: u64, item: Item) {
        let now = self.now;
        let input = match item {
            Item::Datagram(data) => Input::Datagram(data),
            Item::Close(code, reason) => Input::Lost(Lost { code: Some(code), reason }),
            Item::Lane(data, fin) => Input::Lane { stream: self.stream(to, wire), data, fin },
            Item::LaneReset(code) => Input::LaneReset { stream: self.stream(to, wire), code },
            Item::LaneStopped(code) => Input::LaneStopped { stream: self.stream(to, wire), code },
            Item::DataStopped(code) => {
                Input::DataSettled { stream: self.stream(to, wire), how: StreamEnd::Stopped(code) }
            }
            Item::Opening(bytes) => {
                let opening = self.draft.decode_opening(&mut Reader::new(&bytes)).unwrap();
                Input::Data { stream: self.stream(to, wire), opening, pinned: 0 }
            }
            Item::DataEnd(how) => {
                let (ours, theirs) = (self.stream(to, wire), self.stream(1 - to, wire));
                self.session(1 - to).handle(now, Input::DataSettled { stream: theirs, how });
                if !self.ends[to].delivered.iter().any(|(stream, _)| *stream == ours) {
                    self.ends[to].ended.insert(ours, how);
                    return;
                }
                Input::DataEnded { stream: ours, how }
            }
        };
        self.session(to).handle(now, input);
    }

    fn drain(&mut self, end: usize) {
        let now = self.now;
        while let Some(output) = self.ends[end].session.poll_output() {
            match output {
                Output::OpenLane { stream } => {
                    self.wire(end, stream);
                }
                Output::Write { stream, data, fin } => {
                    self.ends[end].session.wrote(data.len());
                    let wire = self.wire(end, stream);
                    self.fly(1 - end, wire, Item::Lane(data, fin));
                }
                Output::Reset { stream, code } => {
                    self.ends[end].reset.push(stream);
                    let wire = self.wire(end, stream);
                    let is_data = self.data.contains(&wire);
                    let item =
                        if is_data { Item::DataEnd(StreamEnd::Reset(code)) } else { Item::LaneReset(code) };
                    self.fly(1 - end, wire, item);
                }
                Output::Stop { stream, code } => {
                    self.ends[end].stopped.push(stream);
                    let wire = self.wire(end, stream);
                    let is_data = self.data.contains(&wire);
                    let item = if is_data { Item::DataStopped(code) } else { Item::LaneStopped(code) };
                    self.fly(1 - end, wire, item);
                }
                Output::Deliver { stream, to } => {
                    self.ends[end].delivered.push((stream, to));
                    if let Some(how) = self.ends[end].ended.remove(&stream) {
                        self.session(end).handle(now, Input::DataEnded { stream, how });
                    }
                }
                Output::Datagram { to, datagram } => self.ends[end].datagrams.push((to, datagram)),
                Output::Priority { stream, order } => self.ends[end].priorities.push((stream, order)),
                Output::Trace(trace) => self.ends[end].traces.push(trace),
                Output::Event(event) => self.ends[end].events.push_back(event),
                Output::Close { code, reason } => self.fly(1 - end, 0, Item::Close(code, reason)),
                other => panic!("{other:?}"),
            }
        }
    }
}
