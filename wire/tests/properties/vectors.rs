//! The vectors: tables of a draft's folder, a vector a line: name, section and hex, unless the first line names the columns.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use moqingbird_wire::Version;

/// One vector.
#[derive(Debug)]
pub(crate) struct Vector {
    /// The file it is in, without `.txt`.
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
}

/// Every vector of a draft.
pub(crate) fn vectors(version: Version) -> Vec<Vector> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../wire/tests/vectors/draft{}", version.number()));
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "tsv" || extension == "txt"));
    files.sort();
    files.iter().flat_map(read).collect()
}

fn read(file: &PathBuf) -> Vec<Vector> {
    let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let mut rows = lines.map(|line| line.split(['\t', '|']).map(str::trim).collect::<Vec<_>>()).peekable();
    let columns = rows.next_if(|row| row.contains(&"hex")).unwrap_or_else(|| vec!["name", "section", "hex"]);
    let column = |name| columns.iter().position(|column| *column == name).unwrap();
    let (name, hex) = (column("name"), column("hex"));
    rows.map(|row| Vector { file: stem.clone(), name: row[name].to_owned(), bytes: from_hex(row[hex]) })
        .collect()
}

fn from_hex(text: &str) -> Bytes {
    let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16));
    pairs.collect::<Result<Vec<_>, _>>().unwrap_or_else(|error| panic!("{text}: {error}")).into()
}
