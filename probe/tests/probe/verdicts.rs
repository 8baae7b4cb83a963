//! Live or dead, in which drafts, and what is held against the certificate.

use moqingbird::Version;
use moqingbird_probe::Cause;

use crate::servers::{
    Certificate, brief, dead_port, options, probe, relay, relay_with, silent_quic, tcp_only, udp_service,
};

const SCHEMES: [(&str, &str); 2] = [("moqt", "QUIC"), ("https", "H3/WT")];

#[tokio::test]
async fn a_relay_of_both_drafts_lives_in_both() {
    let address = relay(&[]);
    for (scheme, transport) in SCHEMES {
        let report = probe(&format!("{scheme}://{address}/"), options()).await;
        assert!(report.live, "{report:?}");
        assert_eq!((report.transport, report.port), (transport, address.port()));
        assert_eq!(report.drafts, ["draft-14", "draft-16"]);
        assert_eq!(report.draft.as_deref(), Some("draft-14"));
        assert_eq!((report.draft_numbers.as_slice(), report.newest_draft), (&[14, 16][..], Some(16)));
        assert_eq!(report.error, None);
        assert_eq!(report.address, Some(address.to_string()));
        for draft in &report.probes {
            assert!(draft.handshake_ms.is_some_and(|time| time > 0.0), "{draft:?}");
            assert!(draft.setup_ms.is_some_and(|time| time > 0.0), "{draft:?}");
            assert!(draft.implementation.as_ref().is_some_and(|name| name.starts_with("moqingbird/")));
        }
    }
}

#[tokio::test]
async fn a_relay_of_one_draft_lives_in_that_alone() {
    for (version, other) in [(Version::Draft14, 16), (Version::Draft16, 14)] {
        let address = relay(&[version]);
        for (scheme, _) in SCHEMES {
            let report = probe(&format!("{scheme}://{address}/"), options()).await;
            assert!(report.live, "{report:?}");
            assert_eq!(report.draft_numbers, [version.number()], "{scheme}");
            let dead = report.probes.iter().find(|probe| !probe.live).unwrap();
            assert_eq!((dead.offered, dead.draft.as_deref(), dead.alpn), (other, None, None));
            let cause = if scheme == "moqt" { Cause::NoCommonAlpn } else { Cause::DraftRefused };
            assert_eq!(dead.failure.as_ref().unwrap().cause, cause, "{dead:?}");
        }
    }
}

#[tokio::test]
async fn a_port_without_a_server_is_dead_before_the_timeout() {
    let report = probe(&format!("moqt://{}", dead_port()), options()).await;
    assert!(!report.live && report.drafts.is_empty());
    assert_eq!((report.draft, report.newest_draft), (None, None));
    assert!(
        report.probes.iter().all(|probe| probe.failure.as_ref().unwrap().cause == Cause::NothingListening)
    );
    assert!(report.error.unwrap().starts_with("connect: nothing listens on UDP port "));
}

#[tokio::test]
async fn a_port_of_tcp_alone_is_dead_and_told_as_such() {
    let (_listener, address) = tcp_only();
    let report = probe(&format!("https://{address}/"), options()).await;
    let failure = report.probes[0].failure.as_ref().unwrap();
    assert_eq!(failure.cause, Cause::NothingListening);
    assert!(failure.what.contains(&format!("TCP port {} is open", address.port())), "{failure:?}");
}

#[tokio::test]
async fn an_echo_server_is_not_quic() {
    let address = udp_service(b"").await;
    let report = probe(&format!("moqt://{address}"), options()).await;
    let failure = report.probes[0].failure.as_ref().unwrap();
    assert_eq!(failure.cause, Cause::NotQuic);
    assert!(failure.what.contains("sends back what it is sent"), "{failure:?}");
}

#[tokio::test]
async fn another_udp_service_is_not_quic() {
    let address = udp_service(b"\x00\x00\x00\x01 who are you?").await;
    let report = probe(&format!("moqt://{address}"), brief()).await;
    assert_eq!(report.probes[0].failure.as_ref().unwrap().cause, Cause::NotQuic);
}

#[tokio::test]
async fn a_port_that_says_nothing_is_silent() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let report = probe(&format!("moqt://{}", socket.local_addr().unwrap()), brief()).await;
    assert_eq!(report.error.as_deref(), Some("timeout"));
    assert!(report.probes.iter().all(|probe| probe.failure.as_ref().unwrap().cause == Cause::Silence));
}

#[tokio::test]
async fn a_server_that_answers_the_handshake_and_no_setup_is_dead() {
    let address = silent_quic(&["moq-00", "moqt-16"]);
    let report = probe(&format!("moqt://{address}"), brief()).await;
    assert_eq!(report.error.as_deref(), Some("timeout: no SETUP"));
    for probe in &report.probes {
        assert_eq!(probe.failure.as_ref().unwrap().cause, Cause::SetupTimeout);
        assert!(probe.handshake_ms.is_some() && probe.setup_ms.is_none(), "{probe:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_reported_and_kills_nothing() {
    let address = relay(&[]);
    for (scheme, _) in SCHEMES {
        let report = probe(&format!("{scheme}://{address}/"), options()).await;
        assert!(report.live && report.is_untrusted());
        let tls = report.tls.unwrap();
        assert!(!tls.verified);
        assert!(matches!(tls.problem, Some("unknown-issuer" | "no-roots")), "{tls:?}");
        assert_eq!(tls.names, ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(tls.subject.as_deref(), Some("CN=rcgen self signed cert"));
    }
}

#[tokio::test]
async fn an_expired_certificate_is_reported_with_its_end_and_kills_nothing() {
    let certificate = Certificate::expired();
    let address = relay_with(&[], certificate.pair.clone());
    let mut options = options();
    options.roots = vec![certificate.file.clone()];
    for (scheme, _) in SCHEMES {
        let report = probe(&format!("{scheme}://{address}/"), options.clone()).await;
        assert_eq!((report.live, report.draft_numbers.as_slice()), (true, &[14, 16][..]));
        let tls = report.tls.unwrap();
        assert_eq!((tls.verified, tls.problem), (false, Some("expired")));
        assert_eq!(tls.not_after.as_deref(), Some("2001-01-01T00:00:00Z"));
        assert_eq!(tls.error.as_deref(), Some("expired: it was valid until 2001-01-01T00:00:00Z"));
    }
}

#[tokio::test]
async fn a_certificate_of_a_trusted_root_is_verified_for_its_names_only() {
    let certificate = Certificate::valid();
    let address = relay_with(&[], certificate.pair.clone());
    let mut options = options();
    options.roots = vec![certificate.file.clone()];
    let report = probe(&format!("moqt://{address}"), options.clone()).await;
    let tls = report.tls.clone().unwrap();
    assert!(tls.verified && !report.is_untrusted() && tls.error.is_none(), "{tls:?}");

    let report = probe(&format!("moqt://localhost:{}", address.port()), options).await;
    assert!(report.live);
    let tls = report.tls.unwrap();
    assert_eq!(tls.error.as_deref(), Some("wrong-name: it is for 127.0.0.1, not for localhost"));
}

#[tokio::test]
async fn who_waives_verification_is_told_and_not_warned() {
    let mut options = options();
    options.insecure = true;
    let report = probe(&format!("moqt://{}", relay(&[])), options).await;
    assert!(!report.is_untrusted());
    let tls = report.tls.unwrap();
    assert!(tls.waived && !tls.verified && tls.error.is_some());
}

#[tokio::test]
async fn a_deep_probe_asks_for_a_track_and_a_namespace() {
    let address = relay(&[]);
    let mut options = options();
    options.deep = true;
    for (scheme, _) in SCHEMES {
        let report = probe(&format!("{scheme}://{address}/"), options.clone()).await;
        for probe in &report.probes {
            let deep = probe.deep.as_ref().unwrap();
            assert!(deep.track.answered && !deep.track.granted, "{deep:?}");
            assert!(deep.track.answer.starts_with("DOES_NOT_EXIST"), "{deep:?}");
            assert!(deep.namespace.answered && deep.namespace.granted, "{deep:?}");
        }
    }
}
