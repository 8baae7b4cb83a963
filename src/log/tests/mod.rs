//! The event log, from single records to the files of whole sessions.

mod kinds;
mod schema;
mod sessions;
