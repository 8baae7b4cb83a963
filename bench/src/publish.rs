//! A publisher of the workload, whatever carries it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::{Error, Workload, stamp};

/// How many objects of one stream are handed over at once if nothing paces them: about 64 KiB, at most 256.
const BATCH_BYTES: u32 = 64 * 1024;
const MAX_BATCH: u32 = 256;

/// Where the objects of one track go.
pub(crate) trait Outlet: Send + Sync + 'static {
    /// A stream of objects.
    type Stream: ObjectStream;

    /// Opens the stream of a lane's part of a group.
    fn open(&self, group: u64, lane: u32) -> impl Future<Output = Result<Self::Stream, Error>> + Send;
    /// Sends an object in a datagram.
    fn datagram(
        &self,
        group: u64,
        object: u64,
        payload: Payload,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Where the objects of one subgroup go.
pub(crate) trait ObjectStream: Send + 'static {
    /// Takes an object without sending it yet.
    fn add(&mut self, object: u64, payload: Payload) -> Result<(), Error>;
    /// Sends everything taken so far.
    fn flush(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
    /// No object follows.
    fn finish(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// An object's payload: perhaps a timestamp, and bytes that are the same for all.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) sent_at: Option<u64>,
    pub(crate) length: u32,
    /// The part of the payload that is no timestamp.
    pub(crate) rest: Bytes,
}

impl Payload {
    /// The timestamp, if it stands in the payload.
    pub(crate) fn head(&self) -> Option<[u8; stamp::BYTES]> {
        self.sent_at.filter(|_| self.length as usize >= stamp::BYTES).map(stamp::bytes)
    }

    /// The timestamp, if it must stand elsewhere.
    pub(crate) fn beside(&self) -> Option<u64> {
        self.sent_at.filter(|_| (self.length as usize) < stamp::BYTES)
    }
}

/// What has been sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) objects: AtomicU64,
    pub(crate) streams: AtomicU64,
}

/// One track's part of a workload.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    workload: Arc<Workload>,
    rest: Bytes,
    sent: Arc<Sent>,
}

impl Feed {
    pub(crate) fn new(workload: &Workload, sent: Arc<Sent>) -> Self {
        let length = workload.object_size as usize;
        let stamped = !workload.no_latency && length >= stamp::BYTES;
        let rest = stamp::filler(if stamped { length - stamp::BYTES } else { length });
        Self { workload: Arc::new(workload.clone()), rest, sent }
    }

    /// Sends until the workload's time is over, each lane by a task of its own.
    pub(crate) async fn run<O: Outlet>(self, outlet: Arc<O>) -> Result<(), Error> {
        let until = Instant::now() + self.workload.duration();
        if self.workload.datagrams {
            return self.datagrams(&*outlet, until).await;
        }
        let lanes = (0..self.workload.streams).map(|lane| {
            let (feed, outlet) = (self.clone(), outlet.clone());
            tokio::spawn(async move { feed.lane(&*outlet, lane, until).await })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await??;
        }
        Ok(())
    }

    async fn lane<O: Outlet>(&self, outlet: &O, lane: u32, until: Instant) -> Result<(), Error> {
        let lanes = u64::from(self.workload.streams);
        let batch = match self.workload.pace() {
            Some(_) => 1,
            None => (BATCH_BYTES / self.workload.object_size).clamp(1, MAX_BATCH),
        };
        let mut pace = Pace::new(self.workload.pace());
        for group in 0.. {
            if Instant::now() >= until {
                break;
            }
            let mut stream = outlet.open(group, lane).await?;
            self.sent.streams.fetch_add(1, Ordering::Relaxed);
            let mut written = 0;
            while written < self.workload.group_size && Instant::now() < until {
                let count = batch.min(self.workload.group_size - written);
                pace.wait().await;
                for index in written..written + count {
                    stream.add(u64::from(index) * lanes + u64::from(lane), self.payload())?;
                }
                written += count;
                self.sent.objects.fetch_add(count.into(), Ordering::Relaxed);
                // The last objects leave with the end.
                if written < self.workload.group_size {
                    stream.flush().await?;
                }
            }
            stream.finish().await?;
        }
        Ok(())
    }

    async fn datagrams<O: Outlet>(&self, outlet: &O, until: Instant) -> Result<(), Error> {
        let mut pace = Pace::new(self.workload.pace());
        for sequence in 0.. {
            if Instant::now() >= until {
                break;
            }
            pace.wait().await;
            let size = u64::from(self.workload.group_size);
            outlet.datagram(sequence / size, sequence % size, self.payload()).await?;
            self.sent.objects.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn payload(&self) -> Payload {
        Payload {
            sent_at: (!self.workload.no_latency).then(stamp::now),
            length: self.workload.object_size,
            rest: self.rest.clone(),
        }
    }
}

/// Lets one object go at a time: late ones follow at once, so that the average is kept.
#[derive(Debug)]
struct Pace {
    every: Option<Duration>,
    next: Instant,
    unpaced: u32,
}

impl Pace {
    fn new(every: Option<Duration>) -> Self {
        Self { every, next: Instant::now(), unpaced: 0 }
    }

    async fn wait(&mut self) {
        match self.every {
            Some(every) => {
                tokio::time::sleep_until(self.next).await;
                self.next += every;
            }
            // A writer that is never made to wait would keep its thread from everything else.
            None => {
                self.unpaced += 1;
                if self.unpaced.is_multiple_of(16) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}
