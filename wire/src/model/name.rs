//! Names of tracks.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// A Track Namespace: up to 32 fields, most significant first (draft-14 §2.4.1, draft-16 §2.4.1). Prefixes and suffixes
/// of namespaces have the same form. Clones share the fields.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackNamespace {
    /// None if there is no field.
    fields: Option<Arc<[Bytes]>>,
}

impl TrackNamespace {
    /// The most fields that a namespace may have.
    pub const MAX_FIELDS: usize = 32;
    /// The most bytes that the fields of a namespace, with the Track Name, may have together.
    pub const MAX_BYTES: usize = 4096;

    /// A namespace of these fields.
    ///
    /// # Errors
    /// More than [`Self::MAX_FIELDS`] fields, or more than [`Self::MAX_BYTES`] bytes.
    pub fn new<F: Into<Bytes>>(fields: impl IntoIterator<Item = F>) -> Result<Self, NameError> {
        Self::shared(fields.into_iter().map(Into::into).collect())
    }

    /// As [`TrackNamespace::new`], of fields that are shared already.
    pub(crate) fn shared(fields: Arc<[Bytes]>) -> Result<Self, NameError> {
        if fields.len() > Self::MAX_FIELDS {
            return Err(NameError::TooManyFields(fields.len()));
        }
        let namespace = Self::of(fields);
        match namespace.byte_length() {
            length if length > Self::MAX_BYTES => Err(NameError::TooLong(length)),
            _ => Ok(namespace),
        }
    }

    /// A namespace as people write it, fields between slashes: `live/cam`. Empty fields are left out.
    ///
    /// # Errors
    /// As [`TrackNamespace::new`].
    pub fn from_path(path: &str) -> Result<Self, NameError> {
        Self::new(
            path.split('/').filter(|field| !field.is_empty()).map(|field| Bytes::from(field.to_owned())),
        )
    }

    /// The namespace of no field: as a prefix it matches everything.
    pub const fn empty() -> Self {
        Self { fields: None }
    }

    fn of(fields: Arc<[Bytes]>) -> Self {
        Self { fields: Some(fields).filter(|fields| !fields.is_empty()) }
    }

    /// The fields.
    pub fn fields(&self) -> &[Bytes] {
        self.fields.as_deref().unwrap_or_default()
    }

    /// The fields' bytes, without what counts and delimits them.
    pub fn byte_length(&self) -> usize {
        self.fields().iter().map(Bytes::len).sum()
    }

    /// Whether this namespace begins with all of `prefix`, field by field (draft-16 §8.5).
    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.fields().starts_with(prefix.fields())
    }

    /// What follows `prefix`, if this namespace begins with it.
    pub fn strip_prefix(&self, prefix: &Self) -> Option<Self> {
        self.fields().strip_prefix(prefix.fields()).map(|fields| Self::of(fields.into()))
    }

    /// This namespace followed by `suffix`.
    ///
    /// # Errors
    /// As [`TrackNamespace::new`].
    pub fn join(&self, suffix: &Self) -> Result<Self, NameError> {
        Self::new(self.fields().iter().chain(suffix.fields()).cloned())
    }
}

impl fmt::Debug for TrackNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackNamespace").field("fields", &self.fields()).finish()
    }
}

/// As recommended for logs: fields joined by `-`, bytes other than letters, digits and `_` as `.xx` (draft-16 §1.5).
impl fmt::Display for TrackNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.fields().iter().enumerate() {
            if index > 0 {
                f.write_str("-")?;
            }
            readable(field, f)?;
        }
        Ok(())
    }
}

/// A Track Namespace and a Track Name: what identifies a track.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FullTrackName {
    /// The Track Namespace.
    pub namespace: TrackNamespace,
    /// The Track Name; it may be empty.
    pub name: Bytes,
}

impl FullTrackName {
    /// A track's name.
    ///
    /// # Errors
    /// Namespace and name together are longer than [`TrackNamespace::MAX_BYTES`].
    pub fn new(namespace: TrackNamespace, name: impl Into<Bytes>) -> Result<Self, NameError> {
        let name = name.into();
        match namespace.byte_length() + name.len() {
            length if length > TrackNamespace::MAX_BYTES => Err(NameError::TooLong(length)),
            _ => Ok(Self { namespace, name }),
        }
    }
}

/// As recommended for logs: namespace, `--`, name (draft-16 §1.5).
impl fmt::Display for FullTrackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--", self.namespace)?;
        readable(&self.name, f)
    }
}

fn readable(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            write!(f, "{}", char::from(byte))?;
        } else {
            write!(f, ".{byte:02x}")?;
        }
    }
    Ok(())
}

/// Why a name cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// This many fields; 32 is the limit.
    TooManyFields(usize),
    /// This many bytes; 4,096 is the limit.
    TooLong(usize),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyFields(count) => {
                write!(f, "a namespace has {} fields at most, not {count}", TrackNamespace::MAX_FIELDS)
            }
            Self::TooLong(length) => {
                write!(f, "a full track name has {} bytes at most, not {length}", TrackNamespace::MAX_BYTES)
            }
        }
    }
}

impl Error for NameError {}
