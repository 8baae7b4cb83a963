//! The TAP writer: golden files, and what the runner's parser makes of them.

use std::time::Duration;

use crate::common::{Counts, assert_valid, count};
use moqingbird::{TransportKind, Version};
use moqingbird_interop::tap::Tap;
use moqingbird_interop::{Cause, Failure, NotPassed, Origin, Report, Role, SessionFacts, Verdict};

fn session(role: Role, transport: TransportKind, version: Version) -> SessionFacts {
    SessionFacts {
        role,
        version,
        transport,
        protocol: match (transport, version) {
            // Over WebTransport draft-14 is what is spoken when nothing is agreed.
            (TransportKind::WebTransport, Version::Draft14) => None,
            _ => Some(version.protocol().to_owned()),
        },
        connection_id: Some(format!("{}4ee7793841adcadd926a1baf1c677cc", version.number() % 10)),
    }
}

fn report(name: &str, sessions: Vec<SessionFacts>, verdict: Verdict) -> Report {
    Report {
        name: name.to_owned(),
        origin: Origin::Runner,
        revision: None,
        duration: Duration::from_micros(24_999),
        sessions,
        verdict,
    }
}

fn failure(received: &str, message: &str) -> Verdict {
    Err(NotPassed::Failed(Failure {
        expected: "PUBLISH_NAMESPACE_OK".to_owned(),
        received: received.to_owned(),
        message: message.to_owned(),
        cause: Cause::Answer,
    }))
}

fn written(points: &[Report]) -> String {
    let mut out = Vec::new();
    let mut tap = Tap::new(&mut out).unwrap();
    tap.comment("moqingbird-interop 0.1.0").unwrap();
    tap.plan(points.len()).unwrap();
    for point in points {
        tap.point(point).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn a_run_is_written_as_the_contract_has_it() {
    use TransportKind::{Quic, WebTransport};
    let points = [
        report(
            "setup-only",
            vec![session(Role::Client, Quic, Version::Draft16)],
            Ok("SERVER_SETUP".to_owned()),
        ),
        report(
            "announce-only",
            vec![session(Role::Client, WebTransport, Version::Draft14)],
            failure("timeout", "no PUBLISH_NAMESPACE_OK after 2000 ms"),
        ),
        report(
            "announce-subscribe",
            vec![
                session(Role::Publisher, Quic, Version::Draft14),
                session(Role::Subscriber, WebTransport, Version::Draft16),
            ],
            Ok("SUBSCRIBE_OK".to_owned()),
        ),
        report("subscribe-error", vec![], failure("session closed", "the peer said \"no\": # SKIP")),
        Report {
            origin: Origin::Moqingbird,
            revision: Some(2),
            ..report(
                "publish-namespace-cancel",
                vec![
                    session(Role::Publisher, Quic, Version::Draft16),
                    session(Role::Subscriber, Quic, Version::Draft16),
                    session(Role::Subscriber, Quic, Version::Draft14),
                ],
                Err(NotPassed::Skipped("the draft has no message # for it".to_owned())),
            )
        },
    ];
    assert_eq!(written(&points), include_str!("golden/run.tap"));
}

#[test]
fn a_run_that_is_given_up_ends_with_bail_out() {
    let mut out = Vec::new();
    let mut tap = Tap::new(&mut out).unwrap();
    tap.plan(6).unwrap();
    tap.point(&report("setup-only", vec![], failure("no address", "the name has no address"))).unwrap();
    tap.bail_out("the name has\nno address").unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), include_str!("golden/bail-out.tap"));
}

#[test]
fn the_golden_files_are_valid_and_counted_by_the_runner_as_they_are_meant() {
    let run = include_str!("golden/run.tap");
    assert_valid(run);
    assert_eq!(count(run), Counts { passed: 2, failed: 2, skipped: 1 });
    let bail_out = include_str!("golden/bail-out.tap");
    assert_valid(bail_out);
    assert_eq!(count(bail_out), Counts { passed: 0, failed: 1, skipped: 0 });
}

#[test]
fn no_text_from_outside_is_taken_for_a_point_or_a_directive() {
    let evil = "x\nok 7 - injected\nnot ok 8\n| ok 9 # SKIP # todo";
    let tap =
        written(&[report(evil, vec![], failure(evil, evil)), report(evil, vec![], Ok(evil.to_owned()))]);
    assert_valid(&tap);
    assert_eq!(count(&tap), Counts { passed: 1, failed: 1, skipped: 0 });
}

#[test]
fn the_runner_reads_prefixed_lines_subtests_and_directives() {
    let tap = "client-1  | TAP version 14\nclient-1  | ok 1 - a\nclient-1  | not ok 2 - b # todo later\n\
               ok 3 - c # skip not here\n    ok 1 - subtest\nnot ok 4\nok\nok - d\nokay\n";
    assert_eq!(count(tap), Counts { passed: 4, failed: 1, skipped: 1 });
}

#[test]
fn the_runner_reads_version_13_too_and_nothing_without_a_version() {
    let points = "1..9\nok 1 - a\nnot ok 2 - b\n";
    let counts = Counts { passed: 1, failed: 1, skipped: 0 };
    assert_eq!(count(&format!("TAP version 13\n{points}")), counts);
    // It is found anywhere; the plan is not looked at, nor is a bail-out.
    assert_eq!(count(&format!("{points}log\nTAP version 14\nBail out! no\n")), counts);
    assert_eq!(count(points), Counts::default());
}
