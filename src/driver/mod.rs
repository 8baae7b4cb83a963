//! A session on a transport: moves bytes, wakes tasks, keeps time. It decides nothing; the engine does.
//!
//! One lock holds the engine ([`Shared`]). It is taken for control messages, for the beginning and end of data streams
//! and for datagrams, never across an `.await` and never for an object on a stream. One task reads and one writes each
//! bidirectional stream; one task accepts each kind of the peer's streams, one reads datagrams, one keeps time and one
//! waits for the connection's end. All of them end with the connection, and
//! none of them is needed to drop a handle: that may happen on any thread.
//!
//! What happens to a request is put into that request's queue and status ([`listener`]), from where the API's handles
//! take it.

mod accept;
mod cell;
mod changes;
mod ending;
mod lane;
mod listener;
mod notes;
mod shared;
mod timer;
mod unread;

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use moqingbird_wire::Version;

use crate::log::{self, EventLog};
use crate::session::{Config, Session, Side};
use crate::transport::Connection;

pub(crate) use accept::Arrived;
pub(crate) use cell::{Broken, SendCell};
pub(crate) use changes::{Change, Changes};
pub(crate) use ending::{Ending, Unsettled};
pub(crate) use listener::{End, Incoming, Listening, Note, Standing, Status};
use shared::Intake;
pub(crate) use shared::{DataStream, Shared};
pub(crate) use unread::{ReadFailed, RecvCell};

/// How long a stream of the peer may stay silent. Longer than SETUP may take, which has a code of its own.
const OPENING_TIMEOUT: Duration = Duration::from_secs(20);

/// What a future gives at once, if it does.
pub(crate) async fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Starts a session on a connection. It lives until either side closes it, or the connection is lost.
pub(crate) fn start(
    connection: Connection,
    version: Version,
    side: Side,
    mut config: Config,
    event_log: Option<&EventLog>,
) -> Arc<Shared> {
    let log = event_log.and_then(|log| log.begin(connection.connection_id(), side, version.draft()));
    config.tap |= log.is_some() || log::is_shown();
    let shared = Shared::new(connection, log, |now| Session::new(version.draft(), side, config, now));
    shared.spawn(accept::lanes(shared.clone(), shared.intake()));
    shared.spawn(accept::data_streams(shared.clone(), shared.intake()));
    shared.spawn(accept::datagrams(shared.clone()));
    shared.spawn(timer::keep(shared.clone()));
    shared.spawn(timer::await_end(shared.clone()));
    if shared.connection.receive_window() > 0 {
        shared.spawn(unread::keep(shared.clone()));
    }
    shared.flush();
    shared
}
