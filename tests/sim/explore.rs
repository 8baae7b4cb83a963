//! As many seeds as one likes: what `cargo xtask sim` runs, which says by the environment how many, and reads the lines that
//! are printed.

use std::env;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use moqingbird::wire::Version;
use moqingbird::wire::planted::Fault;

use crate::world::{self, Report};

/// How often progress is told, in seeds.
const PACE: u64 = 250;

/// A failure, with the command that shows it again.
pub(crate) fn failed(seed: u64, version: Version, report: &Report) -> String {
    let failure = report.failure.as_deref().unwrap_or("nothing");
    format!(
        "{version}, seed {seed}: {failure}\nAgain: cargo xtask sim --seed {seed} --draft {}",
        version.number()
    )
}

fn asked<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

/// The seeds of a run, in one draft.
#[derive(Debug)]
struct Task {
    version: Version,
    fault: Option<Fault>,
    seeds: std::ops::Range<u64>,
}

#[test]
#[ignore = "cargo xtask sim runs it"]
fn seeds() {
    let from = asked("MOQT_SIM_SEED").unwrap_or(0);
    let count: u64 = asked("MOQT_SIM_SEEDS").unwrap_or(crate::SEEDS);
    let draft: Option<u16> = asked("MOQT_SIM_DRAFT");
    let versions: Vec<_> =
        Version::ALL.iter().filter(|it| draft.is_none_or(|draft| it.number() == draft)).collect();
    let faults: Vec<_> = match env::var("MOQT_SIM_PLANTED").is_ok() {
        true => Fault::ALL.map(Some).to_vec(),
        false => vec![None],
    };
    let mut failures = 0;
    for (version, fault) in
        versions.iter().flat_map(|version| faults.iter().map(move |fault| (**version, *fault)))
    {
        failures += run(&Task { version, fault, seeds: from..from + count });
    }
    assert_eq!(failures, 0, "seeds have failed");
}

/// Runs seeds on all cores. Gives how many are not as they should be.
fn run(task: &Task) -> u64 {
    let (next, done) = (AtomicU64::new(task.seeds.start), AtomicU64::new(0));
    let (steps, objects) = (AtomicU64::new(0), AtomicU64::new(0));
    let found = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let stop = task.fault.is_some() && !found.lock().unwrap().is_empty();
                    if seed >= task.seeds.end || stop {
                        return;
                    }
                    let report = world::run(seed, task.version, task.fault);
                    steps.fetch_add(report.steps, Ordering::Relaxed);
                    objects.fetch_add(report.objects, Ordering::Relaxed);
                    if report.failure.is_some() {
                        if task.fault.is_none() {
                            println!("failed {}", failed(seed, task.version, &report));
                        }
                        found.lock().unwrap().push((seed, report));
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if done % PACE == 0 {
                        println!("progress {done}");
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|(seed, _)| *seed);
    conclude(task, &found, done.into_inner(), (steps.into_inner(), objects.into_inner()))
}

/// Says what was found.
fn conclude(task: &Task, found: &[(u64, Report)], done: u64, (steps, objects): (u64, u64)) -> u64 {
    let version = task.version;
    match (task.fault, found.first()) {
        (None, _) => {
            println!(
                "done {version}: {done} seeds, {steps} steps, {objects} objects, {} failures",
                found.len()
            );
            found.len() as u64
        }
        (Some(fault), Some((seed, report))) => {
            let failure = report.failure.as_deref().unwrap_or_default();
            let line = failure.lines().next().unwrap_or_default();
            println!(
                "done {version}: {fault:?} is found by seed {seed}: {}",
                line.chars().take(160).collect::<String>()
            );
            0
        }
        (Some(fault), None) => {
            println!("done {version}: {fault:?} is not found by {done} seeds");
            1
        }
    }
}
