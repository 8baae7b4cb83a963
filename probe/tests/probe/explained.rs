//! Why WebTransport fails: the path, the draft, the header; and names that have no address.

use moqingbird_probe::{Cause, EndpointReport};

use crate::servers::{brief, http, options, probe, quic, silent_quic};

fn causes(report: &EndpointReport) -> Vec<Option<Cause>> {
    report.probes.iter().map(|probe| probe.failure.as_ref().map(|failure| failure.cause)).collect()
}

#[tokio::test]
async fn a_path_that_is_not_there_is_told_with_its_status() {
    let address = http(|_| (404, None));
    let report = probe(&format!("https://{address}/nowhere"), options()).await;
    assert_eq!(causes(&report), [Some(Cause::PathRefused); 2]);
    let failure = report.probes[0].failure.as_ref().unwrap();
    assert_eq!(failure.http_status, Some(404));
    assert!(failure.what.contains("`/nowhere`") && failure.what.contains("404"), "{failure:?}");
}

#[tokio::test]
async fn a_server_that_takes_an_impossible_protocol_refused_the_draft_and_not_the_path() {
    let address = http(|offered| if offered.contains("moqt-none") { (200, None) } else { (400, None) });
    let report = probe(&format!("https://{address}/"), options()).await;
    assert_eq!(causes(&report), [Some(Cause::DraftRefused); 2]);
}

#[tokio::test]
async fn a_server_that_answers_an_impossible_protocol_otherwise_knows_the_draft_and_refused_the_path() {
    let address = http(|offered| if offered.contains("moqt-none") { (400, None) } else { (500, None) });
    let report = probe(&format!("https://{address}/"), options()).await;
    assert_eq!(causes(&report), [Some(Cause::PathRefused); 2]);
}

#[tokio::test]
async fn where_nothing_tells_path_from_draft_neither_is_blamed() {
    let address = http(|_| (400, None));
    let report = probe(&format!("https://{address}/"), options()).await;
    assert_eq!(causes(&report), [Some(Cause::WebTransportRefused); 2]);
    assert!(report.probes[0].failure.as_ref().unwrap().what.contains("whatever is offered"));
}

#[tokio::test]
async fn a_protocol_without_its_quotation_marks_is_told() {
    let address = http(|offered| (200, (!offered.is_empty()).then_some("moqt-16")));
    let report = probe(&format!("https://{address}/"), brief()).await;
    assert_eq!(causes(&report)[1], Some(Cause::InvalidWtProtocol));
}

#[tokio::test]
async fn who_negotiates_another_draft_than_was_offered_does_not_speak_the_offered_one() {
    // relay_probe counted it as live under the name of the draft that it had offered.
    let address = http(|_| (200, Some("\"moq-00\"")));
    let report = probe(&format!("https://{address}/"), brief()).await;
    assert_eq!(causes(&report)[1], Some(Cause::VersionMismatch));
    assert!(!report.probes[1].live && report.probes[1].draft.is_none());
    let ignorant = http(|_| (200, None));
    let report = probe(&format!("https://{ignorant}/"), brief()).await;
    assert_eq!(causes(&report)[1], Some(Cause::VersionMismatch));
}

#[tokio::test]
async fn who_selects_another_version_in_server_setup_does_not_speak_the_offered_draft() {
    // SERVER_SETUP: type, length, the selected version 0xff000010 in eight bytes, no parameters (draft-14 §9.3).
    let address = quic(&["moq-00"], b"\x21\x00\x09\xc0\x00\x00\x00\xff\x00\x00\x10\x00");
    let report = probe(&format!("moqt://{address}"), options()).await;
    assert_eq!(causes(&report), [Some(Cause::VersionMismatch), Some(Cause::NoCommonAlpn)]);
}

#[tokio::test]
async fn who_answers_setup_with_something_else_is_told() {
    // GOAWAY with an empty URI.
    let address = quic(&["moq-00", "moqt-16"], b"\x10\x00\x01\x00");
    let report = probe(&format!("moqt://{address}"), options()).await;
    assert_eq!(causes(&report), [Some(Cause::SetupFailed); 2]);
    assert!(
        report.probes[0].failure.as_ref().unwrap().what.contains("broke a rule of draft-14"),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_server_without_webtransport_is_told_apart_from_one_without_the_draft() {
    let address = silent_quic(&["moq-00"]);
    let report = probe(&format!("https://{address}/"), brief()).await;
    assert_eq!(causes(&report), [Some(Cause::NoCommonAlpn); 2]);
    let failure = report.probes[0].failure.as_ref().unwrap();
    assert!(failure.what.contains("`h3`") && failure.advice.contains("moqt://"), "{failure:?}");
}

#[tokio::test]
async fn http_3_that_says_nothing_is_no_silence_of_the_port() {
    let address = silent_quic(&["h3"]);
    let report = probe(&format!("https://{address}/"), brief()).await;
    assert_eq!(causes(&report), [Some(Cause::NoWebTransportAnswer); 2]);
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    // RFC 6761 §6.4: no resolver knows a name of this kind.
    let report = probe("moqt://relay.invalid", options()).await;
    assert_eq!(causes(&report), [Some(Cause::UnknownHost); 2]);
    assert!(report.error.unwrap().starts_with("connect: the name has no address"));
}
