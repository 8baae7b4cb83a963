//! QUIC's settings and the sockets below it, the same for clients and servers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};

use super::CongestionControl;
use super::credit::{FIRST_BIDI_STREAMS, FIRST_UNI_STREAMS};

/// The default of `socket_buffer`: with the system's 208 KiB a burst on loopback loses packets, with 4 MiB none.
pub(super) const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// The default of handshake and connect timeouts.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// One stream may run 8 MiB ahead of its reader: 100 ms at 640 Mbit/s.
const STREAM_WINDOW: u32 = 8 * 1024 * 1024;
/// All streams together: also the most memory that a peer can make us hold in unread data.
pub(super) const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// A subgroup is a stream, and a sender with many tracks keeps many open; credit returns only when a stream has been read to
/// its end, so quinn's 100 would stall a session whose reader is briefly behind.
pub(super) const UNI_STREAMS: u32 = 10_000;
/// Requests of newer drafts are bidirectional streams, a request each.
pub(super) const BIDI_STREAMS: u32 = 1_000;
/// Unread datagrams beyond this push the oldest out.
const DATAGRAMS_RECEIVED: usize = 1024 * 1024;
/// Datagrams exist to be timely: a short queue, whose senders wait.
const DATAGRAMS_UNSENT: usize = 256 * 1024;
/// Silence that ends a connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Often enough that a few lost packets do not end a quiet session, and that a NAT keeps its binding.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How many clients may wait to be accepted.
pub(super) const WAITING: usize = 1024;
/// What is held of each client that waits, behind its first packet; nobody who speaks TLS sends so much before the answer.
pub(super) const WAITING_BYTES: u64 = 64 * 1024;
/// What is held of all of them together.
pub(super) const ALL_WAITING_BYTES: u64 = 16 * 1024 * 1024;

/// What the peer of a connection may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many data streams it may have open.
    pub(super) max_streams: u32,
    /// How many bytes it may send that nobody has read.
    pub(super) max_unread_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_streams: UNI_STREAMS, max_unread_bytes: CONNECTION_WINDOW }
    }
}

/// quinn's settings.
pub(super) fn transport(congestion: CongestionControl, limits: Limits) -> Arc<TransportConfig> {
    let Limits { max_streams, max_unread_bytes } = limits;
    let mut config = TransportConfig::default();
    config
        .stream_receive_window(STREAM_WINDOW.min(max_unread_bytes).into())
        .receive_window(max_unread_bytes.into())
        .send_window(CONNECTION_WINDOW.into())
        .max_concurrent_uni_streams(FIRST_UNI_STREAMS.min(max_streams).into())
        .max_concurrent_bidi_streams(FIRST_BIDI_STREAMS.into())
        .datagram_receive_buffer_size(Some(DATAGRAMS_RECEIVED))
        .datagram_send_buffer_size(DATAGRAMS_UNSENT)
        .max_idle_timeout(Some(idle_timeout()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .congestion_controller_factory(congestion.factory());
    Arc::new(config)
}

fn idle_timeout() -> IdleTimeout {
    let milliseconds = u32::try_from(IDLE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    VarInt::from_u32(milliseconds).into()
}

/// An endpoint on a fresh socket. `socket_buffer` is what the system is asked for in each direction, in bytes; it may grant
/// less.
pub(super) fn endpoint(
    address: SocketAddr,
    socket_buffer: usize,
    server: Option<quinn::ServerConfig>,
) -> io::Result<quinn::Endpoint> {
    let socket = bind(address, socket_buffer)?;
    quinn::Endpoint::new(quinn::EndpointConfig::default(), server, socket, Arc::new(quinn::TokioRuntime))
}

/// A client's endpoint, at any port, for servers in the family of this address.
pub(super) fn client_endpoint(server: SocketAddr, socket_buffer: usize) -> io::Result<quinn::Endpoint> {
    endpoint(unspecified(server), socket_buffer, None)
}

/// A client's socket, at any port, for servers in the family of this address.
pub(super) fn client_socket(server: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    bind(unspecified(server), buffer)
}

/// Any port of any local address, in the family of `address`.
fn unspecified(address: SocketAddr) -> SocketAddr {
    let local: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(local, 0)
}

fn bind(address: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // So that `[::]:4443` and `0.0.0.0:4443` can stand side by side.
        socket.set_only_v6(true)?;
    }
    if let Err(error) = socket.set_recv_buffer_size(buffer).and(socket.set_send_buffer_size(buffer)) {
        tracing::debug!(%address, buffer, %error, "the system refused the socket buffers asked for");
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}
