//! MoQT without the engine: streams, and the codec to write and read messages on them. It says what no lawful endpoint
//! would, for the cases that need that, and for relays that are wrong on purpose.

mod client;
mod control;

pub(crate) use client::{Client, Refused};
pub(crate) use control::{Hearer, Sayer, control};
