//! One engine, and a peer that says what the test likes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use moqingbird::session::{Closed, Config, Event, Input, Instant, Output, Session, Side, StreamId};
use moqingbird::wire::buf::Writer;
use moqingbird::wire::model::{
    Message, Opening, RequestId, SessionErrorCode, Setup, SubgroupHeader, SubgroupId, TrackAlias,
};
use moqingbird::wire::{Assembler, Draft};

#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    pub(crate) draft: &'static dyn Draft,
    /// The control stream, once it is there.
    pub(crate) control: Option<StreamId>,
    /// What the engine has said and the test not yet heard.
    pub(crate) said: Vec<(StreamId, Message)>,
    pub(crate) events: Vec<Event>,
    /// Everything else that the engine has put out.
    pub(crate) others: Vec<Output>,
    assemblers: BTreeMap<StreamId, Assembler>,
    side: Side,
}

impl Raw {
    /// An engine before SETUP.
    pub(crate) fn opening(draft: &'static dyn Draft, side: Side, config: Config) -> Self {
        let now = Instant::from_micros(0);
        let session = Session::new(draft, side, config, now);
        let mut raw = Self {
            session,
            now,
            draft,
            control: None,
            said: Vec::new(),
            events: Vec::new(),
            others: Vec::new(),
            assemblers: BTreeMap::new(),
            side,
        };
        raw.drain();
        raw
    }

    /// An engine with which SETUP has been exchanged: the test is the other side, permitted and permitting 100.
    pub(crate) fn new(draft: &'static dyn Draft, side: Side) -> Self {
        Self::with(draft, side, Config::default())
    }

    pub(crate) fn with(draft: &'static dyn Draft, side: Side, config: Config) -> Self {
        let mut raw = Self::opening(draft, side, config);
        let setup = raw.setup();
        raw.say_setup(setup);
        assert!(matches!(raw.events.pop(), Some(Event::Established(_))), "{:?}", raw.events);
        raw.said.clear();
        raw.others.clear();
        raw
    }

    /// The SETUP of a well-behaved peer.
    pub(crate) fn setup(&self) -> Setup {
        Setup {
            versions: self.draft.rules().setup_version.into_iter().collect(),
            max_request_id: 100,
            ..Setup::default()
        }
    }

    /// Says the SETUP of the peer's side.
    pub(crate) fn say_setup(&mut self, setup: Setup) {
        let message = match self.side {
            Side::Server => Message::ClientSetup(setup),
            Side::Client => Message::ServerSetup(setup),
        };
        if self.control.is_none() {
            self.control = Some(self.session.new_stream());
        }
        self.say(&message);
    }

    /// Says a message on the control stream.
    pub(crate) fn say(&mut self, message: &Message) {
        let control = self.control.expect("a control stream");
        self.say_on(control, message);
    }

    pub(crate) fn say_on(&mut self, stream: StreamId, message: &Message) {
        let data = self.bytes(message);
        self.lane(stream, data, false);
    }

    pub(crate) fn bytes(&self, message: &Message) -> Bytes {
        let mut w = Writer::new();
        self.draft.encode_control(message, &mut w).unwrap();
        w.take()
    }

    pub(crate) fn lane(&mut self, stream: StreamId, data: Bytes, fin: bool) {
        self.handle(Input::Lane { stream, data, fin });
    }

    /// Opens a subgroup stream of an alias.
    pub(crate) fn open(&mut self, alias: u64) -> StreamId {
        let stream = self.session.new_stream();
        let header = SubgroupHeader {
            track_alias: TrackAlias(alias),
            group_id: 0,
            subgroup_id: SubgroupId::Zero,
            publisher_priority: Some(1),
            extensions: false,
            end_of_group: false,
        };
        self.handle(Input::Data { stream, opening: Opening::Subgroup(header), pinned: 0 });
        stream
    }

    /// Opens the stream that answers a FETCH.
    pub(crate) fn open_fetch(&mut self, id: RequestId) -> StreamId {
        let stream = self.session.new_stream();
        self.handle(Input::Data { stream, opening: Opening::Fetch(id), pinned: 0 });
        stream
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.session.handle(self.now, input);
        self.drain();
    }

    /// Lets time pass in one leap.
    pub(crate) fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.handle(Input::Timeout);
    }

    /// What the engine has said since it was last asked, on whatever stream.
    pub(crate) fn heard(&mut self) -> Vec<Message> {
        self.drain();
        std::mem::take(&mut self.said).into_iter().map(|(_, message)| message).collect()
    }

    pub(crate) fn heard_one(&mut self) -> Message {
        let mut heard = self.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }

    /// Asserts that the engine has closed the session with this code, and told both sides.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self, expected: SessionErrorCode) {
        self.drain();
        match self.events.last() {
            Some(Event::Closed(Closed::Local { code, reason })) => assert_eq!(*code, expected, "{reason}"),
            other => panic!("not closed: {other:?}"),
        }
        let number = self.draft.session_code(expected);
        let told = |output: &Output| matches!(output, Output::Close { code, .. } if *code == number);
        assert!(self.others.iter().any(told), "{:?}", self.others);
        assert!(self.session.is_idle());
        assert_eq!(self.session.poll_timeout(), None);
    }

    #[track_caller]
    pub(crate) fn assert_open(&mut self) {
        self.drain();
        assert!(!self.session.is_closed(), "{:?}", self.events);
    }

    pub(crate) fn stopped(&self, stream: StreamId) -> bool {
        self.others.iter().any(|output| matches!(output, Output::Stop { stream: it, .. } if *it == stream))
    }

    pub(crate) fn delivered(&self, stream: StreamId) -> bool {
        self.others.iter().any(|output| matches!(output, Output::Deliver { stream: it, .. } if *it == stream))
    }

    pub(crate) fn reset(&self, stream: StreamId) -> bool {
        self.others.iter().any(|output| matches!(output, Output::Reset { stream: it, .. } if *it == stream))
    }

    pub(crate) fn finished(&self, stream: StreamId) -> bool {
        self.others
            .iter()
            .any(|output| matches!(output, Output::Write { stream: it, fin: true, .. } if *it == stream))
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::OpenLane { stream } => {
                    self.control.get_or_insert(stream);
                    self.others.push(output);
                }
                Output::Write { stream, ref data, fin } => {
                    let assembler = self.assemblers.entry(stream).or_default();
                    assembler.push(data.clone());
                    while let Some(frame) = assembler.next_frame() {
                        self.said.push((stream, self.draft.decode_control(&frame).unwrap()));
                    }
                    if fin {
                        self.others.push(output);
                    }
                }
                Output::Event(event) => self.events.push(event),
                other => self.others.push(other),
            }
        }
    }
}
