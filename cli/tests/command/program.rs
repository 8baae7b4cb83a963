//! The program itself: help, version, signals, and the test client behind `interop`.

use crate::common::{Relay, run};

#[tokio::test]
async fn every_subcommand_has_help_with_an_example() {
    for command in [
        "relay",
        "pub",
        "sub",
        "fetch",
        "announced",
        "status",
        "clock",
        "clock pub",
        "clock sub",
        "interop",
        "probe",
        "decode",
        "version",
    ] {
        let args: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let output = run(&args).await;
        assert_eq!((output.status, output.err.as_str()), (0, ""), "{command}");
        assert!(output.out.contains("Example"), "{command}: {}", output.out);
        assert!(output.out.contains(&format!("moqt {command}")), "{command}: {}", output.out);
        assert!(!output.out.contains('\u{1b}'), "colour in a pipe: {command}");
    }
}

#[tokio::test]
async fn version_names_drafts_and_transports() {
    let output = run(&["version"]).await;
    assert_eq!(output.status, 0);
    assert!(output.out.starts_with(concat!("moqt ", env!("CARGO_PKG_VERSION"), "\n")), "{}", output.out);
    assert!(output.out.contains("draft-16, draft-14"), "{}", output.out);
}

#[tokio::test]
async fn version_is_told_to_programs_as_json() {
    let output = run(&["version", "--json"]).await;
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    let version: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["quinn"].as_str().unwrap().starts_with("0."), "{version}");
    assert!(version["rustls"].as_str().unwrap().starts_with("0."), "{version}");
    let commit = version["commit"].as_str().unwrap();
    assert!(commit == "unknown" || commit.len() == 40, "{commit}");
    let drafts: Vec<_> = version["drafts"].as_array().unwrap().iter().map(|draft| &draft["draft"]).collect();
    assert_eq!(drafts, [16, 14]);
}

#[tokio::test]
async fn signals_end_the_relay_cleanly() {
    for signal in ["INT", "TERM"] {
        let relay = Relay::start(&[]).await;
        relay.running.signal(signal).await;
        let output = relay.running.end().await;
        assert_eq!((output.status, output.out.as_str()), (0, ""), "{signal}: {}", output.err);
    }
}

#[tokio::test]
async fn a_relay_listens_at_each_address_that_it_is_given() {
    let mut relay =
        crate::common::Running::start(&["relay", "--bind", "127.0.0.1:0", "--bind", "127.0.0.2:0"]);
    let line = relay.line().await;
    let addresses = line.split(' ').nth(1).unwrap();
    assert!(
        matches!(addresses.split(',').collect::<Vec<_>>()[..], [one, two]
        if one.starts_with("127.0.0.1:") && two.starts_with("127.0.0.2:")),
        "{line}"
    );
}

#[tokio::test]
async fn interop_has_the_exit_statuses_of_the_runner() {
    let list = run(&["interop", "--list"]).await;
    assert_eq!((list.status, list.out.lines().next()), (0, Some("setup-only")));
    assert_eq!(run(&["interop", "-t", "unknown"]).await.status, 127);
    assert_eq!(run(&["interop", "--nonesuch"]).await.status, 2);
}

#[tokio::test]
async fn interop_runs_against_a_relay_and_keeps_logs_off_stdout() {
    let relay = Relay::start(&[]).await;
    let output =
        run(&["interop", "-v", "-r", &relay.url("https"), "--tls-disable-verify", "-t", "setup-only"]).await;
    assert_eq!(output.status, 0, "{}", output.out);
    assert!(output.out.starts_with("TAP version 14\n") && output.out.contains("\nok 1 - setup-only\n"));
    assert!(output.err.contains("CERTIFICATE VERIFICATION IS OFF"), "{}", output.err);
}
