//! Running the client, and judging what it writes.

use std::net::UdpSocket;

use clap::Parser;
use moqingbird_interop::Args;
pub(crate) use moqingbird_interop::tap::{Counts, counts as count};

/// The client's command line, as `moqt interop` has it.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// What a run printed, and its exit status.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the client with these flags and this environment.
pub(crate) async fn run(flags: &[&str], vars: &[(&str, &str)]) -> Output {
    let cli = Cli::try_parse_from(["interop"].iter().chain(flags)).unwrap();
    let env = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = moqingbird_interop::run(&cli.args, &env, &mut out, &mut err).await.unwrap();
    Output { status, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// What TAP 14 itself asks: version, then a plan, then that many points in order, each followed by a block of YAML that is
/// indented by two spaces.
pub(crate) fn assert_valid(tap: &str) {
    let mut lines = tap.lines();
    assert_eq!(lines.next(), Some("TAP version 14"));
    let (mut planned, mut seen, mut in_yaml) = (None, 0, false);
    for line in lines {
        match line {
            "  ---" => in_yaml = true,
            "  ..." => in_yaml = false,
            _ if in_yaml => assert!(line.starts_with("  ") && line.contains(':'), "{line:?}"),
            _ if line.starts_with("1..") => planned = line[3..].parse::<usize>().ok(),
            _ if line.starts_with("# ") || line.starts_with("Bail out! ") => {}
            _ => {
                seen += 1;
                let point = line.strip_prefix("not ").unwrap_or(line);
                assert!(point.starts_with(&format!("ok {seen} - ")), "{line:?}");
                assert!(planned.is_some(), "the plan must stand before the points");
            }
        }
    }
    assert!(!in_yaml);
    let bailed_out = tap.contains("\nBail out! ");
    assert!(planned == Some(seen) || bailed_out, "{planned:?} planned, {seen} seen");
}

/// What differs between runs, replaced: durations, connection ids, ports.
pub(crate) fn normalised(tap: &str) -> String {
    let line = |line: &str| {
        for key in ["duration_ms", "connection_id"] {
            if let Some((before, _)) = line.split_once(&format!("{key}: ")) {
                return format!("{before}{key}: *\n");
            }
        }
        match line.split_once("127.0.0.1:") {
            Some((before, _)) => format!("{before}127.0.0.1:*\n"),
            None => format!("{line}\n"),
        }
    };
    tap.lines().map(line).collect()
}

/// A UDP port of loopback at which nobody listens.
pub(crate) fn closed_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
