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

use super::session::{self, Granted, OwnedRequest};
use super::{Handle, PublicationError};
use crate::driver::{End, Ended, Lent, Listening, SendCell, Status};
use crate::session::{Misuse, StreamEnd, StreamId};
use crate::transport::{CANCELLED, DatagramError, SendStream, StreamError};

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
    finished: bool,
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
        // It is ended by PUBLISH_DONE, not withdrawn.
        owned.ended();
        Self { owned, status, track, subscribe, unsettled: watch::channel(0).0, finished: false }
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
        self.done(code, reason.into());
        let mut unsettled = self.unsettled.subscribe();
        tokio::select! {
            // It fails only when `self.unsettled` is gone, which `self` holds.
            _ = unsettled.wait_for(|count| *count == 0) => Ok(()),
            () = self.cancelled() => Err(self.gone()),
        }
    }

    fn done(&mut self, code: PublishDoneCode, reason: ReasonPhrase) {
        self.finished = true;
        // It fails if the subscriber has left meanwhile, which is as good.
        let _ = self.owned.shared().run(|session, now| session.finish(now, self.owned.id, code, reason));
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

impl Drop for Publication {
    fn drop(&mut self) {
        if !self.finished {
            self.done(PublishDoneCode::SubscriptionEnded, "the publisher let go of the subscription".into());
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
        let opened = shared
            .run(|session, _| {
                let id = publication.owned.id;
                session.open_subgroup(id, group_id, subgroup_id, publisher_priority, extensions, end_of_group)
            })
            .map_err(|misuse| publication.misused(misuse))?;
        let cell = Arc::new(SendCell::new(stream, opened.order));
        shared.adopt(opened.stream, cell.clone());
        publication.unsettled.send_modify(|count| *count += 1);
        let stream = SentStream {
            handle: publication.owned.handle.clone(),
            id: opened.stream,
            cell,
            unsettled: publication.unsettled.clone(),
            settled: false,
        };
        let mut writer = SubgroupWriter::new(shared.draft, opened.header);
        let pending = VecDeque::from([writer.opening()?]);
        Ok(Self { stream, writer, pending, payload_left: 0 })
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
        match write_all(&self.stream.cell, &mut self.pending).await {
            Ok(()) => Ok(()),
            Err(Some(error)) => Err(self.stream.failed(error)),
            Err(None) => Err(self.stream.gone()),
        }
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
        Ok(())
    }

    /// Abandons the subgroup with a code.
    pub fn reset(mut self, code: ResetCode) {
        let code = self.stream.handle.shared.draft.reset_code(code).and_then(|code| u32::try_from(code).ok());
        self.stream.abandon(code.unwrap_or(CANCELLED));
    }
}

/// Writes until nothing is pending; `None` for an error if the driver has ended the stream.
async fn write_all(cell: &SendCell, pending: &mut VecDeque<Bytes>) -> Result<(), Option<StreamError>> {
    let mut lent = cell.lend().map_err(|_| None)?;
    while !pending.is_empty() {
        let stream = lent.stream().ok_or(None)?;
        let written = tokio::select! {
            biased;
            written = stream.write(pending.make_contiguous()) => written?,
            _ = Lent::ordered_to_end(cell) => return Err(None),
        };
        pending.drain(..written.chunks);
    }
    Ok(())
}

/// A stream that is counted until it is settled.
#[derive(Debug)]
struct SentStream {
    handle: Arc<Handle>,
    id: StreamId,
    cell: Arc<SendCell>,
    unsettled: watch::Sender<usize>,
    settled: bool,
}

impl SentStream {
    /// Leaves the stream to a task that sends the rest, ends it and awaits the acknowledgement.
    fn finish(mut self, rest: VecDeque<Bytes>) {
        let Some(mut stream) = self.cell.take() else { return };
        tokio::spawn(async move {
            let cell = self.cell.clone();
            let how = tokio::select! {
                how = send_rest(&mut stream, rest) => how,
                Ended { code } = Lent::ordered_to_end(&cell) => {
                    stream.reset(code);
                    StreamEnd::Reset(code.into())
                }
            };
            self.settle(how);
        });
    }

    fn abandon(&mut self, code: u32) {
        if let Some(mut stream) = self.cell.take() {
            stream.reset(code);
        }
        self.settle(StreamEnd::Reset(code.into()));
    }

    fn settle(&mut self, how: StreamEnd) {
        if !std::mem::replace(&mut self.settled, true) {
            self.handle.shared.settled(self.id, how);
            self.unsettled.send_modify(|count| *count -= 1);
        }
    }

    fn failed(&mut self, error: StreamError) -> PublicationError {
        match error {
            StreamError::Stopped(code) | StreamError::Reset(code) => {
                self.settle(StreamEnd::Stopped(code));
                PublicationError::Cancelled
            }
            _ => self.gone(),
        }
    }

    fn gone(&self) -> PublicationError {
        match self.handle.shared.close_reason() {
            Some(closed) => PublicationError::Closed(closed),
            None => PublicationError::Cancelled,
        }
    }
}

impl Drop for SentStream {
    fn drop(&mut self) {
        self.abandon(CANCELLED);
    }
}

async fn send_rest(stream: &mut SendStream, mut rest: VecDeque<Bytes>) -> StreamEnd {
    while !rest.is_empty() {
        match stream.write(rest.make_contiguous()).await {
            Ok(written) => drop(rest.drain(..written.chunks)),
            Err(StreamError::Stopped(code)) => return StreamEnd::Stopped(code),
            Err(_) => return StreamEnd::Reset(CANCELLED.into()),
        }
    }
    stream.finish();
    match stream.stopped().await {
        Ok(None) => StreamEnd::Finished,
        Ok(Some(code)) => StreamEnd::Stopped(code),
        Err(_) => StreamEnd::Reset(CANCELLED.into()),
    }
}
