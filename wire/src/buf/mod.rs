//! Primitives: a cursor that reads, a buffer that writes, and the integer between them.

pub mod integer;
mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;
