//! The time of day as a track: a group each minute, an object each second.
//!
//! ```sh
//! cargo run --example clock -- publish --listen 127.0.0.1:4443
//! cargo run --example clock -- watch --peer moqt://127.0.0.1:4443 --pin SHA256
//! ```

#[allow(dead_code, reason = "each example takes what it needs")]
mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use moqingbird::Origin;
use moqingbird::track::{GroupWriter, ReadOptions, TrackOptions};
use moqingbird::wire::model::{FullTrackName, TrackNamespace};

use common::{Peers, Result};

#[derive(Parser)]
struct Args {
    role: Role,
    /// End after so many seconds
    #[arg(long, default_value_t = u64::MAX)]
    count: u64,
    #[command(flatten)]
    peers: Peers,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Publish,
    Watch,
}

#[tokio::main]
async fn main() -> Result {
    let Args { role, count, peers } = Args::parse();
    let origin = Origin::new();
    let _met = peers.meet(&origin)?;
    match role {
        Role::Publish => publish(&origin, count).await,
        Role::Watch => watch(&origin, count).await,
    }
}

async fn publish(origin: &Origin, count: u64) -> Result {
    let broadcast = origin.create_broadcast(TrackNamespace::from_path("clock")?)?;
    let track = broadcast.create_track("now", TrackOptions::default())?;
    let mut minute: Option<(u64, GroupWriter)> = None;
    for _ in 0..count {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        tokio::time::sleep(Duration::from_secs(now.as_secs() + 1) - now).await;
        let second = now.as_secs() + 1;

        let (_, group) = match &mut minute {
            Some(current) if current.0 == second / 60 => current,
            over => {
                if let Some((_, group)) = over.take() {
                    group.finish()?;
                }
                over.insert((second / 60, track.append_group()))
            }
        };
        group.write_frame(format!(
            "{:02}:{:02}:{:02} UTC",
            second / 3600 % 24,
            second / 60 % 60,
            second % 60
        ))?;
    }
    Ok(())
}

async fn watch(origin: &Origin, count: u64) -> Result {
    let now = FullTrackName::new(TrackNamespace::from_path("clock")?, "now")?;
    // It begins with the current minute, whose seconds so far are fetched.
    let mut seconds = origin.subscribe(now, ReadOptions::default());
    for _ in 0..count {
        let Some(second) = seconds.next_object().await? else { break };
        println!("{}", String::from_utf8_lossy(&second.payload));
    }
    Ok(())
}
