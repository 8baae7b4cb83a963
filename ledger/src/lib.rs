//! The drafts' testable rules as data, and the macro by which tests name those that they check.
//!
//! `cargo xtask ledger` counts the rows that tests name and refuses names that do not exist.

/// The ledgers: one header line, then a rule a line: id, section, level, role, rule, observable.
pub const LEDGERS: &[(u16, &str)] =
    &[(14, include_str!("../data/ledger-14.tsv")), (16, include_str!("../data/ledger-16.tsv"))];

/// Names the rows whose observable a test asserts: at most four a test. In a table-driven test each case names its
/// one row; the macro is then the value of that case's field.
///
/// ```
/// # use moqingbird_ledger::covers;
/// covers!("D14-9.7-03", "D16-9.9-03");
/// ```
#[macro_export]
macro_rules! covers {
    ($($row:literal),+ $(,)?) => {
        $crate::rows(&[$($row),+])
    };
}

/// The rows that a test or a case names.
pub const fn rows(rows: &'static [&'static str]) -> Rows {
    Rows(rows)
}

/// What [`covers!`] gives.
#[derive(Clone, Copy, Debug)]
pub struct Rows(pub &'static [&'static str]);
