//! `cargo xtask sim`: more seeds of the simulation than `cargo test` runs (`tests/sim`), optimized.

use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{Outcome, root};

/// The options of `cargo xtask sim`.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo xtask sim                          2,000 seeds in every draft
  cargo xtask sim --seeds 200000           a long run
  cargo xtask sim --seed 1234 --draft 16   one run again
  cargo xtask sim --seed 5000 --seeds 100  a hundred runs from there
  cargo xtask sim --planted                which seed finds each of the planted faults

A seed that fails prints what broke and the command that shows it again. Under `nice -n 19` it disturbs nobody.")]
pub(crate) struct Options {
    /// How many seeds each draft is tried with: 2,000, or with --seed that one alone, if nothing is said.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// This draft only; all of them if none is named.
    #[arg(long)]
    draft: Option<u16>,
    /// The first seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Plant one fault after another and look for the first seed that finds it.
    #[arg(long)]
    planted: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let Options { seeds, draft, seed, planted } = *options;
    let count = seeds.unwrap_or(if seed.is_some() { 1 } else { 2_000 });
    if let Some(draft) = draft
        && moqingbird_wire::Version::from_number(draft).is_none()
    {
        let known: Vec<_> = moqingbird_wire::Version::ALL.iter().map(|it| it.number().to_string()).collect();
        return Err(format!("there is no draft {draft} here, but {}", known.join(" and ")));
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--quiet", "--release", "--package", "moqingbird", "--no-default-features"]);
    cargo.args(["--test", "sim", "--", "--ignored", "--exact", "explore::seeds", "--nocapture"]);
    cargo.current_dir(root()).stdout(Stdio::piped()).env("MOQT_SIM_SEEDS", count.to_string());
    cargo.envs(draft.map(|draft| ("MOQT_SIM_DRAFT", draft.to_string())));
    cargo.envs(seed.map(|seed| ("MOQT_SIM_SEED", seed.to_string())));
    cargo.envs(planted.then_some(("MOQT_SIM_PLANTED", "1")));
    let mut child = cargo.spawn().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if let Some(stdout) = child.stdout.take() {
        show(stdout, count);
    }
    match child.wait().map_err(|error| format!("cargo cannot be waited for: {error}"))?.success() {
        true => Ok(()),
        false => Err("the simulation has failed".to_owned()),
    }
}

/// Passes on what the simulation says, and shows on a terminal how far it is.
fn show(stdout: ChildStdout, seeds: u64) {
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} seeds, {per_sec}, {eta} left");
    let bar = ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Some(done) = line.strip_prefix("progress ") {
            bar.set_position(done.parse().unwrap_or_default());
        } else if !is_harness(&line) {
            bar.suspend(|| println!("{line}"));
            if line.starts_with("done ") {
                bar.reset();
            }
        }
    }
    bar.finish_and_clear();
}

/// What the test harness says of itself.
fn is_harness(line: &str) -> bool {
    let line = line.trim();
    line.is_empty()
        || ["running ", "test ", "failures:", "explore::seeds", "error: test failed", "i", "."].iter().any(
            |it| {
                line == *it
                    || (it.ends_with(' ') && line.starts_with(it))
                    || (it.contains(':') && line.starts_with(it))
            },
        )
}
