//! Where objects go.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use moqingbird::wire::list::{KeyValue, Value};
use moqingbird::wire::model::{Extensions, ObjectStatus};
use serde_json::{Map, json};

use crate::exit::Failure;
use crate::received::Received;

/// How objects are written.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// How objects are written to stdout
    #[arg(long, value_enum, default_value_t = Format::Lines)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write each object into this directory, as GROUP-OBJECT, instead of stdout
    #[arg(long, value_name = "DIR", conflicts_with_all = ["format", "json"])]
    file_dir: Option<PathBuf>,
}

/// What stands on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Each payload and a newline
    Lines,
    /// A JSON object a line: group, object, subgroup, priority, status, extensions, via, length, payload
    Json,
    /// The payloads, nothing between
    Raw,
    /// Each payload behind its length in four bytes, big-endian: what `moqt pub --format frames` reads
    Frames,
}

/// Stdout, or files in a directory.
#[derive(Debug)]
pub(crate) enum Sink {
    Stdout(Format),
    Directory(PathBuf),
}

impl OutputArgs {
    pub(crate) const fn is_json(&self) -> bool {
        self.json || matches!(self.format, Format::Json)
    }

    /// Where objects go; a directory is made.
    pub(crate) fn open(self) -> Result<Sink, Failure> {
        let format = if self.json { Format::Json } else { self.format };
        let Some(path) = self.file_dir else { return Ok(Sink::Stdout(format)) };
        std::fs::create_dir_all(&path).map_err(|error| {
            Failure::Input(format!("cannot make the directory {}: {error}; name another", path.display()))
        })?;
        Ok(Sink::Directory(path))
    }
}

impl Sink {
    /// Writes an object. What has no payload but a status is shown in JSON only.
    pub(crate) fn write(&self, object: &Received) -> Result<(), Failure> {
        match self {
            Self::Stdout(Format::Json) => {
                let mut out = io::stdout().lock();
                serde_json::to_writer(&mut out, &described(object)).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            _ if object.status != ObjectStatus::Normal => {}
            Self::Stdout(format) => {
                let mut out = io::stdout().lock();
                if *format == Format::Frames {
                    let length = u32::try_from(object.payload.len());
                    let length = length.map_err(|_| Failure::failed("an object is over 4 GiB"))?;
                    out.write_all(&length.to_be_bytes())?;
                }
                out.write_all(&object.payload)?;
                if *format == Format::Lines {
                    out.write_all(b"\n")?;
                }
            }
            Self::Directory(directory) => write_file(directory, object)?,
        }
        Ok(())
    }

    /// What was written must be seen: the reader may be another program.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        match self {
            Self::Stdout(_) => Ok(io::stdout().flush()?),
            Self::Directory(_) => Ok(()),
        }
    }
}

fn described(object: &Received) -> Map<String, serde_json::Value> {
    let mut fields = Map::new();
    let mut field = |name: &str, value: serde_json::Value| fields.insert(name.to_owned(), value);
    field("group", object.location.group.into());
    field("object", object.location.object.into());
    field("subgroup", object.subgroup.into());
    field("priority", object.priority.into());
    field("via", object.via.name().into());
    if object.status != ObjectStatus::Normal {
        field("status", format!("{:?}", object.status).into());
    }
    if !object.extensions.is_empty() {
        field("extensions", extensions(&object.extensions));
    }
    field("length", object.payload.len().into());
    match std::str::from_utf8(&object.payload) {
        Ok(text) => field("payload", text.into()),
        Err(_) => field("payload_base64", STANDARD.encode(&object.payload).into()),
    };
    fields
}

fn extensions(extensions: &Extensions) -> serde_json::Value {
    let described = extensions.iter().map(|KeyValue { key, value }| match value {
        Value::Integer(number) => json!({ "type": key, "value": number }),
        Value::Bytes(bytes) => json!({ "type": key, "value_base64": STANDARD.encode(bytes) }),
    });
    described.collect()
}

fn write_file(directory: &Path, object: &Received) -> Result<(), Failure> {
    let path = directory.join(format!("{}-{}", object.location.group, object.location.object));
    std::fs::write(&path, &object.payload)
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
}
