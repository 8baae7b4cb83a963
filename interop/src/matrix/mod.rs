//! `moqt interop matrix`: every client of a file against every relay of it, in each draft over each transport.

mod cell;
mod page;
mod peers;
mod process;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::run::{FAILED, PASSED};

pub use cell::{Cell, Status};
pub use peers::{Client, Peers, PeersError, Relay, Transport};

/// Run clients against relays, as a file of peers has it, and write what came of it as JSON and as one HTML page
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct MatrixArgs {
    /// The file of peers (TOML)
    #[arg(value_name = "FILE")]
    pub peers: PathBuf,
    /// Write the results here as JSON
    #[arg(long, value_name = "FILE", default_value = "interop-matrix.json")]
    pub json: PathBuf,
    /// Write the page here
    #[arg(long, value_name = "FILE", default_value = "interop-matrix.html")]
    pub html: PathBuf,
    /// Only this client; may be repeated
    #[arg(long, value_name = "NAME")]
    pub client: Vec<String>,
    /// Only this relay; may be repeated
    #[arg(long, value_name = "NAME")]
    pub relay: Vec<String>,
    /// How many cells run at the same time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
}

const AFTER_HELP: &str = "\
A cell is one run of a client against a fresh relay: its TAP is kept, and its exit status decides, as in the interop runner
(127 is `skip`). On a terminal progress is shown; stdout has one line a cell: CLIENT RELAY DRAFT TRANSPORT STATUS and counts.

The file:
  [tools]                     # name = command: the last line that it prints is the value of {name}; exit status 77 means
  python = [\"bash\", \"{here}/python.sh\"]          # that it cannot be had, and skips the peers that use it
  [[client]]
  name = \"aiomoqt\"
  command = [\"{python}\", \"-m\", \"aiomoqt.tools.moq_interop_client\"]
  version = [\"{python}\", \"-c\", \"...\"]           # its last line is the version
  drafts = [14, 16]
  transports = [\"quic\", \"webtransport\"]
  [[relay]]
  name = \"moqingbird\"
  command = [\"{moqt}\", \"relay\", \"--bind\", \"127.0.0.1:{port}\", \"--draft\", \"{draft}\"]  # left out: it runs already
  ready = \"listening\"         # a part of the line by which it says so
  url = { quic = \"moqt://127.0.0.1:{port}/\", webtransport = \"https://127.0.0.1:{port}/\" }
  certificate = \"unverified\"  # or \"verified\", for relays with one that the system trusts
  drafts = [14, 16]

In commands {moqt} is this program, {here} the file's directory, {port} a free UDP port, {draft} the number of the draft,
{cert} and {key} a fresh certificate for localhost; clients have {url} too. Clients are told the same by the runner's
environment: RELAY_URL, TLS_DISABLE_VERIFY, MOQT_DRAFT, DRAFT.

Exit status: 0 no cell failed, 1 one did, 2 the file cannot be used.

Examples:
  moqt interop matrix interop/peers.toml
  moqt interop matrix interop/peers.toml --client moqingbird --html page.html";

/// What a matrix came to.
#[derive(Clone, Debug, Serialize)]
pub struct Matrix {
    /// The form of this record.
    pub schema: u32,
    /// When it was made, in seconds since 1970.
    pub unix_time: u64,
    /// The clients, and their versions.
    pub clients: Vec<Named>,
    /// The relays, and their versions.
    pub relays: Vec<Named>,
    /// What came of each combination.
    pub cells: Vec<Cell>,
}

/// A peer of a matrix.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub version: Option<String>,
}

/// Runs a matrix, and answers the exit status. One line a cell goes to `out`.
///
/// # Errors
/// The file cannot be used, or nothing can be written.
pub async fn matrix(args: &MatrixArgs, out: impl Write) -> Result<u8, MatrixError> {
    let peers = Peers::read(&args.peers)?;
    known(&args.client, peers.clients.iter().map(|it| &it.name), "client")?;
    known(&args.relay, peers.relays.iter().map(|it| &it.name), "relay")?;
    let matrix = run(args, peers).await?;
    report(&matrix, out)?;
    let json = serde_json::to_string_pretty(&matrix).map_err(io::Error::other)?;
    write(&args.json, &(json + "\n"))?;
    write(&args.html, &page::page(&matrix))?;
    let failed = matrix.cells.iter().any(|cell| matches!(cell.status, Status::Fail | Status::Error));
    Ok(if failed { FAILED } else { PASSED })
}

fn known<'a>(
    asked: &[String],
    mut there: impl Iterator<Item = &'a String> + Clone,
    what: &'static str,
) -> Result<(), MatrixError> {
    match asked.iter().find(|name| !there.any(|it| it == *name)) {
        Some(name) => Err(MatrixError::Unknown { what, name: name.clone() }),
        None => Ok(()),
    }
}

async fn run(args: &MatrixArgs, peers: Peers) -> Result<Matrix, MatrixError> {
    let scratch = process::Scratch::make()?;
    let tools = Arc::new(process::Tools::resolve(&peers, &scratch).await);
    let wanted = |chosen: &[String], name: &str| chosen.is_empty() || chosen.iter().any(|it| it == name);
    let clients: Vec<_> = peers.clients.into_iter().filter(|it| wanted(&args.client, &it.name)).collect();
    let relays: Vec<_> = peers.relays.into_iter().filter(|it| wanted(&args.relay, &it.name)).collect();
    let (mut named_clients, mut named_relays) = (Vec::new(), Vec::new());
    for client in &clients {
        let version = tools.version(client.version.as_deref()).await;
        named_clients.push(Named { name: client.name.clone(), version });
    }
    for relay in &relays {
        let version = tools.version(relay.version.as_deref()).await;
        named_relays.push(Named { name: relay.name.clone(), version });
    }

    let drafts: BTreeSet<_> = relays.iter().flat_map(|relay| relay.drafts.iter().copied()).collect();
    let mut jobs = JoinSet::new();
    let room = Arc::new(Semaphore::new(usize::from(args.jobs)));
    let mut count = 0;
    for client in &clients {
        for relay in &relays {
            for draft in &drafts {
                for transport in Transport::ALL {
                    let (client, relay) = (client.clone(), relay.clone());
                    let (tools, room, draft, index) = (tools.clone(), room.clone(), *draft, count);
                    jobs.spawn(async move {
                        let _room = room.acquire().await;
                        (index, cell::run(&tools, &client, &relay, draft, transport).await)
                    });
                    count += 1;
                }
            }
        }
    }
    let bar = progress(count);
    let mut cells = HashMap::new();
    while let Some(done) = jobs.join_next().await {
        let (index, cell) = done.map_err(io::Error::other)?;
        bar.set_message(cell.to_string());
        bar.inc(1);
        cells.insert(index, cell);
    }
    bar.finish_and_clear();
    let cells = (0..count).filter_map(|index| cells.remove(&index)).collect();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let unix_time = since.as_secs();
    Ok(Matrix { schema: 1, unix_time, clients: named_clients, relays: named_relays, cells })
}

/// On a terminal; nothing elsewhere.
fn progress(cells: u64) -> ProgressBar {
    let bar = ProgressBar::new(cells);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} cells, {elapsed}  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(500));
    bar
}

fn report(matrix: &Matrix, mut out: impl Write) -> io::Result<()> {
    for cell in &matrix.cells {
        writeln!(out, "{cell}")?;
    }
    out.flush()
}

fn write(path: &Path, text: &str) -> Result<(), MatrixError> {
    std::fs::write(path, text).map_err(|error| MatrixError::Write { path: path.to_owned(), error })
}

/// Why there is no matrix.
#[derive(Debug)]
#[non_exhaustive]
pub enum MatrixError {
    /// The file of peers cannot be used.
    Peers(PeersError),
    /// There is no peer of a name that was asked for.
    Unknown {
        /// `client` or `relay`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A result cannot be written.
    Write {
        /// Where to.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something else failed below.
    Io(io::Error),
}

impl MatrixError {
    /// Whether the input is to blame: exit status 2.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Peers(_) | Self::Unknown { .. })
    }
}

impl fmt::Display for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peers(error) => error.fmt(f),
            Self::Unknown { what, name } => write!(f, "the file has no {what} `{name}`"),
            Self::Write { path, error } => write!(f, "cannot write {}: {error}", path.display()),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MatrixError {}

impl From<PeersError> for MatrixError {
    fn from(error: PeersError) -> Self {
        Self::Peers(error)
    }
}

impl From<io::Error> for MatrixError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
