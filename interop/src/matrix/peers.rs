//! The file of peers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Clients and relays, and how they are started.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Commands whose last line of output is the value of their name.
    #[serde(default)]
    pub tools: BTreeMap<String, Vec<String>>,
    /// The clients.
    #[serde(rename = "client")]
    pub clients: Vec<Client>,
    /// The relays.
    #[serde(rename = "relay")]
    pub relays: Vec<Relay>,
    /// The file's directory.
    #[serde(skip)]
    pub here: PathBuf,
}

/// A client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// How it is run.
    pub command: Vec<String>,
    /// What tells its version.
    pub version: Option<Vec<String>>,
    /// The drafts that it speaks.
    pub drafts: Vec<u16>,
    /// The transports that it has.
    #[serde(default = "both")]
    pub transports: Vec<Transport>,
    /// How many seconds a run may take.
    #[serde(default = "limit")]
    pub seconds: u64,
}

/// A relay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// Its name.
    pub name: String,
    /// How it is started. `None`: it runs already.
    pub command: Option<Vec<String>>,
    /// What tells its version.
    pub version: Option<Vec<String>>,
    /// A part of the line by which it says that it listens.
    pub ready: Option<String>,
    /// Where it is reached over each transport that it has.
    pub url: BTreeMap<Transport, String>,
    /// Whether its certificate is to be verified.
    #[serde(default)]
    pub certificate: Certificate,
    /// The drafts that it speaks.
    pub drafts: Vec<u16>,
}

/// Whether a certificate is one that the system trusts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certificate {
    /// It is, and must be.
    Verified,
    /// It is not looked at.
    #[default]
    Unverified,
}

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Raw QUIC.
    Quic,
    /// WebTransport.
    Webtransport,
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Quic, Self::Webtransport];
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "quic",
            Self::Webtransport => "webtransport",
        })
    }
}

fn both() -> Vec<Transport> {
    Transport::ALL.to_vec()
}

const fn limit() -> u64 {
    120
}

impl Peers {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no such file; line and column are told.
    pub fn read(path: &Path) -> Result<Self, PeersError> {
        let fail = |why: String| PeersError { path: path.to_owned(), why };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let mut peers: Self = toml::from_str(&text).map_err(|error| fail(error.to_string()))?;
        for relay in &peers.relays {
            if relay.command.is_some() && relay.ready.is_none() {
                let name = &relay.name;
                return Err(fail(format!(
                    "relay `{name}` has a command, and no `ready` by which it says that it listens"
                )));
            }
        }
        for command in peers.commands() {
            if command.is_empty() {
                return Err(fail("a command is empty: it is a list, the program first".to_owned()));
            }
        }
        let here = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let here = here.unwrap_or(Path::new("."));
        peers.here = std::fs::canonicalize(here).map_err(|error| fail(error.to_string()))?;
        Ok(peers)
    }

    fn commands(&self) -> impl Iterator<Item = &Vec<String>> {
        let clients = self.clients.iter().flat_map(|it| [Some(&it.command), it.version.as_ref()]);
        let relays = self.relays.iter().flat_map(|it| [it.command.as_ref(), it.version.as_ref()]);
        clients.chain(relays).flatten().chain(self.tools.values())
    }
}

/// Why a file of peers cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeersError {
    path: PathBuf,
    why: String,
}

impl fmt::Display for PeersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why.trim_end())
    }
}

impl std::error::Error for PeersError {}
