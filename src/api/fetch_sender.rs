//! The answer to a FETCH of the peer: the objects as we send them.

use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::model::{
    DEFAULT_PRIORITY, FetchItem, FetchObject, Location, ObjectStatus, RangeStatus, ResetCode,
};
use moqingbird_wire::stream::FetchWriter;

use super::PublicationError;
use super::sent::{Pending, SentStream, check_length};
use super::session::{Granted, Leave, OwnedRequest};
use crate::driver::{End, Standing};
use crate::session::{Misuse, OpenedFetch};
use crate::transport::SendStream;

/// The objects of a FETCH that was accepted, on one stream, in the order of groups that was asked for and ascending
/// within each group. Dropped unfinished, the stream is reset with CANCELLED: the peer never takes a part for the whole.
///
/// Cancelling a write loses nothing: what was not handed over goes out first with the next write, or with
/// [`FetchSender::finish`].
#[derive(Debug)]
pub struct FetchSender {
    stream: Option<SentStream>,
    // Behind the stream, which is settled before the session may be closed.
    owned: OwnedRequest,
    standing: Standing,
    writer: FetchWriter,
    pending: Pending,
    /// That of the first object, by which the stream is placed.
    priority: Option<u8>,
}

impl FetchSender {
    pub(super) fn new(Granted { mut owned, listening }: Granted) -> Result<Self, PublicationError> {
        owned.leave_by(Leave::Cancel);
        let writer = FetchWriter::new(owned.shared().draft, owned.id);
        let pending = Pending::opening(|w| writer.opening_into(w))?;
        let standing = listening.into_standing();
        Ok(Self { stream: None, owned, standing, writer, pending, priority: None })
    }

    /// Waits until the peer has cancelled the FETCH, or the session is over.
    pub async fn cancelled(&self) {
        self.standing.ended().await;
    }

    /// Writes an object. Waits while the peer does not read.
    ///
    /// # Errors
    /// The payload is not as long as the header says, the draft cannot express the header, an object is unfinished, the
    /// peer has cancelled the FETCH, or the session ended.
    pub async fn write_object(
        &mut self,
        header: &FetchObject,
        payload: Bytes,
    ) -> Result<(), PublicationError> {
        check_length(header.payload_length, &payload)?;
        self.begin(header)?;
        self.add(payload)?;
        self.flush().await
    }

    /// Takes an object's header without sending it yet: for those who write many items with one
    /// [`FetchSender::flush`].
    ///
    /// # Errors
    /// As [`FetchSender::write_object`].
    pub fn begin(&mut self, header: &FetchObject) -> Result<(), PublicationError> {
        self.item(&FetchItem::Object(header.clone()), header.payload_length)?;
        self.priority.get_or_insert(header.publisher_priority);
        Ok(())
    }

    /// As [`FetchSender::begin`] for an object of another draft. What the peer's draft cannot say of one that is a
    /// status and has no payload is left out: its extension headers; or, where FETCH has no statuses, all of it, which
    /// then says no less: an object that does not exist is a range without objects.
    ///
    /// # Errors
    /// As [`FetchSender::begin`].
    pub fn begin_bridged(&mut self, header: &FetchObject) -> Result<(), PublicationError> {
        match self.begin(header) {
            Err(PublicationError::Encode(_)) if header.status != ObjectStatus::Normal => {}
            begun => return begun,
        }
        let plain = FetchObject { extensions: moqingbird_wire::model::Extensions::NONE, ..header.clone() };
        match self.begin(&plain) {
            Err(PublicationError::Encode(_)) if header.status == ObjectStatus::DoesNotExist => {
                self.end_of_range(header.location, RangeStatus::NonExistent)
            }
            Err(PublicationError::Encode(_)) => Ok(()),
            begun => begun,
        }
    }

    /// Takes the next part of an object's payload without sending it yet.
    ///
    /// # Errors
    /// It is more than the object's header said.
    pub fn add(&mut self, part: Bytes) -> Result<(), PublicationError> {
        self.pending.payload(part)
    }

    /// Says, with the next [`FetchSender::flush`], that nothing more comes up to and including `end`.
    ///
    /// # Errors
    /// As [`FetchSender::begin`]; draft-14 cannot express it.
    pub fn end_of_range(&mut self, end: Location, status: RangeStatus) -> Result<(), PublicationError> {
        self.item(&FetchItem::EndOfRange { end, status }, 0)
    }

    fn item(&mut self, item: &FetchItem, payload_length: u64) -> Result<(), PublicationError> {
        self.pending.check_complete()?;
        let Self { writer, pending, .. } = self;
        Ok(pending.header(|w| writer.item_into(item, w), payload_length)?)
    }

    /// Hands everything taken so far to the transport. Waits while the peer does not read, or takes no more streams.
    ///
    /// # Errors
    /// The peer has cancelled the FETCH, or the session ended.
    pub async fn flush(&mut self) -> Result<(), PublicationError> {
        if self.stream.is_none() {
            let stream = self.fresh_stream().await?;
            self.open(stream)?;
        }
        match &mut self.stream {
            Some(stream) => stream.flush(&mut self.pending).await,
            None => Ok(()),
        }
    }

    /// Ends the stream: what was asked for is complete. What was not handed over yet is sent in the background.
    ///
    /// # Errors
    /// As [`FetchSender::flush`]; or an object is unfinished, and the stream is reset.
    pub async fn finish(mut self) -> Result<(), PublicationError> {
        self.pending.check_complete()?;
        if self.stream.is_none() {
            let stream = self.fresh_stream().await?;
            self.open(stream)?;
        }
        self.owned.leave_by(Leave::Silently);
        if let Some(stream) = self.stream.take() {
            stream.finish(self.pending);
        }
        Ok(())
    }

    /// Abandons the stream with a code: what was asked for stays incomplete. A reset overtakes what it follows closely, so
    /// a peer that has seen nothing of the stream hears nothing of its end either: accept a FETCH when there is something to
    /// send.
    pub fn reset(mut self, code: ResetCode) {
        if let Some(stream) = &mut self.stream {
            stream.reset(code);
        }
    }

    async fn fresh_stream(&self) -> Result<SendStream, PublicationError> {
        let opened = tokio::select! {
            opened = self.owned.shared().connection.open_uni() => opened,
            () = self.cancelled() => return Err(self.gone()),
        };
        opened.map_err(|_| self.gone())
    }

    fn open(&mut self, stream: SendStream) -> Result<(), PublicationError> {
        let (id, priority) = (self.owned.id, self.priority.unwrap_or(DEFAULT_PRIORITY));
        let (stream, cell, ()) = self
            .owned
            .shared()
            .open_stream(stream, |session| {
                let OpenedFetch { stream, order, .. } = session.open_fetch(id, priority)?;
                Ok((stream, order, ()))
            })
            .map_err(|misuse| match misuse {
                Misuse::UnknownRequest | Misuse::Closed => self.gone(),
                misuse => PublicationError::Misuse(misuse),
            })?;
        self.stream = Some(SentStream::new(&self.owned.handle, stream, cell, Arc::default(), false));
        Ok(())
    }

    fn gone(&self) -> PublicationError {
        match self.standing.end() {
            Some(End::Closed(closed)) => PublicationError::Closed(closed),
            _ => match self.owned.shared().close_reason() {
                Some(closed) => PublicationError::Closed(closed),
                None => PublicationError::Cancelled,
            },
        }
    }
}
