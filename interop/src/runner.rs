//! Runs points: those of a lane one after the other, lanes side by side.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cases::Case;
use crate::context::{Context, Targets};
use crate::report::{Cause, Failure, NotPassed, Report};
use crate::run::{FAILED, PASSED};
use crate::tap::Tap;

/// After this many cases in a row whose connection nobody answered, a lane's relay is taken for dead.
const SILENT_CASES: usize = 3;
/// How long a run may take by default: the interop runner gives it 120 s, and the case that is running ends behind it.
const LIMIT: Duration = Duration::from_secs(100);

/// A case, and where its sessions go.
#[derive(Clone, Debug)]
pub struct Point {
    /// The case's name, with what distinguishes this point from others of the same case.
    pub name: String,
    /// The case.
    pub case: &'static Case,
    /// Where its sessions go.
    pub targets: Targets,
    /// Points of one lane never run at the same time, those of different lanes do.
    pub lane: usize,
}

/// Runs points, and reports each, in their order, as soon as it and those before it are known.
pub struct Runner<'a> {
    points: Vec<Point>,
    limit: Duration,
    patience: u32,
    after_each: Box<dyn FnMut(&Report) + Send + 'a>,
}

impl<'a> Runner<'a> {
    /// A run of these points.
    pub fn new(points: Vec<Point>) -> Self {
        Self { points, limit: LIMIT, patience: 1, after_each: Box::new(|_| {}) }
    }

    /// No case begins later than this after the run's beginning: the rest is reported as failed. 100 s by default.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Multiplies the time limits of the cases: for relays that share a busy machine with the client. 1 by default.
    #[must_use]
    pub fn patience(mut self, factor: u32) -> Self {
        self.patience = factor.max(1);
        self
    }

    /// Calls this after each point, before the next of its lane begins.
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
        let mut summary = Summary::default();
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        let (mut lanes, mut done) = self.start();
        while let Some(Done { index, report, go_on }) = done.recv().await {
            (self.after_each)(&report);
            // The lane may have ended with this point.
            let _ = go_on.send(());
            waiting.insert(index, report);
            while let Some(report) = waiting.remove(&next) {
                next += 1;
                tap.point(&report)?;
                summary.count(&report);
                if let Some(reason) = hopeless(&report) {
                    summary.bailed_out = true;
                    tap.bail_out(reason)?;
                    lanes.shutdown().await;
                    return Ok(summary);
                }
            }
        }
        Ok(summary)
    }

    fn start(&mut self) -> (JoinSet<()>, mpsc::Receiver<Done>) {
        let mut by_lane = BTreeMap::<usize, Vec<(usize, Point)>>::new();
        for (index, point) in std::mem::take(&mut self.points).into_iter().enumerate() {
            by_lane.entry(point.lane).or_default().push((index, point));
        }
        let (told, done) = mpsc::channel(1);
        let end = Instant::now() + self.limit;
        let mut lanes = JoinSet::new();
        for points in by_lane.into_values() {
            lanes.spawn(lane(points, end, self.patience, told.clone()));
        }
        (lanes, done)
    }
}

impl fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("points", &self.points)
            .field("limit", &self.limit)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// A point that has run, and how its lane is told to go on.
struct Done {
    index: usize,
    report: Report,
    go_on: oneshot::Sender<()>,
}

async fn lane(points: Vec<(usize, Point)>, end: Instant, patience: u32, told: mpsc::Sender<Done>) {
    let mut silent = 0;
    for (index, point) in points {
        let report = match reason_to_stop(silent, Instant::now() >= end) {
            Some(reason) => not_run(&point, reason),
            None => run(&point, patience).await,
        };
        match cause(&report) {
            Some(Cause::Silence) => silent += 1,
            _ => silent = 0,
        }
        let (go_on, went_on) = oneshot::channel();
        // Either fails when the run is over.
        if told.send(Done { index, report, go_on }).await.is_err() || went_on.await.is_err() {
            return;
        }
    }
}

async fn run(point: &Point, patience: u32) -> Report {
    let begun = Instant::now();
    let context = Context::new(point.targets.clone(), begun + point.case.limit * patience, patience);
    let verdict = (point.case.run)(&context).await;
    let sessions = context.into_sessions();
    report(point, begun.elapsed(), sessions, verdict)
}

fn report(
    point: &Point,
    duration: Duration,
    sessions: Vec<crate::SessionFacts>,
    verdict: crate::Verdict,
) -> Report {
    let Case { origin, revision, .. } = *point.case;
    Report { name: point.name.clone(), origin, revision, duration, sessions, verdict }
}

fn cause(report: &Report) -> Option<Cause> {
    match &report.verdict {
        Err(NotPassed::Failed(failure)) => Some(failure.cause),
        _ => None,
    }
}

/// Why no case can run, if this one says so.
fn hopeless(report: &Report) -> Option<&str> {
    match &report.verdict {
        Err(NotPassed::Failed(Failure { cause: Cause::Hopeless, message, .. })) => Some(message),
        _ => None,
    }
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
    report(point, Duration::ZERO, Vec::new(), Err(failure.into()))
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many points passed.
    pub passed: usize,
    /// How many points failed.
    pub failed: usize,
    /// How many points could not be shown.
    pub skipped: usize,
    /// Whether the run was given up.
    pub bailed_out: bool,
}

impl Summary {
    /// Whether nothing failed, and there was something.
    pub fn is_success(&self) -> bool {
        self.passed + self.skipped > 0 && self.failed == 0 && !self.bailed_out
    }

    /// The exit status of such a run.
    pub fn status(&self) -> u8 {
        if self.is_success() { PASSED } else { FAILED }
    }

    fn count(&mut self, report: &Report) {
        match report.verdict {
            Ok(_) => self.passed += 1,
            Err(NotPassed::Skipped(_)) => self.skipped += 1,
            Err(NotPassed::Failed(_)) => self.failed += 1,
        }
    }
}
