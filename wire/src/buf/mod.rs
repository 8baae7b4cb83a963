//! Primitives: a cursor that reads, a buffer that writes, and the integer between them.

pub mod integer;
mod observer;
mod reader;
mod writer;

pub use observer::{Field, FieldValue};
pub(crate) use observer::{Observer, Watch};
pub use reader::Reader;
pub use writer::Writer;
