//! The engine behind its lock, and the carrying out of what it wants.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moqingbird_wire::Draft;
use moqingbird_wire::model::{Opening, Request, RequestId, RequestOk, Response, Setup};
use moqingbird_wire::stream::Stash;
use tokio::sync::{Notify, watch};

use super::lane::{self, LaneHandle};
use super::listener::{End, Incoming, Listener, Listening, Note, Status};
use super::{SendCell, timer};
use crate::session::{Closed, Event, Input, Instant, Output, Session, StreamId};
use crate::transport::{CANCELLED, Connection, RecvStream};

/// The most datagrams that wait for one subscription's reader; a reader that is slower loses what comes then.
const MAX_QUEUED_DATAGRAMS: usize = 1024;

/// A session's engine and everything that its outputs name.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    pub(crate) draft: &'static dyn Draft,
    started: tokio::time::Instant,
    state: Mutex<State>,
    /// Wakes the timer when the next deadline has changed.
    pub(super) deadline_changed: Notify,
    /// Wakes lanes that wait for unsent control bytes to leave.
    pub(super) uncongested: Notify,
    /// Wakes whoever waits for the peer's requests.
    pub(crate) incoming: Notify,
    phase: watch::Sender<Phase>,
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
    deadline: Option<Instant>,
    lanes: HashMap<StreamId, LaneHandle>,
    held: HashMap<StreamId, (Opening, RecvStream, Stash)>,
    sending: HashMap<StreamId, Arc<SendCell>>,
    listeners: HashMap<RequestId, Listener>,
    incoming: VecDeque<Incoming>,
    queued_datagrams: HashMap<RequestId, Arc<AtomicUsize>>,
    closed: Option<Closed>,
}

/// A data stream of the peer in its reader's hands.
#[derive(Debug)]
pub(crate) struct DataStream {
    pub(crate) stream: StreamId,
    pub(crate) opening: Opening,
    pub(crate) recv: RecvStream,
    pub(crate) leftover: Stash,
}

impl Shared {
    pub(super) fn new(connection: Connection, session: impl FnOnce(Instant) -> Session) -> Arc<Self> {
        let session = session(Instant::default());
        Arc::new(Self {
            draft: session.draft(),
            connection,
            started: tokio::time::Instant::now(),
            state: Mutex::new(State {
                session,
                deadline: None,
                lanes: HashMap::new(),
                held: HashMap::new(),
                sending: HashMap::new(),
                listeners: HashMap::new(),
                incoming: VecDeque::new(),
                queued_datagrams: HashMap::new(),
                closed: None,
            }),
            deadline_changed: Notify::new(),
            uncongested: Notify::new(),
            incoming: Notify::new(),
            phase: watch::channel(Phase::Connecting).0,
        })
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
        let mut state = self.state();
        state.queued_datagrams.remove(&id);
        // Dropped outside the lock: notes may hold streams, which tell the driver of their end.
        let listener = state.listeners.remove(&id);
        drop(state);
        drop(listener);
    }

    /// The next request of the peer, if one waits.
    pub(crate) fn take_incoming(&self) -> Option<Incoming> {
        self.state().incoming.pop_front()
    }

    /// Makes a stream that we send on known to the driver.
    pub(crate) fn adopt(&self, stream: StreamId, cell: Arc<SendCell>) {
        self.state().sending.insert(stream, cell);
    }

    /// A stream that we sent on is done.
    pub(crate) fn settled(self: &Arc<Self>, stream: StreamId, how: crate::session::StreamEnd) {
        let mut state = self.state();
        state.sending.remove(&stream);
        let now = self.now();
        state.session.handle(now, Input::DataSettled { stream, how });
        self.carry_out(&mut state);
    }

    /// A data stream of the peer whose header is read waits for the engine's word.
    pub(super) fn judge(self: &Arc<Self>, opening: Opening, recv: RecvStream, leftover: Stash) {
        let mut state = self.state();
        let stream = state.session.new_stream();
        state.held.insert(stream, (opening.clone(), recv, leftover));
        let now = self.now();
        state.session.handle(now, Input::Data { stream, opening });
        self.carry_out(&mut state);
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

    /// A datagram has been taken from a subscription's queue.
    pub(crate) fn datagram_taken(&self, id: RequestId) {
        if let Some(queued) = self.state().queued_datagrams.get(&id) {
            queued.fetch_sub(1, Ordering::Relaxed);
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

    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        let deadline = self.state().deadline?;
        Some(self.started + deadline.since(Instant::default()))
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
                tokio::spawn(lane::open(self.clone(), stream, ends));
            }
            Output::Write { stream, data, fin } => {
                if let Some(lane) = state.lanes.get(&stream) {
                    lane.write(data, fin);
                }
            }
            Output::Reset { stream, code } => {
                let code = narrow(code);
                if let Some(cell) = state.sending.get(&stream) {
                    cell.reset(code);
                } else if let Some(lane) = state.lanes.get(&stream) {
                    lane.reset(code);
                }
            }
            Output::Stop { stream, code } => {
                let code = narrow(code);
                if let Some((_, mut recv, _)) = state.held.remove(&stream) {
                    recv.stop(code);
                } else if let Some(lane) = state.lanes.get_mut(&stream) {
                    lane.stop(code);
                }
            }
            Output::Deliver { stream, to } => {
                if let (Some((opening, recv, leftover)), Some(listener)) =
                    (state.held.remove(&stream), state.listeners.get(&to))
                {
                    listener.tell(Note::Stream(Box::new(DataStream { stream, opening, recv, leftover })));
                }
            }
            Output::Datagram { to, datagram } => state.queue_datagram(to, datagram),
            Output::Priority { stream, order } => {
                if let Some(cell) = state.sending.get(&stream) {
                    cell.prioritise(order);
                }
            }
            Output::Event(event) => self.tell(state, event),
            Output::Close { code, reason } => {
                let lanes = std::mem::take(&mut state.lanes);
                tokio::spawn(timer::close(self.connection.clone(), narrow(code), reason, lanes));
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
            Event::Accepted { id, response } => state.tell(id, Note::Accepted(Box::new(response))),
            Event::Rejected { id, error } => state.tell(id, Note::Rejected(error)),
            Event::Ended { id, done } => state.tell(id, Note::Ended(done)),
            Event::Namespace { id, namespace } => state.tell(id, Note::Namespace(namespace)),
            Event::NamespaceDone { id, namespace } => state.tell(id, Note::NamespaceDone(namespace)),
            Event::Cancelled { id } => state.end(id, End::Cancelled),
            Event::Revoked { id, error } => state.end(id, End::Revoked(error)),
            Event::GoAway { new_session_uri } => {
                tracing::info!(uri = %String::from_utf8_lossy(&new_session_uri), "the peer asks us to leave");
            }
            Event::Closed(closed) => self.ended(state, closed),
        }
    }

    fn ended(&self, state: &mut State, closed: Closed) {
        for (_, listener) in state.listeners.drain() {
            listener.end(End::Closed(closed.clone()));
        }
        for (_, cell) in state.sending.drain() {
            cell.reset(CANCELLED);
        }
        state.held.clear();
        state.incoming.clear();
        state.queued_datagrams.clear();
        state.closed = Some(closed.clone());
        self.phase.send_replace(Phase::Closed(closed));
        self.incoming.notify_one();
        self.uncongested.notify_waiters();
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

    fn queue_datagram(&mut self, to: RequestId, datagram: moqingbird_wire::model::Datagram) {
        let Some(listener) = self.listeners.get(&to) else { return };
        let queued = self.queued_datagrams.entry(to).or_default();
        if queued.load(Ordering::Relaxed) < MAX_QUEUED_DATAGRAMS {
            queued.fetch_add(1, Ordering::Relaxed);
            listener.tell(Note::Datagram(datagram));
        }
    }
}

impl Status {
    /// The status with which a request of either side begins.
    pub(crate) fn of(request: &Request) -> Self {
        let (forward, priority, filter) = match request {
            Request::Subscribe(s) | Request::TrackStatus(s) => (s.forward, s.subscriber_priority, s.filter),
            Request::Publish(publish) => (publish.forward, moqingbird_wire::model::DEFAULT_PRIORITY, None),
            Request::Fetch(fetch) => (true, fetch.subscriber_priority, None),
            _ => (true, moqingbird_wire::model::DEFAULT_PRIORITY, None),
        };
        Self { forward, priority, filter, end: None }
    }
}

/// Codes of the drafts fit 32 bits; one of an extension that does not is cut.
fn narrow(code: u64) -> u32 {
    u32::try_from(code).unwrap_or(u32::MAX)
}
