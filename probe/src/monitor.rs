//! Probing the relays of a list again and again, each at its own interval.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moqingbird::Sockets;
use time::OffsetDateTime;
use tokio::task::{Id, JoinSet};

use crate::history::History;
use crate::report::{RelayReport, Status};
use crate::{List, Prober, Relay};

/// Watches the relays of a list.
#[derive(Debug)]
pub struct Monitor {
    prober: Prober,
    interval: Duration,
    watched: Vec<Watched>,
    rounds: u64,
}

/// A relay, and what is known of it.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) relay: Arc<Relay>,
    /// From where it is probed: they stay, with their buffers, and get a fresh port for each probe, as a newcomer has.
    sockets: Sockets,
    /// When its last probe began. A clock's beginning would not do for "never": the machine may have started a moment ago.
    probed: Option<Instant>,
    pub(crate) report: Option<RelayReport>,
    /// Of each endpoint.
    pub(crate) histories: Vec<History>,
}

impl Monitor {
    /// Watches these relays, each at this interval unless it has its own. Nothing is probed yet.
    pub fn new(prober: Prober, list: List, interval: Duration) -> Self {
        let watched = list.relays.into_iter().map(|relay| Watched {
            report: relay.disabled.then(|| RelayReport::disabled(&relay)),
            probed: None,
            histories: vec![History::default(); relay.endpoints.len()],
            sockets: Sockets::new(),
            relay: Arc::new(relay),
        });
        Self { prober, interval, watched: watched.collect(), rounds: 0 }
    }

    /// Probes every relay that is due, several at the same time.
    pub async fn round(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = (0..self.watched.len())
            .filter(|at| self.rest(*at, now).is_some_and(|rest| rest.is_zero()))
            .collect();
        let mut waiting = due.into_iter();
        let mut running = JoinSet::new();
        let mut of_task: Vec<(Id, usize)> = Vec::new();
        loop {
            while running.len() < self.prober.options().parallel.max(1)
                && let Some(at) = waiting.next()
            {
                let watched = &mut self.watched[at];
                watched.probed = Some(Instant::now());
                if let Err(error) = watched.sockets.renew() {
                    tracing::warn!("{} is probed from the same port as before: {error}", watched.relay.name);
                }
                let (prober, relay) = (self.prober.clone(), watched.relay.clone());
                let sockets = watched.sockets.clone();
                let task = running.spawn(async move { prober.relay_from(&relay, &sockets).await });
                of_task.push((task.id(), at));
            }
            let Some(ended) = running.join_next_with_id().await else { break };
            let (id, outcome) = match ended {
                Ok((id, report)) => (id, Ok(report)),
                // Whatever happens to one relay's probe is that relay's news.
                Err(error) => (error.id(), Err(format!("the probe failed: {error}"))),
            };
            let Some((_, at)) = of_task.iter().find(|(task, _)| *task == id).copied() else { continue };
            let watched = &mut self.watched[at];
            let report = outcome.unwrap_or_else(|error| RelayReport::failed(&watched.relay, error));
            watched.learn(report, OffsetDateTime::now_utc().unix_timestamp());
        }
        self.rounds += 1;
    }

    /// How long until the next relay is due. None if none ever is.
    pub fn until_due(&self) -> Option<Duration> {
        let now = Instant::now();
        (0..self.watched.len()).filter_map(|at| self.rest(at, now)).min()
    }

    /// What is known now.
    pub fn status(&self) -> Status {
        let known = self
            .watched
            .iter()
            .filter_map(|watched| Some((watched.relay.id.clone(), watched.report.clone()?)));
        Status::new(OffsetDateTime::now_utc(), known.collect())
    }

    /// How many rounds there were.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Who probes.
    pub fn prober(&self) -> &Prober {
        &self.prober
    }

    pub(crate) fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// How long until a relay is due, if it ever is.
    fn rest(&self, at: usize, now: Instant) -> Option<Duration> {
        let Watched { relay, probed, .. } = &self.watched[at];
        let interval = relay.interval.unwrap_or(self.interval);
        (!relay.disabled).then(|| rest(interval, *probed, now))
    }
}

fn rest(interval: Duration, probed: Option<Instant>, now: Instant) -> Duration {
    probed.map_or(Duration::ZERO, |probed| interval.saturating_sub(now.saturating_duration_since(probed)))
}

impl Watched {
    fn learn(&mut self, report: RelayReport, now: i64) {
        let was = self.report.as_ref().map(|report| report.live);
        if was != Some(report.live) {
            let state = if report.live { "lives" } else { "is dead" };
            let drafts = report.drafts.as_deref().unwrap_or_default().join(", ");
            tracing::info!("{} {state} {drafts}", report.name);
        }
        for (endpoint, history) in report.endpoints().iter().zip(&mut self.histories) {
            let newest = endpoint.probes.iter().rfind(|probe| probe.live);
            let latency = newest.and_then(|probe| Some(probe.handshake_ms? + probe.setup_ms?));
            history.record(now, endpoint.live, latency);
        }
        if report.error.is_some() {
            for history in &mut self.histories {
                history.record(now, false, None);
            }
        }
        self.report = Some(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_never_probed_is_due_even_if_the_clock_has_just_begun() {
        // relay_probe took 0 of the monotonic clock for "never": on a machine that was up for less than the interval, its
        // first round probed nothing.
        assert_eq!(rest(Duration::from_secs(300), None, Instant::now()), Duration::ZERO);
    }

    #[test]
    fn who_was_probed_rests_for_the_rest_of_its_interval() {
        let now = Instant::now();
        let later = now + Duration::from_secs(100);
        assert_eq!(rest(Duration::from_secs(300), Some(now), later), Duration::from_secs(200));
        assert_eq!(rest(Duration::from_secs(60), Some(now), later), Duration::ZERO);
        assert_eq!(rest(Duration::ZERO, Some(now), now), Duration::ZERO);
    }
}
