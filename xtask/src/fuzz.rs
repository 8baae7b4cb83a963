//! `cargo xtask fuzz`: long runs of the fuzz targets under libFuzzer.
//!
//! Nothing has to be installed but a nightly toolchain (`rustup toolchain install nightly`): the crate libfuzzer-sys
//! brings libFuzzer's source, which a C++ compiler builds, and rustc brings the instrumentation.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

use clap::Args;

use crate::{Outcome, root};

/// What libFuzzer needs: counters and compared values at every edge, and checked arithmetic. Every memory error that safe
/// Rust lets through is a panic, so that no sanitizer is needed.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Ccodegen-units=1";

/// The options of `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct Options {
    /// How long each target runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// One of the files of fuzz/fuzz_targets, without `.rs`; all of them if none is named.
    target: Option<String>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let targets = targets()?;
    let chosen: Vec<_> = match &options.target {
        Some(target) if targets.contains(target) => vec![target.clone()],
        Some(target) => return Err(format!("no target {target}: there are {}", targets.join(", "))),
        None => targets,
    };
    build(&chosen)?;
    chosen.iter().try_for_each(|target| fuzz(target, options.minutes))
}

/// The names of the targets.
fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut names: Vec<_> = files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn build(targets: &[String]) -> Outcome {
    let mut cargo = Command::new("rustup");
    cargo.args(["run", "nightly", "cargo", "build", "--release", "--package", "moqingbird-fuzz"]);
    // With a target of its own the flags do not reach build scripts.
    cargo
        .args(["--features", "libfuzzer", "--target", TRIPLE, "--target-dir"])
        .arg(root().join("fuzz/target"));
    cargo.args(targets.iter().flat_map(|target| ["--bin", target]));
    cargo.env("RUSTFLAGS", RUSTFLAGS).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "false").current_dir(root());
    match status(&mut cargo)?.success() {
        true => Ok(()),
        false => {
            Err("the fuzz targets do not build; if nightly is missing: rustup toolchain install nightly"
                .to_owned())
        }
    }
}

/// The machine that this was built for.
const TRIPLE: &str = env!("XTASK_TARGET");

/// Runs one target. New inputs go to fuzz/target/corpus, a finding to fuzz/target/findings: commit it to
/// fuzz/corpus/TARGET once its cause is mended.
fn fuzz(target: &str, minutes: u64) -> Outcome {
    let out = root().join("fuzz/target");
    let (grown, findings) = (out.join("corpus").join(target), out.join("findings").join(target));
    for folder in [&grown, &findings] {
        fs::create_dir_all(folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    }
    let mut run = Command::new(out.join(TRIPLE).join("release").join(target));
    run.arg(&grown).arg(seeds(target));
    run.arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-artifact_prefix={}/", findings.display()));
    run.args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048", "-max_len=70000"]);
    println!("fuzzing {target} for {minutes} min");
    match status(&mut run)?.success() {
        true => Ok(()),
        false => Err(format!("{target}: a finding; the input is in {}", findings.display())),
    }
}

fn seeds(target: &str) -> std::path::PathBuf {
    root().join(Path::new("fuzz/corpus").join(target))
}

fn status(command: &mut Command) -> Result<ExitStatus, String> {
    command
        .status()
        .map_err(|error| format!("{} cannot be run: {error}", command.get_program().to_string_lossy()))
}
