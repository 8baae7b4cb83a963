//! Memory over many rounds.
//!
//! The long form, 20,000 rounds:
//!
//! ```sh
//! cargo test --release -p moqingbird-probe --test probe -- --ignored --nocapture memory
//! ```
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::{Duration, Instant};

use moqingbird_probe::{Args, FailOn};

use crate::lists::{Files, run};
use crate::servers::{relay, scratch};

/// Tells this test binary that it is the prober, and where to probe: `ADDRESS WARM_UP ROUNDS ALLOWED`.
const PROBER: &str = "MOQINGBIRD_PROBE_TEST_ROUNDS";

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat_over_a_few_rounds() {
    flat(20, 60, 6 * 1024).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn memory_is_flat_over_20000_rounds() {
    flat(1_000, 20_000, 6 * 1024).await;
}

/// Rounds of a prober in a process of its own, so that the relay's memory is not taken for the prober's.
async fn flat(warm_up: u64, rounds: u64, allowed: u64) {
    let mut prober = Command::new(std::env::current_exe().unwrap());
    prober
        .args(["--exact", "soak::prober", "--nocapture"])
        .env(PROBER, format!("{} {warm_up} {rounds} {allowed}", relay(&[])))
        // A socket's receive buffer is of 3 MiB. Left alone, glibc soon keeps what is free of that size, in pieces; here it goes
        // back to the system at once, and what stays is held by the prober.
        .env("MALLOC_MMAP_THRESHOLD_", "131072");
    let status = tokio::task::spawn_blocking(move || prober.status()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

/// The other process of `flat`; by itself nothing.
#[tokio::test(flavor = "multi_thread")]
async fn prober() {
    let Ok(task) = std::env::var(PROBER) else { return };
    let task: Vec<_> = task.split(' ').collect();
    let [address, warm_up, rounds, allowed] = task[..] else { panic!("{task:?}") };
    let [warm_up, rounds, allowed] = [warm_up, rounds, allowed].map(|number| number.parse::<u64>().unwrap());
    let files = Files::new(&format!(
        r#"[{{"name": "quic", "url": "moqt://{address}"}}, {{"name": "web", "url": "https://{address}/"}}]"#
    ));
    let page = scratch("html");
    let args = |cycles| Args {
        once: false,
        cycles: Some(cycles),
        interval: Some("0".to_owned()),
        html: Some(page.clone()),
        fail_on: vec![FailOn::Dead],
        ..files.args()
    };
    assert_eq!(run(&args(warm_up)).await.unwrap().0, 0, "the endpoints live");
    let before = settled().await;
    let started = Instant::now();
    assert_eq!(run(&args(rounds)).await.unwrap().0, 0, "the endpoints live");
    let took = started.elapsed();
    let after = settled().await;
    println!("{rounds} rounds in {took:.0?}: {before} KiB before, {after} KiB after");
    let _ = std::fs::remove_file(&page);
    assert!(
        after.saturating_sub(before) <= allowed,
        "{before} KiB before, {after} KiB after {rounds} rounds"
    );
}

/// Memory once it is quiet: sessions that have just ended hold some MiB each.
async fn settled() -> u64 {
    tokio::time::sleep(Duration::from_secs(2)).await;
    resident()
}

/// Memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
