//! What the peer opens and sends: bidirectional streams, data streams, datagrams.

use std::sync::Arc;

use bytes::Bytes;
use moqingbird_wire::stream::OpeningReader;

use super::{Shared, lane};
use crate::session::Input;
use crate::transport::{RecvStream, StreamError};

/// Takes in bidirectional streams until the connection ends.
pub(super) async fn lanes(shared: Arc<Shared>) {
    while let Ok((send, recv)) = shared.connection.accept_bi().await {
        let (stream, ends) = shared.new_lane();
        tokio::spawn(lane::run(shared.clone(), stream, send, recv, ends));
    }
}

/// Takes in data streams until the connection ends. A stream whose header has not come holds up no other.
pub(super) async fn data_streams(shared: Arc<Shared>) {
    while let Ok(recv) = shared.connection.accept_uni().await {
        tokio::spawn(data_stream(shared.clone(), recv));
    }
}

async fn data_stream(shared: Arc<Shared>, mut recv: RecvStream) {
    let mut reader = OpeningReader::new();
    let mut chunks = [const { Bytes::new() }; 4];
    loop {
        match reader.next_opening(shared.draft) {
            Ok(Some(opening)) => return shared.judge(opening, recv, reader.into_leftover()),
            Ok(None) => {}
            Err(error) => return shared.handle(Input::Violation(error)),
        }
        match recv.read(&mut chunks).await {
            Ok(Some(count)) => {
                chunks[..count].iter_mut().for_each(|chunk| reader.push(std::mem::take(chunk)))
            }
            Ok(None) => reader.finish(),
            // A stream that is reset before its header is of no request, and cannot be counted.
            Err(StreamError::Reset(_)) | Err(_) => return,
        }
    }
}

/// Takes in datagrams until the connection ends.
pub(super) async fn datagrams(shared: Arc<Shared>) {
    while let Ok(datagram) = shared.connection.read_datagram().await {
        shared.handle(Input::Datagram(datagram));
    }
}
