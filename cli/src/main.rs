//! `moqt`: relay, publish, subscribe and test MoQT from the command line.
//!
//! Stdout carries results only, logs go to stderr. Exit status: 0 done, 1 it failed on the way, 2 the input cannot be used.

mod announced;
mod bench;
mod clock;
mod connection;
mod decode;
mod exit;
mod fetch;
mod groups;
mod in_order;
mod input;
mod interop;
mod link;
mod logs;
mod meter;
mod mlog;
mod place;
mod probe;
mod publish;
mod publisher;
mod received;
mod receiver;
mod redact;
mod relay;
mod signals;
mod sink;
mod stats;
mod status;
mod subscribe;
mod target;
mod timestamp;
mod token;
mod upstream;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Outcome;

/// Media over QUIC Transport: relay, publish, subscribe, test.
#[derive(Debug, Parser)]
#[command(name = "moqt", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples, each in a terminal of its own:
  moqt relay
  seq 1000 | moqt pub moqt://localhost:4443 demo numbers --insecure
  moqt sub https://localhost:4443/ demo numbers --insecure";

#[derive(Debug, Subcommand)]
enum Command {
    Relay(Box<relay::Args>),
    Token(token::Args),
    Pub(publish::Args),
    Sub(subscribe::Args),
    Fetch(fetch::Args),
    Announced(announced::Args),
    Status(status::Args),
    Clock(clock::Args),
    Decode(decode::Args),
    Interop(moqingbird_interop::Args),
    Probe(probe::ProbeArgs),
    Bench(moqingbird_bench::Args),
    Version(version::Args),
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => exit::report(run(cli.command)),
        Err(error) => exit::usage(&error),
    }
}

fn run(command: Command) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Relay(args) => relay::run(*args).await,
            Command::Token(args) => token::run(args),
            Command::Pub(args) => publish::run(args).await,
            Command::Sub(args) => subscribe::run(args).await,
            Command::Fetch(args) => fetch::run(args).await,
            Command::Announced(args) => announced::run(args).await,
            Command::Status(args) => status::run(args).await,
            Command::Clock(args) => clock::run(args).await,
            Command::Decode(args) => decode::run(&args),
            Command::Interop(args) => interop::run(args).await,
            Command::Probe(args) => probe::run(args).await,
            Command::Version(args) => version::run(&args),
            Command::Bench(args) => bench::run(args).await,
        }
    });
    // A thread may be waiting for stdin, which nothing can interrupt.
    runtime.shutdown_background();
    outcome
}
