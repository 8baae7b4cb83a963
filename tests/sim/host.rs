//! One end of a session: an engine, its streams, and the real readers of data streams. It moves bytes as a driver does, and
//! decides nothing.

mod incoming;
mod outgoing;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use moqingbird::session::{
    Config, Event, FetchWitness, Input, Instant, Session, Side, StreamId, SubgroupWitness,
};
use moqingbird::wire::Draft;
use moqingbird::wire::model::{Datagram, Opening, RequestId};
use moqingbird::wire::stream::{
    FetchReader, FetchStreamItem, OpeningReader, Stash, SubgroupItem, SubgroupReader,
};

use crate::net::{ConnId, End, Net, Time, Wire};
use crate::oracle::Oracle;

/// What everything happens in.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) net: Net,
    pub(crate) oracle: Oracle,
}

impl Scene {
    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.net.now)
    }
}

/// What an application is given.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Event),
    Stream {
        stream: StreamId,
        to: RequestId,
        opening: Opening,
    },
    Subgroup {
        stream: StreamId,
        item: SubgroupItem,
    },
    Fetch {
        stream: StreamId,
        item: FetchStreamItem,
    },
    /// A stream of the peer's is refused: nobody wants it.
    Refused {
        opening: Opening,
    },
    /// A stream of the peer's will not be read to its end: it was reset, with this code, or is stopped here.
    Broken {
        stream: StreamId,
        reset: Option<u64>,
    },
    Datagram {
        to: RequestId,
        datagram: Datagram,
    },
    /// A stream of ours takes nothing more.
    Unwritable {
        stream: StreamId,
    },
}

#[derive(Debug)]
struct Out {
    queue: VecDeque<Bytes>,
    fin: bool,
    is_lane: bool,
    waits: bool,
}

#[derive(Debug)]
struct In {
    kind: Kind,
    reset: Option<u64>,
    paused: bool,
}

#[derive(Debug)]
enum Kind {
    Lane,
    Opening(OpeningReader),
    Held { opening: Opening, leftover: Stash, since: Time },
    Subgroup { request: RequestId, reader: Box<SubgroupReader>, witness: SubgroupWitness },
    Fetch { request: RequestId, reader: Box<FetchReader>, witness: FetchWitness },
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) session: Session,
    pub(crate) draft: &'static dyn Draft,
    pub(crate) config: Config,
    pub(crate) conn: ConnId,
    pub(crate) end: End,
    pub(crate) inbox: VecDeque<Item>,
    /// The code with which the engine closed.
    pub(crate) closed: Option<Option<u64>>,
    pub(crate) control: Option<StreamId>,
    wires: BTreeMap<StreamId, Wire>,
    streams: BTreeMap<Wire, StreamId>,
    out: BTreeMap<StreamId, Out>,
    inn: BTreeMap<StreamId, In>,
}

impl Host {
    pub(crate) fn new(
        draft: &'static dyn Draft,
        conn: ConnId,
        end: End,
        config: Config,
        scene: &mut Scene,
    ) -> Self {
        let side = if end == 0 { Side::Client } else { Side::Server };
        let mut host = Self {
            session: Session::new(draft, side, config.clone(), scene.now()),
            draft,
            config,
            conn,
            end,
            inbox: VecDeque::new(),
            closed: None,
            control: None,
            wires: BTreeMap::new(),
            streams: BTreeMap::new(),
            out: BTreeMap::new(),
            inn: BTreeMap::new(),
        };
        host.drain(scene);
        host
    }

    /// Calls into the engine and does what it wants.
    pub(crate) fn run<T>(&mut self, scene: &mut Scene, call: impl FnOnce(&mut Session, Instant) -> T) -> T {
        let result = call(&mut self.session, scene.now());
        self.drain(scene);
        result
    }

    pub(crate) fn handle(&mut self, scene: &mut Scene, input: Input) {
        self.run(scene, |session, now| session.handle(now, input));
    }

    /// Whether the application is about to hear that a request of the peer is over, or the session.
    pub(crate) fn is_withdrawn(&self, id: RequestId) -> bool {
        self.closed.is_some()
            || self
                .inbox
                .iter()
                .any(|item| matches!(item, Item::Event(Event::Cancelled { id: it }) if *it == id))
    }

    /// How many streams of ours are not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.out.values().filter(|out| !out.is_lane).count()
    }

    /// A stream that has waited for the engine's word for longer than it may.
    pub(crate) fn forgotten(&self, now: Time) -> Option<StreamId> {
        let patience = self.config.held_timeout.as_micros() as Time + 1;
        self.inn.iter().find_map(|(stream, it)| match it.kind {
            Kind::Held { since, .. } if since + patience < now => Some(*stream),
            _ => None,
        })
    }

    /// What is left: nothing but the control stream, after everything has ended.
    pub(crate) fn leftovers(&self) -> Option<String> {
        let streams: Vec<_> = self.inn.iter().filter(|(_, it)| !matches!(it.kind, Kind::Lane)).collect();
        match (streams.is_empty() && self.unsettled() == 0, self.session.is_idle()) {
            (true, true) => None,
            (true, false) => Some(format!("the engine is not idle: {:?}", self.session.footprint())),
            _ => Some(format!("streams are left: {streams:?}, {:?}", self.out)),
        }
    }
}
