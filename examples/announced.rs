//! Lists the broadcasts below a prefix as they come and go.
//!
//! ```sh
//! cargo run --example announced -- live --peer moqt://127.0.0.1:4443 --pin SHA256
//! ```

#[allow(dead_code, reason = "each example takes what it needs")]
mod common;

use clap::Parser;
use moqingbird::wire::model::TrackNamespace;
use moqingbird::{NamespaceEvent, Origin};

use common::{Peers, Result};

#[derive(Parser)]
struct Args {
    /// The prefix, its fields between slashes
    prefix: String,
    #[command(flatten)]
    peers: Peers,
}

#[tokio::main]
async fn main() -> Result {
    let Args { prefix, peers } = Args::parse();
    let origin = Origin::new();
    let _met = peers.meet(&origin)?;
    let mut broadcasts = origin.announced(TrackNamespace::from_path(&prefix)?);
    loop {
        match broadcasts.next().await {
            NamespaceEvent::Namespace(namespace) => println!("+ {namespace}"),
            NamespaceEvent::NamespaceDone(namespace) => println!("- {namespace}"),
        }
    }
}
