//! The three transports as one type: an enum where a trait object would cost an allocation a call.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::contract::{
    DatagramError, Lost, RecvHalf, SendHalf, StreamError, Transport, TransportKind, Written,
};
use super::{mem, quic, web};

/// A connection over any transport. Cloning is cheap, and all clones are the same connection.
#[derive(Clone, Debug)]
pub(crate) enum Connection {
    Quic(quic::Quic),
    Web(web::Web),
    Mem(mem::Mem),
}

/// The half of a stream that is written, over any transport.
#[derive(Debug)]
pub(crate) enum SendStream {
    Quic(quic::Send),
    Web(web::Send),
    Mem(mem::Send),
}

/// The half of a stream that is read, over any transport.
#[derive(Debug)]
pub(crate) enum RecvStream {
    Quic(quic::Recv),
    Web(web::Recv),
    Mem(mem::Recv),
}

macro_rules! dispatch {
    ($value:expr, $inner:ident => $call:expr) => {
        match $value {
            Self::Quic($inner) => $call,
            Self::Web($inner) => $call,
            Self::Mem($inner) => $call,
        }
    };
}

impl Connection {
    pub(crate) async fn open_uni(&self) -> Result<SendStream, Lost> {
        dispatch!(self, inner => inner.open_uni().await.map(Into::into))
    }

    pub(crate) async fn open_bi(&self) -> Result<(SendStream, RecvStream), Lost> {
        dispatch!(self, inner => inner.open_bi().await.map(|(send, recv)| (send.into(), recv.into())))
    }

    pub(crate) async fn accept_uni(&self) -> Result<RecvStream, Lost> {
        dispatch!(self, inner => inner.accept_uni().await.map(Into::into))
    }

    pub(crate) async fn accept_bi(&self) -> Result<(SendStream, RecvStream), Lost> {
        dispatch!(self, inner => inner.accept_bi().await.map(|(send, recv)| (send.into(), recv.into())))
    }

    pub(crate) async fn read_datagram(&self) -> Result<Bytes, Lost> {
        dispatch!(self, inner => inner.read_datagram().await)
    }

    pub(crate) async fn send_datagram(&self, payload: Bytes) -> Result<(), DatagramError> {
        dispatch!(self, inner => inner.send_datagram(payload).await)
    }

    pub(crate) fn max_datagram_size(&self) -> usize {
        dispatch!(self, inner => inner.max_datagram_size())
    }

    pub(crate) fn close(&self, code: u32, reason: &str) {
        dispatch!(self, inner => inner.close(code, reason));
    }

    pub(crate) async fn closed(&self) -> Lost {
        dispatch!(self, inner => inner.closed().await)
    }

    pub(crate) async fn drained(&self) {
        dispatch!(self, inner => inner.drained().await);
    }

    pub(crate) fn protocol(&self) -> Option<String> {
        dispatch!(self, inner => inner.protocol())
    }

    pub(crate) fn kind(&self) -> TransportKind {
        dispatch!(self, inner => inner.kind())
    }

    pub(crate) fn connection_id(&self) -> Option<String> {
        dispatch!(self, inner => inner.connection_id())
    }

    pub(crate) fn remote_address(&self) -> Option<SocketAddr> {
        dispatch!(self, inner => inner.remote_address())
    }

    pub(crate) fn receive_window(&self) -> usize {
        dispatch!(self, inner => inner.receive_window())
    }

    pub(crate) fn peer_certificate(&self) -> Option<Bytes> {
        dispatch!(self, inner => inner.peer_certificate())
    }
}

impl SendStream {
    pub(crate) async fn write(&mut self, chunks: &mut [Bytes]) -> Result<Written, StreamError> {
        dispatch!(self, inner => inner.write(chunks).await)
    }

    pub(crate) fn finish(&mut self) {
        dispatch!(self, inner => inner.finish());
    }

    pub(crate) fn reset(&mut self, code: u32) {
        dispatch!(self, inner => inner.reset(code));
    }

    pub(crate) fn set_priority(&mut self, order: i32) {
        dispatch!(self, inner => inner.set_priority(order));
    }

    pub(crate) async fn stopped(&self) -> Result<Option<u64>, Lost> {
        dispatch!(self, inner => inner.stopped().await)
    }
}

impl RecvStream {
    pub(crate) async fn read(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, StreamError> {
        poll_fn(|cx| self.poll_read(cx, chunks)).await
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<Option<usize>, StreamError>> {
        dispatch!(self, inner => inner.poll_read(cx, chunks))
    }

    pub(crate) fn stop(&mut self, code: u32) {
        dispatch!(self, inner => inner.stop(code));
    }
}

macro_rules! wrap {
    ($($from:ty => $enum:ident::$kind:ident),* $(,)?) => {
        $(impl From<$from> for $enum {
            fn from(inner: $from) -> Self {
                Self::$kind(inner)
            }
        })*
    };
}

wrap! {
    quic::Quic => Connection::Quic,
    web::Web => Connection::Web,
    mem::Mem => Connection::Mem,
    quic::Send => SendStream::Quic,
    web::Send => SendStream::Web,
    mem::Send => SendStream::Mem,
    quic::Recv => RecvStream::Quic,
    web::Recv => RecvStream::Web,
    mem::Recv => RecvStream::Mem,
}
