//! Two ends in one process, for tests of what lies above a transport: bounded streams, codes, datagrams and an ending, but
//! no packets, no loss and no clock.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::Notify;

use super::contract::{
    CANCELLED, DatagramError, Lost, RecvHalf, SendHalf, StreamError, Transport, TransportKind, Written,
};
use super::dispatch::Connection;

/// How many unread bytes a stream holds before its writer waits.
pub(crate) const STREAM_WINDOW: usize = 64 * 1024;
/// How many streams of a direction may wait to be accepted before their opener waits.
pub(crate) const STREAM_BACKLOG: usize = 128;
/// How many datagrams may wait to be read before their sender waits.
pub(crate) const DATAGRAM_BACKLOG: usize = 64;
/// The largest datagram, in bytes: about what one packet of a real path carries.
pub(crate) const MAX_DATAGRAM: usize = 1200;

/// The two ends of a fresh connection that agreed on a protocol name, or on none.
pub(crate) fn pair(protocol: Option<&str>) -> (Connection, Connection) {
    let link = Arc::new(Link {
        protocol: protocol.map(ToOwned::to_owned),
        inboxes: Default::default(),
        closed: Mutex::default(),
        closing: Notify::new(),
    });
    let end = |side| Mem { end: Arc::new(End { link: link.clone(), side }) }.into();
    (end(0), end(1))
}

/// One end of a connection within the process.
#[derive(Clone, Debug)]
pub(crate) struct Mem {
    end: Arc<End>,
}

/// One side's hold on the link, shared by its handles and streams; with the last of them the connection closes.
#[derive(Debug)]
struct End {
    link: Arc<Link>,
    side: usize,
}

#[derive(Debug)]
struct Link {
    protocol: Option<String>,
    /// What each side has yet to accept.
    inboxes: [Inbox; 2],
    closed: Mutex<Option<Closed>>,
    closing: Notify,
}

#[derive(Debug)]
struct Closed {
    by: usize,
    code: u32,
    reason: String,
}

#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    uni: VecDeque<Arc<Pipe>>,
    /// The acceptor's outgoing and incoming pipe.
    bi: VecDeque<(Arc<Pipe>, Arc<Pipe>)>,
    datagrams: VecDeque<Bytes>,
}

/// One direction of a stream.
#[derive(Debug, Default)]
struct Pipe {
    state: Mutex<Flow>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Flow {
    chunks: VecDeque<Bytes>,
    buffered: usize,
    priority: i32,
    finished: bool,
    reset: Option<u32>,
    stopped: Option<u32>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl End {
    /// Why the connection ended, as this side sees it.
    fn lost(&self) -> Option<Lost> {
        lock(&self.link.closed).as_ref().map(|closed| {
            if closed.by == self.side {
                Lost::Local
            } else {
                Lost::Peer { code: closed.code.into(), reason: closed.reason.clone() }
            }
        })
    }

    fn close(&self, code: u32, reason: &str) {
        lock(&self.link.closed).get_or_insert_with(|| Closed {
            by: self.side,
            code,
            reason: reason.to_owned(),
        });
        self.link.closing.notify_waiters();
    }

    fn own(&self) -> &Inbox {
        &self.link.inboxes[self.side]
    }

    fn peers(&self) -> &Inbox {
        &self.link.inboxes[1 - self.side]
    }

    /// Asks `ready` now and after each change until it has an answer. It changes nothing until it answers, so that a
    /// dropped wait has done nothing.
    async fn wait<T>(&self, changed: &Notify, mut ready: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = pin!(changed.notified());
            let mut closing = pin!(self.link.closing.notified());
            changed.as_mut().enable();
            closing.as_mut().enable();
            if let Some(answer) = ready() {
                return answer;
            }
            tokio::select! {
                () = changed => {}
                () = closing => {}
            }
        }
    }

    /// Waits for something in an inbox, or for room in it; the ending goes first.
    async fn at<T>(
        &self,
        inbox: &Inbox,
        mut ready: impl FnMut(&mut Waiting) -> Option<T>,
    ) -> Result<T, Lost> {
        let answer = self
            .wait(&inbox.changed, || match self.lost() {
                Some(lost) => Some(Err(lost)),
                None => ready(&mut lock(&inbox.state)).map(Ok),
            })
            .await?;
        inbox.changed.notify_waiters();
        Ok(answer)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close(0, "");
    }
}

impl Mem {
    fn send(&self, pipe: Arc<Pipe>) -> Send {
        Send { pipe, end: self.end.clone(), abandon: Some(CANCELLED) }
    }

    fn recv(&self, pipe: Arc<Pipe>) -> Recv {
        Recv { pipe, end: self.end.clone(), ended: false, changed: None }
    }
}

impl Transport for Mem {
    type Send = Send;
    type Recv = Recv;

    async fn open_uni(&self) -> Result<Send, Lost> {
        let pipe = Arc::new(Pipe::default());
        self.end
            .at(self.end.peers(), |waiting| {
                (waiting.uni.len() < STREAM_BACKLOG).then(|| waiting.uni.push_back(pipe.clone()))
            })
            .await?;
        Ok(self.send(pipe))
    }

    async fn open_bi(&self) -> Result<(Send, Recv), Lost> {
        let (out, back) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
        self.end
            .at(self.end.peers(), |waiting| {
                (waiting.bi.len() < STREAM_BACKLOG).then(|| waiting.bi.push_back((back.clone(), out.clone())))
            })
            .await?;
        Ok((self.send(out), self.recv(back)))
    }

    async fn accept_uni(&self) -> Result<Recv, Lost> {
        let pipe = self.end.at(self.end.own(), |waiting| waiting.uni.pop_front()).await?;
        Ok(self.recv(pipe))
    }

    async fn accept_bi(&self) -> Result<(Send, Recv), Lost> {
        let (out, back) = self.end.at(self.end.own(), |waiting| waiting.bi.pop_front()).await?;
        Ok((self.send(out), self.recv(back)))
    }

    async fn read_datagram(&self) -> Result<Bytes, Lost> {
        self.end.at(self.end.own(), |waiting| waiting.datagrams.pop_front()).await
    }

    async fn send_datagram(&self, payload: Bytes) -> Result<(), DatagramError> {
        if payload.len() > MAX_DATAGRAM {
            return Err(DatagramError::TooLarge);
        }
        self.end
            .at(self.end.peers(), |waiting| {
                (waiting.datagrams.len() < DATAGRAM_BACKLOG)
                    .then(|| waiting.datagrams.push_back(payload.clone()))
            })
            .await
            .map_err(DatagramError::Lost)
    }

    fn max_datagram_size(&self) -> usize {
        MAX_DATAGRAM
    }

    fn close(&self, code: u32, reason: &str) {
        self.end.close(code, reason);
    }

    async fn closed(&self) -> Lost {
        self.end.wait(&self.end.link.closing, || self.end.lost()).await
    }

    async fn drained(&self) {}

    fn protocol(&self) -> Option<String> {
        self.end.link.protocol.clone()
    }

    fn kind(&self) -> TransportKind {
        TransportKind::Memory
    }

    fn connection_id(&self) -> Option<String> {
        None
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        None
    }

    fn receive_window(&self) -> usize {
        0
    }

    fn peer_certificate(&self) -> Option<Bytes> {
        None
    }
}

/// The half of a stream that is written.
#[derive(Debug)]
pub(crate) struct Send {
    pipe: Arc<Pipe>,
    end: Arc<End>,
    /// The code to reset with on drop; none once the stream has been ended on purpose.
    abandon: Option<u32>,
}

impl SendHalf for Send {
    async fn write(&mut self, chunks: &mut [Bytes]) -> Result<Written, StreamError> {
        let written = self
            .end
            .wait(&self.pipe.changed, || match self.end.lost() {
                Some(lost) => Some(Err(lost.into())),
                None => lock(&self.pipe.state).take_in(chunks),
            })
            .await;
        if let Err(StreamError::Stopped(code)) = &written {
            let code = u32::try_from(*code).unwrap_or(CANCELLED);
            self.abandon = self.abandon.map(|_| code);
        }
        self.pipe.changed.notify_waiters();
        written
    }

    fn finish(&mut self) {
        if self.abandon.take().is_some() && self.end.lost().is_none() {
            lock(&self.pipe.state).finished = true;
            self.pipe.changed.notify_waiters();
        }
    }

    fn reset(&mut self, code: u32) {
        self.abandon = None;
        // As over QUIC, nothing overtakes the connection's end: the peer must hear of that and not of this.
        if self.end.lost().is_none() {
            lock(&self.pipe.state).reset(code);
            self.pipe.changed.notify_waiters();
        }
    }

    fn set_priority(&mut self, order: i32) {
        lock(&self.pipe.state).priority = order;
    }

    async fn stopped(&self) -> Result<Option<u64>, Lost> {
        self.end
            .wait(&self.pipe.changed, || {
                let flow = lock(&self.pipe.state);
                match flow.stopped {
                    Some(code) => Some(Ok(Some(code.into()))),
                    // What is in the pipe has arrived: there is nothing between the ends to wait for.
                    None if flow.finished || flow.reset.is_some() => Some(Ok(None)),
                    None => self.end.lost().map(Err),
                }
            })
            .await
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        if let Some(code) = self.abandon {
            self.reset(code);
        }
    }
}

/// The half of a stream that is read.
#[derive(Debug)]
pub(crate) struct Recv {
    pipe: Arc<Pipe>,
    end: Arc<End>,
    ended: bool,
    /// Listens while a read waits.
    changed: Option<Changed>,
}

/// A pipe's next change, or its connection's end.
struct Changed {
    future: Pin<Box<dyn Future<Output = ()> + std::marker::Send>>,
}

impl Changed {
    fn of(pipe: Arc<Pipe>, link: Arc<Link>) -> Self {
        let future = Box::pin(async move {
            tokio::select! {
                () = pipe.changed.notified() => {}
                () = link.closing.notified() => {}
            }
        });
        Self { future }
    }
}

impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changed")
    }
}

impl Recv {
    /// The priority that the sender gave the stream.
    #[cfg(test)]
    pub(crate) fn priority(&self) -> i32 {
        lock(&self.pipe.state).priority
    }
}

impl RecvHalf for Recv {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, StreamError>> {
        loop {
            // Listens first, so that nothing falls between the look and the wait.
            let (pipe, link) = (&self.pipe, &self.end.link);
            let changed = self.changed.get_or_insert_with(|| Changed::of(pipe.clone(), link.clone()));
            let has_changed = changed.future.as_mut().poll(cx).is_ready();
            // What has arrived can be read even after the end of the connection, as with QUIC.
            let ready = lock(&self.pipe.state).give_out(chunks);
            if let Some(read) = ready.or_else(|| self.end.lost().map(|lost| Err(lost.into()))) {
                self.changed = None;
                self.ended |= matches!(read, Ok(None) | Err(StreamError::Reset(_)));
                self.pipe.changed.notify_waiters();
                return Poll::Ready(read);
            }
            if !has_changed {
                return Poll::Pending;
            }
            self.changed = None;
        }
    }

    fn stop(&mut self, code: u32) {
        if !std::mem::replace(&mut self.ended, true) && self.end.lost().is_none() {
            lock(&self.pipe.state).stop(code);
            self.pipe.changed.notify_waiters();
        }
    }
}

impl Drop for Recv {
    fn drop(&mut self) {
        self.stop(CANCELLED);
    }
}

impl Flow {
    /// Takes what fits of the writer's chunks; nothing if there is no room.
    fn take_in(&mut self, chunks: &mut [Bytes]) -> Option<Result<Written, StreamError>> {
        if let Some(code) = self.stopped {
            return Some(Err(StreamError::Stopped(code.into())));
        }
        if self.finished || self.reset.is_some() {
            return Some(Err(StreamError::Closed));
        }
        let room = STREAM_WINDOW - self.buffered;
        if room == 0 && chunks.iter().any(|chunk| !chunk.is_empty()) {
            return None;
        }
        let mut written = Written::default();
        for chunk in chunks {
            let taken = chunk.split_to(chunk.len().min(room - written.bytes));
            written.bytes += taken.len();
            if !taken.is_empty() {
                self.chunks.push_back(taken);
            }
            if !chunk.is_empty() {
                break;
            }
            written.chunks += 1;
        }
        self.buffered += written.bytes;
        Some(Ok(written))
    }

    /// Gives the reader what is there; nothing if it must wait.
    fn give_out(&mut self, chunks: &mut [Bytes]) -> Option<Result<Option<usize>, StreamError>> {
        if self.stopped.is_some() {
            return Some(Err(StreamError::Closed));
        }
        if let Some(code) = self.reset {
            return Some(Err(StreamError::Reset(code.into())));
        }
        if self.chunks.is_empty() {
            return self.finished.then_some(Ok(None));
        }
        let mut filled = 0;
        for (slot, chunk) in chunks.iter_mut().zip(std::iter::from_fn(|| self.chunks.pop_front())) {
            self.buffered -= chunk.len();
            *slot = chunk;
            filled += 1;
        }
        Some(Ok(Some(filled)))
    }

    fn reset(&mut self, code: u32) {
        self.reset.get_or_insert(code);
        self.discard();
    }

    fn stop(&mut self, code: u32) {
        self.stopped.get_or_insert(code);
        self.discard();
    }

    fn discard(&mut self) {
        self.chunks.clear();
        self.buffered = 0;
    }
}
