//! The command line.

use std::path::PathBuf;

use crate::Workload;
use crate::role::{Place, Recognised};

/// Measure throughput, latency and cost: of sessions, of relays, and of bare transports for comparison.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) bench: Bench,
}

const EXAMPLES: &str = "\
Examples:
  moqt bench loopback --object-size 4096 --streams 8
  moqt bench bare --object-size 4096 --streams 8
  moqt bench versus --object-size 4096 --streams 8 --rounds 11
  moqt bench relay --subscribers 16 --rate 200 --json
  moqt bench relay moqt://relay.example:4443 --rate 1000
  moqt bench fanout --subscribers 64 --rate 200
  moqt bench adaptive --object-size 1200
  moqt bench adaptive --loopback --datagrams --object-size 1100 --hold 0.8
  moqt bench loopback --rate 2000 --plot latency.svg
  moqt bench compare before.json after.json";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Bench {
    /// A publisher and a subscriber with nothing between them
    Loopback(LoopbackArgs),
    /// Through a relay: any, or one of our own in a process of its own
    Relay(RelayArgs),
    /// One publisher, a relay and many subscribers, in several processes
    Fanout(FanoutArgs),
    /// The highest rate, or number of subscribers, that goes without loss or backlog
    Adaptive(AdaptiveArgs),
    /// The publisher alone, through any relay
    Pub(EndArgs),
    /// The subscriber alone, through any relay
    Sub(EndArgs),
    /// The same bytes over bare QUIC or WebTransport streams: the bound
    Bare(BareArgs),
    /// What requests and idle sessions cost a relay of our own
    Control(ControlArgs),
    /// The codec alone, without any transport
    Codec(CodecArgs),
    /// Two results side by side
    Compare(CompareArgs),
    /// Two commands by turns, and the ratio of their figures round by round
    Versus(VersusArgs),
    /// A player of a scene, for the processes that scenes start
    #[command(hide = true)]
    Role { role: String },
}

/// What becomes of the result.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct OutputArgs {
    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print a line of CSV below its header
    #[arg(long)]
    pub(crate) csv: bool,
    /// Draw latency distribution and throughput over time into this SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LoopbackArgs {
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// 1: both ends in this process; 2: each in one of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) processes: u8,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RelayArgs {
    /// The relay; without it, one of our own is started
    #[command(flatten)]
    pub(crate) server: OptionalServer,
    #[command(flatten)]
    pub(crate) workload: Workload,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    pub(crate) server: OptionalServer,
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// Processes among which the subscribers are divided
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) processes: u32,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BareArgs {
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// 1: both ends in this process; 2: each in one of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) processes: u8,
    /// Put a bare forwarder between the publisher and N subscribers, each of the three in a process of its own
    #[arg(long, value_name = "N")]
    pub(crate) forwarder: Option<u32>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct EndArgs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// The namespace of the run's tracks: the same for publisher and subscriber
    #[arg(long, default_value = "moqt/bench")]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) workload: Workload,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AdaptiveArgs {
    #[command(flatten)]
    pub(crate) server: OptionalServer,
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// What is raised
    #[arg(long, value_enum, default_value_t = Ramp::Rate)]
    pub(crate) ramp: Ramp,
    /// Without a relay: publisher and subscriber only
    #[arg(long, conflicts_with = "url")]
    pub(crate) loopback: bool,
    /// The median latency above which a step has failed, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50.0)]
    pub(crate) max_latency: f64,
    /// Having found the ceiling, send at this share of it, and tell what came of that
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) hold: Option<f64>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "a share above 0 and up to 1".to_owned())
}

/// What an adaptive run raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ramp {
    /// Objects a second.
    Rate,
    /// Subscribers.
    Subscribers,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CodecArgs {
    #[command(flatten)]
    pub(crate) workload: Workload,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ControlArgs {
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// Tracks that are subscribed to
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) requests: u32,
    /// Sessions that do nothing
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) sessions: u32,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// A result of --json
    #[arg(value_name = "A.json")]
    pub(crate) a: PathBuf,
    /// Another
    #[arg(value_name = "B.json")]
    pub(crate) b: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Both commands print a JSON object, of which figures are compared: a key, or several with dots between them. A command
that prints more than the object prints it last, on a line of its own.

Examples:
  moqt bench versus --object-size 4096 --streams 8
  moqt bench versus --of relay --figure processes.forwarder.cpu_s_per_gb --subscribers 16 --rate 200
  moqt bench versus --figure objects_per_s --object-size 100 --group-size 10000 --against 'bench/peers/aiomoqt.sh loopback --object-size 100 --group-size 10000'")]
pub(crate) struct VersusArgs {
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// What is measured of ours
    #[arg(long, value_enum, default_value_t = Of::Loopback)]
    pub(crate) of: Of,
    /// The other command, run by the shell; without it, the bare transport with the same workload
    #[arg(long, value_name = "COMMAND")]
    pub(crate) against: Option<String>,
    /// How often each runs
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// The figures that are compared; may be repeated
    #[arg(long, value_name = "KEY", default_value = "payload_mbit_per_s")]
    pub(crate) figure: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Of {
    /// `moqt bench loopback`, against `moqt bench bare`.
    Loopback,
    /// `moqt bench relay`, against `moqt bench bare --forwarder`.
    Relay,
}

/// A server that may be left out.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct OptionalServer {
    /// The relay's URL, moqt:// or https://; without it, a relay of our own is started
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// A server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Server {
    /// The relay's URL: moqt:// or https://
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    trust: TrustArgs,
}

/// By what a server is recognised.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TrustArgs {
    /// Trust any certificate: only for tests on one's own machine
    #[arg(long, conflicts_with = "pin")]
    insecure: bool,
    /// Trust only the certificate of this SHA-256
    #[arg(long, value_name = "SHA256")]
    pin: Option<String>,
}

impl TrustArgs {
    fn recognised(&self) -> Recognised {
        match &self.pin {
            Some(pin) => Recognised::Certificate(pin.clone()),
            None if self.insecure => Recognised::Insecure,
            None => Recognised::System,
        }
    }
}

impl Server {
    pub(crate) fn place(&self) -> Place {
        Place { at: self.url.clone(), trust: self.trust.recognised() }
    }
}

impl OptionalServer {
    pub(crate) fn place(&self) -> Option<Place> {
        let url = self.url.clone()?;
        Some(Place { at: url, trust: self.trust.recognised() })
    }
}
