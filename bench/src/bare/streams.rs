//! Objects on bare streams and datagrams.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::watch;

use super::link::{Connection, RecvStream, SendStream};
use crate::publish::{ObjectStream, Outlet, Payload};
use crate::receive::{Arrival, Arriving, Inlet};
use crate::tally::Batch;
use crate::{Error, Workload, stamp};

/// Group and index at the beginning of a stream, group and object at that of a datagram.
pub(super) const HEADER: usize = 16;
/// The group of the stream that says how many others there are.
const OVER: u64 = u64::MAX;

/// Objects of one track on their way out.
pub(super) struct Outgoing {
    connection: Connection,
    track: u64,
}

impl Outgoing {
    pub(super) fn new(connection: Connection, track: u32) -> Self {
        Self { connection, track: track.into() }
    }
}

impl Outlet for Outgoing {
    type Stream = Stream;

    async fn open(&self, group: u64, lane: u32) -> Result<Stream, Error> {
        let stream = self.connection.open_uni().await?;
        Ok(Stream { stream, pending: vec![header(group, self.track << 32 | u64::from(lane))] })
    }

    async fn datagram(&self, group: u64, object: u64, payload: Payload) -> Result<(), Error> {
        let mut datagram = BytesMut::with_capacity(HEADER + payload.length as usize);
        datagram.put_slice(&header(group, object));
        datagram.put_slice(payload.head().as_ref().map_or(&[], |head| &head[..]));
        datagram.put_slice(&payload.rest);
        self.connection.send_datagram(datagram.freeze()).await
    }
}

fn header(group: u64, second: u64) -> Bytes {
    [group.to_be_bytes(), second.to_be_bytes()].concat().into()
}

/// Says how many streams there were in all.
pub(super) async fn say_over(connection: &Connection, streams: u64) -> Result<(), Error> {
    let mut stream = connection.open_uni().await?;
    stream.write_all(&mut vec![header(OVER, streams)]).await?;
    stream.finish();
    Ok(())
}

/// One stream on its way out.
pub(super) struct Stream {
    stream: SendStream,
    pending: Vec<Bytes>,
}

impl ObjectStream for Stream {
    fn add(&mut self, _object: u64, payload: Payload) -> Result<(), Error> {
        if let Some(head) = payload.head() {
            self.pending.push(Bytes::copy_from_slice(&head));
        }
        self.pending.push(payload.rest);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.stream.write_all(&mut self.pending).await
    }

    async fn finish(mut self) -> Result<(), Error> {
        self.flush().await?;
        self.stream.finish();
        Ok(())
    }
}

/// Everything that comes on a connection.
pub(super) struct Incoming {
    connection: Connection,
    object_size: u64,
    stamped: bool,
    streams: u64,
    /// How many streams of objects there are in all, once the publisher has said it.
    total: watch::Sender<Option<u64>>,
}

impl Incoming {
    pub(super) fn new(connection: Connection, workload: &Workload) -> Self {
        let stamped = !workload.no_latency && workload.object_size as usize >= stamp::BYTES;
        let total = watch::channel(None).0;
        Self { connection, object_size: workload.object_size.into(), stamped, streams: 0, total }
    }

    /// Whether every stream has come, that which says how many there are among them.
    fn is_over(&self) -> bool {
        self.total.borrow().is_some_and(|total| self.streams > total)
    }
}

impl Inlet for Incoming {
    type Stream = Received;

    async fn next(&mut self) -> Result<Option<Arrival<Received>>, Error> {
        let mut told = self.total.subscribe();
        while !self.is_over() {
            tokio::select! {
                stream = self.connection.accept_uni() => {
                    self.streams += 1;
                    return Ok(Some(Arrival::Stream(self.stream(stream?))));
                }
                datagram = self.connection.read_datagram() => return Ok(Some(self.datagram(&datagram?)?)),
                changed = told.changed() => changed?,
            }
        }
        Ok(None)
    }
}

impl Incoming {
    fn stream(&self, stream: RecvStream) -> Received {
        let (object_size, stamped, total) = (self.object_size, self.stamped, self.total.clone());
        Received { stream, object_size, stamped, total, read: 0, head: [0; stamp::BYTES] }
    }

    fn datagram(&self, datagram: &[u8]) -> Result<Arrival<Received>, Error> {
        let number = |at: usize| datagram.get(at..).and_then(stamp::read);
        let (Some(group), Some(object)) = (number(0), number(8)) else {
            return Err("a datagram without group and object".into());
        };
        let payload = &datagram[HEADER..];
        let sent_at = self.stamped.then(|| stamp::read(payload)).flatten();
        Ok(Arrival::Datagram { group, object, length: payload.len() as u64, sent_at })
    }
}

/// One stream on its way in.
pub(super) struct Received {
    stream: RecvStream,
    object_size: u64,
    stamped: bool,
    total: watch::Sender<Option<u64>>,
    /// Bytes of objects so far.
    read: u64,
    /// A timestamp that has not come whole.
    head: [u8; stamp::BYTES],
}

impl Received {
    /// Finds the objects that begin in a chunk, and their timestamps.
    fn count(&mut self, mut chunk: &[u8], batch: &mut Batch, first: u64) {
        while !chunk.is_empty() {
            let within = self.read % self.object_size;
            if within == 0 {
                batch.object(first + self.read / self.object_size, self.object_size);
            }
            let step = if self.stamped && within < stamp::BYTES as u64 {
                let at = within as usize;
                let taken = (stamp::BYTES - at).min(chunk.len());
                self.head[at..at + taken].copy_from_slice(&chunk[..taken]);
                if at + taken == stamp::BYTES {
                    batch.sent_at(u64::from_be_bytes(self.head));
                }
                taken
            } else {
                chunk.len().min((self.object_size - within) as usize)
            };
            self.read += step as u64;
            chunk = &chunk[step..];
        }
    }
}

impl Arriving for Received {
    /// Read in the stream's own task: while one header is on its way, other streams must be read, or they hold the
    /// credit that it needs.
    async fn place(&mut self) -> Result<Option<(u64, u64)>, Error> {
        match self.stream.header().await? {
            (OVER, streams) => {
                self.total.send_replace(Some(streams));
                Ok(None)
            }
            place => Ok(Some(place)),
        }
    }

    async fn read(&mut self, batch: &mut Batch, first: u64) -> Result<bool, Error> {
        let mut chunks = [const { Bytes::new() }; 16];
        let Some(count) = self.stream.read(&mut chunks).await? else { return Ok(false) };
        chunks[..count].iter().for_each(|chunk| self.count(chunk, batch, first));
        Ok(true)
    }
}
