//! `moqt version`.

use std::io::{self, Write};
use std::process::ExitCode;

use moqingbird_interop::Drafts;
use serde_json::json;

use crate::exit::Outcome;

/// Print the version, and the drafts and transports that this program speaks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  moqt version\n  moqt version --json")]
pub(crate) struct Args {
    /// One JSON object: version, commit, quinn, rustls, drafts, transports
    #[arg(long)]
    json: bool,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that was checked out when the program was built; `unknown` where there is no git.
const COMMIT: &str = env!("MOQT_COMMIT");
const QUINN: &str = env!("MOQT_QUINN");
const RUSTLS: &str = env!("MOQT_RUSTLS");

pub(crate) fn run(args: &Args) -> Outcome {
    let mut out = io::stdout();
    let drafts = Drafts::all();
    if args.json {
        let drafts: Vec<_> = drafts
            .versions()
            .iter()
            .map(|draft| json!({ "draft": draft.number(), "protocol": draft.protocol() }))
            .collect();
        let version = json!({
            "version": VERSION,
            "commit": COMMIT,
            "quinn": QUINN,
            "rustls": RUSTLS,
            "drafts": drafts,
            "transports": ["quic", "webtransport"],
        });
        writeln!(out, "{version}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "moqt {VERSION}")?;
    writeln!(out, "commit: {COMMIT}")?;
    writeln!(out, "drafts: {drafts}")?;
    writeln!(out, "transports: raw QUIC (moqt://), WebTransport over HTTP/3 (https://)")?;
    writeln!(out, "quinn {QUINN}, rustls {RUSTLS}")?;
    Ok(ExitCode::SUCCESS)
}
