//! An extension of the protocol: an object extension header of our own, a checksum, which every relay passes on unread and
//! which only those who know it look at (draft-14 §10.2.1.2, draft-16 §10.2.1.2).
//!
//! ```sh
//! cargo run --example custom_extension -- publish --listen 127.0.0.1:4443
//! cargo run --example custom_extension -- verify --peer moqt://127.0.0.1:4443 --pin SHA256
//! ```

#[allow(dead_code, reason = "each example takes what it needs")]
mod common;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use moqingbird::Origin;
use moqingbird::track::{Item, ReadOptions, SubgroupInfo, TrackOptions};
use moqingbird::wire::list::{KeyValue, Keys, Value};
use moqingbird::wire::model::{
    DEFAULT_PRIORITY, Extensions, FullTrackName, ObjectHeader, ObjectStatus, TrackNamespace,
};
use tokio::io::{AsyncBufReadExt, BufReader};

use common::{Peers, Result};

/// Our type. Even types carry an integer, odd ones bytes.
const CHECKSUM: u64 = 0x6d6f_7170;

#[derive(Parser)]
struct Args {
    role: Role,
    #[command(flatten)]
    peers: Peers,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Publish,
    Verify,
}

#[tokio::main]
async fn main() -> Result {
    let Args { role, peers } = Args::parse();
    let origin = Origin::new();
    let _met = peers.meet(&origin)?;
    match role {
        Role::Publish => publish(&origin).await,
        Role::Verify => verify(&origin).await,
    }
}

/// Publishes the lines of stdin, and stays.
async fn publish(origin: &Origin) -> Result {
    let broadcast = origin.create_broadcast(TrackNamespace::from_path("checked")?)?;
    let track = broadcast.create_track("lines", TrackOptions::default())?;
    // A subgroup says at its beginning whether its objects have extension headers.
    let mut lines = track.open_subgroup(SubgroupInfo {
        group_id: 0,
        subgroup_id: Some(0),
        publisher_priority: DEFAULT_PRIORITY,
        extensions: true,
        end_of_group: false,
    });
    let mut stdin = BufReader::new(tokio::io::stdin()).lines();
    for object_id in 0.. {
        let Some(line) = stdin.next_line().await? else { break };
        let payload = Bytes::from(line);
        let checksum = KeyValue { key: CHECKSUM, value: Value::Integer(checksum(&payload)) };
        let header = ObjectHeader {
            object_id,
            extensions: Extensions::from_pairs([checksum], Keys::Delta)?,
            status: ObjectStatus::Normal,
            payload_length: payload.len() as u64,
        };
        lines.write(&mut vec![Item::Object(header), Item::Payload(payload)])?;
    }
    std::future::pending().await
}

async fn verify(origin: &Origin) -> Result {
    let track = FullTrackName::new(TrackNamespace::from_path("checked")?, "lines")?;
    let mut lines = origin.subscribe(track, ReadOptions::default());
    while let Some(line) = lines.next_object().await? {
        let verdict = match line.extensions.get(CHECKSUM) {
            Some(Value::Integer(stated)) if stated == checksum(&line.payload) => "good",
            Some(_) => "BAD",
            None => "unchecked",
        };
        println!("{verdict}: {}", String::from_utf8_lossy(&line.payload));
    }
    Ok(())
}

/// FNV-1a, as much of it as an integer of MoQT holds.
fn checksum(payload: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    payload.iter().fold(0xcbf2_9ce4_8422_2325, step) >> 2
}
