//! Runs points one after the other.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use tokio::time::Instant;

use crate::cases::Case;
use crate::context::{Context, Targets};
use crate::report::{Cause, Failure, Report};
use crate::run::{FAILED, PASSED};
use crate::tap::Tap;

/// After this many cases whose connection nobody answered, the relay is taken for dead.
const SILENT_CASES: usize = 3;
/// How long a run may take by default. With the end of the case that is running, a dead relay is reported within 30 s.
const LIMIT: Duration = Duration::from_secs(25);

/// A case, and where its sessions go.
#[derive(Clone, Debug)]
pub struct Point {
    /// The case's name, with what distinguishes this point from others of the same case.
    pub name: String,
    /// The case.
    pub case: &'static Case,
    /// Where its sessions go.
    pub targets: Targets,
}

/// Runs points one after the other, and reports each as soon as it is known.
pub struct Runner<'a> {
    points: Vec<Point>,
    limit: Duration,
    after_each: Box<dyn FnMut(&Report) + Send + 'a>,
}

impl<'a> Runner<'a> {
    /// A run of these points.
    pub fn new(points: Vec<Point>) -> Self {
        Self { points, limit: LIMIT, after_each: Box::new(|_| {}) }
    }

    /// No case begins later than this after the run's beginning: the rest is reported as failed. 25 s by default.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Calls this after each point, before the next begins.
    #[must_use]
    pub fn after_each(mut self, call: impl FnMut(&Report) + Send + 'a) -> Self {
        self.after_each = Box::new(call);
        self
    }

    /// Runs everything.
    ///
    /// # Errors
    /// The output cannot be written.
    pub async fn run<W: Write>(mut self, tap: &mut Tap<W>) -> io::Result<Summary> {
        tap.plan(self.points.len())?;
        let begun = Instant::now();
        let mut summary = Summary::default();
        let mut silent = 0;
        for point in &self.points {
            let report = match reason_to_stop(silent, begun.elapsed() >= self.limit) {
                Some(reason) => not_run(point, reason),
                None => run(point).await,
            };
            tap.point(&report)?;
            summary.count(&report);
            (self.after_each)(&report);
            match report.verdict.as_ref().err().map(|failure| failure.cause) {
                Some(Cause::Hopeless) => {
                    summary.bailed_out = true;
                    tap.bail_out(
                        &report.verdict.map_err(|failure| failure.message).unwrap_or_else(|why| why),
                    )?;
                    break;
                }
                Some(Cause::Silence) => silent += 1,
                _ => silent = 0,
            }
        }
        Ok(summary)
    }
}

impl fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("points", &self.points)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many points passed.
    pub passed: usize,
    /// How many points failed.
    pub failed: usize,
    /// Whether the run was given up.
    pub bailed_out: bool,
}

impl Summary {
    /// Whether everything passed, and there was something.
    pub fn is_success(&self) -> bool {
        self.passed > 0 && self.failed == 0 && !self.bailed_out
    }

    /// The exit status of such a run.
    pub fn status(&self) -> u8 {
        if self.is_success() { PASSED } else { FAILED }
    }

    fn count(&mut self, report: &Report) {
        match report.verdict {
            Ok(_) => self.passed += 1,
            Err(_) => self.failed += 1,
        }
    }
}

async fn run(point: &Point) -> Report {
    let begun = Instant::now();
    let context = Context::new(point.targets.clone(), begun + point.case.limit);
    let verdict = (point.case.run)(&context).await;
    let sessions = context.into_sessions();
    Report { name: point.name.clone(), duration: begun.elapsed(), sessions, verdict }
}

fn reason_to_stop(silent: usize, late: bool) -> Option<&'static str> {
    match (silent >= SILENT_CASES, late) {
        (true, _) => Some("not run: nobody answered the connections of the last 3 cases that ran"),
        (false, true) => Some("not run: the time for the whole run is used up"),
        (false, false) => None,
    }
}

fn not_run(point: &Point, reason: &str) -> Report {
    let failure = Failure {
        expected: "SERVER_SETUP".to_owned(),
        received: "timeout".to_owned(),
        message: reason.to_owned(),
        cause: Cause::Silence,
    };
    Report { name: point.name.clone(), duration: Duration::ZERO, sessions: Vec::new(), verdict: Err(failure) }
}
