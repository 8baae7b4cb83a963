//! What the peer opens and sends: bidirectional streams, data streams, datagrams.

use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::DecodeError;
use moqingbird_wire::model::Opening;
use moqingbird_wire::stream::OpeningReader;
use tokio::time::timeout;

use super::{Intake, OPENING_TIMEOUT, Shared, lane, now_or_never};
use crate::session::Input;
use crate::transport::RecvStream;

/// Takes in bidirectional streams until the connection ends.
pub(super) async fn lanes(shared: Arc<Shared>, _intake: Intake) {
    while let Ok((send, recv)) = shared.connection.accept_bi().await {
        let (stream, ends) = shared.new_lane();
        shared.spawn(lane::accepted(shared.clone(), shared.intake(), stream, send, recv, ends));
    }
}

/// Takes in data streams until the connection ends. A stream whose header has not come holds up no other.
pub(super) async fn data_streams(shared: Arc<Shared>, _intake: Intake) {
    while let Ok(mut recv) = shared.connection.accept_uni().await {
        let mut reader = OpeningReader::new();
        // Most headers come with their streams, which then need no task of their own.
        match now_or_never(opening(&shared, &mut recv, &mut reader)).await {
            Some(opening) => judge(&shared, opening, recv, reader),
            None => shared.spawn(data_stream(shared.clone(), shared.intake(), recv, reader)),
        }
    }
}

/// A stream that says nothing for long is of no request and cannot be counted: it is stopped, as whatever is dropped
/// unread.
async fn data_stream(shared: Arc<Shared>, _intake: Intake, mut recv: RecvStream, mut reader: OpeningReader) {
    if let Ok(opening) = timeout(OPENING_TIMEOUT, opening(&shared, &mut recv, &mut reader)).await {
        judge(&shared, opening, recv, reader);
    }
}

/// One that was reset before its header is of no request either.
fn judge(
    shared: &Arc<Shared>,
    opening: Option<Result<Opening, DecodeError>>,
    recv: RecvStream,
    reader: OpeningReader,
) {
    match opening {
        Some(Ok(opening)) => shared.judge(opening, recv, reader.into_leftover()),
        Some(Err(violation)) => shared.handle(Input::Violation(violation)),
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
