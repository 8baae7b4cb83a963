//! Whole runs against the relay within the program.

use std::time::{Duration, Instant};

use crate::common::{Counts, assert_valid, count, normalised, run};
use moqingbird::Version;
use moqingbird_interop::cases::Cases;
use moqingbird_interop::tap::Tap;
use moqingbird_interop::{EmbeddedRelay, FAILED, PASSED, Runner, embedded_points};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_every_case_passes_in_every_draft_over_every_transport() {
    let output = run(&[], &[]).await;
    assert_eq!(output.status, PASSED, "{}", output.out);
    assert_valid(&output.out);
    assert_eq!(count(&output.out), Counts { passed: 106, failed: 0, skipped: 2 }, "{}", output.out);
    for point in [
        "ok 1 - setup-only (draft-14, quic)",
        "ok 24 - subscribe-before-announce (draft-16, webtransport)",
        "ok 69 - publish-namespace-cancel (draft-14, quic)",
        "ok 104 - object-delivery (draft-16, webtransport)",
        "ok 105 - object-delivery (draft-14 to draft-16, quic)",
        "ok 108 - object-delivery (draft-16 to draft-14, webtransport)",
    ] {
        assert!(output.out.lines().any(|line| line == point), "{point} is not in\n{}", output.out);
    }
    for skipped in output.out.lines().filter(|line| line.contains(" # SKIP ")) {
        assert!(skipped.contains("publish-namespace-cancel (draft-16, "), "{skipped}");
    }
    // Every case says on which message it passed.
    let received = output.out.lines().filter(|line| line.starts_with("  received: ")).count();
    assert_eq!(received, 106);
    assert!(!output.out.contains("timeout"), "{}", output.out);
    assert_eq!(output.err, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_stops_between_two_cases_fails_the_rest() {
    let begun = Instant::now();
    let relay = [EmbeddedRelay::start().unwrap()];
    let points = embedded_points(Cases::Runner, Version::ALL, &relay);
    let mut out = Vec::new();
    let mut done = 0;
    let runner = Runner::new(points).after_each(|_| {
        done += 1;
        if done == 5 {
            relay[0].stop();
        }
    });
    let summary = runner.run(&mut Tap::new(&mut out).unwrap()).await.unwrap();
    let out = String::from_utf8(out).unwrap();
    assert_valid(&out);
    assert_eq!(count(&out), Counts { passed: 5, failed: 39, skipped: 0 }, "{out}");
    assert_eq!(
        out.lines().skip_while(|line| !line.contains("ok 6 ")).filter(|line| line.starts_with("ok")).count(),
        0
    );
    assert_eq!(summary.status(), FAILED);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_case_and_one_draft_can_be_asked_for() {
    let output = run(&["--test", "announce-subscribe", "--draft", "14"], &[]).await;
    assert_eq!(output.status, PASSED);
    assert_eq!(normalised(&output.out), include_str!("golden/announce-subscribe.tap"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_relay_the_runners_cases_run_once_and_the_newest_draft_is_negotiated() {
    let relay = EmbeddedRelay::start().unwrap();
    for scheme in ["moqt", "https"] {
        let url = format!("{scheme}://{}/", relay.address());
        let output = run(&["--relay", &url, "--tls-disable-verify"], &[]).await;
        assert_eq!(output.status, PASSED, "{}", output.out);
        assert_eq!(count(&output.out), Counts { passed: 11, failed: 0, skipped: 0 });
        assert!(
            output.out.contains("moqt_version: draft-16") && !output.out.contains("moqt_version: draft-14")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_pins_draft_relay_and_case() {
    let relay = EmbeddedRelay::start().unwrap();
    let url = format!("moqt://{}/", relay.address());
    let vars = [
        ("RELAY_URL", url.as_str()),
        ("TESTCASE", "object-delivery"),
        ("TLS_DISABLE_VERIFY", "1"),
        ("MOQT_DRAFT", "draft-14"),
    ];
    let output = run(&[], &vars).await;
    assert_eq!(output.status, PASSED, "{}", output.out);
    assert_eq!(count(&output.out).passed, 1);
    assert!(output.out.contains("moqt_version: draft-14") && output.out.contains("alpn: moq-00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_verified_unless_that_is_turned_off() {
    let relay = EmbeddedRelay::start().unwrap();
    let url = format!("moqt://{}/", relay.address());
    let output = run(&["-r", &url, "-t", "setup-only"], &[("TLS_DISABLE_VERIFY", "false")]).await;
    assert_eq!(output.status, FAILED);
    assert_eq!(count(&output.out), Counts { passed: 0, failed: 1, skipped: 0 });
}
