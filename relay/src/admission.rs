//! Who gets in: how many sessions there are, from where, and how many are on their way.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moqingbird::Incoming;
use tokio::sync::watch;

use crate::stats::Refusals;

/// How many of what there may be. What is over is turned away before it costs a handshake.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Sessions. Default: 10,000.
    pub sessions: usize,
    /// Sessions from one address; of IPv6, from one /64. Default: 1,000.
    pub sessions_per_address: usize,
    /// Handshakes under way, SETUP included. Default: 256.
    pub handshakes: usize,
    /// Namespaces that one session announces at a time, and prefixes to which it listens. Default: 1,000.
    pub namespaces_per_session: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 10_000, sessions_per_address: 1_000, handshakes: 256, namespaces_per_session: 1_000 }
    }
}

/// Whether newcomers have to show that they are at their address (QUIC's Retry, RFC 9000 §8.1.2). It takes them one more
/// round trip, and nobody can fill the relay with handshakes from addresses that are not his.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Once half of [`Limits::handshakes`] are under way.
    #[default]
    Auto,
    /// All of them.
    Always,
    /// None of them.
    Never,
}

/// What becomes of a newcomer.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It may come in, for as long as the ticket is held.
    Enter(Ticket),
    /// It has to show where it is.
    Retry,
    /// It is turned away.
    Refuse,
}

/// The doorkeeper. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    limits: Limits,
    retry: Retry,
    counts: Arc<Mutex<Counts>>,
    sessions: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Counts {
    sessions: usize,
    handshakes: usize,
    addresses: HashMap<IpAddr, usize>,
    refusals: Refusals,
    closed: bool,
}

/// A place in the relay; given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Admission,
    address: IpAddr,
    established: bool,
}

impl Admission {
    pub(crate) fn new(limits: Limits, retry: Retry) -> Self {
        Self { limits, retry, counts: Arc::default(), sessions: watch::channel(0).0 }
    }

    /// Decides about a newcomer.
    pub(crate) fn judge(&self, incoming: &Incoming) -> Verdict {
        self.judge_address(incoming.remote_address(), incoming.is_validated())
    }

    fn judge_address(&self, remote: SocketAddr, is_validated: bool) -> Verdict {
        let Limits { sessions, sessions_per_address, handshakes, .. } = self.limits;
        let address = place(remote.ip());
        let mut counts = self.counts();
        let from_there = counts.addresses.get(&address).copied().unwrap_or(0);
        let refused = if counts.closed {
            &mut counts.refusals.draining
        } else if counts.sessions >= sessions {
            &mut counts.refusals.sessions
        } else if from_there >= sessions_per_address {
            &mut counts.refusals.sessions_per_address
        } else if !is_validated && self.asks_to_retry(counts.handshakes) {
            counts.refusals.retries += 1;
            return Verdict::Retry;
        } else if counts.handshakes >= handshakes {
            &mut counts.refusals.handshakes
        } else {
            counts.sessions += 1;
            counts.handshakes += 1;
            *counts.addresses.entry(address).or_default() += 1;
            self.sessions.send_replace(counts.sessions);
            return Verdict::Enter(Ticket { admission: self.clone(), address, established: false });
        };
        *refused += 1;
        Verdict::Refuse
    }

    const fn asks_to_retry(&self, handshakes: usize) -> bool {
        match self.retry {
            Retry::Auto => 2 * handshakes >= self.limits.handshakes,
            Retry::Always => true,
            Retry::Never => false,
        }
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.counts().closed = true;
    }

    /// Whether nobody is let in any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.counts().closed
    }

    /// How many are on their way in.
    pub(crate) fn handshakes(&self) -> usize {
        self.counts().handshakes
    }

    /// Waits until nobody is there.
    pub(crate) async fn empty(&self) {
        // It fails only when `self` is gone.
        let _ = self.sessions.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn refusals(&self) -> Refusals {
        self.counts().refusals
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The handshake is over.
    pub(crate) fn established(&mut self) {
        if !std::mem::replace(&mut self.established, true) {
            self.admission.counts().handshakes -= 1;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.established();
        let mut counts = self.admission.counts();
        counts.sessions -= 1;
        if let Some(from_there) = counts.addresses.get_mut(&self.address) {
            *from_there -= 1;
            if *from_there == 0 {
                counts.addresses.remove(&self.address);
            }
        }
        self.admission.sessions.send_replace(counts.sessions);
    }
}

/// Whoever has an address of IPv6 has the /64 around it.
fn place(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 1)
    }

    fn enter(admission: &Admission, address: &str) -> Option<Ticket> {
        match admission.judge_address(at(address), true) {
            Verdict::Enter(ticket) => Some(ticket),
            _ => None,
        }
    }

    #[test]
    fn places_are_given_back() {
        let limits = Limits { sessions: 2, ..Limits::default() };
        let admission = Admission::new(limits, Retry::Never);
        let (one, two) = (enter(&admission, "10.0.0.1"), enter(&admission, "10.0.0.2"));
        assert!(one.is_some() && two.is_some());
        assert!(enter(&admission, "10.0.0.3").is_none());
        drop(one);
        let three = enter(&admission, "10.0.0.3");
        assert!(three.is_some());
        assert_eq!(admission.refusals().sessions, 1);
        drop((two, three));
        let counts = admission.counts();
        assert_eq!((counts.sessions, counts.handshakes, counts.addresses.len()), (0, 0, 0));
    }

    #[test]
    fn one_address_does_not_take_all_places() {
        let limits = Limits { sessions_per_address: 1, ..Limits::default() };
        let admission = Admission::new(limits, Retry::Never);
        let _held = (enter(&admission, "10.0.0.1"), enter(&admission, "fd00::1"));
        assert!(enter(&admission, "10.0.0.1").is_none());
        assert!(enter(&admission, "fd00::2").is_none(), "the same /64");
        assert!(enter(&admission, "10.0.0.2").is_some() && enter(&admission, "fd00:0:0:1::1").is_some());
    }

    #[test]
    fn under_load_newcomers_show_where_they_are() {
        let limits = Limits { handshakes: 4, ..Limits::default() };
        let admission = Admission::new(limits, Retry::Auto);
        let unproven = || admission.judge_address(at("10.0.0.1"), false);
        let mut held: Vec<_> = (0..2).map(|_| unproven()).collect();
        assert!(held.iter().all(|verdict| matches!(verdict, Verdict::Enter(_))));
        assert!(matches!(unproven(), Verdict::Retry));
        held.extend((0..2).map(|_| admission.judge_address(at("10.0.0.1"), true)));
        assert!(held.iter().all(|verdict| matches!(verdict, Verdict::Enter(_))));
        assert!(matches!(unproven(), Verdict::Retry));
        assert!(matches!(admission.judge_address(at("10.0.0.1"), true), Verdict::Refuse));
        for verdict in &mut held {
            let Verdict::Enter(ticket) = verdict else { unreachable!() };
            ticket.established();
        }
        assert!(matches!(unproven(), Verdict::Enter(_)));
    }

    #[test]
    fn a_closed_door_is_closed_to_all() {
        let admission = Admission::new(Limits::default(), Retry::Always);
        admission.close();
        assert!(matches!(admission.judge_address(at("10.0.0.1"), false), Verdict::Refuse));
        assert_eq!(admission.refusals().draining, 1);
    }
}
