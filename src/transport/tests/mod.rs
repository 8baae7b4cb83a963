//! The contract on every transport, and the two ends of a handshake.

mod bare;
mod conformance;
mod drafts;
mod h3_peer;
mod listening;
mod memory;
mod priority;
mod sockets;
mod trust;

#[path = "../../../tests/support/h3_server.rs"]
mod h3_server;

use std::cell::RefCell;
use std::io;
use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::Version;

use super::contract::Written;
use super::listener::AcceptFailure;
use super::*;

/// A behaviour that takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fails a test that hangs rather than waiting for it.
async fn within<T>(behaviour: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, behaviour).await.expect("hangs")
}

/// Two connected ends.
struct Pair {
    client: Connection,
    server: Connection,
    /// Dropping it would turn clients away.
    _listener: Option<Listener>,
}

async fn connected(kind: TransportKind) -> Pair {
    if kind == TransportKind::Memory {
        let (client, server) = pair(Some("moqt-16"));
        return Pair { client, server, _listener: None };
    }
    let listener = Listener::bind(&ServerOptions::default()).unwrap();
    let (connected, accepted) = meet(&listener, kind, &trusting(&listener)).await;
    Pair {
        client: connected.unwrap().connection,
        server: accepted.unwrap().connection,
        _listener: Some(listener),
    }
}

/// One client and one server through their handshakes, however these end.
async fn meet(
    listener: &Listener,
    kind: TransportKind,
    options: &ConnectOptions,
) -> (Result<Connected, ConnectError>, Result<Accepted, AcceptError>) {
    let url = url_of(listener, kind);
    let accept = async { listener.accept().await.unwrap().handshake().await };
    within(async { tokio::join!(connect(&url, options), accept) }).await
}

fn url_of(listener: &Listener, kind: TransportKind) -> ServerUrl {
    let scheme = if kind == TransportKind::WebTransport { "https" } else { "moqt" };
    format!("{scheme}://{}/live?a=b", listener.local_addrs()[0]).parse().unwrap()
}

/// Options that trust the listener's certificate.
fn trusting(listener: &Listener) -> ConnectOptions {
    ConnectOptions { trust: Trust::Pinned(vec![listener.certificate_sha256()]), ..ConnectOptions::default() }
}

fn server_of(versions: &[Version]) -> Listener {
    Listener::bind(&ServerOptions { versions: versions.to_vec(), ..ServerOptions::default() }).unwrap()
}

/// Writes all of a payload and ends the stream.
async fn send_all(send: &mut SendStream, payload: Bytes) {
    write_all(send, payload).await;
    send.finish();
}

async fn write_all(send: &mut SendStream, payload: Bytes) {
    let mut chunks = [payload];
    while !chunks[0].is_empty() {
        send.write(&mut chunks).await.unwrap();
    }
}

/// Everything up to the clean end, or how the stream failed.
async fn read_all(recv: &mut RecvStream) -> Result<Vec<u8>, StreamError> {
    let mut whole = Vec::new();
    let mut chunks: [Bytes; 8] = Default::default();
    while let Some(filled) = recv.read(&mut chunks).await? {
        chunks[..filled].iter().for_each(|chunk| whole.extend_from_slice(chunk));
    }
    Ok(whole)
}

/// A payload that shows a gap, a repetition or an exchange, unless its length is a multiple of the pattern's: a prime.
fn payload(length: usize) -> Bytes {
    const PATTERN: usize = 65_521;
    let pattern: Vec<u8> = (0..PATTERN).map(|place| (place / 251 + place) as u8).collect();
    let mut whole = pattern.repeat(length.div_ceil(PATTERN));
    whole.truncate(length);
    whole.into()
}

/// The warnings that this thread logs while `behaviour` runs.
async fn warnings(behaviour: impl Future<Output = ()>) -> String {
    // One subscriber for the process: with one a thread, tracing may take a callsite that another thread saw first for
    // unwanted everywhere.
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let log = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::WARN);
        tracing::subscriber::set_global_default(log.with_writer(|| ThreadLog).finish()).unwrap();
    });
    LOG.take();
    behaviour.await;
    String::from_utf8(LOG.take()).unwrap()
}

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct ThreadLog;

impl io::Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
