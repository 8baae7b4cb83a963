//! What has arrived on the peer's data streams and nobody reads.
//!
//! QUIC's flow control stops a stream that is not read. But all streams share the connection's window, the control stream
//! with them: a few that nobody reads could stop every other. So what lies on them is taken out of QUIC's buffers into a
//! stash of at most half of that window. When it is full, the stream of lowest priority, and of
//! those the one of the oldest group, is stopped, its reader told, and the drop counted. A single stream that nobody reads
//! is never stopped: its own window holds it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::model::{DEFAULT_PRIORITY, Opening, RequestId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shared;
use crate::session::StreamId;
use crate::transport::{CANCELLED, RecvStream, StreamError};

/// What a stream costs beside its bytes.
const STREAM_WEIGHT: usize = 1024;
/// How often it is looked for streams that nobody reads.
const PAUSE: Duration = Duration::from_millis(100);
/// How often while they are filled fast.
const SHORT_PAUSE: Duration = Duration::from_millis(5);
/// A request whose reader has done nothing for so long is not read.
const STALLED: Duration = Duration::from_millis(250);
/// Nor is a stream that has waited for so long while its request's reader reads others.
const STALLED_STREAM: Duration = Duration::from_secs(2);
/// What counts as fast: so many bytes since it was last looked.
const FAST: usize = 256 * 1024;

/// A data stream of the peer, shared between its reader and the keeper of the stash.
#[derive(Debug)]
pub(crate) struct RecvCell {
    slot: Mutex<Slot>,
}

#[derive(Debug)]
struct Slot {
    stream: RecvStream,
    stash: VecDeque<Bytes>,
    stashed: usize,
    /// How the stream ended, behind the stash.
    end: Option<Result<(), ReadFailed>>,
    /// How many reads have brought something, and how many had when the keeper last looked.
    reads: u64,
    seen: Option<u64>,
    /// Since when, as the keeper saw it, nobody has read.
    idle_since: Option<Instant>,
    /// Wakes the reader.
    reader: Option<Waker>,
}

/// Why a data stream cannot be read further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadFailed {
    /// The stream, or its connection, broke off.
    Stream(StreamError),
    /// It was stopped, for nobody had read it for too long.
    Overrun,
}

impl RecvCell {
    pub(super) fn new(stream: RecvStream) -> Arc<Self> {
        let slot = Slot {
            stream,
            stash: VecDeque::new(),
            stashed: 0,
            end: None,
            reads: 0,
            seen: None,
            idle_since: None,
            reader: None,
        };
        Arc::new(Self { slot: Mutex::new(slot) })
    }

    /// Fills as many of `chunks` as are ready: how many it filled, or `None` at the clean end. If there is nothing yet, `cx`
    /// is woken when there is.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, ReadFailed>> {
        self.slot().poll_read(cx, chunks)
    }

    /// Reads no more, and tells the peer.
    pub(crate) fn stop(&self, code: u32) {
        let mut slot = self.slot();
        slot.stream.stop(code);
        slot.forget();
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, ReadFailed>> {
        if !self.stash.is_empty() {
            let count = chunks.len().min(self.stash.len());
            for (slot, chunk) in chunks.iter_mut().zip(self.stash.drain(..count)) {
                self.stashed -= chunk.len();
                *slot = chunk;
            }
            self.reads += 1;
            return Poll::Ready(Ok(Some(count)));
        }
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone().map(|()| None));
        }
        match self.stream.poll_read(cx, chunks) {
            Poll::Ready(read) => {
                self.reads += 1;
                Poll::Ready(read.map_err(ReadFailed::Stream))
            }
            Poll::Pending => {
                match &mut self.reader {
                    Some(reader) => reader.clone_from(cx.waker()),
                    None => self.reader = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Notes whether anybody has read since this was last asked.
    fn look(&mut self, now: Instant) {
        match self.seen.replace(self.reads) == Some(self.reads) {
            true => drop(self.idle_since.get_or_insert(now)),
            false => self.idle_since = None,
        }
    }

    /// Takes one portion of what has arrived into the stash. How many bytes that was.
    fn stash_some(&mut self) -> usize {
        if self.end.is_some() {
            return 0;
        }
        let waker = self.reader.clone().unwrap_or_else(|| Waker::noop().clone());
        let mut chunks = [const { Bytes::new() }; 16];
        let taken = match self.stream.poll_read(&mut Context::from_waker(&waker), &mut chunks) {
            Poll::Pending => return 0,
            Poll::Ready(Ok(Some(count))) => {
                // Copied: a chunk is a slice of a buffer that may be far larger.
                let copies = chunks[..count].iter().map(|chunk| Bytes::copy_from_slice(chunk));
                let before = self.stash.len();
                self.stash.extend(copies);
                self.stash.range(before..).map(Bytes::len).sum()
            }
            Poll::Ready(Ok(None)) => {
                self.end = Some(Ok(()));
                0
            }
            Poll::Ready(Err(error)) => {
                self.end = Some(Err(ReadFailed::Stream(error)));
                0
            }
        };
        self.stashed += taken;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        taken
    }

    fn overrun(&mut self) {
        self.stream.stop(CANCELLED);
        self.forget();
        self.end = Some(Err(ReadFailed::Overrun));
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn forget(&mut self) {
        self.stash.clear();
        self.stashed = 0;
    }

    fn is_overrun(&self) -> bool {
        self.end == Some(Err(ReadFailed::Overrun))
    }

    fn weight(&self) -> usize {
        match self.stashed == 0 && self.end.is_none() || self.is_overrun() {
            true => 0,
            false => self.stashed + STREAM_WEIGHT,
        }
    }
}

/// Which stream is the first to be stopped: the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// A FETCH is kept longest: what it brings comes on no other stream.
    is_live: bool,
    subscriber_priority: u8,
    publisher_priority: u8,
    age: std::cmp::Reverse<u64>,
}

#[derive(Clone, Debug)]
struct Known {
    rank: Rank,
    request: RequestId,
    cell: Weak<RecvCell>,
}

/// One that nobody reads.
#[derive(Debug)]
struct Idle {
    id: StreamId,
    rank: Rank,
    cell: Arc<RecvCell>,
    /// Whether it may be stopped.
    is_stalled: bool,
}

/// Every data stream of the peer that has a reader, or waits for one.
#[derive(Debug)]
pub(super) struct Unread {
    /// How many bytes are kept. 0: streams share no window, and none are.
    limit: usize,
    cells: Mutex<HashMap<StreamId, Known>>,
    /// When each request's reader was last seen to do anything; the keeper's.
    active: Mutex<HashMap<RequestId, Instant>>,
    added: Notify,
    dropped: AtomicU64,
}

impl Unread {
    /// For a connection of which all streams share a window of so many bytes; 0 if they share none.
    pub(super) fn new(window: usize) -> Self {
        Self {
            limit: window / 2,
            cells: Mutex::default(),
            active: Mutex::default(),
            added: Notify::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Makes a stream of a request known, whose subscriber priority is given.
    pub(super) fn add(
        &self,
        id: StreamId,
        (request, subscriber_priority): (RequestId, u8),
        opening: &Opening,
        cell: &Arc<RecvCell>,
    ) {
        if self.limit == 0 {
            return;
        }
        let (is_live, publisher_priority, group) = match opening {
            Opening::Subgroup(header) => {
                (true, header.publisher_priority.unwrap_or(DEFAULT_PRIORITY), header.group_id)
            }
            _ => (false, DEFAULT_PRIORITY, 0),
        };
        let age = std::cmp::Reverse(group);
        let rank = Rank { is_live, subscriber_priority, publisher_priority, age };
        self.cells().insert(id, Known { rank, request, cell: Arc::downgrade(cell) });
        self.added.notify_one();
    }

    /// Counts a stream that was stopped because nobody read it.
    pub(super) fn count_drop(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// How many streams were stopped because nobody read them.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    async fn not_empty(&self) {
        loop {
            let added = self.added.notified();
            if !self.cells().is_empty() {
                return;
            }
            added.await;
        }
    }

    /// Makes room in the connection's window: how many bytes were taken out of it, and which streams were stopped.
    fn relieve(&self, now: Instant) -> (usize, Vec<StreamId>) {
        let (mut idle, mut kept) = self.look(now);
        let mut moved = 0;
        for Idle { cell, .. } in &idle {
            let mut slot = cell.slot();
            // Alone it is held by its own window.
            let mut is_first = idle.len() > 1;
            while kept < self.limit || is_first {
                let before = slot.weight();
                let taken = slot.stash_some();
                kept += slot.weight() - before;
                moved += taken;
                is_first = false;
                if taken == 0 {
                    break;
                }
            }
        }
        idle.sort_by_key(|idle| idle.rank);
        (moved, self.stop_worst(idle, kept))
    }

    /// The streams that nobody reads, and how many bytes are kept of all.
    fn look(&self, now: Instant) -> (Vec<Idle>, usize) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = Vec::new();
        self.cells().retain(|&id, it| match it.cell.upgrade() {
            Some(cell) => {
                known.push((id, it.clone(), cell));
                true
            }
            // Its reader has done with it.
            None => {
                active.insert(it.request, now);
                false
            }
        });
        let mut kept = 0;
        for (_, it, cell) in &known {
            let mut slot = cell.slot();
            slot.look(now);
            kept += slot.weight();
            match slot.idle_since {
                None if slot.reads > 0 => drop(active.insert(it.request, now)),
                _ => drop(active.entry(it.request).or_insert(now)),
            }
        }
        let requests: HashSet<RequestId> = known.iter().map(|(_, it, _)| it.request).collect();
        active.retain(|request, _| requests.contains(request));
        let idle = known.into_iter().filter_map(|(id, Known { rank, request, .. }, cell)| {
            let since = |since: Option<&Instant>| since.map_or(Duration::ZERO, |since| now - *since);
            let slot = cell.slot();
            let is_stalled =
                since(active.get(&request)) >= STALLED || since(slot.idle_since.as_ref()) >= STALLED_STREAM;
            // A reader that is only behind reads on before this; what it will read is not to be copied.
            let is_idle = since(slot.idle_since.as_ref()) >= PAUSE && !slot.is_overrun();
            drop(slot);
            is_idle.then_some(Idle { id, rank, cell, is_stalled })
        });
        (idle.collect(), kept)
    }

    fn stop_worst(&self, mut idle: Vec<Idle>, mut kept: usize) -> Vec<StreamId> {
        let mut stopped = Vec::new();
        while kept > self.limit && idle.len() > 1 {
            let Some(Idle { id, cell, is_stalled, .. }) = idle.pop() else { break };
            let mut slot = cell.slot();
            let weight = slot.weight();
            if is_stalled && weight > 0 {
                kept -= weight.min(kept);
                slot.overrun();
                self.count_drop();
                stopped.push(id);
            }
        }
        stopped
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<StreamId, Known>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after the streams that nobody reads until the session ends.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut closed = pin!(shared.closed());
    let mut pause = PAUSE;
    loop {
        tokio::select! {
            () = shared.unread.not_empty() => {}
            _ = &mut closed => return,
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = &mut closed => return,
        }
        let (moved, stopped) = shared.unread.relieve(Instant::now());
        pause = if moved >= FAST { SHORT_PAUSE } else { PAUSE };
        if !stopped.is_empty() {
            tracing::warn!(streams = stopped.len(), "streams that nobody reads were stopped");
        }
        for stream in stopped {
            shared.stopped_unread(stream);
        }
    }
}
