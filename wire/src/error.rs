//! Why bytes are not a value, and why a value cannot be bytes.

use std::error::Error;
use std::fmt;

use crate::model::SessionErrorCode;

/// Why bytes do not say what a draft lets them say.
///
/// Inside a complete unit (a control message, a datagram, a stream that has ended) every fault, [`Fault::Incomplete`]
/// included, closes the session with [`DecodeError::code`]. On an open stream `Incomplete` means "not yet".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The field, in the draft's words.
    pub field: &'static str,
    /// What was wrong with it.
    pub fault: Fault,
    /// Where the field begins, in bytes from the start of the unit that was decoded.
    pub offset: usize,
}

impl DecodeError {
    /// An error at a known place.
    pub const fn new(field: &'static str, fault: Fault, offset: usize) -> Self {
        Self { field, fault, offset }
    }

    /// Whether more bytes could still make the value whole.
    pub const fn is_incomplete(&self) -> bool {
        matches!(self.fault, Fault::Incomplete)
    }

    /// The code with which the draft has the session closed.
    pub const fn code(&self) -> SessionErrorCode {
        match self.fault {
            Fault::Formatting(_) => SessionErrorCode::KeyValueFormattingError,
            _ => SessionErrorCode::ProtocolViolation,
        }
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes end before the field does.
    Incomplete,
    /// This many bytes are left where the unit should have ended.
    Trailing(usize),
    /// The value breaks this rule.
    Invalid(&'static str),
    /// The draft assigns no meaning to this value.
    Unknown(u64),
    /// A key-value pair of a known type whose value is not of that type's form: KEY_VALUE_FORMATTING_ERROR.
    Formatting(&'static str),
    /// A length or count over its limit.
    TooLong {
        /// What the bytes declare.
        length: u64,
        /// The most that the draft allows.
        limit: u64,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.field, self.offset, self.fault)
    }
}

/// What is wrong, without the field's name.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete => f.write_str("the bytes end before it does"),
            Self::Trailing(count) => write!(f, "{count} bytes follow the end"),
            Self::Invalid(rule) | Self::Formatting(rule) => f.write_str(rule),
            Self::Unknown(value) => write!(f, "{value:#x} has no meaning in this draft"),
            Self::TooLong { length, limit } => write!(f, "length {length} is over the limit of {limit}"),
        }
    }
}

impl Error for DecodeError {}

/// Why a value cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The draft has no way to say this field's value.
    Inexpressible(&'static str),
    /// The field is longer, or the number larger, than the wire has room for.
    TooLong(&'static str),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inexpressible(field) => write!(f, "this draft cannot express the {field}"),
            Self::TooLong(field) => write!(f, "the {field} is too long for the wire"),
        }
    }
}

impl Error for EncodeError {}
