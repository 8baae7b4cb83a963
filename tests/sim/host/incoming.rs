//! What arrives at an end: bytes become messages, openings and objects.

use std::collections::VecDeque;

use bytes::Bytes;
use moqingbird::session::{Fact, Input, Lost, StreamEnd, StreamId};
use moqingbird::wire::model::ResetCode;
use moqingbird::wire::stream::{FetchStreamItem, OpeningReader, ReadError, SubgroupItem};

use super::{Host, In, Item, Kind, Out, Scene};
use crate::net::{Arrival, Read, Wire};

impl Host {
    pub(crate) fn arrives(&mut self, scene: &mut Scene, what: Arrival) {
        if self.closed.is_some() || !scene.net.receive(self.conn, self.end, &what) {
            return;
        }
        match what {
            Arrival::Data { wire, .. } => {
                let stream = self.stream(scene, wire);
                self.read(scene, stream);
            }
            Arrival::Reset { wire, code } => {
                let stream = self.stream(scene, wire);
                self.reset_arrived(scene, stream, code);
            }
            Arrival::Stopped { wire, code } => self.stopped(scene, wire, code),
            Arrival::Credit { wire, .. } => {
                if let Some(stream) = self.streams.get(&wire).copied() {
                    self.pump(scene, stream);
                }
            }
            Arrival::Acknowledged { wire } => {
                let Some(stream) = self.streams.get(&wire).copied() else { return };
                if let Some(out) = self.out.remove(&stream)
                    && !out.is_lane
                {
                    self.handle(scene, Input::DataSettled { stream, how: StreamEnd::Finished });
                }
            }
            Arrival::Datagram(data) => self.handle(scene, Input::Datagram(data)),
            Arrival::Closed { code, reason } => self.lost(scene, Some(code), reason),
            Arrival::Lost => self.lost(scene, None, "the network is gone".into()),
        }
    }

    fn lost(&mut self, scene: &mut Scene, code: Option<u64>, reason: String) {
        self.handle(scene, Input::Lost(Lost { code, reason }));
        self.over(None);
    }

    pub(super) fn over(&mut self, code: Option<u64>) {
        self.closed.get_or_insert(code);
        self.out.clear();
        self.inn.clear();
    }

    /// The stream of this number; one that is not known the peer has opened.
    fn stream(&mut self, scene: &mut Scene, wire: Wire) -> StreamId {
        if let Some(stream) = self.streams.get(&wire) {
            return *stream;
        }
        let stream = self.session.new_stream();
        self.wires.insert(stream, wire);
        self.streams.insert(wire, stream);
        let kind = if scene.net.is_bidirectional(self.conn, wire) {
            self.out.insert(stream, Out { queue: VecDeque::new(), fin: false, is_lane: true, waits: false });
            Kind::Lane
        } else {
            Kind::Opening(OpeningReader::new())
        };
        self.inn.insert(stream, In { kind, reset: None, paused: false });
        stream
    }

    fn reset_arrived(&mut self, scene: &mut Scene, stream: StreamId, code: u64) {
        let Some(it) = self.inn.get_mut(&stream) else { return };
        match &mut it.kind {
            Kind::Lane => {
                self.inn.remove(&stream);
                self.handle(scene, Input::LaneReset { stream, code });
            }
            // Nobody knows whose it is.
            Kind::Opening(_) => {
                self.inn.remove(&stream);
            }
            // It is noticed when it is read.
            Kind::Held { .. } => it.reset = Some(code),
            Kind::Subgroup { .. } | Kind::Fetch { .. } => self.ended(scene, stream, StreamEnd::Reset(code)),
        }
    }

    fn stopped(&mut self, scene: &mut Scene, wire: Wire, code: u64) {
        let Some(stream) = self.streams.get(&wire).copied() else { return };
        let Some(out) = self.out.remove(&stream) else { return };
        if out.is_lane {
            self.handle(scene, Input::LaneStopped { stream, code });
        } else {
            scene.net.reset(self.conn, self.end, wire, code);
            self.inbox.push_back(Item::Unwritable { stream });
            self.handle(scene, Input::DataSettled { stream, how: StreamEnd::Stopped(code) });
        }
    }

    /// Reads on where an application had paused.
    pub(crate) fn resume(&mut self, scene: &mut Scene, stream: StreamId) {
        if let Some(it) = self.inn.get_mut(&stream) {
            it.paused = false;
            self.read(scene, stream);
        }
    }

    pub(crate) fn resume_all(&mut self, scene: &mut Scene) {
        let all: Vec<_> = self.inn.keys().copied().collect();
        for stream in all {
            self.resume(scene, stream);
        }
    }

    pub(crate) fn pause(&mut self, stream: StreamId) {
        if let Some(it) = self.inn.get_mut(&stream) {
            it.paused = true;
        }
    }

    pub(super) fn read(&mut self, scene: &mut Scene, stream: StreamId) {
        let Some(&wire) = self.wires.get(&stream) else { return };
        while let Some(it) = self.inn.get_mut(&stream).filter(|it| !it.paused) {
            if matches!(it.kind, Kind::Held { .. })
                || (matches!(it.kind, Kind::Lane) && self.session.congested())
            {
                return;
            }
            let (data, fin) = match scene.net.read(self.conn, self.end, wire) {
                Read::Data(data) => (data, false),
                Read::Finished => (Bytes::new(), true),
                Read::Nothing => return,
            };
            match &mut it.kind {
                Kind::Lane => {
                    if fin {
                        self.inn.remove(&stream);
                    }
                    self.handle(scene, Input::Lane { stream, data, fin });
                }
                Kind::Opening(reader) => {
                    reader.push(data);
                    if fin {
                        reader.finish();
                    }
                    self.opening(scene, stream);
                }
                Kind::Subgroup { reader, .. } => {
                    reader.push(data);
                    if fin {
                        reader.finish();
                    }
                    self.items(scene, stream);
                }
                Kind::Fetch { reader, .. } => {
                    reader.push(data);
                    if fin {
                        reader.finish();
                    }
                    self.items(scene, stream);
                }
                Kind::Held { .. } => return,
            }
            if fin {
                return;
            }
        }
    }

    fn opening(&mut self, scene: &mut Scene, stream: StreamId) {
        let Some(In { kind: Kind::Opening(reader), .. }) = self.inn.get_mut(&stream) else { return };
        match reader.next_opening(self.draft) {
            Ok(None) => {}
            Ok(Some(opening)) => {
                let leftover = std::mem::take(reader).into_leftover();
                let pinned = leftover.chunks() * 1_200;
                let kind = Kind::Held { opening: opening.clone(), leftover, since: scene.net.now };
                self.inn.insert(stream, In { kind, reset: None, paused: false });
                self.handle(scene, Input::Data { stream, opening, pinned });
            }
            Err(error) => self.handle(scene, Input::Violation(error)),
        }
    }

    /// Hands on what the reader of a data stream gives, and tells the engine what it has to know.
    pub(super) fn items(&mut self, scene: &mut Scene, stream: StreamId) {
        let mut facts = Vec::new();
        loop {
            let Some(it) = self.inn.get_mut(&stream) else { return };
            let (request, given) = match &mut it.kind {
                Kind::Subgroup { request, reader, witness } => {
                    let given = reader.next_item().map(|item| {
                        item.map(|item| {
                            match &item {
                                SubgroupItem::Object(object) => {
                                    witness.object(object, reader, |fact| facts.push(fact));
                                }
                                SubgroupItem::End { last, .. } => {
                                    witness.ended(Some(*last), |fact| facts.push(fact));
                                }
                                _ => {}
                            }
                            let is_end = matches!(item, SubgroupItem::End { .. });
                            (Item::Subgroup { stream, item }, is_end)
                        })
                    });
                    (*request, given)
                }
                Kind::Fetch { request, reader, witness } => {
                    let given = reader.next_item().map(|item| {
                        item.map(|item| {
                            let tell = |fact| facts.push(fact);
                            match &item {
                                FetchStreamItem::Object(object) => {
                                    witness.object(object, reader.gaps(), tell);
                                }
                                FetchStreamItem::EndOfRange { end, status } => {
                                    witness.end_of_range(*end, *status, tell);
                                }
                                FetchStreamItem::End => witness.ended(true, tell),
                                _ => {}
                            }
                            let is_end = matches!(item, FetchStreamItem::End);
                            (Item::Fetch { stream, item }, is_end)
                        })
                    });
                    (*request, given)
                }
                _ => return,
            };
            for fact in facts.drain(..) {
                self.handle(scene, Input::Fact { of: request, fact });
            }
            if !self.inn.contains_key(&stream) {
                // What it brought has shown that it is not wanted.
                return;
            }
            match given {
                Ok(Some((item, is_end))) => {
                    self.inbox.push_back(item);
                    if is_end {
                        self.inn.remove(&stream);
                        return self.handle(scene, Input::DataEnded { stream, how: StreamEnd::Finished });
                    }
                }
                Ok(None) => return,
                Err(ReadError::Violation(error)) => return self.handle(scene, Input::Violation(error)),
                Err(ReadError::MalformedTrack(rule)) => {
                    self.stop(scene, stream, ResetCode::Cancelled);
                    return self.handle(scene, Input::Fact { of: request, fact: Fact::Malformed(rule) });
                }
            }
        }
    }

    /// A delivered stream is read no further.
    pub(super) fn ended(&mut self, scene: &mut Scene, stream: StreamId, how: StreamEnd) {
        let mut facts = Vec::new();
        let request = match self.inn.remove(&stream).map(|it| it.kind) {
            Some(Kind::Subgroup { request, witness, .. }) => {
                witness.ended(None, |fact| facts.push(fact));
                request
            }
            Some(Kind::Fetch { request, mut witness, .. }) => {
                witness.ended(false, |fact| facts.push(fact));
                request
            }
            _ => return,
        };
        for fact in facts {
            self.handle(scene, Input::Fact { of: request, fact });
        }
        let reset = if let StreamEnd::Reset(code) = how { Some(code) } else { None };
        self.inbox.push_back(Item::Broken { stream, reset });
        self.handle(scene, Input::DataEnded { stream, how });
    }

    /// The application reads no more of a stream.
    pub(crate) fn stop(&mut self, scene: &mut Scene, stream: StreamId, code: ResetCode) {
        let code = self.draft.reset_code(code).unwrap_or_default();
        if let Some(wire) = self.wires.get(&stream)
            && self.inn.contains_key(&stream)
        {
            scene.net.stop(self.conn, self.end, *wire, code);
            self.ended(scene, stream, StreamEnd::Stopped(code));
        }
    }
}
