//! The vectors: the tables of a draft's folder, a vector a line. The first line names the columns, of which every table has
//! `name`, `section` and `hex`; lines that begin with `#` are for the reader.

use std::fmt;
use std::fs;
use std::ops::Index;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use moqingbird_wire::Version;

/// One vector.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    version: Version,
    /// The table that it is in, without `.tsv`.
    pub(crate) file: String,
    pub(crate) name: &'static str,
    pub(crate) bytes: Bytes,
    columns: Vec<(&'static str, &'static str)>,
}

/// The vectors of those of a draft's tables that are `chosen` by name. They stay for as long as the tests run.
pub(crate) fn vectors(version: Version, chosen: impl Fn(&str) -> bool) -> Vec<Vector> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../wire/tests/vectors/draft{}", version.number()));
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| chosen(&stem(file)));
    let vectors: Vec<_> = files.iter().flat_map(|file| table(version, file)).collect();
    assert!(!vectors.is_empty(), "no vector was chosen");
    vectors
}

fn table(version: Version, file: &Path) -> Vec<Vector> {
    let text: &'static str = fs::read_to_string(file).unwrap().leak();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> =
        lines.next().unwrap_or_else(|| panic!("{} is empty", file.display())).split('\t').collect();
    let vector = |line: &'static str| {
        let values: Vec<_> = line.split('\t').collect();
        assert_eq!(values.len(), names.len(), "columns in {}: {line}", file.display());
        let columns = names.iter().copied().zip(values).collect();
        let empty = Vector { version, file: stem(file), name: "", bytes: Bytes::new(), columns };
        Vector { name: empty["name"], bytes: hex(empty["hex"]), ..empty.clone() }
    };
    lines.map(vector).collect()
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}

/// Bytes from hexadecimal digits; blanks are for the reader.
pub(crate) fn hex(digits: &str) -> Bytes {
    let digits: Vec<u32> =
        digits.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("a digit")).collect();
    assert!(digits.len().is_multiple_of(2), "whole bytes");
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// What stands in a column.
impl Index<&str> for Vector {
    type Output = &'static str;

    fn index(&self, column: &str) -> &&'static str {
        let found = self.columns.iter().find(|(name, _)| *name == column);
        &found.unwrap_or_else(|| panic!("no column {column} in {}", self.file)).1
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} §{})", self.name, self.file, self.version, self["section"])
    }
}
