//! The seeds of the corpus: what the vectors that are read, not refused, make for each target.

#[path = "../../../wire/tests/vectors/mod.rs"]
mod vectors;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::buf::Reader;

/// Where the corpus is kept.
pub(crate) fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Every seed by its place in the corpus: target, then draft and name of the vector.
pub(crate) fn all() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for (draft, version) in Version::ALL.iter().enumerate() {
        for vector in vectors::vectors(*version, |file| !file.contains("refused")) {
            let control = vector.file.contains("control") || vector.file.contains("accepted");
            let name: String =
                vector.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            for (target, input) in seeds(draft as u8, *version, control, &vector.bytes) {
                all.insert(Path::new(&target).join(format!("{}-{name}", version.number())), input);
            }
        }
    }
    all
}

/// The inputs that a vector makes, each with its target. See `moqingbird_fuzz::TARGETS` for what precedes the bytes.
fn seeds(draft: u8, version: Version, control: bool, bytes: &Bytes) -> Vec<(String, Vec<u8>)> {
    let with = |before: &[u8], bytes: &[u8]| [before, bytes].concat();
    let stream = ("streams".to_owned(), with(&[draft, 1, 0, 4], bytes));
    if control {
        let differential = ("differential".to_owned(), with(&[draft, 0], bytes));
        return vec![(format!("control{}", version.number()), bytes.to_vec()), differential, stream];
    }
    let mut seeds = vec![(format!("data{}", version.number()), bytes.to_vec()), stream];
    let mut r = Reader::new(bytes);
    match version.draft().decode_opening(&mut r) {
        // What follows an opening, as the first object or item.
        Ok(opening) => {
            let unit = if matches!(opening, moqingbird_wire::model::Opening::Fetch(_)) { 4 } else { 3 };
            seeds.push(("differential".to_owned(), with(&[draft, unit], &bytes[r.offset()..])));
        }
        Err(_) => seeds.push(("differential".to_owned(), with(&[draft, 1], bytes))),
    }
    seeds
}
