//! The `moqt` command.
fn main() {}
