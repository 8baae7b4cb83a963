//! Bidirectional streams: the control stream, and in some drafts streams of a request's own.
//!
//! Which stream is which is found by its first message, never by the order in which streams arrive: QUIC promises none.
//!
//! ```text
//! opened by us:       Control | Ours(id)
//! opened by the peer: New ── CLIENT_SETUP ──▶ Control
//!                     New ── request ──▶ Theirs(id)
//!                     New ── request before SETUP ──▶ Held ── SETUP ──▶ Theirs(id)
//! ```

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use moqingbird_wire::model::{Message, Request, RequestId, RequestKind};
use moqingbird_wire::{Assembler, Carriage, DecodeError, Fault};

use super::timers::Timer;
use super::{Checked, Direction, Instant, Output, Phase, Session, Side, StreamId, Trace, Violation};

/// How many messages a stream may bring before SETUP.
const MAX_HELD_MESSAGES: usize = 4;
/// How many ended streams are remembered, so that what a driver read just before the end is not taken for a new one.
const MAX_ENDED: usize = 256;

#[derive(Debug)]
pub(super) enum Role {
    New,
    Held(Vec<Message>),
    Control,
    Ours(RequestId),
    Theirs(RequestId),
}

#[derive(Debug)]
struct Lane {
    role: Role,
    assembler: Assembler,
    /// Whether the peer has finished its half.
    finished: bool,
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    open: BTreeMap<StreamId, Lane>,
    control: Option<StreamId>,
    ended: VecDeque<StreamId>,
}

impl Lanes {
    pub(super) fn control(&self) -> Option<StreamId> {
        self.control
    }

    pub(super) fn open(&mut self, stream: StreamId, role: Role) {
        if matches!(role, Role::Control) {
            self.control = Some(stream);
        }
        self.open.insert(stream, Lane { role, assembler: Assembler::new(), finished: false });
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether only the control stream is open.
    pub(super) fn is_idle(&self) -> bool {
        self.open.len() == usize::from(self.control.is_some())
    }

    fn set_role(&mut self, stream: StreamId, role: Role) {
        if matches!(role, Role::Control) {
            self.control = Some(stream);
        }
        if let Some(lane) = self.open.get_mut(&stream) {
            lane.role = role;
        }
    }

    /// Streams of the peer that are not yet anything.
    fn unsorted(&self) -> usize {
        self.open.values().filter(|lane| matches!(lane.role, Role::New | Role::Held(_))).count()
    }

    fn forget(&mut self, stream: StreamId) {
        self.open.remove(&stream);
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(stream);
    }
}

impl Session {
    pub(super) fn lane_received(
        &mut self,
        now: Instant,
        stream: StreamId,
        data: Bytes,
        fin: bool,
    ) -> Checked {
        if self.lanes.ended.contains(&stream) {
            return Ok(());
        }
        if !self.lanes.open.contains_key(&stream) && !self.lane_opened(now, stream)? {
            return Ok(());
        }
        if let Some(lane) = self.lanes.open.get_mut(&stream) {
            lane.assembler.push(data);
        }
        while let Some(frame) = self.lanes.open.get_mut(&stream).and_then(|lane| lane.assembler.next_frame())
        {
            if self.is_registered_message(frame.kind) {
                self.other_message(stream, frame)?;
                continue;
            }
            let message = self.draft.decode_control(&frame)?;
            self.trace(|| Trace::Message {
                direction: Direction::Received,
                stream,
                message: Box::new(message.clone()),
            });
            self.lane_message(now, stream, message)?;
        }
        if fin { self.lane_finished(now, stream) } else { Ok(()) }
    }

    /// The peer reset its half or stopped reading ours. A stream ends as a whole.
    pub(super) fn lane_broken(&mut self, now: Instant, stream: StreamId) -> Checked {
        let Some(lane) = self.lanes.open.get(&stream) else { return Ok(()) };
        match lane.role {
            Role::Control => Err(control_closed()),
            // What was not understood yet never was a request.
            Role::New | Role::Held(_) => {
                self.drop_lane(stream);
                Ok(())
            }
            Role::Theirs(id) => {
                self.close_lane(stream);
                self.prefix_withdrawn(now, id)
            }
            Role::Ours(id) => {
                self.close_lane(stream);
                self.prefix_lost(now, id)
            }
        }
    }

    /// Takes notice of a stream of the peer. Says whether it may stay.
    fn lane_opened(&mut self, now: Instant, stream: StreamId) -> Checked<bool> {
        if self.rules.namespace_carriage == Carriage::Control && self.lanes.control.is_some() {
            return Err(Violation::protocol("the control stream is the only bidirectional stream"));
        }
        self.lanes.open(stream, Role::New);
        // One more than are held, since the control stream is new before its first message.
        if self.lanes.unsorted() > self.config.max_held_streams + usize::from(self.lanes.control.is_none()) {
            self.drop_lane(stream);
            return Ok(false);
        }
        self.timers.set(Timer::Lane(stream), now + self.config.setup_timeout);
        Ok(true)
    }

    fn lane_message(&mut self, now: Instant, stream: StreamId, message: Message) -> Checked {
        let Some(lane) = self.lanes.open.get_mut(&stream) else { return Ok(()) };
        match &mut lane.role {
            Role::New => self.first_message(now, stream, message),
            Role::Held(messages) if messages.len() < MAX_HELD_MESSAGES => {
                messages.push(message);
                Ok(())
            }
            Role::Held(_) => {
                self.drop_lane(stream);
                Ok(())
            }
            Role::Control if self.phase == Phase::Established => self.control_message(now, message),
            Role::Control => match message {
                Message::ServerSetup(setup) if self.side == Side::Client => self.server_setup(now, setup),
                _ => Err(Violation::protocol("the first message is not SETUP")),
            },
            &mut Role::Ours(id) => self.prefix_message(now, stream, id, message),
            Role::Theirs(_) => match message {
                Message::RequestUpdate { id, target, update } => {
                    self.update_received(now, Some(stream), id, target, update)
                }
                _ => Err(Violation::protocol("a request's own stream carries one request")),
            },
        }
    }

    fn first_message(&mut self, now: Instant, stream: StreamId, message: Message) -> Checked {
        match message {
            Message::ClientSetup(setup) if self.side == Side::Server && self.lanes.control.is_none() => {
                self.timers.clear(Timer::Lane(stream));
                self.lanes.set_role(stream, Role::Control);
                self.client_setup(now, setup)
            }
            Message::Request { id, request }
                if request.kind() == RequestKind::SubscribeNamespace
                    && self.rules.namespace_carriage == Carriage::OwnStream =>
            {
                if self.phase == Phase::Established {
                    self.own_stream_request(now, stream, id, request)
                } else {
                    // draft-16 §3.3: such streams SHOULD be buffered until SETUP is done.
                    self.timers.set(Timer::Lane(stream), now + self.config.held_timeout);
                    self.lanes.set_role(stream, Role::Held(vec![Message::Request { id, request }]));
                    Ok(())
                }
            }
            _ if self.phase == Phase::Established => Err(Violation::protocol(
                "a bidirectional stream begins with a message that may not begin one",
            )),
            _ => Err(Violation::protocol("the first message is not SETUP")),
        }
    }

    fn own_stream_request(
        &mut self,
        now: Instant,
        stream: StreamId,
        id: RequestId,
        request: Request,
    ) -> Checked {
        self.timers.clear(Timer::Lane(stream));
        self.lanes.set_role(stream, Role::Theirs(id));
        self.request_received(now, Some(stream), id, request)
    }

    /// SETUP is done: what was held is heard now.
    pub(super) fn release_lanes(&mut self, now: Instant) -> Checked {
        let held: Vec<StreamId> = self
            .lanes
            .open
            .iter()
            .filter(|(_, lane)| matches!(lane.role, Role::Held(_)))
            .map(|(stream, _)| *stream)
            .collect();
        for stream in held {
            let Some(lane) = self.lanes.open.get_mut(&stream) else { continue };
            let Role::Held(messages) = std::mem::replace(&mut lane.role, Role::New) else { continue };
            let finished = lane.finished;
            for message in messages {
                self.lane_message(now, stream, message)?;
            }
            if finished {
                self.lane_finished(now, stream)?;
            }
        }
        Ok(())
    }

    fn lane_finished(&mut self, now: Instant, stream: StreamId) -> Checked {
        let Some(lane) = self.lanes.open.get_mut(&stream) else { return Ok(()) };
        lane.finished = true;
        if !lane.assembler.is_empty() {
            return Err(DecodeError::new("control message", Fault::Incomplete, 0).into());
        }
        match lane.role {
            Role::Control => Err(control_closed()),
            Role::Held(_) => Ok(()),
            Role::New => {
                self.drop_lane(stream);
                Ok(())
            }
            Role::Theirs(id) => {
                self.finish_lane(stream);
                self.prefix_withdrawn(now, id)
            }
            Role::Ours(id) => {
                self.finish_lane(stream);
                self.prefix_lost(now, id)
            }
        }
    }

    /// Opens a stream for a request of ours.
    pub(super) fn open_lane(&mut self, id: RequestId) -> StreamId {
        let stream = self.new_stream();
        self.lanes.open(stream, Role::Ours(id));
        self.outputs.push_back(Output::OpenLane { stream });
        stream
    }

    /// Ends a stream in good order: our half is finished, and what the peer still says is not heard.
    pub(super) fn finish_lane(&mut self, stream: StreamId) {
        self.lanes.forget(stream);
        self.write(stream, Bytes::new(), true);
    }

    /// Ends a stream whose other half is broken.
    fn close_lane(&mut self, stream: StreamId) {
        self.lanes.forget(stream);
        self.reset_stream(stream);
        self.stop_stream(stream);
    }

    /// Refuses a stream that is not understood, or held too long.
    pub(super) fn drop_lane(&mut self, stream: StreamId) {
        self.timers.clear(Timer::Lane(stream));
        self.close_lane(stream);
    }
}

fn control_closed() -> Violation {
    Violation::protocol("the control stream was closed")
}
