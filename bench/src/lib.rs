//! How fast MoQT is, how late, and what it costs: the suite behind `moqt bench`.
//!
//! A run is a **scene** (`scene`): a publisher, subscribers, and perhaps something between them, each a **role**
//! (`role`) that plays in this process or in one of its own. The same publisher and subscriber (`publish`,
//! `receive`) drive sessions of this project (`ours`) and bare QUIC or WebTransport (`bare`), so that two figures
//! of one workload differ by the protocol and by nothing else.
//!
//! Everything that a run found is one [`Report`], which people read as text and programs as JSON or CSV.

mod adaptive;
mod args;
mod bare;
mod codec;
mod compare;
mod control;
mod ours;
mod outputs;
mod plot;
mod progress;
mod publish;
mod receive;
mod report;
mod role;
mod scene;
mod stamp;
mod tally;
mod usage;
mod versus;
mod workload;

use std::process::ExitCode;

pub use args::Args;
pub use report::{Latency, ProcessReport, Report};
pub use workload::{Congestion, Transport, Workload};

use args::Bench;

/// Why a run came to nothing: what was tried, and what came back.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs what the command line asks for.
///
/// # Errors
/// A process could not be started, a session failed, or a file could not be read or written; the text says which.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    match args.bench {
        Bench::Loopback(args) => outputs::show(&args.output, &scene::loopback(&args).await?)?,
        Bench::Relay(args) => outputs::show(&args.output, &scene::relay(&args).await?)?,
        Bench::Fanout(args) => outputs::show(&args.output, &scene::fanout(&args).await?)?,
        Bench::Bare(args) => outputs::show(&args.output, &scene::bare(&args).await?)?,
        Bench::Pub(args) => outputs::show(&args.output, &scene::publisher(&args).await?)?,
        Bench::Sub(args) => outputs::show(&args.output, &scene::subscriber(&args).await?)?,
        Bench::Adaptive(args) => adaptive::run(&args).await?,
        Bench::Control(args) => control::run(&args).await?,
        Bench::Codec(args) => codec::run(&args)?,
        Bench::Compare(args) => compare::run(&args)?,
        Bench::Versus(args) => versus::run(&args).await?,
        Bench::Role { role } => role::play_as_child(&role).await?,
    }
    Ok(ExitCode::SUCCESS)
}
