//! A file by FETCH: pieces of 64 KiB are objects, 16 of them a group. A transfer that was broken off goes on where it ended,
//! and the SHA-256 tells whether all is well.
//!
//! ```sh
//! cargo run --release --example file_transfer -- send big.iso --listen 127.0.0.1:4443
//! cargo run --release --example file_transfer -- receive copy.iso --peer moqt://127.0.0.1:4443 --pin SHA256
//! ```

#[allow(dead_code, reason = "each example takes what it needs")]
mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use moqingbird::track::{TrackOptions, Writer};
use moqingbird::wire::model::{
    EndLocation, Fetch, FetchRange, FullTrackName, Location, Subscribe, TrackNamespace,
};
use moqingbird::{Origin, Session};
use ring::digest::{Context, SHA256};

use common::{Peers, Result};

const PIECE: usize = 64 << 10;
const PIECES_PER_GROUP: u64 = 16;

#[derive(Parser)]
struct Args {
    role: Role,
    file: PathBuf,
    #[command(flatten)]
    peers: Peers,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Send,
    Receive,
}

#[tokio::main]
async fn main() -> Result {
    let Args { role, file, peers } = Args::parse();
    let origin = Origin::new();
    match role {
        Role::Send => {
            let broadcast = origin.create_broadcast(TrackNamespace::from_path("file")?)?;
            let mut options = TrackOptions::default();
            // All of it stays: objects take their bytes and some more.
            (options.max_bytes, options.max_groups) = (usize::MAX, usize::MAX);
            let (content, digest) =
                (broadcast.create_track("content", options)?, broadcast.create_track("sha256", options)?);
            digest.write_frame(publish(&content, &file)?);
            let _met = peers.meet(&origin)?;
            std::future::pending().await
        }
        Role::Receive => {
            let met = peers.meet(&origin)?;
            let session = met.clients.first().ok_or("name a --peer")?.connected().await?;
            receive(&session, &file).await
        }
    }
}

/// Writes a file's pieces; gives the file's hash.
fn publish(track: &Writer, path: &Path) -> Result<Vec<u8>> {
    let (mut file, mut hash) = (File::open(path)?, Context::new(&SHA256));
    let mut piece = vec![0; PIECE];
    let mut at_end = false;
    while !at_end {
        let mut group = track.append_group();
        for _ in 0..PIECES_PER_GROUP {
            let length = read_full(&mut file, &mut piece)?;
            at_end = length < PIECE;
            hash.update(&piece[..length]);
            group.write_frame(Bytes::copy_from_slice(&piece[..length]))?;
            if at_end {
                break;
            }
        }
        group.finish()?;
    }
    Ok(hash.finish().as_ref().to_vec())
}

async fn receive(session: &Session, path: &Path) -> Result {
    let name = |track| FullTrackName::new(TrackNamespace::from_path("file")?, track);
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // What was received before, in whole pieces.
    let pieces = file.metadata()?.len() / PIECE as u64;
    file.set_len(pieces * PIECE as u64)?;

    let largest =
        session.track_status(Subscribe::new(name("content")?)).await?.largest.ok_or("no content")?;
    let start = Location::new(pieces / PIECES_PER_GROUP, pieces % PIECES_PER_GROUP);
    if start <= largest {
        eprintln!("from {start} to {largest}");
        let end = EndLocation { group: largest.group, object: None };
        let range = FetchRange::Standalone { track: name("content")?, start, end };
        let mut fetched = session.fetch(Fetch::new(range)).await?;
        while let Some(piece) = fetched.next_object().await? {
            file.write_all(&piece.payload)?;
        }
    }

    let range = FetchRange::Standalone {
        track: name("sha256")?,
        start: Location::new(0, 0),
        end: EndLocation { group: 0, object: None },
    };
    let mut fetched = session.fetch(Fetch::new(range)).await?;
    let digest = fetched.next_object().await?.ok_or("no hash")?.payload;
    let mut hash = Context::new(&SHA256);
    hash.update(&fs::read(path)?);
    if hash.finish().as_ref() != &digest[..] {
        return Err("the file has another SHA-256: remove it and fetch it anew".into());
    }
    println!("{} bytes, SHA-256 equal", file.metadata()?.len());
    Ok(())
}

/// Reads until the piece is full or the file ends.
fn read_full(file: &mut File, piece: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match file.read(&mut piece[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}
