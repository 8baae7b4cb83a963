//! `moqt clock pub` and `moqt clock sub`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use moqingbird::ServerUrl;
use moqingbird::track::{Item, SubgroupWriter, TrackOptions, Writer};
use moqingbird::wire::model::TrackNamespace;
use time::OffsetDateTime;

use crate::connection::{ConnectionArgs, ReconnectArgs, namespace, track_name};
use crate::exit::{Failure, Outcome};
use crate::groups::{object_header, subgroup};
use crate::logs::Verbosity;
use crate::publisher::{Offer, Publisher, Subscribers};
use crate::subscribe;
use crate::target::Peer;

/// Publish the time of day every second, or show it as it comes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish the time: a group each minute, an object each second
    #[command(after_help = EXAMPLES)]
    Pub(Common),
    /// Print the time as it comes
    #[command(after_help = EXAMPLES)]
    Sub {
        #[command(flatten)]
        common: Common,
        /// End after this many seconds
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The server: moqt://HOST:PORT/PATH for raw QUIC, https://HOST:PORT/PATH for WebTransport; port 443 unless given
    url: ServerUrl,
    /// The namespace, its fields between slashes
    #[arg(value_parser = namespace, default_value = "clock")]
    namespace: TrackNamespace,
    /// The track's name in the namespace
    #[arg(default_value = "now")]
    track: String,
    #[command(flatten)]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "\
Examples:
  moqt clock pub moqt://localhost:4443 --insecure
  moqt clock sub https://localhost:4443/ --insecure --count 10";

pub(crate) async fn run(args: Args) -> Outcome {
    match args.command {
        Command::Pub(common) => publish(common).await,
        Command::Sub { common, count } => {
            common.verbosity.start();
            let name = track_name(common.namespace, common.track)?;
            subscribe::print(common.url, common.reconnect, &common.connection, name, count).await
        }
    }
}

async fn publish(Common { url, namespace, track, reconnect, connection, verbosity }: Common) -> Outcome {
    verbosity.start();
    let name = track_name(namespace, track)?;
    let writer = Writer::new(TrackOptions::default());
    let publisher = Publisher::new(name, writer.track(), Offer::NAMESPACE, false);
    let work = async |_: Subscribers| tick(writer).await;
    let peer = Peer::Server(url);
    connection.with_peers(&peer, reconnect, async |peers| publisher.run(peers, work).await).await
}

/// Writes the time at each full second, for ever.
async fn tick(writer: Writer) -> Result<(), Failure> {
    let mut minute: Option<(u64, SubgroupWriter)> = None;
    loop {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let next = since.as_secs() + 1;
        tokio::time::sleep(Duration::from_secs(next).saturating_sub(since)).await;

        let group = next / 60;
        let (_, mut open) = match minute.take() {
            Some(same) if same.0 == group => same,
            Some((_, old)) => {
                old.finish().map_err(Failure::failed)?;
                (group, writer.open_subgroup(subgroup(group)))
            }
            None => (group, writer.open_subgroup(subgroup(group))),
        };
        let text = text(next)?;
        let mut items = vec![Item::Object(object_header(next % 60, text.len())), Item::Payload(text.into())];
        open.write(&mut items).map_err(Failure::failed)?;
        minute = Some((group, open));
    }
}

/// `2026-11-21 10:16:49 UTC`.
fn text(seconds: u64) -> Result<String, Failure> {
    let seconds = i64::try_from(seconds).map_err(Failure::failed)?;
    let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(Failure::failed)?;
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    Ok(format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC", u8::from(month)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_for_people() {
        assert_eq!(text(0).unwrap(), "1970-01-01 00:00:00 UTC");
        assert_eq!(text(951_827_696).unwrap(), "2000-02-29 12:34:56 UTC");
    }
}
