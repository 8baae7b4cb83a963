//! Tests of the built program, in one binary.

mod announced;
mod bad_input;
mod common;
mod decode;
mod deliver;
mod failures;
mod fetch;
mod filters;
mod formats;
mod listen;
mod matrix;
mod mlog;
mod offers;
mod packaging;
mod probe;
mod program;
mod reconnect;
mod relay_http;
mod relay_settings;
mod relays;
mod stats;
mod token;
