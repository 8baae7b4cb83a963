//! What must be true, as seen from outside of the engines: the first thing that is not ends the run.

use std::collections::{BTreeMap, BTreeSet};

use moqingbird::session::{Config, Direction, Footprint, Trace};
use moqingbird::wire::model::{Message, Opening, RequestId};

use crate::net::{ConnId, Wire};
use crate::rng::mix;

/// A stream of objects as it was sent.
#[derive(Debug, Default)]
pub(crate) struct SentStream {
    /// Group and object of everything on it.
    pub(crate) objects: Vec<(u64, u64)>,
}

/// What an end has said of itself.
#[derive(Debug, Default)]
struct Said {
    /// The Request ID that comes next.
    next: Option<u64>,
    /// What the other end may use.
    limit: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) failure: Option<String>,
    hash: u64,
    pub(crate) streams: BTreeMap<(ConnId, Wire), SentStream>,
    /// Streams that an end has opened for a subscription.
    pub(crate) opened: BTreeMap<(ConnId, RequestId), u64>,
    said: BTreeMap<(ConnId, usize), Said>,
    /// Connections on which somebody breaks rules: what it sends is not judged.
    pub(crate) lawless: BTreeSet<ConnId>,
    pub(crate) objects: u64,
    pub(crate) steps: u64,
}

impl Oracle {
    /// Something that must not be.
    pub(crate) fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }

    pub(crate) fn require(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.fail(why());
        }
    }

    /// Something has happened: it becomes part of what two runs of a seed have in common.
    pub(crate) fn note(&mut self, what: u64) {
        self.hash = mix(self.hash ^ what);
    }

    pub(crate) fn note_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.note(u64::from_le_bytes(word));
        }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// An engine has said or heard something.
    pub(crate) fn trace(&mut self, conn: ConnId, end: usize, trace: &Trace) {
        match trace {
            Trace::Message { direction: Direction::Sent, message, .. } => self.said(conn, end, message),
            Trace::Stream { direction: Direction::Sent, opening: Opening::Fetch(id), .. } => {
                self.note(id.0);
            }
            _ => {}
        }
    }

    fn said(&mut self, conn: ConnId, end: usize, message: &Message) {
        if self.lawless.contains(&conn) {
            return;
        }
        let limit = self.said.entry((conn, 1 - end)).or_default().limit;
        let said = self.said.entry((conn, end)).or_default();
        match message {
            Message::ClientSetup(setup) | Message::ServerSetup(setup) => said.limit = setup.max_request_id,
            Message::MaxRequestId(raised) => {
                let before = std::mem::replace(&mut said.limit, *raised);
                self.require(*raised > before, || format!("MAX_REQUEST_ID {raised} after {before}"));
            }
            Message::Request { id: RequestId(id), .. } | Message::RequestUpdate { id: RequestId(id), .. } => {
                let next = said.next.replace(id + 2).unwrap_or(end as u64);
                self.require(*id == next, || {
                    format!("end {end} of {conn} uses request {id} where {next} is next")
                });
                self.require(*id < limit, || {
                    format!("end {end} of {conn} uses request {id}, the limit is {limit}")
                });
            }
            _ => {}
        }
    }

    /// The tables of an engine are within its limits.
    pub(crate) fn bounded(&mut self, footprint: &Footprint, config: &Config) {
        let Footprint { their_requests, waiting, held_streams, held_bytes, held_datagrams, .. } = *footprint;
        let bounds = [
            ("requests of the peer", their_requests, config.max_request_id as usize / 2 + 1),
            ("requests that wait", waiting, config.max_waiting_requests),
            ("held streams", held_streams, config.max_held_streams),
            ("held bytes", held_bytes, config.max_held_bytes),
            ("held datagrams", held_datagrams, config.max_held_datagrams),
            ("bytes of held datagrams", footprint.held_datagram_bytes, config.max_held_datagram_bytes),
            ("namespaces", footprint.namespaces, config.max_namespaces),
            ("bytes of tokens", footprint.token_bytes as usize, config.max_auth_token_cache_size as usize),
        ];
        for (what, found, limit) in bounds {
            self.require(found <= limit, || format!("{found} {what}, the limit is {limit}"));
        }
    }
}
