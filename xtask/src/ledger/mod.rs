//! `cargo xtask ledger`: how many of the drafts' rules are named by a test that checks them.

mod check;
mod covers;
mod rows;
mod sources;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};

use clap::Args;

use crate::{Outcome, root};
use check::{CheckedAgainst, faults};
use covers::Cover;
use rows::Row;

/// The options of `cargo xtask ledger`.
#[derive(Args)]
pub(crate) struct Options {
    /// List the rows that no test names, each with the reason recorded in ledger/missing.tsv.
    #[arg(long)]
    missing: bool,
    /// Print a row, and place and body of the tests that name it.
    #[arg(long, value_name = "ID")]
    show: Option<String>,
    /// Fail on an unknown id, on a row changed or removed since --seal, on a naming test that is ignored or not compiled,
    /// on more than four rows in a test or more than one in a case, and on a reason for a row that has a test.
    #[arg(long)]
    check: bool,
    /// Record the rows as they are now in ledger/digest.tsv.
    #[arg(long, conflicts_with = "check")]
    seal: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let rows = rows::load()?;
    if options.seal {
        return rows::seal(&rows);
    }
    let sources = sources::compiled(&root())?;
    let tested = tested(&sources.covers);
    if let Some(id) = &options.show {
        return show(id, &rows, &sources.covers);
    }
    let reasons = rows::reasons()?;
    if options.missing {
        return print(&missing(&rows, &tested, &reasons));
    }
    print(&fractions(&rows, &tested))?;
    if options.check {
        let against = CheckedAgainst { rows: &rows, sealed: &rows::sealed()?, reasons: &reasons };
        let faults = faults(&sources, &against);
        if !faults.is_empty() {
            return Err(format!("\n{}\n{} faults in the ledger", faults.join("\n"), faults.len()));
        }
    }
    Ok(())
}

/// Writes to standard output; whoever reads it may leave early.
fn print(text: &str) -> Outcome {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

/// A line for each row without a test.
fn missing(rows: &[Row], tested: &BTreeMap<&str, Vec<&Cover>>, reasons: &[(String, String)]) -> String {
    let missing = rows.iter().filter(|row| !tested.contains_key(row.id.as_str()));
    let line = |row: &Row| {
        let reason =
            reasons.iter().find(|(id, _)| *id == row.id).map_or("no reason recorded", |(_, why)| why);
        format!("{}\t{}\t{}\t{reason}\n", row.id, row.level, row.role)
    };
    missing.map(line).collect()
}

/// A line for each group of rows, which ends after the fraction.
fn fractions(rows: &[Row], tested: &BTreeMap<&str, Vec<&Cover>>) -> String {
    let line = |(group, total): ((u16, &str, &str), usize)| {
        let named =
            rows.iter().filter(|row| row.group() == group && tested.contains_key(row.id.as_str())).count();
        format!("draft-{} {} {} {named}/{total}\n", group.0, group.1, group.2)
    };
    groups(rows).into_iter().map(line).collect()
}

/// The tests of each row, of those that are run.
fn tested(covers: &[Cover]) -> BTreeMap<&str, Vec<&Cover>> {
    let mut tested: BTreeMap<&str, Vec<&Cover>> = BTreeMap::new();
    for cover in covers.iter().filter(|cover| cover.fault.is_none()) {
        for row in &cover.rows {
            tested.entry(row).or_default().push(cover);
        }
    }
    tested
}

/// Draft, role and level with the number of rows, in the order of the report.
fn groups(rows: &[Row]) -> Vec<((u16, &str, &str), usize)> {
    let mut groups = Vec::new();
    for draft in moqingbird_ledger::LEDGERS.iter().map(|(draft, _)| *draft) {
        for role in rows::ROLES {
            for level in rows::LEVELS {
                let group = (draft, *role, *level);
                match rows.iter().filter(|row| row.group() == group).count() {
                    0 => {}
                    total => groups.push((group, total)),
                }
            }
        }
    }
    groups
}

fn show(id: &str, rows: &[Row], covers: &[Cover]) -> Outcome {
    let row = rows.iter().find(|row| row.id == id).ok_or_else(|| {
        format!(
            "no row {id}: ids look like D14-9.7-03, and ledger/data/ledger-14.tsv and -16.tsv hold them all"
        )
    })?;
    let mut text = format!("{} §{} {} {}\n{}\n", row.id, row.section, row.level, row.role, row.rule);
    let _ = writeln!(text, "observable: {}", row.observable);
    let naming: Vec<_> = covers.iter().filter(|cover| cover.rows.iter().any(|named| named == id)).collect();
    if naming.is_empty() {
        text.push_str("\nno test names it\n");
    }
    for cover in naming {
        let fault = cover.fault.as_ref().map(|fault| format!(" ({fault})")).unwrap_or_default();
        let _ = writeln!(text, "\n{}:{} {}{fault}", cover.file.display(), cover.line, cover.test);
        let file = fs::read_to_string(root().join(&cover.file)).map_err(|error| error.to_string())?;
        for line in file.lines().take(cover.body.1).skip(cover.body.0 - 1) {
            let _ = writeln!(text, "{line}");
        }
    }
    print(&text)
}

#[cfg(test)]
mod tests;
