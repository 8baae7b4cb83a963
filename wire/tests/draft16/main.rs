//! draft-ietf-moq-transport-16: every vector of `tests/vectors/draft16` against its meaning, and the rules of the draft.

mod allocations;
mod codes;
mod control;
mod datagram;
mod encoder;
mod lists;
mod parameters;
mod refused;
mod support;
mod uni;
#[path = "../vectors/mod.rs"]
mod vectors;
