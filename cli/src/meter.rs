//! Statistics on stderr: lines where they were asked for, one line that changes on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::received::Received;
use crate::stats::{Report, Stats};
use crate::timestamp;

/// How often a terminal is told.
const LIVE: Duration = Duration::from_secs(1);

/// Measures what arrives, and shows it in intervals.
#[derive(Debug)]
pub(crate) struct Meter {
    stats: Stats,
    shown: Shown,
    began: Instant,
    since: Instant,
    ticks: Interval,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Lines,
    Json,
    Live,
}

impl Meter {
    /// A meter, if it was asked for by an interval, or if a person looks at stderr and not at the objects.
    pub(crate) fn new(every: Option<Duration>, json: bool) -> Option<Self> {
        let shown = match every {
            Some(_) if json => Shown::Json,
            Some(_) => Shown::Lines,
            None if io::stderr().is_terminal() && !io::stdout().is_terminal() => Shown::Live,
            None => return None,
        };
        let (now, every) = (Instant::now(), every.unwrap_or(LIVE));
        let mut ticks = interval_at(now + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Self { stats: Stats::default(), shown, began: now, since: now, ticks })
    }

    /// Takes in an object that has just arrived.
    pub(crate) fn object(&mut self, object: &Received) {
        let latency = timestamp::sent(&object.extensions).map(|sent| {
            SystemTime::now()
                .duration_since(sent)
                .map_or_else(|ahead| -ahead.duration().as_secs_f64(), |late| late.as_secs_f64())
                * 1e3
        });
        self.stats.object(self.began.elapsed(), object.location, object.payload.len(), latency);
    }

    /// Waits for the end of the interval. Cancel-safe.
    pub(crate) async fn tick(&mut self) {
        self.ticks.tick().await;
    }

    /// Shows the interval that ends now.
    pub(crate) fn show(&mut self) {
        let report = self.report();
        // Nobody is told where stderr is closed.
        let _ = match self.shown {
            Shown::Lines => writeln!(io::stderr(), "{report}"),
            Shown::Json => writeln!(io::stderr(), "{}", report.json()),
            Shown::Live => write!(io::stderr(), "\r{report}\x1b[K"),
        };
    }

    /// Shows the last interval, and leaves the terminal's line.
    pub(crate) fn finish(mut self) {
        self.show();
        if self.shown == Shown::Live {
            let _ = writeln!(io::stderr());
        }
    }

    fn report(&mut self) -> Report {
        let now = Instant::now();
        let since = std::mem::replace(&mut self.since, now);
        self.stats.report(now - self.began, now - since)
    }
}
