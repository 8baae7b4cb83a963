//! Key-value lists: setup parameters, message parameters, extensions.

mod kvp;

pub(crate) use kvp::{Found, FoundValue, PairsWriter, Rest, push};
pub use kvp::{KeyValue, Keys, Pairs, Value, write_pairs};
