//! `moqt interop`: the test client is a crate of its own.

use std::io;
use std::process::ExitCode;

use moqingbird_interop::matrix::{MatrixArgs, matrix};
use moqingbird_interop::{Args, Command, Settings};

use crate::exit::{Failure, Outcome};
use crate::logs;

pub(crate) async fn run(args: Args) -> Outcome {
    let env = |name: &str| std::env::var(name).ok();
    logs::start(if Settings::verbose(&args, &env) {
        "info,moqingbird=debug,moqingbird_relay=debug"
    } else {
        "error"
    });
    if let Some(Command::Matrix(args)) = &args.command {
        return run_matrix(args).await;
    }
    let status = moqingbird_interop::run(&args, &env, io::stdout().lock(), io::stderr()).await?;
    Ok(ExitCode::from(status))
}

async fn run_matrix(args: &MatrixArgs) -> Outcome {
    match matrix(args, io::stdout()).await {
        Ok(status) => Ok(ExitCode::from(status)),
        Err(error) if error.is_usage() => Err(Failure::input(error)),
        Err(error) => Err(Failure::failed(error)),
    }
}
