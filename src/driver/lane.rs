//! Bidirectional streams: the control stream, and requests that have one of their own.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use crate::session::{Input, StreamId};
use crate::transport::{RecvStream, SendStream, StreamError};

/// The driver's half of a lane.
#[derive(Debug)]
pub(super) struct LaneHandle {
    orders: mpsc::UnboundedSender<Order>,
    stop: Option<oneshot::Sender<u32>>,
}

/// The tasks' half.
#[derive(Debug)]
pub(super) struct LaneEnds {
    orders: mpsc::UnboundedReceiver<Order>,
    stop: oneshot::Receiver<u32>,
}

#[derive(Debug)]
enum Order {
    Write { data: Bytes, fin: bool },
    Reset(u32),
    Flushed(oneshot::Sender<()>),
}

impl LaneHandle {
    pub(super) fn new() -> (Self, LaneEnds) {
        let (order_sender, orders) = mpsc::unbounded_channel();
        let (stop_sender, stop) = oneshot::channel();
        (Self { orders: order_sender, stop: Some(stop_sender) }, LaneEnds { orders, stop })
    }

    pub(super) fn write(&self, data: Bytes, fin: bool) {
        let _ = self.orders.send(Order::Write { data, fin });
    }

    pub(super) fn reset(&self, code: u32) {
        let _ = self.orders.send(Order::Reset(code));
    }

    pub(super) fn stop(&mut self, code: u32) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(code);
        }
    }

    /// Waits until everything ordered so far is with the transport.
    pub(super) async fn flushed(&self) {
        let (done, flushed) = oneshot::channel();
        if self.orders.send(Order::Flushed(done)).is_ok() {
            let _ = flushed.await;
        }
    }
}

/// Opens a lane of ours and runs it.
pub(super) async fn open(shared: Arc<Shared>, stream: StreamId, ends: LaneEnds) {
    // It fails only with the connection, and of that the engine hears elsewhere.
    if let Ok((send, recv)) = shared.connection.open_bi().await {
        run(shared, stream, send, recv, ends).await;
    }
}

/// Moves a lane's bytes both ways until both halves have ended.
pub(super) async fn run(
    shared: Arc<Shared>,
    stream: StreamId,
    send: SendStream,
    recv: RecvStream,
    LaneEnds { orders, stop }: LaneEnds,
) {
    tokio::join!(write(&shared, stream, send, orders), read(&shared, stream, recv, stop));
    shared.lane_ended(stream);
}

async fn write(
    shared: &Arc<Shared>,
    stream: StreamId,
    mut send: SendStream,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    // Control messages go before all objects (draft-14 §7, draft-16 §7).
    send.set_priority(i32::MAX);
    while let Some(order) = orders.recv().await {
        match order {
            Order::Write { data, fin } => {
                let length = data.len();
                let written = write_all(&mut send, data).await;
                shared.wrote(length);
                if let Err(error) = written {
                    if let StreamError::Stopped(code) = error {
                        shared.handle(Input::LaneStopped { stream, code });
                    }
                    return;
                }
                if fin {
                    return finish(send).await;
                }
            }
            Order::Reset(code) => return send.reset(code),
            Order::Flushed(done) => {
                let _ = done.send(());
            }
        }
    }
}

async fn write_all(send: &mut SendStream, data: Bytes) -> Result<(), StreamError> {
    let mut chunks = [data];
    while !chunks[0].is_empty() {
        send.write(&mut chunks).await?;
    }
    Ok(())
}

async fn finish(mut send: SendStream) {
    send.finish();
    let _ = send.stopped().await;
}

async fn read(
    shared: &Arc<Shared>,
    stream: StreamId,
    mut recv: RecvStream,
    mut stop: oneshot::Receiver<u32>,
) {
    let mut chunks = [const { Bytes::new() }; 8];
    let mut stoppable = true;
    loop {
        shared.not_congested().await;
        let read = tokio::select! {
            read = recv.read(&mut chunks) => read,
            order = &mut stop, if stoppable => match order {
                Ok(code) => return recv.stop(code),
                // The handle is gone with the session's lanes: read on, so that the peer's close is heard.
                Err(_) => { stoppable = false; continue }
            },
        };
        match read {
            Ok(Some(count)) => {
                for chunk in &mut chunks[..count] {
                    shared.handle(Input::Lane { stream, data: std::mem::take(chunk), fin: false });
                }
            }
            Ok(None) => return shared.handle(Input::Lane { stream, data: Bytes::new(), fin: true }),
            Err(StreamError::Reset(code)) => return shared.handle(Input::LaneReset { stream, code }),
            Err(_) => return,
        }
    }
}
