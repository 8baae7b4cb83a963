//! What is sent.

use std::time::Duration;

use clap::ValueEnum;
use moqingbird::{CongestionControl, Version};
use serde::{Deserialize, Serialize};

/// What is sent, and over what: the same options on every subcommand.
#[derive(Clone, Debug, Serialize, Deserialize, clap::Args)]
pub struct Workload {
    /// Payload of each object, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1200, value_parser = clap::value_parser!(u32).range(1..=64 << 20))]
    pub object_size: u32,
    /// Objects of each subgroup (each datagram group, with --datagrams)
    #[arg(long, value_name = "OBJECTS", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub group_size: u32,
    /// Tracks
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tracks: u32,
    /// Parallel subgroups of each group, a stream each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub streams: u32,
    /// Objects a second in all; 0: as fast as it goes
    #[arg(long, value_name = "OBJECTS/S", default_value_t = 0.0, value_parser = rate)]
    pub rate: f64,
    /// How long is sent, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub duration: f64,
    /// What carries the sessions
    #[arg(long, value_enum, default_value_t = Transport::Quic)]
    pub transport: Transport,
    /// Which draft is spoken
    #[arg(long, value_name = "14|16", default_value_t = 16, value_parser = draft)]
    pub draft: u16,
    /// Send every object in a datagram
    #[arg(long)]
    pub datagrams: bool,
    /// The congestion controller
    #[arg(long, value_enum, default_value_t = Congestion::Cubic)]
    pub congestion: Congestion,
    /// Subscribers, a session each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub subscribers: u32,
    /// Send no timestamps, and measure no latency
    #[arg(long)]
    pub no_latency: bool,
}

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Transport {
    /// Raw QUIC.
    Quic,
    /// WebTransport over HTTP/3.
    WebTransport,
}

/// What decides how much may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Congestion {
    /// Cubic (RFC 9438).
    Cubic,
    /// BBR.
    Bbr,
    /// New Reno (RFC 9002).
    NewReno,
}

impl From<Congestion> for CongestionControl {
    fn from(congestion: Congestion) -> Self {
        match congestion {
            Congestion::Cubic => Self::Cubic,
            Congestion::Bbr => Self::Bbr,
            Congestion::NewReno => Self::NewReno,
        }
    }
}

impl Workload {
    /// The draft.
    pub(crate) fn version(&self) -> Version {
        // The command line takes no other numbers than those of `Version::from_number`.
        Version::from_number(self.draft).unwrap_or(Version::ALL[0])
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration)
    }

    /// The lanes of a track: sequences of objects that are sent side by side, each by a writer of its own.
    pub(crate) fn lanes(&self) -> u32 {
        if self.datagrams { 1 } else { self.streams }
    }

    /// How long a lane's writer waits from one object to the next on average; none: it never waits.
    pub(crate) fn pace(&self) -> Option<Duration> {
        let writers = f64::from(self.tracks) * f64::from(self.lanes());
        (self.rate > 0.0).then(|| Duration::from_secs_f64(writers / self.rate))
    }

    /// How long the publisher waits for the other subscribers once the first has come.
    pub(crate) fn lead(&self) -> Duration {
        match self.subscribers {
            1 => Duration::ZERO,
            many => Duration::from_millis(300) + Duration::from_millis(10) * many,
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    number(text).filter(|rate| *rate >= 0.0).ok_or_else(|| "a number of objects a second, or 0".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|seconds| (0.01..=86_400.0).contains(seconds))
        .ok_or_else(|| "seconds, from 0.01 to 86400".to_owned())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn draft(text: &str) -> Result<u16, String> {
    let number = text.trim_start_matches("draft-").parse().map_err(|_| "14 or 16".to_owned())?;
    Version::from_number(number).map(|_| number).ok_or_else(|| "14 or 16".to_owned())
}
