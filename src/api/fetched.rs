//! The answer to a FETCH of ours: FETCH_OK, and the objects as they arrive.

use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::model::{
    Fetch, FetchObject, FetchOk, GroupOrder, Location, Opening, RangeStatus, Request, RequestId, RequestKind,
    ResetCode, Response,
};
use moqingbird_wire::stream::{FetchReader, FetchStreamItem};

use super::received::{Collected, MAX_OBJECT, ReceivedStream};
use super::session::{self, Asked, Granted, Leave, OwnedRequest};
use super::{FetchError, Handle, RequestFailed, SubgroupError};
use crate::driver::{Arrived, DataStream, Listening, Note};
use crate::session::FetchWitness;
use crate::transport::CANCELLED;

/// Objects of the past, in the order that was asked for (draft-14 §9.16, draft-16 §9.16). While they are not read, QUIC's
/// flow control stops the publisher. Dropping it before its end cancels the FETCH (FETCH_CANCEL).
///
/// The answer and the objects come independently, either may be first: [`Fetched::ok`] waits for the one,
/// [`Fetched::next_item`] and [`Fetched::next_object`] for the others.
#[derive(Debug)]
pub struct Fetched {
    // Before the stream: FETCH_CANCEL is said while the request is not over.
    owned: OwnedRequest,
    listening: Listening,
    stream: Option<ReceivedStream>,
    reader: Option<FetchReader>,
    witness: FetchWitness,
    /// In which order groups come, if it was asked for.
    order: Option<GroupOrder>,
    ok: Option<FetchOk>,
    max_object: u64,
    collected: Collected<FetchObject>,
}

/// A fetched object, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedObject {
    /// Location, subgroup, priority, status and extension headers.
    pub header: FetchObject,
    /// The payload; empty unless the status is Normal.
    pub payload: Bytes,
}

/// What a FETCH brings, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchDelivery {
    /// An object.
    Object(FetchedObject),
    /// There is nothing more up to and including `end`. Draft-14 does not tell.
    EndOfRange {
        /// The last location of the range.
        end: Location,
        /// Whether there are no objects, or the publisher does not know.
        status: RangeStatus,
    },
}

impl Fetched {
    /// Sends a FETCH, and waits until either FETCH_OK or its stream has come.
    pub(super) async fn ask(handle: &Arc<Handle>, fetch: Fetch) -> Result<Self, RequestFailed> {
        let order = fetch.group_order;
        let Granted { owned, listening } = Asked::new(handle, Request::Fetch(fetch))?.unanswered();
        let mut fetched = Self {
            owned,
            listening,
            stream: None,
            reader: None,
            witness: FetchWitness::new(),
            order,
            ok: None,
            max_object: MAX_OBJECT,
            collected: Collected::nothing(),
        };
        match fetched.hear().await {
            Ok(()) => Ok(fetched),
            Err(FetchError::Rejected(rejected)) => Err(RequestFailed::Rejected(rejected)),
            Err(_) => Err(RequestFailed::Closed(session::closed(&fetched.listening))),
        }
    }

    /// The number of the request.
    pub const fn id(&self) -> RequestId {
        self.owned.id
    }

    /// What the publisher says of the response: where it ends, whether that is the end of the track, and what holds for
    /// the track. Waits for it. Cancel-safe.
    ///
    /// # Errors
    /// The publisher declined after all, or the session ended.
    pub async fn ok(&mut self) -> Result<FetchOk, FetchError> {
        loop {
            if let Some(ok) = &self.ok {
                return Ok(ok.clone());
            }
            self.hear().await?;
        }
    }

    /// As [`Fetched::ok`], without waiting: `None` if it has not come yet.
    pub const fn try_ok(&self) -> Option<&FetchOk> {
        self.ok.as_ref()
    }

    /// Sets the largest object that [`Fetched::next_object`] collects, in bytes: 16 MiB at first.
    pub const fn set_max_object(&mut self, bytes: u64) {
        self.max_object = bytes;
    }

    /// The next header, part of a payload, range without objects, or end, as soon as it has arrived. Nothing is copied.
    /// Behind [`FetchStreamItem::End`] there is nothing: `None`. Cancel-safe.
    ///
    /// # Errors
    /// The publisher declined after all or reset the stream, the stream breaks the rules of tracks, or the session ended.
    pub async fn next_item(&mut self) -> Result<Option<FetchStreamItem>, FetchError> {
        loop {
            if let Some(item) = self.try_next_item()? {
                return Ok(Some(item));
            }
            let (Some(stream), Some(reader)) = (&mut self.stream, &mut self.reader) else {
                self.hear().await?;
                continue;
            };
            if stream.has_ended() {
                return Ok(None);
            }
            match stream.read(|chunk| reader.push(chunk)).await {
                Ok(true) => {}
                Ok(false) => reader.finish(),
                Err(SubgroupError::Reset(code)) => {
                    self.witness.ended(false, |fact| stream.tell(fact));
                    return Err(self.reset(code));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What has arrived already: as [`Fetched::next_item`] without waiting, for those who handle many items at once.
    ///
    /// # Errors
    /// As [`Fetched::next_item`].
    pub fn try_next_item(&mut self) -> Result<Option<FetchStreamItem>, FetchError> {
        let (Some(stream), Some(reader)) = (&mut self.stream, &mut self.reader) else { return Ok(None) };
        if stream.has_ended() {
            return Ok(None);
        }
        let item = reader.next_item().map_err(|error| stream.broken(error))?;
        let tell = |fact| stream.tell(fact);
        match &item {
            Some(FetchStreamItem::Object(object)) => self.witness.object(object, reader.gaps(), tell),
            Some(FetchStreamItem::EndOfRange { end, status }) => {
                self.witness.end_of_range(*end, *status, tell);
            }
            Some(FetchStreamItem::End) => {
                if self.ok.is_some() {
                    self.owned.leave_by(Leave::Silently);
                }
                stream.finished(|tell| self.witness.ended(true, tell));
            }
            _ => {}
        }
        Ok(item)
    }

    /// The next object, whole, or range without objects; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// As [`Fetched::next_item`]; or the object is larger than the limit, and the stream is stopped.
    pub async fn next(&mut self) -> Result<Option<FetchDelivery>, FetchError> {
        loop {
            if let Some((header, payload)) = self.collected.take() {
                return Ok(Some(FetchDelivery::Object(FetchedObject { header, payload })));
            }
            match self.next_item().await? {
                Some(FetchStreamItem::Object(header)) if header.payload_length > self.max_object => {
                    if let Some(stream) = &mut self.stream {
                        stream.abandon(CANCELLED);
                    }
                    return Err(FetchError::TooLarge(header.payload_length));
                }
                Some(FetchStreamItem::Object(header)) => {
                    let length = header.payload_length;
                    self.collected.begin(header, length);
                }
                Some(FetchStreamItem::Payload(part)) => self.collected.add(part),
                Some(FetchStreamItem::EndOfRange { end, status }) => {
                    return Ok(Some(FetchDelivery::EndOfRange { end, status }));
                }
                _ => return Ok(None),
            }
        }
    }

    /// As [`Fetched::next`], but for the ranges without objects.
    ///
    /// # Errors
    /// As [`Fetched::next`].
    pub async fn next_object(&mut self) -> Result<Option<FetchedObject>, FetchError> {
        loop {
            match self.next().await? {
                Some(FetchDelivery::Object(object)) => return Ok(Some(object)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Cancels the FETCH (FETCH_CANCEL), as dropping it does.
    pub fn cancel(self) {}

    /// Takes in what the engine says next of the request: its answer, or its stream.
    async fn hear(&mut self) -> Result<(), FetchError> {
        match self.listening.note().await {
            Some(note) => self.take(note),
            None => Err(FetchError::Closed(session::closed(&self.listening))),
        }
    }

    fn take(&mut self, note: Note) -> Result<(), FetchError> {
        match note {
            Note::Accepted(response) => {
                if let Response::Fetch(ok) = *response {
                    self.ok = Some(ok);
                }
            }
            Note::Rejected(error) => {
                self.owned.leave_by(Leave::Silently);
                return Err(FetchError::Rejected(self.owned.rejected(RequestKind::Fetch, error)));
            }
            Note::Stream(stream) => self.open(stream),
            // The engine has left it: the only way in which a FETCH ends without its peer's doing.
            Note::Ended(_) => {
                self.owned.leave_by(Leave::Silently);
                return Err(FetchError::Malformed("its streams contradict each other"));
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, stream: DataStream) {
        let DataStream { stream, request, arrived } = stream;
        let Arrived { opening, recv, leftover } = *arrived;
        let Opening::Fetch(id) = opening else { return };
        let handle = self.owned.handle.clone();
        self.reader = Some(FetchReader::new(handle.shared.draft, id, self.order, leftover));
        self.stream = Some(ReceivedStream::new(handle, stream, request, recv));
    }

    /// The stream was reset: because the FETCH was declined, if that has been said.
    fn reset(&mut self, code: ResetCode) -> FetchError {
        while let Some(note) = self.listening.try_note() {
            if let Err(error) = self.take(note) {
                return error;
            }
        }
        FetchError::Reset(code)
    }
}
