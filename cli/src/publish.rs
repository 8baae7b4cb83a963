//! `moqt pub`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use bytes::Bytes;
use moqingbird::ServerUrl;
use moqingbird::track::{Item, SubgroupInfo, SubgroupWriter, TrackOptions, WriteError, Writer};
use moqingbird::wire::model::{DEFAULT_PRIORITY, Extensions, ObjectHeader, ObjectStatus, PublishDoneCode};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::connection::{ConnectionArgs, TrackArgs};
use crate::exit::{Failure, Outcome};
use crate::logs::Verbosity;
use crate::publisher::{self, Offer};

/// Publish a track: each line of stdin, or each file, is an object.
///
/// It waits for the first subscriber before it reads, and ends when the input does. Later subscribers get what comes after
/// them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The server: moqt://HOST:PORT/PATH for raw QUIC, https://HOST:PORT/PATH for WebTransport; port 443 unless given
    url: ServerUrl,
    #[command(flatten)]
    track: TrackArgs,
    /// Publish this file as one object, instead of stdin's lines; may be repeated
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
    /// How many objects a group has
    #[arg(long, value_name = "N", default_value = "100")]
    group_size: NonZeroU64,
    /// Offer the track itself (PUBLISH) instead of its namespace (PUBLISH_NAMESPACE)
    #[arg(long)]
    publish: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "\
Examples:
  seq 1000 | moqt pub moqt://localhost:4443 demo numbers --insecure
  moqt pub https://relay.example/ demo pictures --file a.jpg --file b.jpg --group-size 1
  tail -f log | moqt pub moqt://relay.example demo log --draft 16 --pin SHA256";

pub(crate) async fn run(args: Args) -> Outcome {
    args.verbosity.start();
    let source = Source::new(args.file).await?;
    let name = args.track.name()?;
    let offer = if args.publish { Offer::Track } else { Offer::Namespace };
    args.connection
        .with_session(&args.url, async |session| {
            let writer = Writer::new(track_options());
            let track = writer.track();
            let write = async |mut subscribers: publisher::Subscribers| {
                subscribers.first().await;
                write(writer, args.group_size, source).await
            };
            publisher::publish(&session, name, track, offer, write).await
        })
        .await
}

/// The writer waits for its reader by bytes; groups may be as small as the user likes.
fn track_options() -> TrackOptions {
    let mut options = TrackOptions::default();
    options.max_groups = usize::MAX;
    options
}

async fn write(writer: Writer, group_size: NonZeroU64, mut source: Source) -> Result<(), Failure> {
    let mut groups = Groups { writer, size: group_size.get(), group: 0, object: 0, open: None };
    while let Some(object) = source.next().await? {
        groups.write(object).await.map_err(Failure::failed)?;
    }
    groups.finish().map_err(Failure::failed)
}

/// Where objects come from.
enum Source {
    Lines(BufReader<tokio::io::Stdin>),
    Files(std::vec::IntoIter<(PathBuf, Bytes)>),
}

impl Source {
    /// Files are read beforehand, so that one that cannot be read ends the program before anything is published.
    async fn new(paths: Vec<PathBuf>) -> Result<Self, Failure> {
        if paths.is_empty() {
            return Ok(Self::Lines(BufReader::new(tokio::io::stdin())));
        }
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let content = tokio::fs::read(&path).await.map_err(|error| {
                Failure::Input(format!("cannot read {}: {error}; name a file that exists", path.display()))
            })?;
            files.push((path, content.into()));
        }
        Ok(Self::Files(files.into_iter()))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Files(files) => Ok(files.next().map(|(path, content)| {
                tracing::debug!(path = %path.display(), "publishing");
                content
            })),
            Self::Lines(stdin) => {
                let mut line = Vec::new();
                let read = stdin.read_until(b'\n', &mut line).await;
                match read.map_err(|error| Failure::Failed(format!("cannot read stdin: {error}")))? {
                    0 => Ok(None),
                    _ => {
                        line.pop_if(|last| *last == b'\n');
                        Ok(Some(line.into()))
                    }
                }
            }
        }
    }
}

/// Puts objects into groups of a size, one subgroup each.
struct Groups {
    writer: Writer,
    size: u64,
    group: u64,
    object: u64,
    open: Option<SubgroupWriter>,
}

impl Groups {
    /// Waits while the fastest subscriber is behind.
    async fn write(&mut self, payload: Bytes) -> Result<(), WriteError> {
        self.writer.ready().await;
        let header = object_header(self.object, payload.len());
        let subgroup = self.open.get_or_insert_with(|| self.writer.open_subgroup(subgroup(self.group)));
        subgroup.write(&mut vec![Item::Object(header), Item::Payload(payload)])?;
        self.object += 1;
        if self.object == self.size {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), WriteError> {
        (self.group, self.object) = (self.group + 1, 0);
        self.open.take().map_or(Ok(()), SubgroupWriter::finish)
    }

    fn finish(mut self) -> Result<(), WriteError> {
        self.end_group()?;
        self.writer.finish(PublishDoneCode::TrackEnded, "the input has ended".into());
        Ok(())
    }
}

/// The only subgroup of a group.
pub(crate) const fn subgroup(group_id: u64) -> SubgroupInfo {
    SubgroupInfo {
        group_id,
        subgroup_id: Some(0),
        publisher_priority: DEFAULT_PRIORITY,
        extensions: false,
        end_of_group: true,
    }
}

pub(crate) const fn object_header(object_id: u64, length: usize) -> ObjectHeader {
    ObjectHeader {
        object_id,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: length as u64,
    }
}
