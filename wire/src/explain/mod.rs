//! What bytes say, field by field, and what is wrong with them: for tools that show them to people.
//!
//! The decoders are those that a session uses; a watched reader tells which field it reads where.
//!
//! ```
//! use bytes::Bytes;
//! use moqingbird_wire::{Version, explain};
//!
//! let subscribe = Bytes::from_static(b"\x03\x00\x0a\x00\x01\x01a\x01b\x01\x21\x01\x02");
//! let explanation = explain::control(Version::Draft16.draft(), subscribe);
//! assert!(explanation.to_string().contains("SUBSCRIPTION_FILTER"));
//! ```

mod show;

use std::ops::Range;

use bytes::Bytes;

pub use crate::buf::{Field, FieldValue};
use crate::buf::{Observer, Reader};
use crate::draft::Draft;
use crate::error::DecodeError;
use crate::model::{
    FetchItem, ObjectHeader, Opening, RangeStatus, RequestId, SessionErrorCode, SubgroupHeader, extension,
};
use crate::stream::{
    FetchCursor, FetchReader, FetchStreamItem, ReadError, Stash, SubgroupCursor, SubgroupItem, SubgroupReader,
};

/// Bytes and what they say, as far as they can be read. Its display form is for people.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// All of the bytes.
    pub bytes: Bytes,
    /// What they consist of: messages, headers, objects.
    pub units: Vec<Unit>,
    /// Why they are read no further.
    pub trouble: Option<Trouble>,
}

/// A message, a header or an object; the last may be unfinished.
#[derive(Clone, Debug)]
pub struct Unit {
    /// What it is.
    pub name: String,
    /// Its bytes.
    pub range: Range<usize>,
    /// Its fields, in the order in which they are read. Those that are read from the bytes of another follow it.
    pub fields: Vec<Field>,
}

/// What is wrong, where, and what the draft has a receiver do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The field.
    pub field: &'static str,
    /// Where it begins.
    pub offset: usize,
    /// What is wrong with it; the rule that it breaks.
    pub rule: String,
    /// What follows.
    pub consequence: Consequence,
}

/// What the draft has a receiver do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consequence {
    /// The session is closed with this code.
    Close {
        /// The code's meaning.
        code: SessionErrorCode,
        /// Its number.
        number: u64,
        /// Whether only if nothing more comes.
        unless_more: bool,
    },
    /// The track is malformed: its subscriptions and fetches are cancelled, the session goes on.
    CancelTrack,
}

/// Explains a control stream: messages, one behind the other.
pub fn control(draft: &dyn Draft, bytes: Bytes) -> Explanation {
    let stream = bytes.clone();
    Explainer::new(draft, bytes).run(&stream, |explainer, r| {
        while !r.is_empty() {
            explainer.message(r)?;
        }
        Ok(())
    })
}

/// Explains a unidirectional stream from its first byte: its header and its objects.
pub fn uni(draft: &'static dyn Draft, bytes: Bytes) -> Explanation {
    let stream = bytes.clone();
    let explanation = Explainer::new(draft, bytes).run(&stream, |explainer, r| {
        match explainer.unit(r, |r| draft.decode_opening(r), opening_name)? {
            Opening::Subgroup(header) => explainer.subgroup(&header, r),
            Opening::Fetch(_) => explainer.fetch(r),
            Opening::Other(_) => Ok(()),
        }
    });
    explanation.or_malformed(draft)
}

/// Explains a datagram.
pub fn datagram(draft: &dyn Draft, bytes: Bytes) -> Explanation {
    let datagram = bytes.clone();
    Explainer::new(draft, bytes).run(&datagram, |explainer, r| {
        explainer.unit(r, |r| draft.decode_datagram(r), |_| "OBJECT_DATAGRAM".to_owned()).map(drop)
    })
}

struct Explainer<'d> {
    draft: &'d dyn Draft,
    explanation: Explanation,
    /// Where the unit begins that is being read.
    start: usize,
    /// What it is, as far as its first bytes tell.
    begun: Option<&'static str>,
}

impl<'d> Explainer<'d> {
    fn new(draft: &'d dyn Draft, bytes: Bytes) -> Self {
        let explanation = Explanation { bytes, units: Vec::new(), trouble: None };
        Self { draft, explanation, start: 0, begun: None }
    }

    /// Reads `bytes` by `read`, which may fail.
    fn run(
        mut self,
        bytes: &Bytes,
        read: impl FnOnce(&mut Self, &mut Reader<'_>) -> Result<(), DecodeError>,
    ) -> Explanation {
        let observer = Observer::default();
        let mut r = Reader::watched(bytes, &observer);
        if let Err(error) = read(&mut self, &mut r) {
            let name = self.begun.map_or("unfinished".to_owned(), |name| format!("{name}, unfinished"));
            self.close(name, bytes.len(), r.seen());
            let consequence = Consequence::Close {
                code: error.code(),
                number: self.draft.session_code(error.code()),
                unless_more: error.is_incomplete(),
            };
            self.explanation.trouble = Some(Trouble {
                field: error.field,
                offset: error.offset,
                rule: error.fault.to_string(),
                consequence,
            });
        }
        self.explanation
    }

    /// Ends the unit that is being read.
    fn close(&mut self, name: impl Into<String>, end: usize, mut fields: Vec<Field>) {
        fields.iter_mut().for_each(name_extension);
        self.explanation.units.push(Unit { name: name.into(), range: self.start..end, fields });
        self.start = end;
    }

    fn unit<'a, T>(
        &mut self,
        r: &mut Reader<'a>,
        decode: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
        name: impl FnOnce(&T) -> String,
    ) -> Result<T, DecodeError> {
        let value = decode(r)?;
        self.close(name(&value), r.offset(), r.seen());
        Ok(value)
    }

    fn message(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let frame = r.offset();
        let kind = r.varint("Message Type")?;
        let name = self.draft.message_name(kind);
        self.begun = name;
        let length = r.u16("Message Length")?;
        let mut payload = r.take(length.into(), "Message Payload")?;
        self.draft.decode_payload(kind, &mut payload).map_err(|error| match name {
            Some(_) => error,
            None => DecodeError { offset: frame, ..error },
        })?;
        self.close(name.unwrap_or("message"), r.offset(), r.seen());
        self.begun = None;
        Ok(())
    }

    fn subgroup(&mut self, header: &SubgroupHeader, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let draft = self.draft;
        let mut cursor = SubgroupCursor::new(header);
        while !r.is_empty() {
            let decode = |r: &mut Reader<'_>| {
                let object = draft.decode_object(&cursor, r)?;
                payload(r, object.payload_length)?;
                Ok(object)
            };
            let name = |object: &ObjectHeader| {
                format!("object {}, {:?}, {} bytes", object.object_id, object.status, object.payload_length)
            };
            let object = self.unit(r, decode, name)?;
            cursor.advance(object.object_id);
        }
        Ok(())
    }

    fn fetch(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let draft = self.draft;
        let mut cursor = FetchCursor::default();
        while !r.is_empty() {
            let decode = |r: &mut Reader<'_>| {
                let item = draft.decode_fetch_item(&cursor, r)?;
                if let FetchItem::Object(object) = &item {
                    payload(r, object.payload_length)?;
                }
                Ok(item)
            };
            let item = self.unit(r, decode, item_name)?;
            cursor.advance(&item);
        }
        Ok(())
    }
}

/// Extension headers of objects are read without looking at their types.
fn name_extension(field: &mut Field) {
    if let FieldValue::Key { key, name: name @ None } = &mut field.value
        && field.name == "Extension Headers"
    {
        *name = match *key {
            extension::IMMUTABLE_EXTENSIONS => Some("Immutable Extensions"),
            extension::PRIOR_GROUP_ID_GAP => Some("Prior Group ID Gap"),
            extension::PRIOR_OBJECT_ID_GAP => Some("Prior Object ID Gap"),
            _ => None,
        };
    }
}

/// Most objects have a payload; there is no field for one that has none.
fn payload(r: &mut Reader<'_>, length: u64) -> Result<(), DecodeError> {
    if length > 0 { r.skip(length, "Object Payload") } else { Ok(()) }
}

fn opening_name(opening: &Opening) -> String {
    match opening {
        Opening::Subgroup(header) => {
            format!("SUBGROUP_HEADER, track alias {}, group {}", header.track_alias.0, header.group_id)
        }
        Opening::Fetch(request) => format!("FETCH_HEADER, request {}", request.0),
        Opening::Other(kind) => format!("stream of type {kind:#x}"),
    }
}

fn item_name(item: &FetchItem) -> String {
    match item {
        FetchItem::Object(object) => {
            let at = object.location;
            format!("object {} of group {}, {} bytes", at.object, at.group, object.payload_length)
        }
        FetchItem::EndOfRange { end, status } => {
            let known = match status {
                RangeStatus::NonExistent => "no object exists",
                RangeStatus::Unknown => "it is unknown whether objects exist",
            };
            format!("end of range: {known} up to object {} of group {}", end.object, end.group)
        }
    }
}

impl Explanation {
    /// Bytes that are in order may still show a track that is not.
    fn or_malformed(mut self, draft: &'static dyn Draft) -> Self {
        if self.trouble.is_none()
            && let Some((items, rule)) = malformed(draft, &self.bytes)
            && let Some(unit) = self.units.get(items + 1)
        {
            self.trouble = Some(Trouble {
                field: "object",
                offset: unit.range.start,
                rule: rule.to_owned(),
                consequence: Consequence::CancelTrack,
            });
        }
        self
    }
}

/// How many items of a stream are in order before one shows that the track is malformed, and the rule.
fn malformed(draft: &'static dyn Draft, bytes: &Bytes) -> Option<(usize, &'static str)> {
    let mut r = Reader::new(bytes);
    let opening = draft.decode_opening(&mut r).ok()?;
    let rest = Stash::from(bytes.slice(r.offset()..));
    match opening {
        Opening::Subgroup(header) => malformed_subgroup(SubgroupReader::new(draft, header, rest)),
        Opening::Fetch(request) => malformed_fetch(draft, request, rest),
        Opening::Other(_) => None,
    }
}

fn malformed_subgroup(mut reader: SubgroupReader) -> Option<(usize, &'static str)> {
    let mut items = 0;
    loop {
        match reader.next_item() {
            Ok(Some(SubgroupItem::Payload(_))) => {}
            Ok(Some(_)) => items += 1,
            Err(ReadError::MalformedTrack(rule)) => return Some((items, rule)),
            Ok(None) | Err(ReadError::Violation(_)) => return None,
        }
    }
}

fn malformed_fetch(
    draft: &'static dyn Draft,
    request: RequestId,
    rest: Stash,
) -> Option<(usize, &'static str)> {
    let mut reader = FetchReader::new(draft, request, None, rest);
    let mut items = 0;
    loop {
        match reader.next_item() {
            Ok(Some(FetchStreamItem::Payload(_))) => {}
            Ok(Some(_)) => items += 1,
            Err(ReadError::MalformedTrack(rule)) => return Some((items, rule)),
            Ok(None) | Err(ReadError::Violation(_)) => return None,
        }
    }
}
