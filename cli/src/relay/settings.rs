//! What `moqt relay` can be told, and by whom: flags, environment variables and one TOML file, under the same names.
//!
//! A flag beats the environment, the environment the file, the file the default. The file's keys are the flags' names.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use clap::ValueEnum;
use humantime::Duration;
use moqingbird::CongestionControl;
use moqingbird_interop::Drafts;
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// Everything that can be set. `None`, or an empty list: not here.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Listen on this address, such as 0.0.0.0:4443; may be repeated [default: port 4443 of loopback, IPv4 and IPv6]
    #[arg(long, value_name = "ADDR", env = "MOQT_RELAY_BIND", value_delimiter = ',', value_parser = address)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) bind: Vec<SocketAddr>,
    /// The certificate chain, PEM, the server's own first; read anew when it changes [default: one for development]
    #[arg(long, value_name = "FILE", env = "MOQT_RELAY_TLS_CERT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", env = "MOQT_RELAY_TLS_KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Allow only these drafts
    #[arg(long, value_name = "14|16|14,16", env = "MOQT_RELAY_DRAFT")]
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) draft: Option<Drafts>,
    /// Who may do what: everybody everything, or those with a JSON Web Token what it says. Without this only loopback
    /// addresses are served
    #[arg(long, value_name = "none|jwt", env = "MOQT_RELAY_AUTH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth: Option<Auth>,
    /// The keys of tokens: a file with a JSON Web Key or a set of them, or a directory of .jwk files; read anew on SIGHUP
    #[arg(long, value_name = "PATH", env = "MOQT_RELAY_AUTH_KEYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_keys: Option<PathBuf>,
    /// Answer /health, /metrics, /state and /certificate.sha256 over HTTP at this address [default: nowhere]
    #[arg(long, value_name = "ADDR", env = "MOQT_RELAY_HTTP", value_parser = address)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<SocketAddr>,
    /// Have newcomers show that they are at their address, which costs them a round trip [default: auto, under load]
    #[arg(long, value_name = "auto|always|never", env = "MOQT_RELAY_RETRY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<Retry>,
    /// How fast the relay sends: cubic and newreno slow down at every loss, bbr at what the path carries; to subscribers over
    /// paths that lose packets bbr is sooner [default: cubic]
    #[arg(long, value_name = "cubic|newreno|bbr", env = "MOQT_RELAY_CONGESTION")]
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) congestion: Option<CongestionControl>,
    /// How many sessions there may be [default: 10000]
    #[arg(long, value_name = "COUNT", env = "MOQT_RELAY_MAX_SESSIONS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_sessions: Option<usize>,
    /// How many of them from one address, or from one /64 of IPv6 [default: 1000]
    #[arg(long, value_name = "COUNT", env = "MOQT_RELAY_MAX_SESSIONS_PER_ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_sessions_per_address: Option<usize>,
    /// How many handshakes may be under way [default: 256]
    #[arg(long, value_name = "COUNT", env = "MOQT_RELAY_MAX_HANDSHAKES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_handshakes: Option<usize>,
    /// How many requests each session may have open [default: 1000]
    #[arg(long, value_name = "COUNT", env = "MOQT_RELAY_MAX_REQUESTS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_requests: Option<u32>,
    /// How many data streams each session may have open [default: 10000]
    #[arg(long, value_name = "COUNT", env = "MOQT_RELAY_MAX_STREAMS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_streams: Option<u32>,
    /// How many namespaces each session may announce [default: 1000]
    #[arg(long, value_name = "COUNT", env = "MOQT_RELAY_MAX_NAMESPACES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_namespaces: Option<usize>,
    /// How many bytes of each session may be held unread, of which a path carries no more in a round trip [default: 4MiB]
    #[arg(long, value_name = "SIZE", env = "MOQT_RELAY_MAX_UNREAD")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_unread: Option<ByteSize>,
    /// Ask this relay for what nobody publishes here, and hear of the namespaces that it knows: a URL, such as
    /// moqt://relay.example:4443; may be repeated, the first is asked first
    #[arg(long, value_name = "URL", env = "MOQT_RELAY_UPSTREAM", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) upstream: Vec<String>,
    /// Tell this relay of every namespace and track that is announced or published here: a URL; may be repeated
    #[arg(long, value_name = "URL", env = "MOQT_RELAY_ANNOUNCE", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) announce: Vec<String>,
    /// Trust any certificate of other relays: only for tests on one's own machine
    #[arg(long, env = "MOQT_RELAY_LINK_INSECURE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link_insecure: Option<bool>,
    /// Trust the root certificates in this PEM file for other relays, besides the system's; may be repeated
    #[arg(long, value_name = "FILE", env = "MOQT_RELAY_LINK_CA", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) link_ca: Vec<PathBuf>,
    /// Trust other relays by the certificate of this SHA-256, as `moqt relay` prints it; may be repeated
    #[arg(long, value_name = "SHA256", env = "MOQT_RELAY_LINK_PIN", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) link_pin: Vec<String>,
    /// How many bytes of the past are kept, of all tracks together [default: 16MiB]
    #[arg(long, value_name = "SIZE", env = "MOQT_RELAY_CACHE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache: Option<ByteSize>,
    /// How many groups of each track are kept [default: 1024]
    #[arg(long, value_name = "COUNT", env = "MOQT_RELAY_CACHE_GROUPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_groups: Option<usize>,
    /// How long groups are kept; the newest of a track stays while its publisher does [default: 10m]
    #[arg(long, value_name = "TIME", env = "MOQT_RELAY_CACHE_AGE")]
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) cache_age: Option<Duration>,
    /// How many bytes are kept for subscribers that are behind, of all tracks together [default: 64MiB]
    #[arg(long, value_name = "SIZE", env = "MOQT_RELAY_BACKLOG")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backlog: Option<ByteSize>,
    /// How long a track is still received when its last subscriber has left [default: 1s]
    #[arg(long, value_name = "TIME", env = "MOQT_RELAY_LINGER")]
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) linger: Option<Duration>,
    /// How long a SUBSCRIBE waits for its publisher [default: not at all, it is declined at once]
    #[arg(long, value_name = "TIME", env = "MOQT_RELAY_HOLD")]
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) hold: Option<Duration>,
    /// Where sessions are sent when the relay ends (GOAWAY): a URL [default: nowhere else]
    #[arg(long, value_name = "URL", env = "MOQT_RELAY_REDIRECT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect: Option<String>,
    /// How long sessions have to leave when the relay ends [default: 5s]
    #[arg(long, value_name = "TIME", env = "MOQT_RELAY_DRAIN_TIME")]
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) drain_time: Option<Duration>,
    /// Write what each session says and hears into a file of its own in this directory: qlog, as CONNECTION-ID_server.sqlog
    #[arg(long, value_name = "DIR", env = "MOQT_MLOG_DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mlog_dir: Option<PathBuf>,
    /// Which part of the sessions is logged so, from 0 to 1 [default: 1]
    #[arg(long, value_name = "FRACTION", env = "MOQT_RELAY_MLOG_SAMPLE", value_parser = fraction)]
    #[serde(deserialize_with = "number::deserialize", skip_serializing_if = "Option::is_none")]
    pub(crate) mlog_sample: Option<f64>,
    /// How logs on stderr are written [default: text]
    #[arg(long, value_name = "text|json", env = "MOQT_RELAY_LOG")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<LogFormat>,
}

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Auth {
    /// Everybody everything.
    None,
    /// What a JSON Web Token says.
    Jwt,
}

/// When newcomers have to show where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Retry {
    /// Under load.
    Auto,
    Always,
    Never,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

impl Settings {
    /// What holds: these, where they say nothing those of the file, and where that says nothing the defaults.
    pub(crate) fn resolve(&self, file: Option<&Path>) -> Result<Self, Failure> {
        let mut table = Self::defaults().table()?;
        if let Some(file) = file {
            table.extend(Self::read(file)?.table()?);
        }
        table.extend(self.table()?);
        table.try_into().map_err(Failure::input)
    }

    /// The values that are said where nobody says anything else. What has none here has its default at its place.
    fn defaults() -> Self {
        Self { retry: Some(Retry::Auto), log: Some(LogFormat::Text), ..Self::default() }
    }

    fn read(file: &Path) -> Result<Self, Failure> {
        let name = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::input(format!("cannot read {name}: {error}")))?;
        toml::from_str(&text).map_err(|error| {
            let problem = error.message().replace('\n', " ");
            let Some(Range { start, .. }) = error.span() else {
                return Failure::input(format!("{name}: {problem}"));
            };
            let (line, key) = place(&text, start);
            Failure::input(format!("{name}:{line}: {key}{problem}"))
        })
    }

    fn table(&self) -> Result<toml::Table, Failure> {
        toml::Table::try_from(self).map_err(Failure::input)
    }

    /// As it could be written in the file.
    pub(crate) fn to_toml(&self) -> Result<String, Failure> {
        toml::to_string_pretty(self).map_err(Failure::input)
    }
}

/// The line of a place in a text, counted from 1, and its key if there is one: `bind: `.
fn place(text: &str, offset: usize) -> (usize, String) {
    let line = text.get(..offset).unwrap_or(text).matches('\n').count() + 1;
    // A value may go on for several lines, which begin with no key.
    let keys = text.lines().take(line).filter_map(|line| line.split_once('='));
    let key = keys.last().map(|(key, _)| key.trim()).filter(|key| !key.is_empty() && !key.starts_with('#'));
    (line, key.map(|key| format!("{key}: ")).unwrap_or_default())
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write IP:PORT, such as 127.0.0.1:4443 or [::]:4443".to_owned())
}

fn fraction(text: &str) -> Result<f64, String> {
    let fraction: Option<f64> = text.parse().ok();
    fraction.filter(|it| (0.0..=1.0).contains(it)).ok_or_else(|| "write a number from 0 to 1".to_owned())
}

/// A fraction, which the file writes as a number.
mod number {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        let number = f64::deserialize(deserializer)?;
        super::fraction(&number.to_string()).map(Some).map_err(D::Error::custom)
    }
}

/// Values that are written in the file as on the command line.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<impl Display>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
    }
}
