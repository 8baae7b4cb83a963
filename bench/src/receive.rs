//! A subscriber to the workload, whatever carries it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

use crate::tally::{Batch, Lane, Tally};
use crate::{Error, Workload};

/// Where the objects of one track come from.
pub(crate) trait Inlet: Send {
    /// A stream of objects.
    type Stream: Arriving;

    /// The next stream or datagram; `None` when the publisher has said all.
    fn next(&mut self) -> impl Future<Output = Result<Option<Arrival<Self::Stream>>, Error>> + Send;
}

/// What a publisher has sent.
pub(crate) enum Arrival<S> {
    /// A stream.
    Stream(S),
    /// An object in a datagram: its group, its Object ID, its payload's length, when it was sent.
    Datagram { group: u64, object: u64, length: u64, sent_at: Option<u64> },
}

/// The objects of one stream.
pub(crate) trait Arriving: Send + 'static {
    /// Waits for the beginning: the group, and which of its parallel streams this is. `None`: it carries no objects.
    fn place(&mut self) -> impl Future<Output = Result<Option<(u64, u64)>, Error>> + Send;
    /// Waits for objects and tells `batch` of those that have come, the n-th of the stream by its number; `false` at the
    /// end.
    fn read(&mut self, batch: &mut Batch, first: u64) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// What all subscriptions of a process count in.
#[derive(Clone, Debug)]
pub(crate) struct Counter(Arc<Mutex<Tally>>);

impl Counter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Tally::new())))
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one subscription to its end, each stream in a task of its own.
pub(crate) async fn subscription<I: Inlet>(
    mut inlet: I,
    number: u32,
    workload: &Workload,
    counter: Counter,
) -> Result<(), Error> {
    let group_size = u64::from(workload.group_size);
    let mut streams = JoinSet::new();
    while let Some(arrival) = inlet.next().await? {
        match arrival {
            Arrival::Stream(stream) => {
                while let Some(done) = streams.try_join_next() {
                    done??;
                }
                streams.spawn(read(stream, number, group_size, counter.clone()));
            }
            Arrival::Datagram { group, object, length, sent_at } => {
                let mut batch = Batch::default();
                batch.object(group * group_size + object, length);
                sent_at.into_iter().for_each(|at| batch.sent_at(at));
                counter.tally().take(Lane { subscription: number, index: 0 }, &mut batch);
            }
        }
    }
    while let Some(done) = streams.join_next().await {
        done??;
    }
    Ok(())
}

async fn read<S: Arriving>(
    mut stream: S,
    subscription: u32,
    group_size: u64,
    counter: Counter,
) -> Result<(), Error> {
    let Some((group, index)) = stream.place().await? else { return Ok(()) };
    let lane = Lane { subscription, index };
    let mut batch = Batch::default();
    while stream.read(&mut batch, group * group_size).await? {
        counter.tally().take(lane, &mut batch);
    }
    counter.tally().take(lane, &mut batch);
    Ok(())
}
