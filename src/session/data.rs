//! Data streams and datagrams: whose they are, how many there were, and what to do with those of which nobody knows yet.
//!
//! QUIC orders nothing between streams, so data may overtake the SUBSCRIBE_OK or PUBLISH that names its alias, and even
//! SETUP (draft-14 §10.1, draft-16 §3.3, §10.1). Such streams are held unread and such datagrams kept, within the
//! bounds of [`Config`](super::Config).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::EncodeError;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::model::{
    Datagram, DatagramBody, Location, Message, ObjectStatus, Opening, PublishDone, RequestId, SubgroupHeader,
    SubgroupId, TrackAlias,
};
use moqingbird_wire::planted::{self, Fault};
use moqingbird_wire::stream::{Gaps, check_sent};

use super::facts::Fact;
use super::requests::{Body, Stage};
use super::sent::SentStream;
use super::timers::Timer;
use super::witness::rare;
use super::{
    Checked, Config, Direction, Event, Instant, Misuse, Output, Session, StreamId, SubscriptionState,
};

/// A subgroup stream to open.
#[derive(Clone, Copy, Debug)]
pub struct OpenedStream {
    /// Its number: [`Output::Reset`] and [`Output::Priority`] may name it, until [`Input::DataSettled`] does.
    ///
    /// [`Input::DataSettled`]: super::Input::DataSettled
    pub stream: StreamId,
    /// Its first bytes.
    pub header: SubgroupHeader,
    /// Its place in the order of sending; higher goes first.
    pub order: i32,
    /// An object that is later than this after it was there to be sent resets the stream with DELIVERY_TIMEOUT, as far as
    /// [`Input::DataWaits`] tells. `None`: however late.
    ///
    /// [`Input::DataWaits`]: super::Input::DataWaits
    pub delivery_timeout: Option<Duration>,
}

/// What has come for aliases that are not known.
#[derive(Debug, Default)]
pub(super) struct Held {
    streams: VecDeque<HeldStream>,
    datagrams: VecDeque<HeldDatagram>,
    /// The bytes of all held datagrams.
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct HeldStream {
    stream: StreamId,
    alias: TrackAlias,
    pinned: usize,
}

#[derive(Debug)]
struct HeldDatagram {
    datagram: Datagram,
    bytes: usize,
    until: Instant,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.datagrams.is_empty()
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The memory that held streams keep.
    pub(super) fn pinned(&self) -> usize {
        self.streams.iter().map(|it| it.pinned).fold(0, usize::saturating_add)
    }

    pub(super) fn datagrams(&self) -> usize {
        self.datagrams.len()
    }

    pub(super) const fn datagram_bytes(&self) -> usize {
        self.bytes
    }

    fn take_streams(&mut self, alias: TrackAlias) -> Vec<StreamId> {
        let taken = self.streams.iter().filter(|it| it.alias == alias).map(|it| it.stream).collect();
        self.streams.retain(|it| it.alias != alias);
        taken
    }

    /// Whether there is room for another stream.
    fn has_room(&self, pinned: usize, config: &Config) -> bool {
        let all = self.pinned().saturating_add(pinned);
        self.streams.len() < config.max_held_streams && all <= config.max_held_bytes
    }

    fn take_datagrams(&mut self, wanted: impl Fn(&HeldDatagram) -> bool) -> Vec<Datagram> {
        let (taken, kept) =
            std::mem::take(&mut self.datagrams).into_iter().partition::<VecDeque<_>, _>(wanted);
        self.datagrams = kept;
        self.bytes = self.datagrams.iter().map(|held| held.bytes).sum();
        taken.into_iter().map(|held| held.datagram).collect()
    }
}

/// What comes in.
impl Session {
    pub(super) fn data_opened(
        &mut self,
        now: Instant,
        stream: StreamId,
        opening: &Opening,
        pinned: usize,
    ) -> Checked {
        self.trace_stream(Direction::Received, stream, opening);
        let alias = match opening {
            Opening::Subgroup(header) => header.track_alias,
            Opening::Fetch(id) => {
                self.fetch_arrived(stream, *id);
                return Ok(());
            }
            Opening::Other(kind) => {
                self.other_stream(stream, *kind);
                return Ok(());
            }
            // No such opening is known.
            _ => {
                self.stop_stream(stream);
                return Ok(());
            }
        };
        if let Some(id) = self.receiver_of(alias) {
            self.deliver(stream, id);
            self.judge_forwarding(now, id);
        } else if self.is_late(now, alias) || !self.held.has_room(pinned, &self.config) {
            self.stop_stream(stream);
        } else {
            self.held.streams.push_back(HeldStream { stream, alias, pinned });
            self.timers.set(Timer::HeldStream(stream), now + self.config.held_timeout);
        }
        Ok(())
    }

    pub(super) fn datagram_received(&mut self, now: Instant, bytes: &Bytes) -> Checked {
        let datagram = self.draft.decode_datagram(&mut Reader::new(bytes))?;
        self.trace_datagram(Direction::Received, &datagram);
        let alias = datagram.track_alias;
        if let Some(id) = self.receiver_of(alias) {
            self.deliver_datagram(now, id, datagram);
            self.judge_forwarding(now, id);
        } else if !self.is_late(now, alias)
            && self.held.datagrams.len() < self.config.max_held_datagrams
            && self.held.bytes + bytes.len() <= self.config.max_held_datagram_bytes
        {
            let until = now + self.config.held_timeout;
            if self.held.datagrams.is_empty() {
                self.timers.set(Timer::HeldDatagrams, until);
            }
            self.held.bytes += bytes.len();
            self.held.datagrams.push_back(HeldDatagram { datagram, bytes: bytes.len(), until });
        }
        Ok(())
    }

    /// The subscription that takes the data of an alias: one that is granted.
    fn receiver_of(&self, alias: TrackAlias) -> Option<RequestId> {
        let id = self.tracks.request_of(alias)?;
        self.requests.open.get(&id).filter(|open| open.stage == Stage::Granted).map(|_| id)
    }

    /// Whether the subscription of this alias has ended. Not while the peer owes us a SUBSCRIBE_OK: that may use the
    /// alias again, and its data may have overtaken it.
    fn is_late(&self, now: Instant, alias: TrackAlias) -> bool {
        let nameless = |body: &Body| matches!(body, Body::Receiving(receiving) if receiving.alias.is_none());
        self.tracks.is_retired(now, alias) && !self.requests.open.values().any(|open| nameless(&open.body))
    }

    fn deliver(&mut self, stream: StreamId, id: RequestId) {
        let limit = self.config.max_subscription_streams;
        let Some(receiving) = self.requests.receiving(id) else { return };
        receiving.arrived += 1;
        if receiving.streams.len() >= limit {
            self.stop_stream(stream);
            return;
        }
        receiving.streams.insert(stream, ());
        self.tracks.delivered.insert(stream, id);
        self.outputs.push_back(Output::Deliver { stream, to: id });
    }

    fn deliver_datagram(&mut self, now: Instant, id: RequestId, mut datagram: Datagram) {
        let Some(receiving) = self.requests.receiving(id) else { return };
        receiving.datagrams = true;
        datagram.publisher_priority.get_or_insert(receiving.default_priority);
        match self.judge_datagram(id, &datagram) {
            Ok(()) => self.outputs.push_back(Output::Datagram { to: id, datagram }),
            Err(reason) => self.malformed(now, id, reason),
        }
    }

    /// What a datagram says of its track must agree with what has been seen of it.
    fn judge_datagram(&mut self, id: RequestId, datagram: &Datagram) -> Result<(), &'static str> {
        let at = Location::new(datagram.group_id, datagram.object_id);
        let gaps = Gaps::read(at, &datagram.extensions)?;
        let status = match datagram.body {
            DatagramBody::Status(status) => status,
            _ => ObjectStatus::Normal,
        };
        let mut judged = Ok(());
        let mut tell = |fact| judged = judged.and_then(|()| self.tell_fact(id, fact));
        if status == ObjectStatus::Normal {
            tell(Fact::Datagram(at));
        }
        if datagram.end_of_group {
            tell(Fact::EndOfGroup(Location::new(at.group, at.object.saturating_add(1))));
        }
        rare(at, status, gaps, tell);
        judged
    }

    /// The subscription of an alias is granted: what came before is its.
    pub(super) fn deliver_held(&mut self, now: Instant, alias: TrackAlias, id: RequestId) {
        let forgotten = usize::from(planted::is(Fault::Hold));
        for stream in self.held.take_streams(alias).into_iter().skip(forgotten) {
            self.timers.clear(Timer::HeldStream(stream));
            self.deliver(stream, id);
        }
        for datagram in self.held.take_datagrams(|held| held.datagram.track_alias == alias) {
            self.deliver_datagram(now, id, datagram);
        }
        self.judge_forwarding(now, id);
    }

    /// The subscription of an alias will not be: what came before, and what still comes, is nobody's.
    pub(super) fn retire_alias(&mut self, now: Instant, alias: TrackAlias, id: RequestId) {
        self.tracks.retire(now, alias, id, &self.config);
        for stream in self.held.take_streams(alias) {
            self.timers.clear(Timer::HeldStream(stream));
            self.stop_stream(stream);
        }
        self.held.take_datagrams(|held| held.datagram.track_alias == alias);
    }

    pub(super) fn drop_held(&mut self, stream: StreamId) {
        self.held.streams.retain(|held| held.stream != stream);
        self.stop_stream(stream);
    }

    pub(super) fn drop_stale_datagrams(&mut self, now: Instant) {
        self.held.take_datagrams(|held| held.until <= now);
        if let Some(oldest) = self.held.datagrams.front() {
            self.timers.set(Timer::HeldDatagrams, oldest.until);
        }
    }

    pub(super) fn data_ended(&mut self, now: Instant, stream: StreamId) {
        let Some(id) = self.tracks.delivered.remove(stream) else { return };
        self.fetch_stream_ended(now, id);
        if let Some(receiving) = self.requests.receiving(id) {
            receiving.streams.remove(stream);
            if receiving.is_complete() {
                self.subscription_ended(now, id);
            }
        }
    }

    /// PUBLISH_DONE came: the subscription ends when the streams that it counts have, or when they have had their time
    /// (draft-14 §9.12, draft-16 §9.15).
    pub(super) fn publish_done(&mut self, now: Instant, id: RequestId, done: PublishDone) {
        if let Some(receiving) = self.requests.receiving(id) {
            receiving.done = Some(done);
        }
        self.await_late_streams(now, id);
    }

    /// Ends a subscription of which PUBLISH_DONE was told, now or later. A PUBLISH that nobody has answered yet is kept
    /// until somebody does: what it brought is still to be delivered.
    pub(super) fn await_late_streams(&mut self, now: Instant, id: RequestId) {
        if self.requests.open.get(&id).is_none_or(|open| open.stage != Stage::Granted) {
            return;
        }
        let Some(receiving) = self.requests.receiving(id).filter(|it| it.done.is_some()) else { return };
        if receiving.is_complete() {
            self.subscription_ended(now, id);
        } else if !planted::is(Fault::Deadline) {
            let patience = self.config.late_stream_timeout.max(receiving.delivery_timeout());
            self.timers.set(Timer::LateStreams(id), now + patience);
        }
    }

    /// A subscription of which PUBLISH_DONE was told is over. Streams that were delivered and have not been read to
    /// their end stay with whoever reads them.
    pub(super) fn subscription_ended(&mut self, now: Instant, id: RequestId) {
        let Some(done) = self.forget_receiving(now, id) else { return };
        self.event(Event::Ended { id, done });
    }

    /// Forgets a subscription by which we receive, with its alias and streams. Gives what PUBLISH_DONE said.
    pub(super) fn forget_receiving(&mut self, now: Instant, id: RequestId) -> Option<PublishDone> {
        let Body::Receiving(receiving) = self.end(id)?.body else { return None };
        for (stream, ()) in receiving.streams.iter() {
            self.tracks.delivered.remove(stream);
        }
        if let Some(alias) = receiving.alias {
            self.retire_alias(now, alias, id);
        }
        receiving.done
    }
}

/// What goes out.
impl Session {
    /// Opens a subgroup stream for a subscription by which we send: the caller opens a unidirectional stream, writes the
    /// header, and reports its end by [`Input::DataSettled`](super::Input::DataSettled) whatever that end is.
    /// `extensions` and `end_of_group` are as in [`SubgroupHeader`].
    ///
    /// # Errors
    /// The request is no subscription, not (or no longer) one that takes objects, or does not take those of this group; or
    /// the track is sent in datagrams, in a draft that does not let a track mix (draft-14 §10).
    pub fn open_subgroup(
        &mut self,
        id: RequestId,
        group_id: u64,
        subgroup_id: SubgroupId,
        publisher_priority: u8,
        extensions: bool,
        end_of_group: bool,
    ) -> Result<OpenedStream, Misuse> {
        let state = self.taking_objects(id)?;
        if !state.range.has_group(group_id) {
            return Err(Misuse::WrongState("the subscription does not take objects of this group"));
        }
        let (track_alias, delivery_timeout) = (state.track_alias, state.delivery_timeout);
        let stream = self.new_stream();
        let (may_omit, may_mix) = (self.rules.default_priority, self.rules.mixed_forwarding);
        let Some(sending) = self.requests.sending(id) else { return Err(Misuse::WrongKind) };
        if sending.datagrams && !may_mix {
            return Err(Misuse::Inexpressible("subgroup of a track that is sent in datagrams"));
        }
        let moved = sending.place(group_id);
        let sent =
            SentStream { group: group_id, subgroup: subgroup_id, publisher_priority, waits_since: None };
        sending.opened += 1;
        sending.begin_group(group_id);
        sending.streams.insert(stream, sent);
        let order = sending.order(sent);
        let omitted = may_omit && publisher_priority == sending.default_priority;
        self.tracks.sent.insert(stream, id);
        if moved {
            self.prioritise(id);
        }
        let header = SubgroupHeader {
            track_alias,
            group_id,
            subgroup_id,
            publisher_priority: (!omitted).then_some(publisher_priority),
            extensions,
            end_of_group,
        };
        self.trace_stream(Direction::Sent, stream, &Opening::Subgroup(header));
        Ok(OpenedStream { stream, header, order, delivery_timeout })
    }

    /// The bytes of a datagram for a subscription by which we send. Its alias is filled in, and where the draft needs
    /// it the priority.
    ///
    /// # Errors
    /// As [`Session::open_subgroup`], and what the draft cannot say.
    pub fn datagram(&mut self, id: RequestId, mut datagram: Datagram) -> Result<Bytes, Misuse> {
        let state = self.taking_objects(id)?;
        if !state.range.has_group(datagram.group_id) {
            return Err(Misuse::WrongState("the subscription does not take objects of this group"));
        }
        datagram.track_alias = state.track_alias;
        let may_mix = self.rules.mixed_forwarding;
        if let Some(sending) = self.requests.sending(id) {
            if sending.opened > 0 && !may_mix {
                return Err(Misuse::Inexpressible("datagram of a track that is sent in subgroups"));
            }
            sending.datagrams = true;
            sending.begin_group(datagram.group_id);
            if !self.rules.default_priority {
                datagram.publisher_priority.get_or_insert(sending.default_priority);
            }
        }
        check_sent(self.draft, Location::new(datagram.group_id, datagram.object_id), &datagram.extensions)?;
        let mut w = Writer::new();
        self.draft.encode_datagram(&datagram, &mut w)?;
        self.trace_datagram(Direction::Sent, &datagram);
        Ok(w.take())
    }

    /// A subscription by which we send, as its subscriber wants it now.
    pub fn subscription(&self, id: RequestId) -> Option<&SubscriptionState> {
        match &self.requests.open.get(&id)?.body {
            Body::Sending(sending) => Some(&sending.state),
            _ => None,
        }
    }

    fn taking_objects(&self, id: RequestId) -> Result<&SubscriptionState, Misuse> {
        let open = self.requests.open.get(&id).ok_or(Misuse::UnknownRequest)?;
        let Body::Sending(sending) = &open.body else { return Err(Misuse::WrongKind) };
        match open.stage {
            Stage::Pending => Err(Misuse::WrongState("the subscription is not accepted")),
            Stage::Waiting => Err(Misuse::WrongState("the PUBLISH has not been sent")),
            _ if sending.finishing.is_some() => Err(Misuse::WrongState("the subscription is finished")),
            _ if !sending.state.forward => Err(Misuse::WrongState("the subscriber wants no objects now")),
            _ => Ok(&sending.state),
        }
    }

    /// Tells the transport the places of all streams of a subscription.
    pub(super) fn prioritise(&mut self, id: RequestId) {
        let Some(sending) = self.requests.sending(id) else { return };
        let orders: Vec<_> =
            sending.streams.iter().map(|(stream, sent)| (stream, sending.order(*sent))).collect();
        self.outputs.extend(orders.into_iter().map(|(stream, order)| Output::Priority { stream, order }));
    }

    pub(super) fn data_settled(&mut self, stream: StreamId) -> Checked {
        let Some(id) = self.tracks.sent.remove(stream) else { return Ok(()) };
        self.timers.clear(Timer::Delivery(stream));
        if let Some(sending) = self.requests.sending(id) {
            sending.streams.remove(stream);
        }
        self.served(id)?;
        self.try_finish(id)
    }

    /// Says PUBLISH_DONE if it is asked for and no stream is left (draft-14 §9.12, draft-16 §9.15).
    pub(super) fn try_finish(&mut self, id: RequestId) -> Checked {
        let Some(sending) = self.requests.sending(id).filter(|sending| sending.streams.is_empty()) else {
            return Ok(());
        };
        let Some((code, reason)) = sending.finishing.take() else { return Ok(()) };
        let uncounted = u64::from(planted::is(Fault::Count));
        let done = PublishDone { code, stream_count: sending.opened.saturating_sub(uncounted), reason };
        self.forget_sending(id)?;
        self.send(None, &Message::PublishDone { target: id, done })?;
        self.raise_limit()
    }

    /// Forgets a subscription by which we send, and resets its streams.
    pub(super) fn forget_sending(&mut self, id: RequestId) -> Result<(), EncodeError> {
        let Some(open) = self.end(id) else { return Ok(()) };
        if open.stage == Stage::Asked {
            self.requests.remember_withdrawn(id);
        }
        if let Body::Sending(sending) = open.body {
            for stream in sending.streams.into_ids() {
                self.tracks.sent.remove(stream);
                self.timers.clear(Timer::Delivery(stream));
                self.reset_stream(stream);
            }
            self.refuse_joiners(sending.joiners)?;
        }
        Ok(())
    }

    /// Resets our streams of a subscription that the filter no longer takes, or all.
    pub(super) fn reset_streams(&mut self, id: RequestId, unwanted: impl Fn(&SentStream) -> bool) {
        let Some(sending) = self.requests.sending(id) else { return };
        let streams: Vec<_> =
            sending.streams.iter().filter(|(_, sent)| unwanted(sent)).map(|(stream, _)| stream).collect();
        for stream in streams {
            self.reset_stream(stream);
        }
    }
}
