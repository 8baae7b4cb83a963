//! Sockets and threads around two pipes.
//!
//! One thread receives from the clients, one from the server for each client, and one sends what is due. Threads that
//! block, not a runtime: a condition variable wakes within 0.1 ms of its time where Tokio's timer rounds up to the next
//! millisecond, and the link keeps its time while the test's own runtime is busy. If a thread is woken late nevertheless,
//! that packet is late and no other: every departure was decided at its arrival.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::random::Random;
use crate::{Conditions, Counters, Fate, Pipe};

/// So that what the link has not counted is not lost in the kernel: a burst of some thousand packets.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// The largest UDP payload and a little more.
const DATAGRAM: usize = 65536;

const POISONED: &str = "no thread of a link panics with its lock";

/// A link between any number of clients and one server, both on loopback.
///
/// All clients share its rate and queue. To the server each is an address of its own: the link keeps a socket and a thread
/// for each until it is dropped, which ends it at once, with all that is on the way.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

/// The way that a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client.
    ToServer,
    /// From the server.
    ToClient,
}

impl Link {
    /// Makes a link to `server` on a free port of loopback, with conditions for the way to the server and for the way back.
    /// A wildcard address of the server means its port on loopback.
    ///
    /// # Errors
    /// A socket could not be bound.
    ///
    /// # Panics
    /// As [`Pipe::new`].
    pub fn between(
        server: SocketAddr,
        to_server: Conditions,
        to_client: Conditions,
        seed: u64,
    ) -> io::Result<Self> {
        let mut seeds = Random::new(seed);
        let pipes = [Pipe::new(to_server, seeds.next()), Pipe::new(to_client, seeds.next())];
        let loopback = loopback(server);
        let server =
            if server.ip().is_unspecified() { SocketAddr::new(loopback, server.port()) } else { server };
        let listening = bind(loopback)?;
        let address = listening.local_addr()?;
        let shared = Arc::new(Shared {
            listening,
            server,
            start: Instant::now(),
            state: Mutex::new(State { pipes, clients: HashMap::new(), closed: false }),
            changed: Condvar::new(),
        });
        let threads = vec![spawn("link-listen", &shared, listen), spawn("link-send", &shared, send)];
        Ok(Self { shared, address, threads })
    }

    /// Where clients connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes a direction for packets that arrive from now on; what is on the way stays as it was decided.
    ///
    /// # Panics
    /// As [`Pipe::new`].
    pub fn set(&self, direction: Direction, conditions: Conditions) {
        self.shared.lock().pipes[direction as usize].set(conditions);
    }

    /// Changes both directions at the same moment.
    ///
    /// # Panics
    /// As [`Pipe::new`].
    pub fn set_both(&self, conditions: Conditions) {
        self.shared.lock().pipes.iter_mut().for_each(|pipe| pipe.set(conditions));
    }

    /// What became of the packets of a direction so far.
    pub fn counters(&self, direction: Direction) -> Counters {
        self.shared.lock().pipes[direction as usize].counters()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let clients = std::mem::take(&mut state.clients);
        drop(state);
        self.shared.changed.notify_all();
        wake(&self.shared.listening);
        for Client { socket, thread } in clients.into_values() {
            wake(&socket);
            self.threads.push(thread);
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// What the threads of a link share.
#[derive(Debug)]
struct Shared {
    /// The clients' side.
    listening: UdpSocket,
    server: SocketAddr,
    start: Instant,
    state: Mutex<State>,
    /// The next departure is earlier than it was, or the link is closed.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// By [`Direction`].
    pipes: [Pipe<Packet>; 2],
    clients: HashMap<SocketAddr, Client>,
    closed: bool,
}

/// A client's side towards the server.
#[derive(Debug)]
struct Client {
    socket: Arc<UdpSocket>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Packet {
    bytes: Box<[u8]>,
    to: SocketAddr,
    /// The client's side towards the server; `None`: the clients' side.
    by: Option<Arc<UdpSocket>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(POISONED)
    }

    fn offer(&self, state: &mut State, direction: Direction, packet: Packet) {
        let next = state.next().map(|(at, _)| at);
        // Under the lock, so that arrivals of several threads are in order of time.
        let now = self.start.elapsed();
        let fate = state.pipes[direction as usize].offer(now, packet.bytes.len(), packet);
        if matches!(fate, Fate::Leaves(at) if next.is_none_or(|next| at < next)) {
            self.changed.notify_one();
        }
    }
}

impl State {
    /// When the next packet leaves, and from which pipe.
    fn next(&mut self) -> Option<(Duration, &mut Pipe<Packet>)> {
        let pipes = self.pipes.iter_mut();
        pipes.filter_map(|pipe| Some((pipe.next_departure()?, pipe))).min_by_key(|(at, _)| *at)
    }
}

/// Receives from the clients.
fn listen(shared: &Arc<Shared>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let received = receive(&shared.listening, &mut buffer);
        let mut state = shared.lock();
        if state.closed {
            return;
        }
        let Some((bytes, client)) = received else { continue };
        let Client { socket, .. } = state.clients.entry(client).or_insert_with(|| answering(shared, client));
        let packet = Packet { bytes: bytes.into(), to: shared.server, by: Some(socket.clone()) };
        shared.offer(&mut state, Direction::ToServer, packet);
    }
}

/// Receives from the server what is for one client.
fn answering(shared: &Arc<Shared>, client: SocketAddr) -> Client {
    let socket = Arc::new(bind(loopback(client)).expect("a free port on loopback"));
    let receiving = socket.clone();
    let thread = spawn("link-answer", shared, move |shared| {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let received = receive(&receiving, &mut buffer);
            let mut state = shared.lock();
            if state.closed {
                return;
            }
            if let Some((bytes, from)) = received
                && from == shared.server
            {
                let packet = Packet { bytes: bytes.into(), to: client, by: None };
                shared.offer(&mut state, Direction::ToClient, packet);
            }
        }
    });
    Client { socket, thread }
}

/// Sends what is due.
fn send(shared: &Arc<Shared>) {
    let mut state = shared.lock();
    while !state.closed {
        let now = shared.start.elapsed();
        state = match state.next() {
            Some((at, pipe)) if at <= now => {
                let packet = pipe.take(now);
                drop(state);
                if let Some(Packet { bytes, to, by }) = packet {
                    // A packet that the system does not take is a packet lost, which is what a network may do.
                    let _ = by.as_deref().unwrap_or(&shared.listening).send_to(&bytes, to);
                }
                shared.lock()
            }
            Some((at, _)) => shared.changed.wait_timeout(state, at - now).expect(POISONED).0,
            None => shared.changed.wait(state).expect(POISONED),
        };
    }
}

fn receive<'a>(socket: &UdpSocket, buffer: &'a mut [u8]) -> Option<(&'a [u8], SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok((length, from)) => Some((&buffer[..length], from)),
        // Some systems report here that an earlier packet found nobody.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Interrupted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
            ) =>
        {
            None
        }
        Err(error) => panic!("a link cannot receive: {error}"),
    }
}

/// Ends the wait of the thread that receives from a socket. If the packet finds no room, there is no wait to end.
fn wake(socket: &UdpSocket) {
    if let Ok(address) = socket.local_addr() {
        let _ = socket.send_to(&[], address);
    }
}

fn bind(ip: IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((ip, 0))?;
    SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER)?;
    SockRef::from(&socket).set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}

/// Loopback in the family of an address.
fn loopback(address: SocketAddr) -> IpAddr {
    if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    run: impl FnOnce(&Arc<Shared>) + Send + 'static,
) -> JoinHandle<()> {
    let shared = shared.clone();
    thread::Builder::new().name(name.into()).spawn(move || run(&shared)).expect("the system has a thread")
}
