//! UDP sockets that several connections of a client share.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::config;

/// UDP sockets for many connections, one for each family of addresses, bound when it is first needed. Clones are the same
/// sockets.
///
/// For clients that connect often, or to many servers: a socket comes with some MiB of receive buffer. Connections that share
/// a socket share nothing else. All must live on one Tokio runtime, the one on which the first of them was made.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    bound: Arc<Mutex<Bound>>,
}

#[derive(Debug, Default)]
struct Bound {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

#[derive(Debug)]
struct Socket {
    endpoint: quinn::Endpoint,
    buffer: usize,
}

impl Sockets {
    /// None is bound yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves to fresh ports, so that the next connections come to servers, and to what is on the way to them, from where
    /// nobody came before. Connections that there are move too, if their servers allow it (RFC 9000 §9).
    ///
    /// # Errors
    /// The system has no socket left. Those that there were stay.
    pub fn renew(&self) -> io::Result<()> {
        let bound = self.bound();
        for Socket { endpoint, buffer } in bound.v4.iter().chain(&bound.v6) {
            endpoint.rebind(config::client_socket(endpoint.local_addr()?, *buffer)?)?;
        }
        Ok(())
    }

    /// Waits until there is no connection, and the last packets have left.
    pub async fn drained(&self) {
        let endpoints = {
            let bound = self.bound();
            [&bound.v4, &bound.v6].map(|socket| socket.as_ref().map(|socket| socket.endpoint.clone()))
        };
        for endpoint in endpoints.into_iter().flatten() {
            endpoint.wait_idle().await;
        }
    }

    /// The endpoint for servers in the family of this address.
    pub(super) fn endpoint(&self, server: SocketAddr, buffer: usize) -> io::Result<quinn::Endpoint> {
        match self.bound().of(server) {
            Some(socket) => Ok(socket.endpoint.clone()),
            none => bind(none, server, buffer),
        }
    }

    /// Another in place of one that has failed: an error of its socket ends an endpoint.
    pub(super) fn replacement(&self, server: SocketAddr, buffer: usize) -> io::Result<quinn::Endpoint> {
        bind(self.bound().of(server), server, buffer)
    }

    fn bound(&self) -> std::sync::MutexGuard<'_, Bound> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bound {
    fn of(&mut self, server: SocketAddr) -> &mut Option<Socket> {
        if server.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

fn bind(place: &mut Option<Socket>, server: SocketAddr, buffer: usize) -> io::Result<quinn::Endpoint> {
    let endpoint = config::client_endpoint(server, buffer)?;
    *place = Some(Socket { endpoint: endpoint.clone(), buffer });
    Ok(endpoint)
}
