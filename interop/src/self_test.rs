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
const PATIENCE: u32 = 10;

/// A case against a bad relay.
struct Pair {
    case: &'static Case,
    relay: BadRelay,
    version: Version,
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
    let mut pairs = Vec::new();
    for version in drafts.iter().rev().copied() {
        for relay in BadRelay::ALL.iter().copied() {
            let pair = |case: &'static Case| {
                let must_pass = relay.must_pass(case, version)?;
                let planted = planted.is_some_and(|planted| planted.name == case.name);
                Some(Pair { case, relay, version, must_pass, planted })
            };
            pairs.extend(CASES.iter().filter_map(pair));
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
                verdict.map(|verdict| (index, pair, verdict))
            });
        }
        let Some(ended) = running.join_next().await else { return Ok(all_right) };
        let (index, pair, verdict) = ended.map_err(io::Error::other)??;
        done.insert(index, (pair, verdict));
        while let Some((pair, verdict)) = done.remove(&next) {
            next += 1;
            all_right &= write(&pair, &verdict, tap)?;
        }
    }
}

/// Each pair has a relay of its own, so that no case sees what another does.
async fn run(pair: &Pair) -> io::Result<Verdict> {
    if pair.planted {
        return Ok(Ok("planted".to_owned()));
    }
    let patience = if pair.must_pass { PATIENCE } else { 1 };
    let relay = RunningBadRelay::start(pair.relay, pair.version)?;
    let deadline = Instant::now() + pair.case.limit * patience;
    let context = Context::new(Targets::same(relay.target()), deadline, patience);
    Ok((pair.case.run)(&context).await)
}

/// One point: whether the verdict is what it must be.
fn write(pair: &Pair, verdict: &Verdict, tap: &mut Tap<impl Write>) -> io::Result<bool> {
    let Pair { case, relay, version, must_pass, .. } = pair;
    let verb = if *must_pass { "passes" } else { "fails" };
    let name = format!("{} {verb} against {}-{version}", case.name, relay.name());
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
