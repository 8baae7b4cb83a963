//! Deadlines, and the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moqingbird_wire::model::SessionErrorCode;

use super::Shared;
use super::lane::LaneHandle;
use crate::session::{Input, Lost, StreamId};
use crate::transport;

/// How long a close waits for control messages that were written before it.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long ago control messages must have been written for them to be on the way: closing discards what is not sent.
const LINGER: Duration = Duration::from_millis(100);
/// How long the session outlives its connection at most, while what came before the end is taken in.
const TAKE_IN: Duration = Duration::from_secs(2);

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
    // A publisher may say PUBLISH_DONE and close: what came before the close counts.
    let _ = tokio::time::timeout(TAKE_IN, shared.taken_in()).await;
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
    shared: Arc<Shared>,
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
    tokio::time::sleep_until(shared.last_written() + LINGER).await;
    shared.connection.close(code, &reason);
    // The lanes go after the connection: a control stream that ends first would be a violation.
    shared.connection.closed().await;
}
