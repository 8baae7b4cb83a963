//! The session engine, both ends in memory.

#[path = "../support/mod.rs"]
mod support;

mod codes;
mod data;
mod deadlines;
mod fetch;
mod goaway;
mod illegal;
mod limits;
mod malformed;
mod namespaces;
mod publish;
mod registered;
mod request_ids;
mod setup;
mod shuffled;
mod simulated;
mod status;
mod subscribe;
mod tap;
mod time;
mod timeouts;
mod tokens;
mod updates;
mod violations;
