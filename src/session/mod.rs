//! The session engine: both ends of a MoQT session as a machine of values. No I/O, no clock, no task, no lock.
//!
//! A driver moves bytes and time between a [`Session`] and a transport:
//!
//! - [`Session::handle`] tells what happened: an [`Input`]. It returns nothing; what the peer did wrong comes out as
//!   [`Output::Close`], what it lawfully declined as [`Event::Rejected`].
//! - Commands ([`Session::request`], [`Session::accept`], ...) tell what the application wants. They answer at once:
//!   with a number, or with a [`Misuse`] that leaves the session unharmed.
//! - [`Session::poll_output`] tells what has to be done, in order. Drain it after every call.
//! - [`Session::poll_timeout`] tells when to come back with [`Input::Timeout`] if nothing else happens.
//!
//! Payload never enters. The engine sees control messages, the headers of data streams, and the ends of data streams;
//! what lies between belongs to [`wire::stream`](moqingbird_wire::stream).
//!
//! ```
//! use moqingbird::session::{Config, Input, Instant, Output, Session, Side};
//!
//! let now = Instant::from_micros(0);
//! let mut session = Session::new(moqingbird::Version::ALL[0].draft(), Side::Client, Config::default(), now);
//! while let Some(output) = session.poll_output() {
//!     match output {
//!         Output::OpenLane { stream } => println!("open a bidirectional stream, call it {stream:?}"),
//!         Output::Write { stream, data, .. } => println!("write {} bytes to {stream:?}", data.len()),
//!         other => println!("{other:?}"),
//!     }
//! }
//! let timeout = session.poll_timeout().expect("SETUP has to come in time");
//! session.handle(timeout, Input::Timeout);
//! assert!(matches!(session.poll_output(), Some(Output::Close { code: 0x11, .. })));
//! ```

use std::collections::VecDeque;

use bytes::Bytes;
use moqingbird_wire::buf::Writer;
use moqingbird_wire::model::{Message, ResetCode, SessionErrorCode};
use moqingbird_wire::{DecodeError, Draft, EncodeError, Rules};

mod answers;
mod ascending;
mod auth;
mod commands;
mod config;
mod data;
mod deadline;
mod error;
mod expiry;
mod facts;
mod fetches;
mod footprint;
mod inbound;
mod input;
mod lanes;
mod namespaces;
mod output;
mod priority;
mod registered;
mod replies;
mod requests;
mod sent;
mod setup;
mod time;
mod timers;
mod trace;
mod tracks;
mod updates;
mod waiting;
mod witness;

pub(crate) use ascending::Ascending;
pub use config::{Config, Side};
pub use data::OpenedStream;
pub use error::{Closed, Misuse};
pub use facts::Fact;
pub use fetches::{OpenedFetch, fetch_end};
#[doc(hidden)]
pub use footprint::Footprint;
pub use input::{Input, Lost, StreamEnd, StreamId};
pub use output::{Event, Output};
pub use priority::order as sending_order;
pub use time::Instant;
pub use trace::{Direction, Trace};
pub use tracks::{Range, SubscriptionState};
pub use witness::{FetchWitness, SubgroupWitness};

use auth::{OurTokens, TheirTokens};
use data::Held;
use lanes::Lanes;
use requests::Requests;
use timers::{Timer, Timers};
use tracks::Tracks;

/// One end of a session.
#[derive(Debug)]
pub struct Session {
    draft: &'static dyn Draft,
    rules: &'static Rules,
    side: Side,
    config: Config,
    phase: Phase,
    outputs: VecDeque<Output>,
    next_stream: u64,
    /// Control bytes handed out and not yet taken by the transport.
    unsent: usize,
    lanes: Lanes,
    requests: Requests,
    tracks: Tracks,
    held: Held,
    their_tokens: TheirTokens,
    our_tokens: OurTokens,
    timers: Timers,
    /// Whether we have sent GOAWAY.
    leaving: bool,
    /// Whether the peer has.
    peer_leaves: bool,
}

/// ```text
/// Opening ── both SETUPs ──▶ Established ──▶ Closed
///    └────────── violation, timeout, loss ─────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Established,
    Closed,
}

/// A control message in bytes, and as it is meant if somebody listens.
#[derive(Clone, Debug)]
struct Encoded {
    data: Bytes,
    traced: Option<Box<Message>>,
}

/// A rule that the peer broke, or a failure of our own: it ends the session.
#[derive(Debug)]
struct Violation {
    code: SessionErrorCode,
    reason: String,
}

type Checked<T = ()> = Result<T, Violation>;

impl Violation {
    fn new(code: SessionErrorCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// PROTOCOL_VIOLATION.
    fn protocol(reason: impl Into<String>) -> Self {
        Self::new(SessionErrorCode::ProtocolViolation, reason)
    }
}

impl From<DecodeError> for Violation {
    fn from(error: DecodeError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// A message of the engine's own making that the draft cannot say.
impl From<EncodeError> for Violation {
    fn from(error: EncodeError) -> Self {
        Self::new(SessionErrorCode::InternalError, error.to_string())
    }
}

impl From<EncodeError> for Misuse {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::TooLong(field) => Self::TooLong(field),
            EncodeError::Inexpressible(field) => Self::Inexpressible(field),
            _ => Self::Inexpressible("message"),
        }
    }
}

impl Session {
    /// A session at its start. A client says CLIENT_SETUP at once; a server waits for it.
    pub fn new(draft: &'static dyn Draft, side: Side, config: Config, now: Instant) -> Self {
        let mut session = Self {
            draft,
            rules: draft.rules(),
            side,
            phase: Phase::Opening,
            outputs: VecDeque::new(),
            next_stream: 0,
            unsent: 0,
            lanes: Lanes::default(),
            requests: Requests::new(side, draft.rules().request_ids, config.max_request_id),
            tracks: Tracks::default(),
            held: Held::default(),
            their_tokens: TheirTokens::new(config.max_auth_token_cache_size),
            our_tokens: OurTokens::new(),
            timers: Timers::default(),
            leaving: false,
            peer_leaves: false,
            config,
        };
        session.timers.set(Timer::Setup, now + session.config.setup_timeout);
        if side == Side::Client
            && let Err(error) = session.say_client_setup()
        {
            session.shut(error.into());
        }
        session
    }

    /// The draft that is spoken.
    pub fn draft(&self) -> &'static dyn Draft {
        self.draft
    }

    /// A number for a stream that the peer has opened.
    pub fn new_stream(&mut self) -> StreamId {
        let stream = StreamId(self.next_stream);
        self.next_stream += 1;
        stream
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.phase == Phase::Closed {
            return;
        }
        let result = match input {
            Input::Lane { stream, data, fin } => self.lane_received(now, stream, data, fin),
            Input::LaneReset { stream, .. } | Input::LaneStopped { stream, .. } => {
                self.lane_broken(now, stream)
            }
            Input::Data { stream, opening, pinned } => self.data_opened(now, stream, &opening, pinned),
            Input::DataEnded { stream, .. } => {
                self.data_ended(now, stream);
                Ok(())
            }
            Input::DataWaits { stream } => {
                self.data_waits(now, stream);
                Ok(())
            }
            Input::DataTaken { stream } => {
                self.data_taken(stream);
                Ok(())
            }
            Input::DataSettled { stream, .. } => self.data_settled(stream),
            Input::Fact { of, fact } => {
                self.fact_told(now, of, fact);
                Ok(())
            }
            Input::Datagram(bytes) => self.datagram_received(now, &bytes),
            Input::Violation(error) => Err(error.into()),
            Input::Lost(lost) => {
                self.end_done(now);
                self.end_with(match lost.code {
                    Some(code) => Closed::Peer { code: self.draft.session_error(code), reason: lost.reason },
                    None => Closed::Lost { reason: lost.reason },
                });
                Ok(())
            }
            Input::Timeout => Ok(()),
        };
        // Requests may have ended in many ways: whichever it was, the peer is permitted others.
        if let Err(violation) = result.and_then(|()| self.expire(now)).and_then(|()| self.raise_limit()) {
            self.shut(violation);
        }
    }

    /// The next thing to do.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Session::handle`] with [`Input::Timeout`] if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The transport has taken this many of the bytes of [`Output::Write`].
    pub fn wrote(&mut self, bytes: usize) {
        self.unsent = self.unsent.saturating_sub(bytes);
    }

    /// Whether more than [`Config::max_unsent_control_bytes`] wait to be written: read no bidirectional stream until
    /// they are fewer, or a peer that does not read has answers pile up here.
    pub fn congested(&self) -> bool {
        self.unsent > self.config.max_unsent_control_bytes
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether no request, track, namespace, held or open stream is left: what tests ask after everything has ended.
    #[doc(hidden)]
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.tracks.is_empty() && self.held.is_empty() && self.lanes.is_idle()
    }

    /// Does what has become due.
    fn expire(&mut self, now: Instant) -> Checked {
        while self.phase != Phase::Closed
            && let Some(timer) = self.timers.expired(now)
        {
            match timer {
                Timer::Setup => {
                    let reason = format!("no SETUP within {:?}", self.config.setup_timeout);
                    return Err(Violation::new(SessionErrorCode::ControlMessageTimeout, reason));
                }
                Timer::Answer(id) => self.answer_overdue(now, id)?,
                Timer::Lane(stream) => self.drop_lane(stream),
                Timer::HeldStream(stream) => self.drop_held(stream),
                Timer::HeldDatagrams => self.drop_stale_datagrams(now),
                Timer::Expiry(id) => self.expired(now, id)?,
                Timer::GoAway => self.goaway_overdue()?,
                Timer::LateStreams(id) => self.subscription_ended(now, id),
                Timer::Delivery(stream) => self.delivery_overdue(stream),
            }
        }
        Ok(())
    }

    /// Closes the session because of `violation`.
    fn shut(&mut self, violation: Violation) {
        if self.phase == Phase::Closed {
            return;
        }
        let Violation { code, reason } = violation;
        self.outputs.push_back(Output::Close { code: self.draft.session_code(code), reason: reason.clone() });
        self.end_with(Closed::Local { code, reason });
    }

    /// Ends the subscriptions of which PUBLISH_DONE was told: their publisher has said all, and went.
    fn end_done(&mut self, now: Instant) {
        for id in self.requests.done() {
            self.subscription_ended(now, id);
        }
    }

    fn end_with(&mut self, closed: Closed) {
        self.phase = Phase::Closed;
        self.lanes = Lanes::default();
        self.requests.clear();
        self.tracks = Tracks::default();
        self.held = Held::default();
        self.their_tokens = TheirTokens::new(0);
        self.timers = Timers::default();
        self.event(Event::Closed(closed));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn encode(&self, message: &Message) -> Result<Encoded, EncodeError> {
        let mut w = Writer::new();
        self.draft.encode_control(message, &mut w)?;
        Ok(Encoded { data: w.take(), traced: self.config.tap.then(|| Box::new(message.clone())) })
    }

    fn write_message(&mut self, stream: StreamId, Encoded { data, traced }: Encoded) {
        if let Some(message) = traced {
            self.trace(|| Trace::Message { direction: Direction::Sent, stream, message });
        }
        self.write(stream, data, false);
    }

    fn write(&mut self, stream: StreamId, data: Bytes, fin: bool) {
        self.unsent = self.unsent.saturating_add(data.len());
        self.outputs.push_back(Output::Write { stream, data, fin });
    }

    /// Says `message` on a request's own stream, or else on the control stream.
    fn send(&mut self, lane: Option<StreamId>, message: &Message) -> Result<(), EncodeError> {
        let encoded = self.encode(message)?;
        if let Some(stream) = lane.or(self.lanes.control()) {
            self.write_message(stream, encoded);
        }
        Ok(())
    }

    fn reset_number(&self, code: ResetCode) -> u64 {
        self.draft.reset_code(code).unwrap_or_default()
    }

    fn stop_stream(&mut self, stream: StreamId) {
        let code = self.reset_number(ResetCode::Cancelled);
        self.outputs.push_back(Output::Stop { stream, code });
    }

    fn reset_stream(&mut self, stream: StreamId) {
        let code = self.reset_number(ResetCode::Cancelled);
        self.outputs.push_back(Output::Reset { stream, code });
    }
}
