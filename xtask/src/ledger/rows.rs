//! The rows of the ledgers, the reasons for those without a test, and the record by which a change is noticed.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use moqingbird_ledger::LEDGERS;

use crate::{Outcome, root};

/// Who is bound by a rule, in the order of the report.
pub(super) const ROLES: &[&str] = &["codec", "session", "transport", "publisher", "subscriber", "relay"];
/// How strictly, in the order of the report.
pub(super) const LEVELS: &[&str] = &["MUST", "SHOULD", "MAY"];

/// One testable rule of a draft.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) draft: u16,
    pub(super) id: String,
    pub(super) section: String,
    pub(super) level: String,
    pub(super) role: String,
    pub(super) rule: String,
    pub(super) observable: String,
}

impl Row {
    /// Draft, role and level.
    pub(super) fn group(&self) -> (u16, &str, &str) {
        (self.draft, &self.role, &self.level)
    }

    /// A number that changes when anything in the row does: FNV-1a of its fields.
    pub(super) fn digest(&self) -> u64 {
        let fields = [&self.id, &self.section, &self.level, &self.role, &self.rule, &self.observable];
        let bytes = fields.into_iter().flat_map(|field| field.bytes().chain([b'\t']));
        bytes.fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// All rows of all drafts.
pub(super) fn load() -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (draft, text) in LEDGERS {
        for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
            let fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
            let [id, section, level, role, rule, observable] =
                <[String; 6]>::try_from(fields).map_err(|fields| {
                    format!("ledger-{draft}.tsv: {} fields instead of 6 in: {line}", fields.len())
                })?;
            if !ROLES.contains(&role.as_str()) || !LEVELS.contains(&level.as_str()) {
                return Err(format!(
                    "ledger-{draft}.tsv: {id} has role {role} and level {level}, one of them unknown"
                ));
            }
            rows.push(Row { draft: *draft, id, section, level, role, rule, observable });
        }
    }
    Ok(rows)
}

/// Id and reason of every row that is known to have no test.
pub(super) fn reasons() -> Result<Vec<(String, String)>, String> {
    pairs("missing.tsv")
}

/// Id and digest of every row, as they were recorded.
pub(super) fn sealed() -> Result<Vec<(String, String)>, String> {
    pairs("digest.tsv")
}

/// Records the rows as they are.
pub(super) fn seal(rows: &[Row]) -> Outcome {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(text, "{}\t{:016x}", row.id, row.digest());
    }
    fs::write(path("digest.tsv"), text)
        .map_err(|error| format!("ledger/digest.tsv cannot be written: {error}"))
}

fn pairs(file: &str) -> Result<Vec<(String, String)>, String> {
    let text =
        fs::read_to_string(path(file)).map_err(|error| format!("ledger/{file} cannot be read: {error}"))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once('\t') {
            Some((id, rest)) if !rest.trim().is_empty() => Ok((id.to_owned(), rest.to_owned())),
            _ => Err(format!("ledger/{file}: expected an id, a tab and a text, found: {line}")),
        })
        .collect()
}

fn path(file: &str) -> PathBuf {
    root().join("ledger").join(file)
}
