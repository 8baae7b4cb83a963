//! Negative controls: what is reported of relays that are wrong on purpose.

use std::path::Path;

use moqingbird::Version;
use moqingbird_interop::bad::{BadRelay, RunningBadRelay};
use moqingbird_interop::cases::Cases;
use moqingbird_interop::tap::Tap;
use moqingbird_interop::{FAILED, PASSED, Runner, Targets, UNSUPPORTED, relay_points};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::common::{assert_valid, normalised, run};

/// Each of these tests keeps the machine busy: one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn what_is_reported_of_each_bad_relay_in_draft_14_is_as_committed() {
    golden(Version::Draft14).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_reported_of_each_bad_relay_in_draft_16_is_as_committed() {
    golden(Version::Draft16).await;
}

/// How many times as long as the contract has it a relay may take, since it shares a busy machine with all else. Those that
/// are waited for in vain have less, so that the test ends.
fn patience(relay: BadRelay) -> u32 {
    match relay {
        BadRelay::NoSetup | BadRelay::Silent | BadRelay::Late | BadRelay::OkToEverything => 3,
        _ => 10,
    }
}

/// Runs the runner's cases against each relay and compares. `MOQT_GOLDEN=write` writes what was reported instead.
async fn golden(version: Version) {
    let _alone = ALONE.lock().await;
    let (patient, slow): (Vec<BadRelay>, Vec<_>) =
        BadRelay::ALL.iter().copied().partition(|relay| patience(*relay) == 10);
    // Those that are waited for in vain side by side, the others one by one.
    let mut waiting: JoinSet<_> = slow.into_iter().map(|relay| reported(relay, version)).collect();
    while let Some(ended) = waiting.join_next().await {
        compare(ended.unwrap(), version);
    }
    for relay in patient {
        compare(reported(relay, version).await, version);
    }
}

async fn reported(relay: BadRelay, version: Version) -> (&'static str, u8, String) {
    let patience = patience(relay);
    // Each case has a relay of its own, so that they can run side by side.
    let start = |_| RunningBadRelay::start_patient(relay, version, patience).unwrap();
    let relays: Vec<_> = Cases::Runner.iter().map(start).collect();
    let mut points = relay_points(Cases::Runner, &relays[0].target());
    for (lane, (point, relay)) in points.iter_mut().zip(&relays).enumerate() {
        (point.lane, point.targets) = (lane, Targets::same(relay.target()));
    }
    let mut out = Vec::new();
    let runner = Runner::new(points).patience(patience);
    let summary = runner.run(&mut Tap::new(&mut out).unwrap()).await.unwrap();
    (relay.name(), summary.status(), String::from_utf8(out).unwrap())
}

fn compare((name, status, out): (&str, u8, String), version: Version) {
    assert_valid(&out);
    let file = format!("{name}-{version}.tap");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client/golden/bad").join(&file);
    let out = without_times(&normalised(&out));
    if std::env::var("MOQT_GOLDEN").is_ok_and(|mode| mode == "write") {
        return std::fs::write(path, out).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    let difference = golden.lines().zip(out.lines()).find(|(golden, out)| golden != out);
    assert_eq!(out, golden, "{file}: {difference:#?}");
    // What data-before-alias lacks it lawfully declines.
    assert_eq!(status, if name == "data-before-alias" { PASSED } else { FAILED }, "{file}");
}

/// `no SUBSCRIBE_OK after 2000 ms`: how long depends on what was done before.
fn without_times(tap: &str) -> String {
    let line = |line: &str| match line.split_once(" after ") {
        Some((before, rest)) if rest.trim_end_matches('"').ends_with(" ms") => {
            format!("{before} after * ms\"\n")
        }
        _ => format!("{line}\n"),
    };
    tap.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_passes_always_is_found_and_every_other_verdict_is_what_it_must_be() {
    let _alone = ALONE.lock().await;
    // The environment's relay and case mean nothing to it.
    let vars = [("RELAY_URL", "moqt://"), ("TESTCASE", "nonesuch")];
    let output = run(&["--self-test", "--plant", "setup-only", "--draft", "14"], &vars).await;
    assert_eq!(output.status, FAILED);
    assert_valid(&output.out);
    let points: Vec<_> = output
        .out
        .lines()
        .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "))
        .map(|line| line.split_once(" - ").unwrap())
        .collect();
    assert!(points.len() > 150, "{}", points.len());
    for (_, pair) in &points {
        let words: Vec<_> = pair.split(' ').collect();
        assert!(matches!(words[..], [_, "fails" | "passes", "against", _]), "{pair}");
    }
    for what in [
        "announce-only fails against silent-draft-14",
        "subscribe-error fails against ok-to-everything-draft-14",
        "subscribe-error fails against other-drafts-code-draft-14",
        "announce-subscribe fails against late-answers-draft-14",
        "multiple-groups passes against data-before-alias-draft-14",
    ] {
        assert!(points.iter().any(|(_, pair)| *pair == what), "{what}");
    }
    let wrong: Vec<_> = points.iter().filter(|(verdict, _)| verdict.starts_with("not ok ")).collect();
    assert_eq!(wrong, [&("not ok 1", "setup-only fails against no-setup-draft-14")], "{}", output.out);
}

/// Every case must fail against some relay, or planting it would not be noticed.
#[test]
fn every_case_has_a_relay_against_which_it_must_fail() {
    for case in Cases::All.iter() {
        for version in Version::ALL {
            let fails = |relay: &BadRelay| relay.must_pass(case, *version) == Some(false);
            assert!(BadRelay::ALL.iter().any(fails), "{}", case.name);
        }
    }
}

#[tokio::test]
async fn a_case_that_is_not_there_cannot_be_planted() {
    let output = run(&["--self-test", "--plant", "nonesuch"], &[]).await;
    assert_eq!((output.status, output.out.as_str()), (UNSUPPORTED, ""));
}
