//! `moqt version`.

use std::io::{self, Write};
use std::process::ExitCode;

use moqingbird_interop::Drafts;

use crate::exit::Outcome;

/// Print the version, and the drafts and transports that this program speaks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  moqt version")]
pub(crate) struct Args {}

pub(crate) fn run() -> Outcome {
    let mut out = io::stdout();
    writeln!(out, concat!("moqt ", env!("CARGO_PKG_VERSION")))?;
    writeln!(out, "drafts: {}", Drafts::all())?;
    writeln!(out, "transports: raw QUIC (moqt://), WebTransport over HTTP/3 (https://)")?;
    Ok(ExitCode::SUCCESS)
}
