//! Key-value lists: setup parameters, message parameters, extensions.

mod kvp;

pub use kvp::{KeyValue, Keys, Pairs, Value, write_pairs};
