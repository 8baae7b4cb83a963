//! Data streams without I/O: what has been read or written so far, and readers and writers over it.
//!
//! A receiver pushes what the transport delivers, in any cuts, into an [`OpeningReader`], which says what kind of stream
//! it is, then into a [`SubgroupReader`] or a [`FetchReader`], which gives headers and slices of payload. A sender asks a
//! [`SubgroupWriter`] or a [`FetchWriter`] for the bytes that go before each payload. Payload is never copied.

mod cursor;
mod error;
mod fetch_reader;
mod fetch_writer;
mod gaps;
mod opening;
mod stash;
mod subgroup_reader;
mod subgroup_writer;

pub use cursor::{FetchCursor, SubgroupCursor};
pub use error::ReadError;
pub use fetch_reader::{FetchReader, FetchStreamItem};
pub use fetch_writer::FetchWriter;
pub use gaps::{Gaps, check_sent};
pub use opening::OpeningReader;
pub use stash::Stash;
pub use subgroup_reader::{SubgroupItem, SubgroupReader};
pub use subgroup_writer::SubgroupWriter;
