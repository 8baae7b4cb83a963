//! `moqt interop`: the test client is a crate of its own.

use std::io;
use std::process::ExitCode;

use moqingbird_interop::{Args, Settings};

use crate::exit::Outcome;
use crate::logs;

pub(crate) async fn run(args: Args) -> Outcome {
    let env = |name: &str| std::env::var(name).ok();
    logs::start(if Settings::verbose(&args, &env) {
        "info,moqingbird=debug,moqingbird_relay=debug"
    } else {
        "error"
    });
    let status = moqingbird_interop::run(&args, &env, io::stdout().lock(), io::stderr()).await?;
    Ok(ExitCode::from(status))
}
