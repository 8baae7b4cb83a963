//! `--self-test`: every case against every bad relay, and whether its verdict is what it must be.

use std::io::{self, Write};

use moqingbird::Version;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bad::{BadRelay, RunningBadRelay};
use crate::cases::{CASES, Case};
use crate::context::{Context, Targets};
use crate::report::{NotPassed, Verdict};
use crate::run::{FAILED, PASSED};
use crate::tap::Tap;

/// How many pairs run at the same time: most of them wait.
const SIDE_BY_SIDE: usize = 32;
/// A case that must pass shares the machine with all the others.
const PATIENCE: u32 = 5;

/// A case against a bad relay.
struct Pair {
    case: &'static Case,
    relay: String,
    target: Targets,
    must_pass: bool,
    planted: bool,
}

/// Runs every case against every bad relay in each of the drafts, and answers the exit status: 0 if every verdict was what it
/// must be. The case `planted` passes whatever happens.
///
/// # Errors
/// The output cannot be written, or a relay does not start.
pub async fn self_test(
    drafts: &[Version],
    planted: Option<&'static Case>,
    out: impl Write,
) -> io::Result<u8> {
    let mut tap = Tap::new(out)?;
    tap.comment(concat!("moqingbird-interop ", env!("CARGO_PKG_VERSION"), ", self-test"))?;
    if let Some(case) = planted {
        tap.comment(&format!("Planted: {} passes whatever happens", case.name))?;
    }
    // Held until the run is over.
    let mut running = Vec::new();
    let mut pairs = Vec::new();
    for version in drafts.iter().rev() {
        for relay in BadRelay::ALL {
            let started = RunningBadRelay::start(*relay, *version)?;
            let of = |case: &'static Case| {
                Some(Pair {
                    case,
                    relay: format!("{}-{version}", relay.name()),
                    target: Targets::same(started.target()),
                    must_pass: relay.must_pass(case, *version)?,
                    planted: planted.is_some_and(|planted| planted.name == case.name),
                })
            };
            pairs.extend(CASES.iter().filter_map(of));
            running.push(started);
        }
    }
    tap.plan(pairs.len())?;
    let all_right = judge(pairs, &mut tap).await?;
    Ok(if all_right { PASSED } else { FAILED })
}

/// Runs the pairs, some at a time, and writes a point of each in their order.
async fn judge(pairs: Vec<Pair>, tap: &mut Tap<impl Write>) -> io::Result<bool> {
    let mut all_right = true;
    let mut waiting = pairs.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut done = std::collections::BTreeMap::new();
    let mut next = 0;
    loop {
        while running.len() < SIDE_BY_SIDE
            && let Some((index, pair)) = waiting.next()
        {
            running.spawn(async move {
                let verdict = run(&pair).await;
                (index, pair, verdict)
            });
        }
        let Some(ended) = running.join_next().await else { return Ok(all_right) };
        let (index, pair, verdict) = ended.map_err(io::Error::other)?;
        done.insert(index, (pair, verdict));
        while let Some((pair, verdict)) = done.remove(&next) {
            next += 1;
            all_right &= write(&pair, &verdict, tap)?;
        }
    }
}

async fn run(pair: &Pair) -> Verdict {
    if pair.planted {
        return Ok("planted".to_owned());
    }
    let patience = if pair.must_pass { PATIENCE } else { 1 };
    let deadline = Instant::now() + pair.case.limit * patience;
    let context = Context::new(pair.target.clone(), deadline, patience);
    (pair.case.run)(&context).await
}

/// One point: whether the verdict is what it must be.
fn write(pair: &Pair, verdict: &Verdict, tap: &mut Tap<impl Write>) -> io::Result<bool> {
    let Pair { case, relay, must_pass, .. } = pair;
    let verb = if *must_pass { "passes" } else { "fails" };
    let name = format!("{} {verb} against {relay}", case.name);
    let (came, saw) = match verdict {
        Ok(received) => ("passed", received.clone()),
        Err(NotPassed::Skipped(reason)) => ("skipped", reason.clone()),
        Err(NotPassed::Failed(failure)) => (
            "failed",
            format!("expected {}, received {}: {}", failure.expected, failure.received, failure.message),
        ),
    };
    let wanted = if *must_pass { "passed" } else { "failed" };
    let right = came == wanted;
    if right {
        tap.check(true, &name, &[("received", &saw)])?;
    } else {
        tap.check(false, &name, &[("expected", wanted), ("received", came), ("message", &saw)])?;
    }
    Ok(right)
}
