//! `cargo xtask api`: the public API of the library crates, listed in `api/`.
//!
//! The listings are made from the sources alone: every item that can be reached from a crate's root, with its signature, one
//! a line, sorted. They are committed, so that a change of the API shows in review, and must be told in CHANGELOG.md:
//! the listings may not differ from those of the commit that last changed CHANGELOG.md, unless CHANGELOG.md differs too.

mod items;
mod names;
mod source;
mod text;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;

use crate::{Outcome, root};
use items::Lister;
use source::Module;

/// The crates that others may depend on, and where their roots are.
const CRATES: [(&str, &str); 5] = [
    ("moqingbird", "src/lib.rs"),
    ("moqingbird_wire", "wire/src/lib.rs"),
    ("moqingbird_relay", "relay/src/lib.rs"),
    ("moqingbird_interop", "interop/src/lib.rs"),
    ("moqingbird_probe", "probe/src/lib.rs"),
];

/// The options of `cargo xtask api`.
#[derive(Args)]
pub(crate) struct Options {
    /// Change nothing: fail if a listing is not that of the sources, or if it has changed without CHANGELOG.md
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    for (name, file) in CRATES {
        let listing = listing(name, &root().join(file))?;
        let path = root().join("api").join(format!("{}.txt", name.replace('_', "-")));
        if options.check { compare(&path, &listing)? } else { write(&path, &listing)? }
    }
    if options.check { told() } else { Ok(()) }
}

fn listing(name: &str, file: &Path) -> Result<String, String> {
    let crate_root = Module::load(file)?;
    let lines = Lister::new(&crate_root).list(name);
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

fn write(path: &Path, listing: &str) -> Outcome {
    let failed = |error| format!("{} cannot be written: {error}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    fs::write(path, listing).map_err(failed)
}

fn compare(path: &Path, listing: &str) -> Outcome {
    let committed = fs::read_to_string(path).unwrap_or_default();
    let (was, is): (Vec<_>, Vec<_>) = (committed.lines().collect(), listing.lines().collect());
    if was == is {
        return Ok(());
    }
    let gone = was.iter().filter(|line| !is.contains(line)).map(|line| format!("- {line}\n"));
    let come = is.iter().filter(|line| !was.contains(line)).map(|line| format!("+ {line}\n"));
    let changes: String = gone.chain(come).collect();
    Err(format!(
        "{changes}{} is not the public API of the sources: run `cargo xtask api`, and say in CHANGELOG.md what users notice",
        path.display()
    ))
}

/// Whether CHANGELOG.md has changed since the listings were what it tells of. Without git nobody knows.
fn told() -> Outcome {
    let Some(commit) = git(&["log", "-1", "--format=%H", "--", "CHANGELOG.md"]) else { return Ok(()) };
    let changed = |path| git(&["diff", "--quiet", commit.trim(), "--", path]).is_none();
    if commit.trim().is_empty() || !changed("api") || changed("CHANGELOG.md") {
        return Ok(());
    }
    Err(format!(
        "the public API has changed since CHANGELOG.md was last edited ({}): say there what users notice; \
         `git diff {0} -- api` shows the changes",
        commit.get(..12).unwrap_or(&commit)
    ))
}

/// What git says, if it succeeds.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).current_dir(root()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
