//! Bytes and meanings of MoQT, draft-ietf-moq-transport-14 and -16.
//!
//! Every draft is a [`Draft`]: it maps its bytes to one draft-independent [`model`], and states its [`Rules`].
//! [`Version::draft`] is the only place that chooses between them.

mod draft;
mod draft14;
mod draft16;
mod error;
mod field;
mod frame;
mod rules;
mod version;

pub mod buf;
pub mod list;
pub mod model;
pub mod stream;

pub use draft::Draft;
pub use error::{DecodeError, EncodeError, Fault};
pub use frame::{Assembler, Frame};
pub use rules::{Carriage, RequestIds, Rules};
pub use version::Version;
