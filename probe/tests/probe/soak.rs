//! Memory over many rounds.
//!
//! The long form, 20,000 rounds:
//!
//! ```sh
//! cargo test --release -p moqingbird-probe --test probe -- --ignored --nocapture memory
//! ```

use moqingbird_probe::Args;

use crate::lists::{Files, run};
use crate::servers::{relay, scratch};

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat_over_a_few_rounds() {
    flat(20, 60, 6 * 1024).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn memory_is_flat_over_20000_rounds() {
    flat(1_000, 20_000, 6 * 1024).await;
}

/// Rounds with a page, metrics and a status file; after the first of them memory, the relay's included, may grow by so many
/// KiB.
#[cfg(target_os = "linux")]
async fn flat(warm_up: u64, rounds: u64, allowed: u64) {
    let address = relay(&[]);
    let files = Files::new(&format!(
        r#"[{{"name": "quic", "url": "moqt://{address}"}}, {{"name": "web", "url": "https://{address}/"}}]"#
    ));
    let page = scratch("html");
    let args = |cycles| Args {
        once: false,
        cycles: Some(cycles),
        interval: Some("0".to_owned()),
        html: Some(page.clone()),
        ..files.args()
    };
    run(&args(warm_up)).await.unwrap();
    let before = settled().await;
    run(&args(rounds)).await.unwrap();
    let after = settled().await;
    println!("{rounds} rounds: {before} KiB before, {after} KiB after");
    let _ = std::fs::remove_file(&page);
    assert!(
        after.saturating_sub(before) <= allowed,
        "{before} KiB before, {after} KiB after {rounds} rounds"
    );
}

/// Memory once the relay, too, has buried its connections: those of the last second hold tens of MiB.
#[cfg(target_os = "linux")]
async fn settled() -> u64 {
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    resident()
}

/// Memory of this process, in KiB.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
