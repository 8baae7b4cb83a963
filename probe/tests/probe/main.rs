//! The probe against servers of every kind, on loopback.

mod explained;
mod files;
mod lists;
mod servers;
mod soak;
mod verdicts;
