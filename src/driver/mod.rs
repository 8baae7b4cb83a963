//! A session on a transport: moves bytes, wakes tasks, keeps time. It decides nothing; the engine does.
//!
//! One lock holds the engine ([`Shared`]). It is taken for control messages, for the beginning and end of data streams
//! and for datagrams, never across an `.await` and never for an object on a stream. One task reads and one writes each
//! bidirectional stream; one task accepts each kind of the peer's streams, one reads datagrams, one keeps time and one
//! waits for the connection's end. All of them end with the connection.
//!
//! What happens to a request is put into that request's queue and status ([`listener`]), from where the API's handles
//! take it.

mod accept;
mod cell;
mod lane;
mod listener;
mod shared;
mod timer;

use std::sync::Arc;

use moqingbird_wire::Version;

use crate::session::{Config, Session, Side};
use crate::transport::Connection;

pub(crate) use cell::{Ended, Lent, SendCell};
pub(crate) use listener::{End, Incoming, Listening, Note, Status};
pub(crate) use shared::{DataStream, Shared};

/// Starts a session on a connection. It lives until either side closes it, or the connection is lost.
pub(crate) fn start(connection: Connection, version: Version, side: Side, config: Config) -> Arc<Shared> {
    let shared = Shared::new(connection, |now| Session::new(version.draft(), side, config, now));
    tokio::spawn(accept::lanes(shared.clone()));
    tokio::spawn(accept::data_streams(shared.clone()));
    tokio::spawn(accept::datagrams(shared.clone()));
    tokio::spawn(timer::keep(shared.clone()));
    tokio::spawn(timer::await_end(shared.clone()));
    shared.flush();
    shared
}
