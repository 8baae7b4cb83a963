//! Walls that the compiler does not know.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The lines of a file that are neither comment nor test.
fn code(path: &Path) -> Vec<(usize, String)> {
    if path.with_extension("").iter().any(|part| part == "tests") {
        return Vec::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(str::trim).enumerate().take_while(|(_, line)| *line != "#[cfg(test)]");
    lines.filter(|(_, line)| !line.starts_with("//")).map(|(at, line)| (at + 1, line.to_owned())).collect()
}

fn forbid(folders: &[&str], words: &[&str]) {
    forbid_but(folders, words, "\n");
}

/// As [`forbid`], where this is not meant.
fn forbid_but(folders: &[&str], words: &[&str], allowed: &str) {
    let mut seen = 0;
    for path in folders.iter().flat_map(|folder| sources(folder)) {
        seen += 1;
        for (at, line) in code(&path) {
            let rest = line.replace(allowed, "");
            for word in words {
                assert!(!rest.contains(word), "{}:{at} has {word:?}: {line}", path.display());
            }
        }
    }
    assert!(seen > 0, "no source in {folders:?}");
}

#[test]
fn wire_and_session_have_no_clock_socket_task_or_lock() {
    let words =
        ["tokio", "quinn", "std::net", "Instant::now", "SystemTime", "std::thread", "Mutex", "RwLock"];
    forbid(&["wire/src", "src/session"], &words);
}

#[test]
fn drafts_are_named_only_where_they_are_chosen() {
    let folders = ["src/session", "src/api", "src/track", "relay/src"];
    // To name all of them is to name none.
    forbid_but(&folders, &["draft1", "Draft1", "Version::"], "Version::ALL");
}

#[test]
fn wire_and_session_do_not_panic_by_convenience() {
    let words = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("];
    forbid(&["wire/src", "src/session"], &words);
}

#[test]
fn nothing_is_left_for_later() {
    for folder in [
        "src", "wire", "ledger", "relay", "interop", "probe", "bench", "cli", "link", "fuzz", "xtask",
        "examples", "benches",
    ] {
        for path in sources(folder) {
            let text = fs::read_to_string(&path).unwrap();
            for word in [concat!("TO", "DO"), concat!("FIX", "ME")] {
                assert!(!text.contains(word), "{} has {word}", path.display());
            }
        }
    }
}

#[test]
fn every_test_that_the_ambiguity_log_names_exists() {
    let tests: String = ["tests", "wire/tests", "src"]
        .iter()
        .flat_map(|folder| sources(folder))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let log = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("AMBIGUITIES.md")).unwrap();
    // The last cell of a row holds nothing but the names, in backquotes.
    let cells = log.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.rsplit('|').nth(1));
    let names: Vec<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 30, "the log was not read: {names:?}");
    for name in names {
        let defined = tests.contains(&format!("fn {name}(")) || tests.contains(&format!("    {name};"));
        assert!(defined, "AMBIGUITIES.md names {name}, which is no test");
    }
}

#[test]
fn faults_are_planted_in_tests_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifests = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path().join("Cargo.toml"));
    for manifest in manifests.chain([root.join("Cargo.toml")]).filter(|manifest| manifest.is_file()) {
        let text = fs::read_to_string(&manifest).unwrap();
        let mut section = "";
        for line in text.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let lawful = ["[features]", "[dev-dependencies]"].contains(&section) || line.starts_with('#');
            assert!(!line.contains("planted") || lawful, "{}: {line}", manifest.display());
        }
    }
}
