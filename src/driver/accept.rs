//! What the peer opens and sends: bidirectional streams, data streams, datagrams.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use moqingbird_wire::DecodeError;
use moqingbird_wire::model::Opening;
use moqingbird_wire::stream::{OpeningReader, Stash};
use tokio::time::timeout;

use super::{Intake, OPENING_TIMEOUT, RecvCell, Shared, lane, now_or_never};
use crate::session::Input;
use crate::transport::RecvStream;

/// Takes in bidirectional streams until the connection ends.
pub(super) async fn lanes(shared: Arc<Shared>, _intake: Intake) {
    while let Ok((send, recv)) = shared.connection.accept_bi().await {
        let (stream, ends) = shared.new_lane();
        shared.spawn(lane::accepted(shared.clone(), shared.intake(), stream, send, recv, ends));
    }
}

/// How many streams take their turn with the engine together at most.
const AT_ONCE: usize = 64;

/// A data stream of the peer whose opening has come.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) opening: Opening,
    /// Where the rest comes from; `None` if all of it is in `leftover`, its end too.
    pub(crate) recv: Option<Arc<RecvCell>>,
    /// What has come behind the opening.
    pub(crate) leftover: Stash,
}

impl Arrived {
    /// Short streams come whole: those need neither a reader's hold on them nor anybody who looks after what is unread.
    fn new(opening: Opening, mut recv: RecvStream, mut leftover: Stash) -> Self {
        let mut chunks = [const { Bytes::new() }; 4];
        if !leftover.is_finished() {
            match recv.poll_read(&mut Context::from_waker(Waker::noop()), &mut chunks) {
                Poll::Ready(Ok(None)) => leftover.finish(),
                Poll::Ready(Ok(Some(count))) => {
                    chunks[..count].iter_mut().for_each(|chunk| leftover.push(std::mem::take(chunk)));
                }
                // A failure is told again to whoever reads.
                _ => {}
            }
        }
        let recv = (!leftover.is_finished()).then(|| RecvCell::new(recv));
        Self { opening, recv, leftover }
    }

    /// Reads no more, and tells the peer.
    pub(super) fn stop(&self, code: u32) {
        if let Some(recv) = &self.recv {
            recv.stop(code);
        }
    }
}

/// Takes in data streams until the connection ends. A stream whose header has not come holds up no other.
pub(super) async fn data_streams(shared: Arc<Shared>, _intake: Intake) {
    let mut arrived = Vec::new();
    while let Ok(recv) = shared.connection.accept_uni().await {
        arrive(&shared, recv, &mut arrived).await;
        while arrived.len() < AT_ONCE
            && let Some(Ok(recv)) = now_or_never(shared.connection.accept_uni()).await
        {
            arrive(&shared, recv, &mut arrived).await;
        }
        shared.judge(&mut arrived);
    }
}

/// Most headers come with their streams, which then need no task of their own.
async fn arrive(shared: &Arc<Shared>, mut recv: RecvStream, arrived: &mut Vec<Arrived>) {
    let mut reader = OpeningReader::new();
    match now_or_never(opening(shared, &mut recv, &mut reader)).await {
        Some(opening) => judge(shared, opening, recv, reader, arrived),
        None => shared.spawn(data_stream(shared.clone(), shared.intake(), recv, reader)),
    }
}

/// A stream that says nothing for long is of no request and cannot be counted: it is stopped, as whatever is dropped
/// unread.
async fn data_stream(shared: Arc<Shared>, _intake: Intake, mut recv: RecvStream, mut reader: OpeningReader) {
    if let Ok(opening) = timeout(OPENING_TIMEOUT, opening(&shared, &mut recv, &mut reader)).await {
        let mut arrived = Vec::new();
        judge(&shared, opening, recv, reader, &mut arrived);
        shared.judge(&mut arrived);
    }
}

/// One that was reset before its header is of no request either.
fn judge(
    shared: &Arc<Shared>,
    opening: Option<Result<Opening, DecodeError>>,
    recv: RecvStream,
    reader: OpeningReader,
    arrived: &mut Vec<Arrived>,
) {
    match opening {
        Some(Ok(opening)) => arrived.push(Arrived::new(opening, recv, reader.into_leftover())),
        Some(Err(violation)) => {
            shared.judge(arrived);
            shared.handle(Input::Violation(violation));
        }
        None => {}
    }
}

/// A stream's header; `None` if the stream fails before it.
async fn opening(
    shared: &Shared,
    recv: &mut RecvStream,
    reader: &mut OpeningReader,
) -> Option<Result<Opening, DecodeError>> {
    let mut chunks = [const { Bytes::new() }; 4];
    loop {
        if let Some(opening) = reader.next_registered(shared.draft, &shared.stream_types).transpose() {
            return Some(opening);
        }
        match recv.read(&mut chunks).await.ok()? {
            Some(count) => chunks[..count].iter_mut().for_each(|chunk| reader.push(std::mem::take(chunk))),
            None => reader.finish(),
        }
    }
}

/// Takes in datagrams until the connection ends.
pub(super) async fn datagrams(shared: Arc<Shared>) {
    while let Ok(datagram) = shared.connection.read_datagram().await {
        shared.handle(Input::Datagram(datagram));
    }
}
