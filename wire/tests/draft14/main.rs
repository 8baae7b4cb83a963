//! draft-ietf-moq-transport-14 against bytes that were built from its text and not by this encoder.
//!
//! The bytes are data, `tests/vectors/draft14`: `control.tsv`, `data.tsv` and `streams.tsv` are read and written,
//! `accepted.tsv` is read only, `refused.tsv` is refused. What they mean is said here.

mod codes;
mod control;
mod data;
mod inexpressible;
mod limits;
mod parameters;
mod refused;
mod support;
#[path = "../vectors/mod.rs"]
mod vectors;
