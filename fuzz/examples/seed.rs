//! Writes the seeds of the corpus: `cargo run -p moqingbird-fuzz --example seed`.

#[path = "../tests/seeds/mod.rs"]
mod seeds;

use std::fs;

fn main() -> std::io::Result<()> {
    for (place, input) in seeds::all() {
        let file = seeds::corpus().join(place);
        fs::create_dir_all(file.parent().unwrap_or(&file))?;
        fs::write(file, input)?;
    }
    Ok(())
}
