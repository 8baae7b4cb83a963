//! Where payloads go.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use moqingbird::wire::model::Location;

use crate::exit::Failure;

/// Lines on stdout, or files in a directory.
#[derive(Debug)]
pub(crate) enum Sink {
    Stdout,
    Directory(PathBuf),
}

impl Sink {
    /// Stdout, or a directory, which is made.
    pub(crate) fn new(directory: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = directory else { return Ok(Self::Stdout) };
        std::fs::create_dir_all(&path).map_err(|error| {
            Failure::Input(format!("cannot make the directory {}: {error}; name another", path.display()))
        })?;
        Ok(Self::Directory(path))
    }

    pub(crate) fn write(&self, location: Location, payload: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(payload)?;
                out.write_all(b"\n")?;
            }
            Self::Directory(directory) => write_file(directory, location, payload)?,
        }
        Ok(())
    }

    /// What was written must be seen: the reader may be another program.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        match self {
            Self::Stdout => Ok(io::stdout().flush()?),
            Self::Directory(_) => Ok(()),
        }
    }
}

fn write_file(directory: &Path, location: Location, payload: &[u8]) -> Result<(), Failure> {
    let path = directory.join(format!("{}-{}", location.group, location.object));
    std::fs::write(&path, payload)
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
}
