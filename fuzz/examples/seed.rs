//! Writes the seeds of the corpus from the vectors that are read, not refused: `cargo run -p moqingbird-fuzz --example seed`.

#[path = "../../wire/tests/properties/vectors.rs"]
mod vectors;

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::buf::Reader;

fn main() -> std::io::Result<()> {
    for (draft, version) in Version::ALL.iter().enumerate() {
        let accepted =
            vectors::vectors(*version).into_iter().filter(|vector| !vector.file.contains("refused"));
        for vector in accepted {
            let control = vector.file.contains("control") || vector.file.contains("accepted");
            let name: String =
                vector.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            for (target, input) in seeds(draft as u8, *version, control, &vector.bytes) {
                let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(&target);
                fs::create_dir_all(&folder)?;
                fs::write(folder.join(format!("{}-{name}", version.number())), input)?;
            }
        }
    }
    Ok(())
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
