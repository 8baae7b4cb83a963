//! `moqt probe`: the probe is a crate of its own.

use std::io;
use std::process::ExitCode;

use moqingbird_probe::{Args, RunError};

use crate::exit::{Failure, Outcome};
use crate::logs::{self, Verbosity};
use crate::signals::Signals;

/// Ask relays for a session in each draft, and tell which live and why others do not.
#[derive(Debug, clap::Args)]
pub(crate) struct ProbeArgs {
    #[command(flatten)]
    probe: Args,
    /// Log everything, as relay_probe's flag of this name does
    #[arg(short, long, hide = true)]
    debug: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

pub(crate) async fn run(args: ProbeArgs) -> Outcome {
    if args.debug {
        logs::start("debug");
    } else {
        args.verbosity.start();
    }
    let mut signals = Signals::listen()?;
    let env = |name: &str| std::env::var(name).ok();
    tokio::select! {
        status = moqingbird_probe::run(&args.probe, &env, io::stdout()) => Ok(ExitCode::from(status?)),
        signal = signals.end() => Ok(ExitCode::from(128 + signal)),
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Output(error) => Self::Output(error),
            error => Self::input(error),
        }
    }
}
