//! The workload over bare transports: what a protocol above them can reach at best.
//!
//! A stream begins with 16 bytes, its group and which of the parallel streams it is; then come objects of the workload's
//! size, timestamps where sessions have them, and nothing else. A datagram begins with group and object, 8 bytes each.

mod forward;
mod link;
mod streams;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

pub(crate) use forward::forward;
pub(crate) use link::{Connection, Listener, Side, Streams};
use streams::{Incoming, Outgoing};

use crate::publish::{Feed, Sent};
use crate::receive::{self, Counter};
use crate::{Error, Workload};

/// Sends every track of the workload on a connection, whose peer closes it when all has come.
pub(crate) async fn publish(
    connection: Connection,
    workload: &Workload,
    sent: &Arc<Sent>,
    started: impl FnOnce(),
) -> Result<(), Error> {
    tokio::time::sleep(workload.lead()).await;
    started();
    let mut feeds = JoinSet::new();
    for track in 0..workload.tracks {
        let outlet = Arc::new(Outgoing::new(connection.clone(), track));
        let feed = Feed::new(workload, sent.clone());
        feeds.spawn(feed.run(outlet));
    }
    while let Some(done) = feeds.join_next().await {
        done??;
    }
    if workload.datagrams {
        // Nothing acknowledges a datagram: those on their way get the time to arrive.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    streams::say_over(&connection, sent.streams.load(Ordering::Relaxed)).await?;
    connection.closed().await;
    Ok(())
}

/// Counts what comes on a connection until its publisher has said that it is over.
pub(crate) async fn subscribe(
    connection: Connection,
    workload: &Workload,
    number: u32,
    counter: &Counter,
) -> Result<(), Error> {
    let incoming = Incoming::new(connection.clone(), workload);
    receive::subscription(incoming, number, workload, counter.clone()).await?;
    connection.close();
    Ok(())
}
