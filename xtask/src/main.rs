//! Chores of the project: `cargo xtask NAME`.

mod api;
mod fuzz;
mod ledger;
mod opinions;
mod performance;
mod sim;
mod soak;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

/// Chores of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Chore {
    /// List the public API of the library crates in api/, or check that the listing is true and its changes are told.
    Api(api::Options),
    /// Count the drafts' rules that tests name, and check that the names are right.
    Ledger(ledger::Options),
    /// Fuzz a target with libFuzzer, or all of them one after another.
    Fuzz(fuzz::Options),
    /// Have aiomoqt read what the codec writes, and the reverse: only the departures that are listed may differ.
    Opinions(opinions::Options),
    /// Run a relay under a steady load: its memory must stay level.
    Soak(soak::Options),
    /// Run the simulation of whole sessions with many seeds.
    Sim(sim::Options),
    /// Measure what PERFORMANCE.md tells, and write it there.
    Performance(performance::Options),
}

/// What a chore answers: nothing, or why it failed.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let outcome = match Chore::parse() {
        Chore::Api(options) => api::run(&options),
        Chore::Ledger(options) => ledger::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Opinions(options) => opinions::run(&options),
        Chore::Soak(options) => soak::run(&options),
        Chore::Sim(options) => sim::run(&options),
        Chore::Performance(options) => performance::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
