//! What counts as a named row and what `--check` refuses, on small sources.

use std::path::Path;

use super::check::{CheckedAgainst, faults};
use super::covers::{Cover, Place, find};
use super::rows::{LEVELS, ROLES, Row, load};
use super::sources::Sources;
use super::{fractions, missing, tested};

fn covers(text: &str) -> Vec<Cover> {
    find(Path::new("tests/some.rs"), text, None, &["net".to_owned()]).unwrap().covers
}

/// The fault of the only naming.
fn fault(text: &str) -> Option<String> {
    let covers = covers(text);
    assert_eq!(covers.len(), 1, "{covers:?}");
    covers[0].fault.clone()
}

fn rows() -> Vec<Row> {
    let mut rows = load().unwrap();
    rows.truncate(6);
    rows
}

/// What `--check` says of a source, of the first six rows and this record.
fn checked(text: &str, sealed: &[(String, String)], reasons: &[(String, String)]) -> Vec<String> {
    let sources = Sources { covers: covers(text), unread: Vec::new() };
    faults(&sources, &CheckedAgainst { rows: &rows(), sealed, reasons })
}

fn seal() -> Vec<(String, String)> {
    rows().iter().map(|row| (row.id.clone(), format!("{:016x}", row.digest()))).collect()
}

#[test]
fn a_test_names_rows_by_a_statement() {
    let covers = covers(
        "#[test]\nfn reads() {\n    moqingbird_ledger::covers!(\"A\", \"B\");\n    assert!(true);\n}\n",
    );
    assert_eq!(covers.len(), 1);
    assert_eq!((covers[0].test.as_str(), covers[0].line, covers[0].body), ("reads", 3, (1, 5)));
    assert_eq!(
        (covers[0].place, covers[0].rows.as_slice()),
        (Place::Test, &["A".to_owned(), "B".to_owned()][..])
    );
    assert_eq!(covers[0].fault, None);
}

#[test]
fn a_case_names_its_row_by_a_value() {
    let covers = covers(
        "#[test] fn all() { for case in [Case { row: covers!(\"A\"), byte: 1 }, (covers!(\"B\"), 2)] {} }",
    );
    assert_eq!(covers.iter().map(|cover| cover.place).collect::<Vec<_>>(), [Place::Case, Place::Case]);
}

#[test]
fn a_table_counts_where_a_test_uses_it() {
    assert_eq!(fault("const T: &[Rows] = &[covers!(\"A\")]; #[test] fn all() { run(T); }"), None);
    assert!(fault("const T: &[Rows] = &[covers!(\"A\")]; #[test] fn all() {}").is_some());
}

#[test]
fn a_function_counts_where_a_macro_mounts_it() {
    assert_eq!(fault("fn goes(v: Version) { covers!(\"A\"); } in_every_draft!(goes);"), None);
    assert_eq!(fault("in_every_draft! { fn goes(v: Version) { covers!(\"A\"); } }"), None);
    assert_eq!(fault("proptest! { #[test] fn goes(v in any()) { covers!(\"A\"); } }"), None);
    assert!(fault("fn goes() { covers!(\"A\"); }").is_some());
}

#[test]
fn an_ignored_test_does_not_count() {
    assert!(fault("#[test] #[ignore = \"slow\"] fn goes() { covers!(\"A\"); }").unwrap().contains("ignored"));
    assert!(fault("proptest! { #[test] #[ignore] fn goes(v in any()) { covers!(\"A\"); } }").is_some());
    assert!(fault("#[test] #[cfg_attr(unix, ignore)] fn goes() { covers!(\"A\"); }").is_some());
    assert_eq!(fault("#[test] #[cfg_attr(windows, ignore)] fn goes() { covers!(\"A\"); }"), None);
}

#[test]
fn a_test_that_is_not_compiled_does_not_count() {
    assert!(fault("#[cfg(windows)] #[test] fn goes() { covers!(\"A\"); }").unwrap().contains("not compiled"));
    assert!(fault("#[cfg(any())] mod tests { #[test] fn goes() { covers!(\"A\"); } }").is_some());
    assert!(fault("#[test] #[cfg(feature = \"other\")] fn goes() { covers!(\"A\"); }").is_some());
    assert!(fault("#![cfg(not(unix))] #[test] fn goes() { covers!(\"A\"); }").is_some());
}

#[test]
fn a_test_behind_a_condition_that_holds_counts() {
    assert_eq!(fault("#[cfg(all(test, unix))] mod tests { #[test] fn goes() { covers!(\"A\"); } }"), None);
    assert_eq!(fault("#[cfg(feature = \"net\")] #[test] fn goes() { covers!(\"A\"); }"), None);
    assert_eq!(fault("#[tokio::test] async fn goes() { covers!(\"A\"); }"), None);
}

#[test]
fn the_ledger_as_recorded_has_no_fault() {
    let source = format!("#[test] fn goes() {{ covers!({:?}); }}", rows()[0].id);
    assert_eq!(checked(&source, &seal(), &[]), Vec::<String>::new());
}

#[test]
fn a_row_whose_test_is_ignored_or_not_compiled_is_a_fault() {
    let id = &rows()[0].id;
    for (attribute, told) in [("#[ignore]", "ignored"), ("#[cfg(windows)]", "not compiled")] {
        let source = format!("#[test] {attribute} fn goes() {{ covers!({id:?}); }}");
        let faults = checked(&source, &seal(), &[]);
        assert!(faults.len() == 1 && faults[0].contains(told), "{attribute}: {faults:?}");
    }
}

#[test]
fn a_group_is_told_in_one_line_that_ends_after_the_fraction() {
    let rows = load().unwrap();
    let source = format!("#[test] fn goes() {{ covers!({:?}, \"D14-9.7-03\"); }}", rows[0].id);
    let named = covers(&source);
    let lines = fractions(&rows, &tested(&named));
    for line in lines.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [draft, role, level, fraction] = words[..] else { panic!("{line}") };
        assert!(draft.starts_with("draft-") && ROLES.contains(&role) && LEVELS.contains(&level), "{line}");
        let (covered, total) = fraction.split_once('/').unwrap();
        assert!(covered.parse::<usize>().unwrap() <= total.parse().unwrap(), "{line}");
    }
    let musts = |role: &str, totals: [usize; 2]| {
        for (draft, total) in [14, 16].into_iter().zip(totals) {
            let line = lines.lines().find(|line| line.starts_with(&format!("draft-{draft} {role} MUST ")));
            assert!(line.unwrap().ends_with(&format!("/{total}")), "{line:?}");
        }
    };
    musts("codec", [54, 65]);
    musts("session", [96, 108]);
    musts("transport", [6, 9]);
    musts("publisher", [88, 97]);
    musts("subscriber", [51, 63]);
    musts("relay", [50, 56]);
}

#[test]
fn a_row_without_a_test_is_told_with_its_reason() {
    let rows = rows();
    let named = covers(&format!("#[test] fn goes() {{ covers!({:?}); }}", rows[0].id));
    let text = missing(&rows, &tested(&named), &[(rows[1].id.clone(), "hard".to_owned())]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), rows.len() - 1, "{text}");
    assert!(lines[0].starts_with(&rows[1].id) && lines[0].ends_with("\thard"), "{text}");
    assert!(lines[1].starts_with(&rows[2].id) && lines[1].ends_with("\tno reason recorded"), "{text}");
}

#[test]
fn an_unknown_id_is_a_fault() {
    let faults = checked("#[test] fn goes() { covers!(\"D14-0.0-00\"); }", &seal(), &[]);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("no row has the id D14-0.0-00"), "{faults:?}");
}

#[test]
fn more_than_four_rows_in_a_test_are_a_fault() {
    let ids: Vec<_> = rows().iter().map(|row| format!("{:?}", row.id)).collect();
    let source =
        format!("#[test] fn goes() {{ covers!({}); covers!({}); }}", ids[..3].join(","), ids[3..5].join(","));
    let faults = checked(&source, &seal(), &[]);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("4 rows at most, not 5"), "{faults:?}");
}

#[test]
fn more_than_one_row_in_a_case_is_a_fault() {
    let rows = rows();
    let source = format!("#[test] fn goes() {{ run(covers!({:?}, {:?})); }}", rows[0].id, rows[1].id);
    assert!(checked(&source, &seal(), &[])[0].contains("a case names one row, not 2"));
}

#[test]
fn a_changed_a_removed_and_a_new_row_are_faults() {
    let mut sealed = seal();
    sealed[0].1 = "0".to_owned();
    sealed[1].0 = "D14-gone".to_owned();
    let faults = checked("", &sealed, &[]);
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(
        faults[0].contains("changed") && faults[1].contains("removed") && faults[2].contains("new"),
        "{faults:?}"
    );
}

#[test]
fn a_reason_for_a_row_that_has_a_test_is_a_fault() {
    let id = rows()[0].id.clone();
    let source = format!("#[test] fn goes() {{ covers!({id:?}); }}");
    let faults = checked(&source, &seal(), &[(id, "hard".to_owned())]);
    assert!(faults[0].contains("needs no reason"), "{faults:?}");
}
