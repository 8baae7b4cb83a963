//! `moqt pub`.

use clap::ValueEnum;
use moqingbird::track::{TrackOptions, Writer};

use crate::connection::{ConnectionArgs, ReconnectArgs};
use crate::exit::{Failure, Outcome};
use crate::groups::{GroupArgs, Groups};
use crate::input::InputArgs;
use crate::logs::Verbosity;
use crate::publisher::{Offer, Publisher, Subscribers};
use crate::target::TargetArgs;

/// Publish a track: each line of stdin, each frame of stdin, or each file is an object.
///
/// It waits for the first subscriber before it reads, and ends when the input does and every subscriber has got it all.
/// Later subscribers get what comes after them, and what went before by FETCH for as long as it is kept. While the
/// session is lost, the input waits.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    groups: GroupArgs,
    /// How a server learns of the track
    #[arg(long, value_enum, default_value_t = OfferArg::Namespace)]
    offer: OfferArg,
    /// The same as --offer track
    #[arg(long, conflicts_with = "offer")]
    publish: bool,
    /// Read the input at once: do not wait for the first subscriber
    #[arg(long)]
    no_wait: bool,
    /// Stay when the input has ended, for those who FETCH it, until a signal comes
    #[arg(long)]
    stay: bool,
    /// How much of what has been published is kept for those who come later, in MiB
    #[arg(long, value_name = "MIB", default_value = "8")]
    keep: usize,
    #[command(flatten)]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OfferArg {
    /// The namespace (PUBLISH_NAMESPACE): the server subscribes to the track when it wants it
    Namespace,
    /// The track itself (PUBLISH)
    Track,
    /// Both: one of them must be accepted
    Both,
}

const USAGE: &str = "moqt pub [OPTIONS] <URL> <NAMESPACE> <TRACK>
       moqt pub [OPTIONS] --listen <ADDR> <NAMESPACE> <TRACK>";

const EXAMPLES: &str = "\
Examples:
  seq 1000 | moqt pub moqt://localhost:4443 demo numbers --insecure
  moqt pub https://relay.example/ demo pictures --file a.jpg --file b.jpg --group-size 1
  tail -f log | moqt pub moqt://relay.example demo log --draft 16 --pin SHA256
  tail -f log | moqt pub \"https://relay.example/?token=$TOKEN\" demo log
  sensor | moqt pub moqt://relay.example demo sensor --datagrams --timestamps --group-every 2
  seq 100 | moqt pub moqt://relay.example demo slow --rate 10 --offer both
  moqt pub --listen 127.0.0.1:4443 demo file --file big.iso --keep 4096 --no-wait --stay";

pub(crate) async fn run(args: Args) -> Outcome {
    args.verbosity.start();
    let (peer, name) = args.target.resolve()?;
    let source = args.input.open().await?;
    let offer = match args.offer {
        _ if args.publish => Offer::TRACK,
        OfferArg::Namespace => Offer::NAMESPACE,
        OfferArg::Track => Offer::TRACK,
        OfferArg::Both => Offer::BOTH,
    };
    let writer = Writer::new(options(args.keep)?);
    let publisher = Publisher::new(name, writer.track(), offer, !args.no_wait);
    let work = async |mut subscribers: Subscribers| {
        if !args.no_wait {
            subscribers.first().await;
        }
        Groups::new(writer, args.groups).write_all(source).await?;
        if args.stay {
            tracing::info!("the input has ended: staying until a signal comes");
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    args.connection.with_peers(&peer, args.reconnect, async |peers| publisher.run(peers, work).await).await
}

/// The writer waits for its reader by bytes; groups may be as small as the user likes.
fn options(keep: usize) -> Result<TrackOptions, Failure> {
    let mut options = TrackOptions::default();
    options.max_groups = usize::MAX;
    options.max_bytes = keep
        .checked_mul(1 << 20)
        .ok_or_else(|| Failure::input("--keep is more than this machine can address; name fewer MiB"))?;
    Ok(options)
}
