//! Raw QUIC, WebTransport and memory behind one contract.
//!
//! [`contract`] says what an adapter owes; `quic`, `web` and `mem` are the three adapters; [`Connection`], [`SendStream`]
//! and [`RecvStream`] choose between them at run time, so that no type parameter reaches the driver, the API or the relay.
//! [`client`] and [`listener`] are the two ends of a handshake: they agree on a draft ([`negotiate`]) and hand out a
//! [`Connection`].
//!
//! What every adapter guarantees, beyond QUIC's own promises:
//! - a send stream that is dropped before `finish` is reset with [`CANCELLED`], never ended cleanly on truncated data;
//! - a receive stream that is dropped unread is stopped with [`CANCELLED`];
//! - writes, reads, accepts, opens and datagrams are cancel-safe: a future that is dropped has done nothing;
//! - the connection closes with code 0 when its last handle and last stream are gone.

mod client;
mod config;
mod congestion;
mod connect_error;
mod contract;
mod credit;
mod dispatch;
mod listener;
mod mem;
mod negotiate;
mod quic;
mod race;
mod sockets;
mod tls;
mod url;
mod web;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use client::connect;
pub(crate) use client::{Connected, connect_seeing};
pub(crate) use contract::{CANCELLED, DatagramError, Lost, StreamError};
pub(crate) use dispatch::{Connection, RecvStream, SendStream};
pub(crate) use listener::{AcceptError, Accepted, Incoming, Listener};
pub(crate) use mem::pair;

pub use self::url::{ServerUrl, ServerUrlError};
pub use client::{ConnectOptions, Seen, WebTransportAnswer, ask_web_transport};
pub use congestion::{CongestionControl, CongestionControlError};
pub use connect_error::{ConnectError, ConnectFailure};
pub use contract::TransportKind;
pub use listener::{BindError, ServerOptions};
pub use sockets::Sockets;
pub use tls::{
    CertificateError, CertificateHash, CertificateHashError, ClientCertificate, ClientCertificates, Distrust,
    DistrustKind, Pem, SeenCertificate, ServerCertificate, Trust,
};
