//! Tests of the client as a whole, in one binary.

mod common;
mod dead_relay;
mod embedded;
mod tap;
