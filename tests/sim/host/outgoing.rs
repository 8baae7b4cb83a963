//! What leaves an end: streams that the application opens and writes, and what the engine wants done.

use std::collections::VecDeque;

use bytes::Bytes;
use moqingbird::session::{FetchWitness, Input, Misuse, Output, StreamEnd, StreamId, SubgroupWitness};
use moqingbird::wire::model::{Opening, RequestId, ResetCode, SubgroupId};
use moqingbird::wire::stream::{FetchReader, FetchWriter, SubgroupReader, SubgroupWriter};

use super::{Host, In, Item, Kind, Out, Scene};
use crate::oracle::SentStream;

impl Host {
    /// Opens a stream for a subgroup, and says its header.
    pub(crate) fn open_subgroup(
        &mut self,
        scene: &mut Scene,
        id: RequestId,
        group: u64,
        subgroup: SubgroupId,
        priority: u8,
        (extensions, end_of_group): (bool, bool),
    ) -> Result<(StreamId, SubgroupWriter), Misuse> {
        let opened = self.session.open_subgroup(id, group, subgroup, priority, extensions, end_of_group)?;
        *scene.oracle.opened.entry((self.conn, id)).or_default() += 1;
        let mut writer = SubgroupWriter::new(self.draft, opened.header);
        let opening = writer.opening().unwrap();
        self.begin(scene, opened.stream, opening);
        Ok((opened.stream, writer))
    }

    pub(crate) fn open_fetch(
        &mut self,
        scene: &mut Scene,
        id: RequestId,
        priority: u8,
    ) -> Result<(StreamId, FetchWriter), Misuse> {
        let opened = self.session.open_fetch(id, priority)?;
        let mut writer = FetchWriter::new(self.draft, id);
        let opening = writer.opening().unwrap();
        self.begin(scene, opened.stream, opening);
        Ok((opened.stream, writer))
    }

    fn begin(&mut self, scene: &mut Scene, stream: StreamId, opening: Bytes) {
        let wire = scene.net.open(self.conn, self.end, false);
        scene.oracle.streams.entry((self.conn, wire)).or_default();
        self.wires.insert(stream, wire);
        self.streams.insert(wire, stream);
        self.out.insert(stream, Out { queue: VecDeque::new(), fin: false, is_lane: false, waits: false });
        self.drain(scene);
        self.send(scene, stream, opening);
    }

    /// What was sent on the stream that arrives here, or leaves here, under this number.
    pub(crate) fn sent<'a>(&self, scene: &'a mut Scene, stream: StreamId) -> Option<&'a mut SentStream> {
        let wire = self.wires.get(&stream)?;
        scene.oracle.streams.get_mut(&(self.conn, *wire))
    }

    pub(crate) fn is_writable(&self, stream: StreamId) -> bool {
        self.out.get(&stream).is_some_and(|out| !out.fin)
    }

    /// Whether what was sent on a stream has left.
    pub(crate) fn is_drained(&self, stream: StreamId) -> bool {
        self.out.get(&stream).is_none_or(|out| out.queue.is_empty())
    }

    pub(crate) fn send(&mut self, scene: &mut Scene, stream: StreamId, data: Bytes) {
        if let Some(out) = self.out.get_mut(&stream)
            && !data.is_empty()
        {
            out.queue.push_back(data);
            self.pump(scene, stream);
        }
    }

    pub(crate) fn finish(&mut self, scene: &mut Scene, stream: StreamId) {
        if let Some(out) = self.out.get_mut(&stream).filter(|out| !out.fin) {
            out.fin = true;
            self.pump(scene, stream);
        }
    }

    pub(crate) fn reset(&mut self, scene: &mut Scene, stream: StreamId, code: ResetCode) {
        let code = self.draft.reset_code(code).unwrap_or_default();
        if self.out.remove(&stream).is_some() {
            scene.net.reset(self.conn, self.end, self.wires[&stream], code);
            self.handle(scene, Input::DataSettled { stream, how: StreamEnd::Reset(code) });
        }
    }

    /// Hands to the network what it takes.
    pub(super) fn pump(&mut self, scene: &mut Scene, stream: StreamId) {
        let (Some(out), Some(&wire)) = (self.out.get_mut(&stream), self.wires.get(&stream)) else { return };
        let mut taken = 0;
        while let Some(front) = out.queue.front_mut() {
            let written = scene.net.write(self.conn, self.end, wire, front);
            taken += written;
            if written < front.len() {
                bytes::Buf::advance(front, written);
                break;
            }
            out.queue.pop_front();
        }
        if out.queue.is_empty() && out.fin {
            scene.net.finish(self.conn, self.end, wire);
        }
        if out.is_lane {
            self.session.wrote(taken);
            return self.read_lanes(scene);
        }
        // What is finished waits for its acknowledgement.
        match (out.queue.is_empty() && !out.fin, std::mem::replace(&mut out.waits, !out.queue.is_empty())) {
            (true, true) => self.handle(scene, Input::DataTaken { stream }),
            (false, _) => self.handle(scene, Input::DataWaits { stream }),
            _ => {}
        }
    }

    /// Control messages that were not read while too many answers waited.
    fn read_lanes(&mut self, scene: &mut Scene) {
        if !self.session.congested() {
            let lanes = self.inn.iter().filter(|(_, it)| matches!(it.kind, Kind::Lane));
            let lanes: Vec<_> = lanes.map(|(stream, _)| *stream).collect();
            for stream in lanes {
                self.read(scene, stream);
            }
        }
    }

    /// Does what the engine wants.
    pub(crate) fn drain(&mut self, scene: &mut Scene) {
        while let Some(output) = self.session.poll_output() {
            self.obey(scene, output);
        }
    }

    fn obey(&mut self, scene: &mut Scene, output: Output) {
        match output {
            Output::OpenLane { stream } => {
                let wire = scene.net.open(self.conn, self.end, true);
                self.wires.insert(stream, wire);
                self.streams.insert(wire, stream);
                self.out
                    .insert(stream, Out { queue: VecDeque::new(), fin: false, is_lane: true, waits: false });
                self.inn.insert(stream, In { kind: Kind::Lane, reset: None, paused: false });
            }
            Output::Write { stream, data, fin } => {
                scene.oracle.note_bytes(&data);
                self.control.get_or_insert(stream);
                match self.out.get_mut(&stream) {
                    Some(out) => {
                        out.queue.push_back(data);
                        out.fin |= fin;
                        self.pump(scene, stream);
                    }
                    None => self.session.wrote(data.len()),
                }
            }
            Output::Reset { stream, code } => {
                if let (Some(out), Some(wire)) = (self.out.remove(&stream), self.wires.get(&stream)) {
                    scene.net.reset(self.conn, self.end, *wire, code);
                    if !out.is_lane {
                        self.inbox.push_back(Item::Unwritable { stream });
                        self.session
                            .handle(scene.now(), Input::DataSettled { stream, how: StreamEnd::Reset(code) });
                    }
                }
            }
            Output::Stop { stream, code } => {
                let (Some(it), Some(wire)) = (self.inn.remove(&stream), self.wires.get(&stream)) else {
                    return;
                };
                scene.net.stop(self.conn, self.end, *wire, code);
                self.inbox.push_back(match it.kind {
                    Kind::Held { opening, .. } => Item::Refused { opening },
                    _ => Item::Broken { stream, reset: None },
                });
            }
            Output::Deliver { stream, to } => self.deliver(scene, stream, to),
            Output::Datagram { to, datagram } => self.inbox.push_back(Item::Datagram { to, datagram }),
            Output::Priority { stream, order } => {
                scene.oracle.note(stream.number() ^ u64::from(order.unsigned_abs()) << 20);
            }
            Output::Trace(trace) => scene.oracle.trace(self.conn, self.end, &trace),
            Output::Event(event) => self.inbox.push_back(Item::Event(event)),
            Output::Close { code, reason } => {
                scene.net.close(self.conn, self.end, code, reason);
                self.over(Some(code));
            }
            other => scene.oracle.fail(format!("what is {other:?}?")),
        }
    }

    fn deliver(&mut self, scene: &mut Scene, stream: StreamId, to: RequestId) {
        let Some(In { kind: Kind::Held { opening, leftover, .. }, reset, .. }) = self.inn.remove(&stream)
        else {
            return scene.oracle.fail(format!("{stream:?} is delivered and was not held"));
        };
        self.inbox.push_back(Item::Stream { stream, to, opening: opening.clone() });
        let kind = match &opening {
            Opening::Subgroup(header) => Kind::Subgroup {
                request: to,
                reader: Box::new(SubgroupReader::new(self.draft, *header, leftover)),
                witness: SubgroupWitness::new(header),
            },
            Opening::Fetch(id) => Kind::Fetch {
                request: to,
                reader: Box::new(FetchReader::new(self.draft, *id, None, leftover)),
                witness: FetchWitness::new(),
            },
            _ => return,
        };
        self.inn.insert(stream, In { kind, reset: None, paused: false });
        match reset {
            Some(code) => self.ended(scene, stream, StreamEnd::Reset(code)),
            None => {
                self.items(scene, stream);
                self.read(scene, stream);
            }
        }
    }

    /// Says something on the control stream past the engine, as only somebody without manners does.
    pub(crate) fn blurt(&mut self, scene: &mut Scene, data: Bytes) {
        if let Some(control) = self.control {
            self.send(scene, control, data);
        }
    }

    /// Opens a stream past the engine.
    pub(crate) fn intrude(&mut self, scene: &mut Scene, bidirectional: bool, data: &Bytes, fin: bool) {
        let wire = scene.net.open(self.conn, self.end, bidirectional);
        scene.net.write(self.conn, self.end, wire, data);
        if fin {
            scene.net.finish(self.conn, self.end, wire);
        }
    }
}
