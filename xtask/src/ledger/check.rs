//! What `cargo xtask ledger --check` refuses.

use std::collections::BTreeMap;

use super::covers::{Cover, Place};
use super::rows::Row;
use super::sources::Sources;
use super::tested;

/// How many rows a test may name.
const ROWS_A_TEST: usize = 4;

/// What the tests' names are compared with.
pub(super) struct CheckedAgainst<'a> {
    pub(super) rows: &'a [Row],
    pub(super) sealed: &'a [(String, String)],
    pub(super) reasons: &'a [(String, String)],
}

/// Everything that is wrong, one line each.
pub(super) fn faults(sources: &Sources, against: &CheckedAgainst<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let known = |id: &str| against.rows.iter().any(|row| row.id == id);
    for cover in &sources.covers {
        let at = format!("{}:{} {}", cover.file.display(), cover.line, cover.test);
        faults.extend(cover.fault.iter().map(|fault| format!("{at}: {fault}")));
        faults.extend(
            cover.rows.iter().filter(|id| !known(id)).map(|id| format!("{at}: no row has the id {id}")),
        );
        if cover.place == Place::Case && cover.rows.len() != 1 {
            faults.push(format!("{at}: a case names one row, not {}", cover.rows.len()));
        }
    }
    faults.extend(crowded(&sources.covers));
    faults.extend(
        sources.unread.iter().map(|file| format!("{}: names rows and is in no crate", file.display())),
    );
    faults.extend(changed(against));
    let tested = tested(&sources.covers);
    for (id, _) in against.reasons {
        if !known(id) {
            faults.push(format!("ledger/missing.tsv: no row has the id {id}"));
        } else if tested.contains_key(id.as_str()) {
            faults.push(format!("ledger/missing.tsv: {id} has a test, so it needs no reason"));
        }
    }
    faults
}

/// Tests that name too many rows.
fn crowded(covers: &[Cover]) -> Vec<String> {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for cover in covers.iter().filter(|cover| cover.place == Place::Test) {
        *counts.entry((&cover.file, cover.body, &cover.test)).or_default() += cover.rows.len();
    }
    let crowded = counts.into_iter().filter(|(_, count)| *count > ROWS_A_TEST);
    crowded
        .map(|((file, body, test), count)| {
            format!(
                "{}:{} {test}: a test names {ROWS_A_TEST} rows at most, not {count}",
                file.display(),
                body.0
            )
        })
        .collect()
}

/// Rows that are not as they were recorded.
fn changed(against: &CheckedAgainst<'_>) -> Vec<String> {
    let now: BTreeMap<_, _> =
        against.rows.iter().map(|row| (row.id.as_str(), format!("{:016x}", row.digest()))).collect();
    let mut faults = Vec::new();
    for (id, digest) in against.sealed {
        match now.get(id.as_str()) {
            None => faults.push(format!("ledger/data: row {id} has been removed")),
            Some(current) if current != digest => {
                faults.push(format!("ledger/data: row {id} has been changed"));
            }
            Some(_) => {}
        }
    }
    let recorded = |id: &str| against.sealed.iter().any(|(sealed, _)| sealed == id);
    let added = against.rows.iter().filter(|row| !recorded(&row.id));
    faults.extend(added.map(|row| format!("ledger/data: row {} is new: cargo xtask ledger --seal", row.id)));
    faults
}
