//! Tests of the client as a whole, in one binary.

mod bad_relays;
mod common;
mod dead_relay;
mod embedded;
mod tap;
