//! Logs on stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::redact;

/// How much a subcommand says of itself.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Verbosity {
    /// Show the messages on the wire and log more, on stderr; twice for everything. RUST_LOG overrides it
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Verbosity {
    /// Starts logging as the user asked.
    pub(crate) fn start(self) {
        start(self.filter());
    }

    /// As [`Verbosity::start`], a JSON object a line.
    pub(crate) fn start_json(self) {
        start_json(self.filter());
    }

    const fn filter(self) -> &'static str {
        match self.verbose {
            // The crate warns of every session that its peer closes.
            0 => "warn,moqt=info,moqingbird_probe=info,web_transport_quinn=error",
            1 => "info,moqt=debug,moqingbird=debug,moqingbird_relay=debug",
            _ => "trace",
        }
    }
}

/// Starts logging by a filter, unless `RUST_LOG` has one.
pub(crate) fn start(filter: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(chosen(filter))
        .with_writer(redact::Stderr)
        .with_ansi(io::stderr().is_terminal() && !no_color())
        .with_target(false)
        .init();
}

fn start_json(filter: &str) {
    tracing_subscriber::fmt().json().with_env_filter(chosen(filter)).with_writer(redact::Stderr).init();
}

/// Whether colours are unwanted everywhere (no-color.org).
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn chosen(filter: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter))
}
