//! `moqt status`.

use std::io::{self, Write};

use moqingbird::wire::model::Subscribe;
use moqingbird::{RequestFailed, ServerUrl, TrackInfo};

use crate::connection::{ConnectionArgs, TrackArgs};
use crate::exit::{Failure, Outcome};
use crate::logs::Verbosity;

/// Ask how far a track is (TRACK_STATUS): its largest location as GROUP/OBJECT, or `empty`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The server: moqt://HOST:PORT/PATH for raw QUIC, https://HOST:PORT/PATH for WebTransport; port 443 unless given
    url: ServerUrl,
    #[command(flatten)]
    track: TrackArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "\
Examples:
  moqt status moqt://localhost:4443 demo numbers --insecure
  moqt status https://relay.example/ demo pictures --draft 14";

pub(crate) async fn run(args: Args) -> Outcome {
    args.verbosity.start();
    let name = args.track.name()?;
    args.connection
        .with_session(&args.url, async |session| {
            let status = session.track_status(Subscribe::new(name.clone())).await;
            let status = status.map_err(|error| {
                let advice = match error {
                    RequestFailed::Rejected(_) => "; check the names, and that the publisher is there",
                    _ => "",
                };
                Failure::Failed(format!("no status of {name}: {error}{advice}"))
            })?;
            print(&status)
        })
        .await
}

fn print(TrackInfo { largest, expires, .. }: &TrackInfo) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match largest {
        Some(largest) => write!(out, "{largest}")?,
        None => write!(out, "empty")?,
    }
    if let Some(expires) = expires {
        write!(out, " expires-ms {}", expires.as_millis())?;
    }
    writeln!(out)?;
    Ok(out.flush()?)
}
