//! A track's objects as we send them to one subscriber.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::model::{
    Datagram, FullTrackName, ObjectHeader, PublishDoneCode, ReasonPhrase, ResetCode, SubgroupId, Subscribe,
    SubscriptionFilter,
};
use moqingbird_wire::stream::SubgroupWriter;
use tokio::sync::watch;

use super::session::{self, Granted, Leave, OwnedRequest};
use super::{Handle, PublicationError};
use crate::driver::{Broken, End, Listening, SendCell, Shared, Status};
use crate::session::{Misuse, StreamEnd, StreamId};
use crate::transport::{CANCELLED, DatagramError, SendStream};

/// A subscription as its publisher sees it: the peer's SUBSCRIBE that we accepted, or our PUBLISH that was accepted.
/// Dropping it ends it with SUBSCRIPTION_ENDED; [`Publication::finish`] says why.
#[derive(Debug)]
pub struct Publication {
    owned: OwnedRequest,
    status: watch::Receiver<Status>,
    track: FullTrackName,
    subscribe: Option<Subscribe>,
    /// How many of our streams are not settled.
    unsettled: watch::Sender<usize>,
}

/// How a subgroup begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubgroupOptions {
    /// The group.
    pub group_id: u64,
    /// The subgroup.
    pub subgroup_id: SubgroupId,
    /// 0 is sent first, 255 last.
    pub publisher_priority: u8,
    /// Whether objects may carry extension headers.
    pub extensions: bool,
    /// Whether the last object written before the end is the last of the group.
    pub end_of_group: bool,
}

impl SubgroupOptions {
    /// Subgroup 0 of a group, of default priority, whose objects carry no extension headers.
    pub const fn new(group_id: u64) -> Self {
        Self {
            group_id,
            subgroup_id: SubgroupId::Zero,
            publisher_priority: moqingbird_wire::model::DEFAULT_PRIORITY,
            extensions: false,
            end_of_group: false,
        }
    }
}

impl Publication {
    pub(super) fn new(granted: Granted, track: FullTrackName, subscribe: Option<Subscribe>) -> Self {
        let Granted { mut owned, listening: Listening { status, .. } } = granted;
        owned.leave_by(Leave::Finish);
        Self { owned, status, track, subscribe, unsettled: watch::channel(0).0 }
    }

    /// The track.
    pub const fn track(&self) -> &FullTrackName {
        &self.track
    }

    /// What the subscriber asked; `None` if it accepted our PUBLISH.
    pub const fn subscribe(&self) -> Option<&Subscribe> {
        self.subscribe.as_ref()
    }

    /// Whether the subscriber wants objects now. While it does not, none may be sent.
    pub fn forward(&self) -> bool {
        self.status.borrow().forward
    }

    /// Waits until the subscriber wants objects; or has left, or the session is over.
    pub async fn forwarding(&self) {
        let mut status = self.status.clone();
        // It fails only when the session's driver is gone.
        let _ = status.wait_for(|status| status.forward || status.end.is_some()).await;
    }

    /// The subscriber's priority: 0 is served first, 255 last.
    pub fn subscriber_priority(&self) -> u8 {
        self.status.borrow().priority
    }

    /// Which objects the subscriber wants.
    pub fn filter(&self) -> Option<SubscriptionFilter> {
        self.status.borrow().filter
    }

    /// Waits until the subscriber has left, or the session is over.
    pub async fn cancelled(&self) {
        session::ended(&self.status).await;
    }

    /// Opens a stream for a subgroup. Waits while the subscriber takes no more streams.
    ///
    /// # Errors
    /// The subscriber has left, the session ended, or the draft cannot express the header.
    pub async fn open_subgroup(&self, options: SubgroupOptions) -> Result<SubgroupSender, PublicationError> {
        self.check()?;
        let shared = self.owned.shared();
        let opened = tokio::select! {
            opened = shared.connection.open_uni() => opened,
            () = self.cancelled() => return Err(self.gone()),
        };
        let stream = opened.map_err(|_| self.gone())?;
        SubgroupSender::open(self, stream, options)
    }

    /// Sends an object in a datagram, waiting for room. The track alias in `datagram` is not used. One that is too large
    /// for the path is dropped, as the drafts have it (draft-14 §10.3, draft-16 §10.3).
    ///
    /// # Errors
    /// The subscriber has left, the session ended, or the draft cannot express the object.
    pub async fn send_datagram(&self, datagram: Datagram) -> Result<(), PublicationError> {
        self.check()?;
        let shared = self.owned.shared();
        let bytes = shared
            .run(|session, _| session.datagram(self.owned.id, datagram))
            .map_err(|e| self.misused(e))?;
        match shared.connection.send_datagram(bytes).await {
            Ok(()) | Err(DatagramError::TooLarge | DatagramError::Unsupported) => Ok(()),
            Err(DatagramError::Lost(_)) => Err(self.gone()),
        }
    }

    /// Ends the subscription (PUBLISH_DONE) once every subgroup that was finished is acknowledged, and waits for that.
    /// If the future is dropped the subscription ends all the same, unwaited.
    ///
    /// # Errors
    /// The subscriber has left before, or the session ended.
    pub async fn finish(
        mut self,
        code: PublishDoneCode,
        reason: impl Into<ReasonPhrase>,
    ) -> Result<(), PublicationError> {
        self.check()?;
        self.owned.leave_by(Leave::Silently);
        let (shared, id) = (self.owned.shared(), self.owned.id);
        shared
            .run(|session, now| session.finish(now, id, code, reason.into()))
            .map_err(|misuse| self.misused(misuse))?;
        let mut unsettled = self.unsettled.subscribe();
        tokio::select! {
            biased;
            // It fails only when `self.unsettled` is gone, which `self` holds.
            _ = unsettled.wait_for(|count| *count == 0) => Ok(()),
            () = self.cancelled() => Err(self.gone()),
        }
    }

    fn check(&self) -> Result<(), PublicationError> {
        match self.status.borrow().end {
            Some(_) => Err(self.gone()),
            None => Ok(()),
        }
    }

    fn gone(&self) -> PublicationError {
        match &self.status.borrow().end {
            Some(End::Closed(closed)) => PublicationError::Closed(closed.clone()),
            _ => match self.owned.shared().close_reason() {
                Some(closed) => PublicationError::Closed(closed),
                None => PublicationError::Cancelled,
            },
        }
    }

    fn misused(&self, misuse: Misuse) -> PublicationError {
        match misuse {
            Misuse::UnknownRequest | Misuse::Closed => self.gone(),
            misuse => PublicationError::Misuse(misuse),
        }
    }
}

/// A subgroup that we send. Dropped unfinished, its stream is reset with CANCELLED.
///
/// Cancelling a write loses nothing: what was not handed over goes out first with the next write, or with
/// [`SubgroupSender::finish`].
#[derive(Debug)]
pub struct SubgroupSender {
    stream: SentStream,
    /// Behind the stream, which is settled before the session may be closed.
    handle: Arc<Handle>,
    writer: SubgroupWriter,
    pending: VecDeque<Bytes>,
    payload_left: u64,
}

impl SubgroupSender {
    fn open(
        publication: &Publication,
        stream: SendStream,
        options: SubgroupOptions,
    ) -> Result<Self, PublicationError> {
        let shared = publication.owned.shared();
        let SubgroupOptions { group_id, subgroup_id, publisher_priority, extensions, end_of_group } = options;
        let id = publication.owned.id;
        let (opened, cell) = shared
            .open_subgroup(stream, |session| {
                session.open_subgroup(id, group_id, subgroup_id, publisher_priority, extensions, end_of_group)
            })
            .map_err(|misuse| publication.misused(misuse))?;
        publication.unsettled.send_modify(|count| *count += 1);
        let stream = SentStream {
            shared: shared.clone(),
            id: opened.stream,
            cell,
            unsettled: publication.unsettled.clone(),
            settled: false,
        };
        let mut writer = SubgroupWriter::new(shared.draft, opened.header);
        let pending = VecDeque::from([writer.opening()?]);
        Ok(Self { stream, handle: publication.owned.handle.clone(), writer, pending, payload_left: 0 })
    }

    /// Writes an object. Waits while the subscriber does not read.
    ///
    /// # Errors
    /// The payload is not as long as the header says, the draft cannot express the header, an object is unfinished, the
    /// subscriber wants no more, or the session ended.
    pub async fn write_object(
        &mut self,
        header: &ObjectHeader,
        payload: Bytes,
    ) -> Result<(), PublicationError> {
        if header.payload_length != payload.len() as u64 {
            let problem = "the payload is not as long as the header says";
            return Err(PublicationError::Misuse(Misuse::WrongState(problem)));
        }
        self.begin(header)?;
        self.add(payload)?;
        self.flush().await
    }

    /// Begins an object, whose payload follows by [`SubgroupSender::write_payload`].
    ///
    /// # Errors
    /// As [`SubgroupSender::write_object`].
    pub async fn write_header(&mut self, header: &ObjectHeader) -> Result<(), PublicationError> {
        self.begin(header)?;
        self.flush().await
    }

    /// Writes the next part of an object's payload.
    ///
    /// # Errors
    /// As [`SubgroupSender::write_object`].
    pub async fn write_payload(&mut self, part: Bytes) -> Result<(), PublicationError> {
        self.add(part)?;
        self.flush().await
    }

    /// Takes an object's header without sending it yet: for those who write many items with one
    /// [`SubgroupSender::flush`].
    ///
    /// # Errors
    /// As [`SubgroupSender::write_object`].
    pub fn begin(&mut self, header: &ObjectHeader) -> Result<(), PublicationError> {
        if self.payload_left > 0 {
            let problem = "the object before is not complete";
            return Err(PublicationError::Misuse(Misuse::WrongState(problem)));
        }
        let bytes = self.writer.object(header)?;
        self.pending.push_back(bytes);
        self.payload_left = header.payload_length;
        Ok(())
    }

    /// Takes the next part of an object's payload without sending it yet.
    ///
    /// # Errors
    /// It is more than the object's header said.
    pub fn add(&mut self, part: Bytes) -> Result<(), PublicationError> {
        let left = self.payload_left.checked_sub(part.len() as u64).ok_or(PublicationError::Misuse(
            Misuse::WrongState("the payload is longer than the header says"),
        ))?;
        self.payload_left = left;
        if !part.is_empty() {
            self.pending.push_back(part);
        }
        Ok(())
    }

    /// Hands everything taken so far to the transport. Waits while the subscriber does not read.
    ///
    /// # Errors
    /// The subscriber wants no more, or the session ended.
    pub async fn flush(&mut self) -> Result<(), PublicationError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.stream.cell.write_all(&mut self.pending).await;
        written.map_err(|broken| self.stream.broken(broken))
    }

    /// Ends the subgroup: no object follows. What was not handed over yet is sent in the background.
    ///
    /// # Errors
    /// An object is unfinished; the stream is then reset.
    pub fn finish(self) -> Result<(), PublicationError> {
        if self.payload_left > 0 {
            let problem = "the last object is not complete";
            return Err(PublicationError::Misuse(Misuse::WrongState(problem)));
        }
        self.stream.finish(self.pending);
        drop(self.handle);
        Ok(())
    }

    /// Abandons the subgroup with a code.
    pub fn reset(mut self, code: ResetCode) {
        let code = self.handle.shared.draft.reset_code(code).and_then(|code| u32::try_from(code).ok());
        self.stream.abandon(code.unwrap_or(CANCELLED));
    }
}

/// A stream that is counted until it is settled.
#[derive(Debug)]
struct SentStream {
    shared: Arc<Shared>,
    id: StreamId,
    cell: Arc<SendCell>,
    unsettled: watch::Sender<usize>,
    settled: bool,
}

impl SentStream {
    /// Leaves the stream to a task that sends the rest, ends it and awaits the acknowledgement.
    fn finish(mut self, rest: VecDeque<Bytes>) {
        let shared = self.shared.clone();
        shared.spawn(async move {
            match self.cell.see_off(rest).await {
                Ok(()) => self.settle(StreamEnd::Finished),
                Err(broken) => drop(self.broken(broken)),
            }
        });
    }

    fn abandon(&mut self, code: u32) {
        if !self.settled {
            if let Some(mut stream) = self.cell.take() {
                stream.reset(code);
            }
            self.settle(StreamEnd::Reset(code.into()));
        }
    }

    /// Nothing more goes out.
    fn broken(&mut self, broken: Broken) -> PublicationError {
        // Dropped and not reset: the transport answers a stop with its own code.
        drop(self.cell.take());
        self.settle(broken.into());
        match self.shared.close_reason() {
            Some(closed) => PublicationError::Closed(closed),
            None => PublicationError::Cancelled,
        }
    }

    fn settle(&mut self, how: StreamEnd) {
        if !std::mem::replace(&mut self.settled, true) {
            self.shared.settled(self.id, how);
            self.unsettled.send_modify(|count| *count -= 1);
        }
    }
}

impl Drop for SentStream {
    fn drop(&mut self) {
        self.abandon(CANCELLED);
    }
}
