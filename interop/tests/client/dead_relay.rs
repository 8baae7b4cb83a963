//! What is reported when there is nothing to talk to, or nothing to run.

use std::time::{Duration, Instant};

use crate::common::{Counts, assert_valid, closed_port, count, run};
use moqingbird_interop::{FAILED, PASSED, UNSUPPORTED, USAGE};

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_fails_every_case_within_the_limits() {
    for scheme in ["moqt", "https"] {
        let begun = Instant::now();
        let url = format!("{scheme}://127.0.0.1:{}/", closed_port());
        let output = run(&["-r", &url, "--tls-disable-verify"], &[]).await;
        assert_eq!(output.status, FAILED);
        assert_valid(&output.out);
        assert_eq!(count(&output.out), Counts { passed: 0, failed: 11, skipped: 0 });
        assert!(begun.elapsed() < Duration::from_secs(30));
        for duration in output.out.lines().filter_map(|line| line.trim().strip_prefix("duration_ms: ")) {
            assert!(duration.parse::<u64>().unwrap() < 5_000);
        }
        assert!(output.out.contains("received: timeout"), "{}", output.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_address_bails_out() {
    let output = run(&["-r", "moqt://nonesuch.invalid:4443", "--tls-disable-verify"], &[]).await;
    assert_eq!(output.status, FAILED);
    assert_valid(&output.out);
    assert!(output.out.lines().last().unwrap().starts_with("Bail out! "), "{}", output.out);
}

#[tokio::test]
async fn an_unknown_case_is_not_supported() {
    let output = run(&["-t", "unknown"], &[]).await;
    assert_eq!((output.status, output.out.as_str()), (UNSUPPORTED, ""));
    assert_eq!(output.err.lines().count(), 1);
    assert!(output.err.contains("`unknown`"), "{}", output.err);
}

#[tokio::test]
async fn a_draft_pinned_by_the_environment_that_is_not_spoken_is_not_supported() {
    let output = run(&[], &[("MOQT_DRAFT", "draft-18")]).await;
    assert_eq!((output.status, output.out.as_str()), (UNSUPPORTED, ""));
}

#[tokio::test]
async fn a_url_that_is_none_is_wrong_usage() {
    let output = run(&["-r", "moqt://"], &[]).await;
    assert_eq!((output.status, output.out.as_str()), (USAGE, ""));
    assert!(output.err.contains("`moqt://`"), "{}", output.err);
}

#[tokio::test]
async fn the_list_is_names_and_nothing_else() {
    let output = run(&["-l"], &[]).await;
    assert_eq!(output.status, PASSED);
    let names: Vec<_> = output.out.lines().collect();
    assert!(names.starts_with(&["setup-only", "announce-only"]), "{names:?}");
    assert!(names.iter().all(|name| !name.contains(' ')));
}
