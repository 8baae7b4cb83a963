//! Memory over many rounds.
//!
//! The long form, 20,000 rounds:
//!
//! ```sh
//! cargo test --release -p moqingbird-probe --test probe -- --ignored --nocapture memory
//! ```
#![cfg(target_os = "linux")]

use std::pin::pin;
use std::process::Command;
use std::time::{Duration, Instant};

use moqingbird_probe::{Args, FailOn};

use crate::lists::{Files, run};
use crate::servers::{relay, scratch};

/// Tells this test binary that it is the prober, and where to probe: `ADDRESS ROUNDS ALLOWED`.
const PROBER: &str = "MOQINGBIRD_PROBE_TEST_ROUNDS";

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat_over_a_few_rounds() {
    // What the allocator keeps is not yet level after so few; sessions that are not freed, four a round, cost more.
    flat(200, 12 * 1024).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn memory_is_flat_over_20000_rounds() {
    flat(20_000, 6 * 1024).await;
}

/// Rounds of a prober in a process of its own, so that the memory of the relay, and of other tests, is not taken for its.
/// From its second quarter to its last it may grow by so many KiB.
async fn flat(rounds: u64, allowed: u64) {
    let mut prober = Command::new(std::env::current_exe().unwrap());
    prober
        .args(["--exact", "soak::prober", "--nocapture"])
        .env(PROBER, format!("{} {rounds} {allowed}", relay(&[])));
    let status = tokio::task::spawn_blocking(move || prober.status()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

/// The other process of `flat`; by itself nothing.
#[tokio::test(flavor = "multi_thread")]
async fn prober() {
    let Ok(task) = std::env::var(PROBER) else { return };
    let task: Vec<_> = task.split(' ').collect();
    let [address, rounds, allowed] = task[..] else { panic!("{task:?}") };
    let [rounds, allowed] = [rounds, allowed].map(|number| number.parse::<u64>().unwrap());
    let files = Files::new(&format!(
        r#"[{{"name": "quic", "url": "moqt://{address}"}}, {{"name": "web", "url": "https://{address}/"}}]"#
    ));
    let page = scratch("html");
    let args = Args {
        once: false,
        cycles: Some(rounds),
        interval: Some("0".to_owned()),
        html: Some(page.clone()),
        fail_on: vec![FailOn::Dead],
        ..files.args()
    };
    let started = Instant::now();
    let mut samples = Vec::new();
    let mut run = pin!(run(&args));
    let (exit, _) = loop {
        tokio::select! {
            outcome = &mut run => break outcome.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(20)) => samples.push(resident()),
        }
    };
    assert_eq!(exit, 0, "the endpoints live");
    let quarter = samples.len() / 4;
    let (before, after) = (median(&samples[quarter..2 * quarter]), median(&samples[3 * quarter..]));
    println!(
        "{rounds} rounds in {:.0?}: {before} KiB in the second quarter, {after} KiB in the last",
        started.elapsed()
    );
    let _ = std::fs::remove_file(&page);
    assert!(after.saturating_sub(before) <= allowed, "memory grows");
}

fn median(samples: &[u64]) -> u64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// Memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
