//! Where objects come from.

use std::path::PathBuf;

use bytes::Bytes;
use clap::ValueEnum;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Stdin};

use crate::exit::Failure;

/// The largest frame that is read: what subscribers collect by default.
const MAX_FRAME: u32 = 16 << 20;

/// What is published.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InputArgs {
    /// How stdin is cut into objects
    #[arg(long, value_enum, default_value_t = InputFormat::Lines)]
    format: InputFormat,
    /// Publish this file as one object, instead of stdin; may be repeated
    #[arg(long, value_name = "PATH", conflicts_with = "format")]
    file: Vec<PathBuf>,
}

/// How stdin is cut into objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InputFormat {
    /// Each line is an object, without its newline
    Lines,
    /// Each object stands behind its length in four bytes, big-endian: what `moqt sub --format frames` writes
    Frames,
}

/// Objects, one after another.
pub(crate) enum Source {
    Lines(BufReader<Stdin>),
    Frames(BufReader<Stdin>),
    Files(std::vec::IntoIter<(PathBuf, Bytes)>),
}

impl InputArgs {
    /// Files are read beforehand, so that one that cannot be read ends the program before anything is published.
    pub(crate) async fn open(self) -> Result<Source, Failure> {
        if self.file.is_empty() {
            let stdin = BufReader::new(tokio::io::stdin());
            return Ok(match self.format {
                InputFormat::Lines => Source::Lines(stdin),
                InputFormat::Frames => Source::Frames(stdin),
            });
        }
        let mut files = Vec::with_capacity(self.file.len());
        for path in self.file {
            let content = tokio::fs::read(&path).await.map_err(|error| {
                Failure::Input(format!("cannot read {}: {error}; name a file that exists", path.display()))
            })?;
            files.push((path, content.into()));
        }
        Ok(Source::Files(files.into_iter()))
    }
}

impl Source {
    /// The next object's payload; `None` at the end of the input.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Files(files) => Ok(files.next().map(|(path, content)| {
                tracing::debug!(path = %path.display(), "publishing");
                content
            })),
            Self::Lines(stdin) => line(stdin).await,
            Self::Frames(stdin) => frame(stdin).await,
        }
    }
}

async fn line(stdin: &mut BufReader<Stdin>) -> Result<Option<Bytes>, Failure> {
    let mut line = Vec::new();
    match stdin.read_until(b'\n', &mut line).await.map_err(|error| unreadable(&error))? {
        0 => Ok(None),
        _ => {
            line.pop_if(|last| *last == b'\n');
            Ok(Some(line.into()))
        }
    }
}

async fn frame(stdin: &mut BufReader<Stdin>) -> Result<Option<Bytes>, Failure> {
    if stdin.fill_buf().await.map_err(|error| unreadable(&error))?.is_empty() {
        return Ok(None);
    }
    let length = stdin.read_u32().await.map_err(|error| unreadable(&error))?;
    if length > MAX_FRAME {
        let line =
            format!("stdin has a frame of {length} bytes, over the limit of {MAX_FRAME}: is it framed?");
        return Err(Failure::Input(line));
    }
    // As much is held as has come, whatever the length says.
    let mut payload = Vec::new();
    let read = (&mut *stdin).take(length.into()).read_to_end(&mut payload).await;
    match read.map_err(|error| unreadable(&error))? {
        read if read == length as usize => Ok(Some(payload.into())),
        read => Err(Failure::Input(format!("stdin ends within a frame: {read} of its {length} bytes came"))),
    }
}

fn unreadable(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Failure::input("stdin ends within the length of a frame"),
        _ => Failure::Failed(format!("cannot read stdin: {error}")),
    }
}
