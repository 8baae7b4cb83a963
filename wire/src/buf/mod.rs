//! Primitives: a cursor that reads, a buffer that writes, and the integer between them.

pub mod integer;
mod observer;
mod reader;
mod writer;

pub(crate) use observer::Observer;
pub use observer::{Field, FieldValue};
pub use reader::Reader;
pub use writer::Writer;
