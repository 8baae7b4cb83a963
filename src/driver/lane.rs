//! Bidirectional streams: the control stream, and requests that have one of their own.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{Intake, OPENING_TIMEOUT, Shared};
use crate::session::{Input, StreamId};
use crate::transport::{CANCELLED, RecvStream, SendStream, StreamError};

/// The driver's half of a lane.
#[derive(Debug)]
pub(super) struct LaneHandle {
    orders: mpsc::UnboundedSender<Order>,
    /// Overtakes the orders: a peer that reads nothing must not hold up the end.
    reset: Option<oneshot::Sender<u32>>,
    stop: Option<oneshot::Sender<u32>>,
}

/// The tasks' half.
#[derive(Debug)]
pub(super) struct LaneEnds {
    orders: mpsc::UnboundedReceiver<Order>,
    reset: oneshot::Receiver<u32>,
    stop: oneshot::Receiver<u32>,
}

#[derive(Debug)]
enum Order {
    Write { data: Bytes, fin: bool },
    Flushed(oneshot::Sender<()>),
}

impl LaneHandle {
    pub(super) fn new() -> (Self, LaneEnds) {
        let (order_sender, orders) = mpsc::unbounded_channel();
        let (reset_sender, reset) = oneshot::channel();
        let (stop_sender, stop) = oneshot::channel();
        let handle = Self { orders: order_sender, reset: Some(reset_sender), stop: Some(stop_sender) };
        (handle, LaneEnds { orders, reset, stop })
    }

    /// Says whether the lane takes it: one that has ended does not.
    pub(super) fn write(&self, data: Bytes, fin: bool) -> bool {
        self.orders.send(Order::Write { data, fin }).is_ok()
    }

    pub(super) fn reset(&mut self, code: u32) {
        tell(&mut self.reset, code);
    }

    pub(super) fn stop(&mut self, code: u32) {
        tell(&mut self.stop, code);
    }

    /// Waits until everything ordered so far is with the transport.
    pub(super) async fn flushed(&self) {
        let (done, flushed) = oneshot::channel();
        if self.orders.send(Order::Flushed(done)).is_ok() {
            let _ = flushed.await;
        }
    }
}

fn tell(half: &mut Option<oneshot::Sender<u32>>, code: u32) {
    if let Some(half) = half.take() {
        // The half that is gone has ended by itself.
        let _ = half.send(code);
    }
}

/// Waits for an order that need not come: the driver drops its half of a lane with the session.
async fn told(order: oneshot::Receiver<u32>) -> u32 {
    match order.await {
        Ok(code) => code,
        Err(_) => std::future::pending().await,
    }
}

/// Opens a lane of ours and runs it.
pub(super) async fn open(shared: Arc<Shared>, stream: StreamId, ends: LaneEnds) {
    // It fails only with the connection, and of that the engine hears elsewhere.
    match shared.connection.open_bi().await {
        Ok((send, recv)) => {
            let intake = shared.intake();
            run(shared, intake, stream, send, recv, ends, None).await;
        }
        Err(_) => shared.lane_ended(stream),
    }
}

/// Runs a lane that the peer has opened.
pub(super) async fn accepted(
    shared: Arc<Shared>,
    intake: Intake,
    stream: StreamId,
    send: SendStream,
    recv: RecvStream,
    ends: LaneEnds,
) {
    run(shared, intake, stream, send, recv, ends, Some(OPENING_TIMEOUT)).await;
}

/// Moves a lane's bytes both ways until both halves have ended. `patience`: how long the first byte may take.
async fn run(
    shared: Arc<Shared>,
    intake: Intake,
    stream: StreamId,
    mut send: SendStream,
    recv: RecvStream,
    LaneEnds { mut orders, reset, stop }: LaneEnds,
    patience: Option<Duration>,
) {
    let writes = async {
        tokio::select! {
            biased;
            code = told(reset) => send.reset(code),
            () = write(&shared, stream, &mut send, &mut orders) => {}
        }
        forget_unsent(&shared, orders);
        // Now, for the other half may go on for long: a stream that is not finished is reset.
        drop(send);
    };
    let reads = async {
        read(&shared, stream, recv, stop, patience).await;
        drop(intake);
    };
    tokio::join!(writes, reads);
    shared.lane_ended(stream);
}

async fn write(
    shared: &Arc<Shared>,
    stream: StreamId,
    send: &mut SendStream,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) {
    // Control messages go before all objects (draft-14 §7, draft-16 §7).
    send.set_priority(i32::MAX);
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            stopped = send.stopped() => match stopped {
                Ok(Some(code)) => return lane_stopped(shared, stream, code).await,
                _ => return,
            },
        };
        match order {
            Some(Order::Write { data, fin }) => {
                let _unsent = Unsent { shared, bytes: data.len() };
                match write_all(send, data).await {
                    Ok(()) if fin => {
                        send.finish();
                        let _ = send.stopped().await;
                        return;
                    }
                    Ok(()) => {}
                    Err(StreamError::Stopped(code)) => return lane_stopped(shared, stream, code).await,
                    Err(_) => return,
                }
            }
            Some(Order::Flushed(done)) => drop(done.send(())),
            None => return,
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

/// Control bytes on their way to the transport. However that ends, they wait no more.
struct Unsent<'a> {
    shared: &'a Shared,
    bytes: usize,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        self.shared.wrote(self.bytes);
    }
}

/// What a lane that has ended will never send does not wait either.
fn forget_unsent(shared: &Shared, mut orders: mpsc::UnboundedReceiver<Order>) {
    orders.close();
    while let Ok(order) = orders.try_recv() {
        if let Order::Write { data, .. } = order {
            shared.wrote(data.len());
        }
    }
}

async fn read(
    shared: &Arc<Shared>,
    stream: StreamId,
    mut recv: RecvStream,
    stop: oneshot::Receiver<u32>,
    mut patience: Option<Duration>,
) {
    let mut stop = pin!(told(stop));
    let mut chunks = [const { Bytes::new() }; 8];
    loop {
        let read = tokio::select! {
            biased;
            code = &mut stop => return recv.stop(code),
            read = next(shared, &mut recv, &mut chunks) => read,
            () = silence(patience) => {
                recv.stop(CANCELLED);
                return shared.reset_lane(stream);
            }
        };
        patience = None;
        match read {
            Ok(Some(count)) => {
                for chunk in &mut chunks[..count] {
                    shared.handle(Input::Lane { stream, data: std::mem::take(chunk), fin: false });
                }
            }
            // Streams end with their connection in some way or other: nothing that the peer has done.
            Ok(None) | Err(StreamError::Reset(_)) if is_over(shared).await => return,
            Ok(None) => return shared.handle(Input::Lane { stream, data: Bytes::new(), fin: true }),
            Err(StreamError::Reset(code)) => return shared.handle(Input::LaneReset { stream, code }),
            Err(_) => return,
        }
    }
}

async fn lane_stopped(shared: &Arc<Shared>, stream: StreamId, code: u64) {
    if !is_over(shared).await {
        shared.handle(Input::LaneStopped { stream, code });
    }
}

/// Whether the connection has ended.
async fn is_over(shared: &Shared) -> bool {
    tokio::select! {
        biased;
        _ = shared.connection.closed() => true,
        () = std::future::ready(()) => false,
    }
}

/// What comes next, once our answers to what came before are on their way.
async fn next(
    shared: &Shared,
    recv: &mut RecvStream,
    chunks: &mut [Bytes],
) -> Result<Option<usize>, StreamError> {
    shared.not_congested().await;
    recv.read(chunks).await
}

async fn silence(patience: Option<Duration>) {
    match patience {
        Some(patience) => tokio::time::sleep(patience).await,
        None => std::future::pending().await,
    }
}
