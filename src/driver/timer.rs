//! Deadlines, and the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moqingbird_wire::model::SessionErrorCode;

use super::Shared;
use super::lane::LaneHandle;
use crate::session::{Input, Lost, StreamId};
use crate::transport::{self, Connection};

/// How long a close waits for control messages that were written before it.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long the transport is given to put them on the way: closing discards what it has not sent.
const LINGER: Duration = Duration::from_millis(10);

/// How long subgroups that were finished may take to be acknowledged once nobody holds the session any more.
const SEEING_OFF: Duration = Duration::from_secs(10);

/// Tells the engine when its deadlines come.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        let changed = shared.deadline_changed.notified();
        match shared.deadline() {
            Some(deadline) => tokio::select! {
                () = tokio::time::sleep_until(deadline) => shared.handle(Input::Timeout),
                () = changed => {}
                _ = shared.closed() => return,
            },
            None => tokio::select! {
                () = changed => {}
                _ = shared.closed() => return,
            },
        }
    }
}

/// Tells the engine that the connection is gone.
pub(super) async fn await_end(shared: Arc<Shared>) {
    let lost = match shared.connection.closed().await {
        transport::Lost::Peer { code, reason } => Lost { code: Some(code), reason },
        other => Lost { code: None, reason: other.to_string() },
    };
    shared.handle(Input::Lost(lost));
}

/// Closes a session that nobody holds any more, once everything that was finished has arrived.
pub(super) async fn see_off(shared: Arc<Shared>) {
    tokio::select! {
        _ = tokio::time::timeout(SEEING_OFF, shared.all_settled()) => {}
        _ = shared.closed() => {}
    }
    shared.run(|session, _| session.close(SessionErrorCode::NoError, ""));
}

/// Closes a connection behind the control messages that were written before.
pub(super) async fn close(
    connection: Connection,
    code: u32,
    reason: String,
    lanes: HashMap<StreamId, LaneHandle>,
) {
    let flushed = async {
        for lane in lanes.values() {
            lane.flushed().await;
        }
    };
    let _ = tokio::time::timeout(LAST_WORDS, flushed).await;
    tokio::time::sleep(LINGER).await;
    connection.close(code, &reason);
    // The lanes go after the connection: a control stream that ends first would be a violation.
    connection.closed().await;
}
