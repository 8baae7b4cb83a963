//! A chat room without a server of its own: everybody publishes a track of lines, and reads everybody else's.
//!
//! ```sh
//! cargo run --example chat -- lobby ann --listen 127.0.0.1:4443
//! cargo run --example chat -- lobby bob --peer moqt://127.0.0.1:4443 --pin SHA256
//! ```
//!
//! With a relay as everybody's peer there may be any number of them; without, each needs a connection to each other.

#[allow(dead_code, reason = "each example takes what it needs")]
mod common;

use clap::Parser;
use moqingbird::track::{ReadOptions, TrackOptions};
use moqingbird::wire::model::{FullTrackName, TrackNamespace};
use moqingbird::{NamespaceEvent, Origin};
use tokio::io::{AsyncBufReadExt, BufReader};

use common::{Peers, Result};

#[derive(Parser)]
struct Args {
    /// The room
    room: String,
    /// Who you are
    name: String,
    #[command(flatten)]
    peers: Peers,
}

#[tokio::main]
async fn main() -> Result {
    let Args { room, name, peers } = Args::parse();
    let room = TrackNamespace::from_path(&format!("chat/{room}"))?;
    let own = room.join(&TrackNamespace::new([name])?)?;

    let origin = Origin::new();
    let broadcast = origin.create_broadcast(own.clone())?;
    let lines = broadcast.create_track("lines", TrackOptions::default())?;
    // One group for all that is said, so that who comes late hears it too.
    let mut said = lines.append_group();
    let met = peers.meet(&origin)?;

    let mut others = origin.announced(room);
    let mut stdin = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            event = others.next() => match event {
                NamespaceEvent::Namespace(other) if other != own => {
                    tokio::spawn(hear(origin.clone(), other));
                }
                _ => {}
            },
            line = stdin.next_line() => match line? {
                Some(line) => drop(said.write_frame(line)?),
                None => break,
            },
        }
    }
    said.finish()?;
    lines.complete();
    for client in met.clients {
        client.close(moqingbird::wire::model::SessionErrorCode::NoError, "bye").await;
    }
    Ok(())
}

/// Prints what somebody says, from the first line on and each once, over whatever connections there are.
async fn hear(origin: Origin, who: TrackNamespace) {
    let name = who.fields().last().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
    let Ok(track) = FullTrackName::new(who, "lines") else { return };
    let mut lines = origin.subscribe(track, ReadOptions::default());
    while let Ok(Some(line)) = lines.next_object().await {
        println!("{name}: {}", String::from_utf8_lossy(&line.payload));
    }
}
