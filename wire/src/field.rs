//! Structures that several messages of several drafts share, written once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::list::{Keys, Pairs};
use crate::model::{
    AuthorizationToken, EndLocation, Extensions, FullTrackName, Location, ReasonPhrase, TrackNamespace,
};

/// What a draft requires of a namespace where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamespaceLimits {
    /// The fewest fields.
    pub(crate) min_fields: u64,
    /// Whether a field may be empty.
    pub(crate) empty_fields: bool,
}

pub(crate) fn namespace(
    r: &mut Reader<'_>,
    limits: NamespaceLimits,
    field: &'static str,
) -> Result<TrackNamespace, DecodeError> {
    let start = r.offset();
    let count = r.length(TrackNamespace::MAX_FIELDS as u64, field)?;
    if count < limits.min_fields {
        return Err(DecodeError::new(field, Fault::Invalid("a namespace has at least one field"), start));
    }
    // Every field takes a byte at least, so the bytes at hand bound what is allocated.
    let room = (count as usize).min(r.remaining());
    let mut fields: Arc<[Bytes]> = std::iter::repeat_n(Bytes::new(), room).collect();
    let slots = Arc::get_mut(&mut fields).unwrap_or_default();
    for index in 0..count as usize {
        let at = r.offset();
        let bytes = r.prefixed(TrackNamespace::MAX_BYTES as u64, field)?;
        if bytes.is_empty() && !limits.empty_fields {
            return Err(DecodeError::new(
                field,
                Fault::Invalid("a namespace field has at least one byte"),
                at,
            ));
        }
        if let Some(slot) = slots.get_mut(index) {
            *slot = bytes;
        }
    }
    TrackNamespace::shared(fields)
        .map_err(|_| DecodeError::new(field, Fault::Invalid("a namespace has at most 4096 bytes"), start))
}

pub(crate) fn write_namespace(
    w: &mut Writer,
    namespace: &TrackNamespace,
    limits: NamespaceLimits,
    field: &'static str,
) -> Result<(), EncodeError> {
    let fields = namespace.fields();
    if (fields.len() as u64) < limits.min_fields {
        return Err(EncodeError::Inexpressible(field));
    }
    w.varint(fields.len() as u64, field)?;
    for bytes in fields {
        if bytes.is_empty() && !limits.empty_fields {
            return Err(EncodeError::Inexpressible(field));
        }
        w.prefixed(bytes, TrackNamespace::MAX_BYTES as u64, field)?;
    }
    Ok(())
}

pub(crate) fn full_track_name(
    r: &mut Reader<'_>,
    limits: NamespaceLimits,
) -> Result<FullTrackName, DecodeError> {
    let namespace = namespace(r, limits, "Track Namespace")?;
    let start = r.offset();
    let name = r.prefixed(TrackNamespace::MAX_BYTES as u64, "Track Name")?;
    FullTrackName::new(namespace, name).map_err(|_| {
        DecodeError::new("Track Name", Fault::Invalid("a full track name has at most 4096 bytes"), start)
    })
}

pub(crate) fn write_full_track_name(
    w: &mut Writer,
    track: &FullTrackName,
    limits: NamespaceLimits,
) -> Result<(), EncodeError> {
    write_namespace(w, &track.namespace, limits, "Track Namespace")?;
    // The fields are public, so the sum that `FullTrackName::new` checks is checked again.
    if track.namespace.byte_length() + track.name.len() > TrackNamespace::MAX_BYTES {
        return Err(EncodeError::TooLong("Track Name"));
    }
    w.prefixed(&track.name, TrackNamespace::MAX_BYTES as u64, "Track Name")
}

pub(crate) fn location(r: &mut Reader<'_>, field: &'static str) -> Result<Location, DecodeError> {
    Ok(Location { group: r.varint(field)?, object: r.varint(field)? })
}

pub(crate) fn write_location(w: &mut Writer, at: Location, field: &'static str) -> Result<(), EncodeError> {
    w.varint(at.group, field)?;
    w.varint(at.object, field)
}

/// The End Group of a filter is the Start's or a later one (draft-14 §9.7, §9.10; draft-16 §5.1.2).
pub(crate) const fn check_range(start: Location, end_group: u64) -> Result<(), EncodeError> {
    match end_group < start.group {
        true => Err(EncodeError::Inexpressible("End Group before the Start Location")),
        false => Ok(()),
    }
}

/// An End Location: the object is one more than the last, 0 for the whole group (draft-14 §9.16, draft-16 §9.16).
pub(crate) fn end_location(r: &mut Reader<'_>) -> Result<EndLocation, DecodeError> {
    let Location { group, object } = location(r, "End Location")?;
    Ok(EndLocation { group, object: object.checked_sub(1) })
}

pub(crate) fn write_end_location(w: &mut Writer, end: EndLocation) -> Result<(), EncodeError> {
    let object = match end.object {
        Some(object) => object.checked_add(1).ok_or(EncodeError::TooLong("End Location"))?,
        None => 0,
    };
    write_location(w, Location { group: end.group, object }, "End Location")
}

pub(crate) fn reason(r: &mut Reader<'_>) -> Result<ReasonPhrase, DecodeError> {
    Ok(ReasonPhrase::new(r.prefixed(ReasonPhrase::MAX as u64, "Reason Phrase")?))
}

pub(crate) fn write_reason(w: &mut Writer, reason: &ReasonPhrase) -> Result<(), EncodeError> {
    w.prefixed(reason.as_bytes(), ReasonPhrase::MAX as u64, "Reason Phrase")
}

/// Extension Headers Length and as many bytes of pairs (draft-14 §10.2.1.2, draft-16 §10.2.1.2).
#[inline]
pub(crate) fn extension_headers(r: &mut Reader<'_>, keys: Keys) -> Result<Extensions, DecodeError> {
    const FIELD: &str = "Extension Headers";
    let length = r.length(Extensions::MAX_BYTES, "Extension Headers Length")?;
    let mut block = r.take(length, FIELD).map_err(|_| unfinished_pairs(r.clone(), keys, FIELD))?;
    Extensions::decode(&mut block, keys, FIELD)
}

pub(crate) fn write_extension_headers(
    w: &mut Writer,
    extensions: &Extensions,
    keys: Keys,
) -> Result<(), EncodeError> {
    w.prefixed(&extensions.respelled(keys)?, Extensions::MAX_BYTES, "Extension Headers")
}

/// Why pairs of which the end is missing cannot be read: one that is wrong already, rather than a wait for bytes that
/// cannot mend it.
#[cold]
fn unfinished_pairs(mut r: Reader<'_>, keys: Keys, field: &'static str) -> DecodeError {
    let start = r.offset();
    let mut pairs = Pairs::new(keys);
    loop {
        if let Err(error) = pairs.skip(&mut r, field) {
            return match error.is_incomplete() {
                true => DecodeError::new(field, Fault::Incomplete, start),
                false => error,
            };
        }
    }
}

/// A Token structure, which fills its parameter's value (draft-14 §9.2.1.1, draft-16 §9.2.2.1). One that cannot be read
/// is a formatting error.
pub(crate) fn token(mut r: Reader<'_>) -> Result<AuthorizationToken, DecodeError> {
    const FIELD: &str = "AUTHORIZATION TOKEN";
    let unreadable = |error: DecodeError| {
        DecodeError::new(FIELD, Fault::Formatting("the token structure cannot be read"), error.offset)
    };
    let start = r.offset();
    let kind = r.varint("Alias Type").map_err(unreadable)?;
    let alias = match kind {
        0..=2 => r.varint("Token Alias").map_err(unreadable)?,
        _ => 0,
    };
    let token_type = match kind {
        1 | 3 => r.varint("Token Type").map_err(unreadable)?,
        _ => 0,
    };
    let token = match kind {
        0 => AuthorizationToken::Delete { alias },
        1 => AuthorizationToken::Register { alias, token_type, value: r.rest("Token Value") },
        2 => AuthorizationToken::UseAlias { alias },
        3 => AuthorizationToken::UseValue { token_type, value: r.rest("Token Value") },
        _ => return Err(DecodeError::new(FIELD, Fault::Formatting("unknown Alias Type"), start)),
    };
    r.finish(FIELD).map_err(unreadable)?;
    Ok(token)
}

pub(crate) fn token_bytes(token: &AuthorizationToken) -> Result<Bytes, EncodeError> {
    const FIELD: &str = "AUTHORIZATION TOKEN";
    let mut w = Writer::new();
    let (kind, alias, value) = match token {
        AuthorizationToken::Delete { alias } => (0, Some(*alias), None),
        AuthorizationToken::Register { alias, token_type, value } => {
            (1, Some(*alias), Some((*token_type, value)))
        }
        AuthorizationToken::UseAlias { alias } => (2, Some(*alias), None),
        AuthorizationToken::UseValue { token_type, value } => (3, None, Some((*token_type, value))),
    };
    w.varint(kind, FIELD)?;
    if let Some(alias) = alias {
        w.varint(alias, FIELD)?;
    }
    if let Some((token_type, value)) = value {
        w.varint(token_type, FIELD)?;
        w.bytes(value);
    }
    Ok(w.take())
}

pub(crate) const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The whole milliseconds of a duration; what does not fit the wire is found by the writer.
pub(crate) fn to_milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
