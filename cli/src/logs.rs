//! Logs on stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// How much a subcommand says of itself.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Verbosity {
    /// Log more, to stderr; twice for everything. RUST_LOG overrides it
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Verbosity {
    /// Starts logging as the user asked.
    pub(crate) fn start(self) {
        start(match self.verbose {
            // The crate warns of every session that its peer closes.
            0 => "warn,moqt=info,web_transport_quinn=error",
            1 => "info,moqt=debug,moqingbird=debug,moqingbird_relay=debug",
            _ => "trace",
        });
    }
}

/// Starts logging by a filter, unless `RUST_LOG` has one.
pub(crate) fn start(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
