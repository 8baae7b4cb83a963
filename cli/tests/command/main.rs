//! Tests of the built program, in one binary.

mod bad_input;
mod common;
mod decode;
mod deliver;
mod failures;
mod fetch;
mod mlog;
mod program;
