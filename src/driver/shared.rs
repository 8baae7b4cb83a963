//! The engine behind its lock, and the carrying out of what it wants.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use moqingbird_wire::Draft;
use moqingbird_wire::model::{
    PublishDone, PublishDoneCode, RequestId, RequestOk, Response, SessionErrorCode, Setup, TrackNamespace,
};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::accept::Arrived;
use super::ending::{self, Ending, Endings};
use super::lane::{self, LaneHandle};
use super::listener::{End, Incoming, Listener, Listening, Note, Status};
use super::unread::Unread;
use super::{SendCell, timer};
use crate::log::{self, SessionLog};
use crate::session::{
    Ascending, Closed, Event, Input, Instant, Misuse, Output, Session, StreamEnd, StreamId,
};
use crate::transport::{CANCELLED, Connection, SendStream, TransportKind};

/// How many messages, and how many streams, of registered types wait for an application.
const MAX_REGISTERED: usize = 1024;
/// The most that one receive call gives: 64 KiB of packets in one buffer, which lives as long as any part of it.
const RECEIVE_BATCH: usize = 64 * 1024;

/// A session's engine and everything that its outputs name.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    pub(crate) draft: &'static dyn Draft,
    /// The types of streams beyond the draft's.
    pub(super) stream_types: Vec<u64>,
    started: tokio::time::Instant,
    /// Where tasks are spawned: handles may be dropped outside of any runtime.
    runtime: Handle,
    state: Mutex<State>,
    /// Wakes the timer when the next deadline has changed.
    pub(super) deadline_changed: Notify,
    /// Wakes lanes that wait for unsent control bytes to leave.
    pub(super) uncongested: Notify,
    /// Wakes whoever waits for the peer's requests.
    pub(crate) incoming: Notify,
    /// Wakes whoever waits for messages and streams of registered types.
    pub(crate) registered: Notify,
    /// Wakes whoever waits for the streams that we send on.
    settled: Notify,
    phase: watch::Sender<Phase>,
    /// The New Session URI of the peer's GOAWAY.
    pub(crate) goaway: watch::Sender<Option<Bytes>>,
    /// The peer's data streams that somebody reads, or should.
    pub(super) unread: Unread,
    /// Our data streams that have ended and are not acknowledged.
    pub(super) endings: Endings,
    /// How many tasks take in what the peer has sent.
    intakes: watch::Sender<usize>,
}

/// A task that takes in what the peer has sent, for as long as it does.
#[derive(Debug)]
pub(super) struct Intake(Arc<Shared>);

impl Drop for Intake {
    fn drop(&mut self) {
        self.0.intakes.send_modify(|count| *count -= 1);
    }
}

/// How far the session is.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// SETUP is under way.
    Connecting,
    /// The peer's SETUP has come.
    Established(Arc<Setup>),
    /// It is over.
    Closed(Closed),
}

#[derive(Debug)]
struct State {
    session: Session,
    log: Option<SessionLog>,
    deadline: Option<Instant>,
    lanes: HashMap<StreamId, LaneHandle>,
    /// The stream of which the engine is being told.
    arriving: Option<(StreamId, Box<Arrived>)>,
    held: HashMap<StreamId, Box<Arrived>>,
    sending: Ascending<StreamId, Arc<SendCell>>,
    listeners: HashMap<RequestId, Listener>,
    incoming: VecDeque<Incoming>,
    /// Messages and streams of registered types that nobody has taken yet.
    messages: VecDeque<(u64, Bytes)>,
    streams: VecDeque<(u64, Box<Arrived>)>,
    closed: Option<Closed>,
    /// When control bytes were last handed to the transport.
    written: tokio::time::Instant,
}

/// A data stream of the peer in its reader's hands.
#[derive(Debug)]
pub(crate) struct DataStream {
    pub(crate) stream: StreamId,
    /// The request to which it was delivered.
    pub(crate) request: RequestId,
    pub(crate) arrived: Box<Arrived>,
}

impl Shared {
    pub(super) fn new(
        connection: Connection,
        log: Option<SessionLog>,
        session: impl FnOnce(Instant) -> Session,
    ) -> Arc<Self> {
        let session = session(Instant::default());
        Arc::new(Self {
            unread: Unread::new(connection.receive_window()),
            endings: Endings::default(),
            draft: session.draft(),
            stream_types: session.stream_types().to_vec(),
            connection,
            started: tokio::time::Instant::now(),
            runtime: Handle::current(),
            state: Mutex::new(State {
                session,
                log,
                deadline: None,
                lanes: HashMap::new(),
                arriving: None,
                held: HashMap::new(),
                sending: Ascending::default(),
                listeners: HashMap::new(),
                incoming: VecDeque::new(),
                messages: VecDeque::new(),
                streams: VecDeque::new(),
                closed: None,
                written: tokio::time::Instant::now(),
            }),
            deadline_changed: Notify::new(),
            uncongested: Notify::new(),
            incoming: Notify::new(),
            registered: Notify::new(),
            settled: Notify::new(),
            phase: watch::channel(Phase::Connecting).0,
            goaway: watch::channel(None).0,
            intakes: watch::channel(0).0,
        })
    }

    /// Counts a task that takes in what the peer has sent.
    pub(super) fn intake(self: &Arc<Self>) -> Intake {
        self.intakes.send_modify(|count| *count += 1);
        Intake(self.clone())
    }

    /// Waits until all that the peer sent before the connection's end has been taken in.
    pub(super) async fn taken_in(&self) {
        // It fails only when `self` is gone.
        let _ = self.intakes.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Gives the engine an input and does what it wants.
    pub(crate) fn handle(self: &Arc<Self>, input: Input) {
        self.run(|session, now| session.handle(now, input));
    }

    /// Does what the engine wants.
    pub(super) fn flush(self: &Arc<Self>) {
        self.run(|_, _| ());
    }

    /// Calls into the engine and does what it wants.
    pub(crate) fn run<T>(self: &Arc<Self>, call: impl FnOnce(&mut Session, Instant) -> T) -> T {
        let mut state = self.state();
        let result = call(&mut state.session, self.now());
        self.carry_out(&mut state);
        result
    }

    /// Sends a request, and listens to its fate from the first moment; `None` if it is of the kind without an answer.
    pub(crate) fn request<E>(
        self: &Arc<Self>,
        status: Status,
        call: impl FnOnce(&mut Session, Instant) -> Result<Option<RequestId>, E>,
    ) -> Result<Option<(RequestId, Listening)>, E> {
        let mut state = self.state();
        let result = call(&mut state.session, self.now()).map(|id| Some((id?, state.listen(id?, status))));
        self.carry_out(&mut state);
        result
    }

    /// Nobody listens to a request any more.
    pub(crate) fn forget(&self, id: RequestId) {
        self.state().listeners.remove(&id);
    }

    /// The next request of the peer, if one waits.
    pub(crate) fn take_incoming(&self) -> Option<Incoming> {
        self.state().incoming.pop_front()
    }

    /// The next message of a registered type, if one waits.
    pub(crate) fn take_message(&self) -> Option<(u64, Bytes)> {
        self.state().messages.pop_front()
    }

    /// The next stream of a registered type, if one waits.
    pub(crate) fn take_stream(&self) -> Option<(u64, Box<Arrived>)> {
        self.state().streams.pop_front()
    }

    /// Makes a stream known on which objects are sent, before anything can happen to it. `open` gives its number, its
    /// place in the order of sending, and what the caller wants besides.
    pub(crate) fn open_stream<T>(
        self: &Arc<Self>,
        stream: SendStream,
        open: impl FnOnce(&mut Session) -> Result<(StreamId, i32, T), Misuse>,
    ) -> Result<(StreamId, Arc<SendCell>, T), Misuse> {
        let mut state = self.state();
        let (id, order, opened) = open(&mut state.session)?;
        let cell = Arc::new(SendCell::new(stream, order));
        state.sending.insert(id, cell.clone());
        self.carry_out(&mut state);
        Ok((id, cell, opened))
    }

    /// Leaves a stream that has ended until it is acknowledged.
    pub(crate) fn see_off(self: &Arc<Self>, ending: Ending) {
        if self.endings.add(ending) {
            self.spawn(ending::see_off(self.clone()));
        }
    }

    /// Streams that we sent on are done.
    pub(crate) fn settled(self: &Arc<Self>, streams: impl IntoIterator<Item = (StreamId, StreamEnd)>) {
        let mut state = self.state();
        for (stream, how) in streams {
            self.settle(&mut state, stream, how);
        }
        self.carry_out(&mut state);
    }

    fn settle(&self, state: &mut State, stream: StreamId, how: StreamEnd) {
        state.sending.remove(stream);
        state.session.handle(self.now(), Input::DataSettled { stream, how });
        if state.sending.is_empty() {
            self.settled.notify_waiters();
        }
    }

    /// Waits until no stream that we sent on is left.
    pub(super) async fn all_settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.state().sending.is_empty() {
                return;
            }
            settled.await;
        }
    }

    /// Nobody holds the session any more: it closes, at once or as soon as what was finished has arrived.
    pub(crate) fn release(self: &Arc<Self>) {
        if self.state().sending.is_empty() {
            self.run(|session, _| session.close(SessionErrorCode::NoError, ""));
        } else {
            self.spawn(timer::see_off(self.clone()));
        }
    }

    /// A stream that nobody read was stopped.
    pub(super) fn stopped_unread(self: &Arc<Self>, stream: StreamId) {
        self.handle(Input::DataEnded { stream, how: StreamEnd::Stopped(CANCELLED.into()) });
    }

    /// How many of the peer's data streams were stopped because nobody read them.
    pub(crate) fn dropped_streams(&self) -> u64 {
        self.unread.dropped()
    }

    /// Runs a task of the session, from wherever this is called. A runtime that is gone runs nothing, and needs not.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Data streams of the peer whose headers are read wait for the engine's word.
    pub(super) fn judge(self: &Arc<Self>, arrived: &mut Vec<Arrived>) {
        if arrived.is_empty() {
            return;
        }
        let mut state = self.state();
        let now = self.now();
        for arrived in arrived.drain(..) {
            // An engine that is closed has no word for it.
            if state.closed.is_some() {
                return;
            }
            let stream = state.session.new_stream();
            let opening = arrived.opening.clone();
            let pinned = pinned(arrived.leftover.chunks(), self.connection.kind());
            state.arriving = Some((stream, Box::new(arrived)));
            state.session.handle(now, Input::Data { stream, opening, pinned });
            self.carry_out(&mut state);
            if let Some((stream, arrived)) = state.arriving.take() {
                state.held.insert(stream, arrived);
            }
        }
    }

    /// Makes a bidirectional stream of the peer known.
    pub(super) fn new_lane(&self) -> (StreamId, lane::LaneEnds) {
        let mut state = self.state();
        let stream = state.session.new_stream();
        let (handle, ends) = LaneHandle::new();
        state.lanes.insert(stream, handle);
        (stream, ends)
    }

    /// Both halves of a bidirectional stream have ended.
    pub(super) fn lane_ended(&self, stream: StreamId) {
        self.state().lanes.remove(&stream);
    }

    /// Gives up on a bidirectional stream.
    pub(super) fn reset_lane(&self, stream: StreamId) {
        if let Some(lane) = self.state().lanes.get_mut(&stream) {
            lane.reset(CANCELLED);
        }
    }

    /// Waits until both SETUPs are exchanged.
    pub(crate) async fn established(&self) -> Result<Arc<Setup>, Closed> {
        let mut phase = self.phase.subscribe();
        loop {
            match &*phase.borrow_and_update() {
                Phase::Established(setup) => return Ok(setup.clone()),
                Phase::Closed(closed) => return Err(closed.clone()),
                Phase::Connecting => {}
            }
            if phase.changed().await.is_err() {
                return Err(Closed::Lost { reason: "the session is gone".into() });
            }
        }
    }

    /// Waits for the session's end.
    pub(crate) async fn closed(&self) -> Closed {
        let mut phase = self.phase.subscribe();
        loop {
            if let Phase::Closed(closed) = &*phase.borrow_and_update() {
                return closed.clone();
            }
            if phase.changed().await.is_err() {
                return Closed::Lost { reason: "the session is gone".into() };
            }
        }
    }

    /// How the session ended, if it has.
    pub(crate) fn close_reason(&self) -> Option<Closed> {
        match &*self.phase.borrow() {
            Phase::Closed(closed) => Some(closed.clone()),
            _ => None,
        }
    }

    /// Control bytes have been handed to the transport.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut state = self.state();
        state.session.wrote(bytes);
        state.written = tokio::time::Instant::now();
        if !state.session.congested() {
            self.uncongested.notify_waiters();
        }
    }

    /// Waits while too many control bytes are unsent: a peer that does not read is not read either.
    pub(super) async fn not_congested(&self) {
        loop {
            let notified = self.uncongested.notified();
            if !self.state().session.congested() || self.close_reason().is_some() {
                return;
            }
            notified.await;
        }
    }

    /// When control bytes were last handed to the transport.
    pub(super) fn last_written(&self) -> tokio::time::Instant {
        self.state().written
    }

    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        let deadline = self.state().deadline?;
        Some(self.started + deadline.since(Instant::default()))
    }

    /// Whether nothing is left of any request or stream but the control stream.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        state.session.is_idle()
            && state.lanes.len() <= 1
            && state.held.is_empty()
            && state.sending.is_empty()
            && state.listeners.is_empty()
            && state.incoming.is_empty()
    }

    fn now(&self) -> Instant {
        Instant::default() + self.started.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry_out(self: &Arc<Self>, state: &mut State) {
        while let Some(output) = state.session.poll_output() {
            self.obey(state, output);
        }
        let deadline = state.session.poll_timeout();
        if deadline != state.deadline {
            state.deadline = deadline;
            self.deadline_changed.notify_one();
        }
    }

    fn obey(self: &Arc<Self>, state: &mut State, output: Output) {
        match output {
            Output::OpenLane { stream } => {
                let (handle, ends) = LaneHandle::new();
                state.lanes.insert(stream, handle);
                self.spawn(lane::open(self.clone(), stream, ends));
            }
            Output::Write { stream, data, fin } => {
                let length = data.len();
                if !state.lanes.get(&stream).is_some_and(|lane| lane.write(data, fin)) {
                    state.session.wrote(length);
                }
            }
            Output::Reset { stream, code } => {
                let code = narrow(code);
                if let Some(cell) = state.sending.get(stream).cloned() {
                    cell.reset(code);
                    self.settle(state, stream, StreamEnd::Reset(code.into()));
                } else if let Some(lane) = state.lanes.get_mut(&stream) {
                    lane.reset(code);
                }
            }
            Output::Stop { stream, code } => {
                let code = narrow(code);
                if let Some(arrived) = state.take_held(stream) {
                    arrived.stop(code);
                } else if let Some(lane) = state.lanes.get_mut(&stream) {
                    lane.stop(code);
                }
            }
            Output::Deliver { stream, to } => {
                let Some(arrived) = state.take_held(stream) else { return };
                let delivered = state.listeners.get(&to).map(|listener| {
                    if let Some(recv) = &arrived.recv {
                        self.unread.add(stream, (to, listener.priority()), &arrived.opening, recv);
                    }
                    listener.tell_stream(DataStream { stream, request: to, arrived })
                });
                if delivered != Some(true) {
                    if delivered.is_some() {
                        self.unread.count_drop();
                    }
                    // The stream is stopped as it is dropped.
                    let how = StreamEnd::Stopped(CANCELLED.into());
                    state.session.handle(self.now(), Input::DataEnded { stream, how });
                }
            }
            Output::Accept { stream, kind } => {
                let Some(arrived) = state.take_held(stream) else { return };
                // One too many is stopped as it is dropped.
                if state.streams.len() < MAX_REGISTERED {
                    state.streams.push_back((kind, arrived));
                    self.registered.notify_waiters();
                }
            }
            Output::Datagram { to, datagram } => {
                if let Some(listener) = state.listeners.get(&to) {
                    listener.tell(Note::Datagram(datagram));
                }
            }
            Output::Priority { stream, order } => {
                if let Some(cell) = state.sending.get(stream) {
                    cell.prioritise(order);
                }
            }
            Output::Trace(trace) => {
                log::show(self.draft, &trace);
                if let Some(log) = &state.log {
                    log.record(self.now(), trace);
                }
            }
            Output::Event(event) => self.tell(state, event),
            Output::Close { code, reason } => {
                let lanes = std::mem::take(&mut state.lanes);
                self.spawn(timer::close(self.clone(), narrow(code), reason, lanes));
            }
        }
    }

    fn tell(self: &Arc<Self>, state: &mut State, event: Event) {
        match event {
            Event::Established(setup) => {
                self.phase.send_replace(Phase::Established(Arc::new(setup)));
            }
            Event::Request { id, request } => {
                let listening = state.listen(id, Status::of(&request));
                state.incoming.push_back(Incoming { id, request, listening });
                self.incoming.notify_one();
            }
            Event::Update { id, update, answer } => {
                if let Some(listener) = state.listeners.get(&id) {
                    listener.update(&update);
                }
                if let Some(update_id) = answer {
                    let response = Response::Ok { kind: None, ok: RequestOk::default() };
                    // It fails only if the session has ended meanwhile, and then nobody waits for the answer.
                    let _ = state.session.accept(self.now(), update_id, response);
                }
            }
            Event::Accepted { id, response } => {
                if let Some(listener) = state.listeners.get(&id) {
                    listener.accepted(response);
                }
            }
            Event::Rejected { id, error } => state.tell(id, Note::Rejected(error)),
            Event::Ended { id, done } => state.tell(id, Note::Ended(done)),
            Event::Namespace { id, namespace } => state.namespace(id, namespace, true),
            Event::NamespaceDone { id, namespace } => state.namespace(id, namespace, false),
            Event::NewGroupRequest { id, group_id } => {
                if let Some(listener) = state.listeners.get(&id) {
                    listener.new_group(group_id);
                }
            }
            Event::Message { kind, payload } if state.messages.len() < MAX_REGISTERED => {
                state.messages.push_back((kind, payload));
                self.registered.notify_waiters();
            }
            Event::Message { kind, .. } => {
                tracing::warn!("a message of type {kind:#x} is lost: nobody takes those before it");
            }
            Event::Malformed { id, reason } => {
                tracing::warn!(%id, reason, "the track is malformed");
                state.tell(id, Note::Ended(ended_here(PublishDoneCode::MalformedTrack, reason)));
            }
            Event::Expired { id } => {
                state.tell(id, Note::Ended(ended_here(PublishDoneCode::Expired, "its time is over")));
                state.end(id, End::Cancelled);
            }
            Event::Cancelled { id } => {
                state.end(id, End::Cancelled);
                state.withdrawn(id);
            }
            Event::Revoked { id, error } => state.end(id, End::Revoked(error)),
            Event::GoAway { new_session_uri } => {
                // Behind the question mark there may be a token.
                let shown = new_session_uri.split(|byte| *byte == b'?').next().unwrap_or_default();
                tracing::info!(uri = %String::from_utf8_lossy(shown), "the peer asks us to leave");
                self.goaway.send_replace(Some(new_session_uri));
            }
            Event::Closed(closed) => self.ended(state, closed),
        }
    }

    fn ended(&self, state: &mut State, closed: Closed) {
        for (_, listener) in state.listeners.drain() {
            listener.end(End::Closed(closed.clone()));
        }
        for (_, cell) in std::mem::take(&mut state.sending).iter() {
            cell.reset(CANCELLED);
        }
        // After a close of our own they are gone already, to be flushed.
        state.lanes.clear();
        state.held.clear();
        state.arriving = None;
        state.incoming.clear();
        state.messages.clear();
        state.streams.clear();
        state.closed = Some(closed.clone());
        // Nothing more is said or heard: the log's file is finished.
        state.log = None;
        self.phase.send_replace(Phase::Closed(closed));
        self.incoming.notify_one();
        self.uncongested.notify_waiters();
        self.settled.notify_waiters();
        self.registered.notify_waiters();
    }
}

impl State {
    fn listen(&mut self, id: RequestId, status: Status) -> Listening {
        let (listener, listening) = Listener::new(status);
        match &self.closed {
            Some(closed) => listener.end(End::Closed(closed.clone())),
            None => {
                self.listeners.insert(id, listener);
            }
        }
        listening
    }

    /// Takes a stream that waits for the engine's word.
    fn take_held(&mut self, stream: StreamId) -> Option<Box<Arrived>> {
        match self.arriving.take_if(|(arriving, _)| *arriving == stream) {
            Some((_, arrived)) => Some(arrived),
            None => self.held.remove(&stream),
        }
    }

    fn tell(&self, id: RequestId, note: Note) {
        if let Some(listener) = self.listeners.get(&id) {
            listener.tell(note);
        }
    }

    fn end(&self, id: RequestId, end: End) {
        if let Some(listener) = self.listeners.get(&id) {
            listener.end(end);
        }
    }

    fn namespace(&self, id: RequestId, namespace: TrackNamespace, came: bool) {
        if let Some(listener) = self.listeners.get(&id) {
            listener.namespace(namespace, came);
        }
    }

    /// A request that the peer has withdrawn before anybody asked for it is nobody's, or else a peer that asks and
    /// withdraws fills the queue of an application that does not look.
    fn withdrawn(&mut self, id: RequestId) {
        let waiting = self.incoming.len();
        self.incoming.retain(|incoming| incoming.id != id);
        if self.incoming.len() < waiting {
            self.listeners.remove(&id);
        }
    }
}

/// How many bytes of memory chunks that were received may keep: a chunk is a part of a buffer into which the kernel has
/// put as many packets as it had.
const fn pinned(chunks: usize, transport: TransportKind) -> usize {
    match transport {
        TransportKind::Memory => 0,
        _ => chunks.saturating_mul(RECEIVE_BATCH),
    }
}

/// How a subscription that we have left ourselves ends for whoever reads it.
fn ended_here(code: PublishDoneCode, reason: &'static str) -> PublishDone {
    PublishDone { code, stream_count: 0, reason: reason.into() }
}

/// Codes of the drafts fit 32 bits; one of an extension that does not is cut.
fn narrow(code: u64) -> u32 {
    u32::try_from(code).unwrap_or(u32::MAX)
}
