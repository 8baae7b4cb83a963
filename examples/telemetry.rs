//! A sensor whose readings travel in datagrams: a late reading is worth nothing, so none is ever sent again.
//!
//! ```sh
//! cargo run --example telemetry -- sense --listen 127.0.0.1:4443
//! cargo run --example telemetry -- watch --peer moqt://127.0.0.1:4443 --pin SHA256 --count 100
//! ```

#[allow(dead_code, reason = "each example takes what it needs")]
mod common;

use std::time::Duration;

use clap::{Parser, ValueEnum};
use moqingbird::Origin;
use moqingbird::track::{Order, ReadOptions, Start, TrackEvent, TrackOptions};
use moqingbird::wire::model::{FullTrackName, TrackNamespace};

use common::{Peers, Result};

/// 50 readings a second.
const INTERVAL: Duration = Duration::from_millis(20);

#[derive(Parser)]
struct Args {
    role: Role,
    /// End after so many readings
    #[arg(long, default_value_t = u64::MAX)]
    count: u64,
    #[command(flatten)]
    peers: Peers,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Sense,
    Watch,
}

#[tokio::main]
async fn main() -> Result {
    let Args { role, count, peers } = Args::parse();
    let origin = Origin::new();
    let _met = peers.meet(&origin)?;
    match role {
        Role::Sense => sense(&origin, count).await,
        Role::Watch => watch(&origin, count).await,
    }
}

async fn sense(origin: &Origin, count: u64) -> Result {
    let broadcast = origin.create_broadcast(TrackNamespace::from_path("lab/thermometer")?)?;
    let readings = broadcast.create_track("celsius", TrackOptions::default())?;
    let mut ticks = tokio::time::interval(INTERVAL);
    for number in 0..count {
        ticks.tick().await;
        // Nobody listens: nothing is measured.
        readings.used().await;
        let celsius = 20.0 + (number as f64 / 50.0).sin();
        readings.write_datagram(format!("{celsius:.3}"));
    }
    readings.complete();
    Ok(())
}

async fn watch(origin: &Origin, count: u64) -> Result {
    let track = FullTrackName::new(TrackNamespace::from_path("lab/thermometer")?, "celsius")?;
    let options = ReadOptions::default().start(Start::NextObject).order(Order::Arrival);
    let mut readings = origin.subscribe(track, options);
    let (mut seen, mut last) = (0, None);
    while seen < count {
        match readings.next().await? {
            Some(TrackEvent::Object(reading)) => {
                println!("{} {}", reading.location, String::from_utf8_lossy(&reading.payload));
                (seen, last) = (seen + 1, Some(reading.location));
            }
            Some(TrackEvent::Gap(gap)) => eprintln!("behind {last:?}: {gap}"),
            Some(_) => {}
            None => break,
        }
    }
    Ok(())
}
