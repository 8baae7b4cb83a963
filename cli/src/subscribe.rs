//! `moqt sub`.

use std::time::Duration;

use moqingbird::wire::model::{DEFAULT_PRIORITY, FullTrackName, GroupOrder, Subscribe, SubscriptionFilter};
use moqingbird::{RequestFailed, ServerUrl};

use crate::connection::{ConnectionArgs, ReconnectArgs};
use crate::exit::{Failure, Outcome};
use crate::groups::seconds;
use crate::logs::Verbosity;
use crate::meter::Meter;
use crate::place::Filter;
use crate::receiver::Receiver;
use crate::sink::{Format, OutputArgs, Sink};
use crate::target::{Peer, TargetArgs};
use crate::upstream::Upstream;

/// Subscribe to a track: each object's payload is a line on stdout, a JSON object, raw bytes, or a file.
///
/// It begins with the current group (a joining FETCH), unless told otherwise. Objects come in the order of group and
/// object. It ends when the publisher ends the track. If the session is lost, it goes on with the next, and fetches what
/// was missed; what is not to be had any more is told on stderr.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Begin this many groups before the current one (a joining FETCH) [default: 0, the beginning of the current group]
    #[arg(long, value_name = "GROUPS", conflicts_with_all = ["no_join", "filter"])]
    join: Option<u64>,
    /// Take only what is published from now on
    #[arg(long)]
    no_join: bool,
    /// Which new objects are wanted: largest (those behind the largest so far), next-group, none (no filter),
    /// GROUP[/OBJECT].. or GROUP[/OBJECT]..GROUP. Other than largest excludes joining [default: largest]
    #[arg(long, value_name = "FILTER")]
    filter: Option<Filter>,
    /// The Forward State: with 0 the publisher sends nothing
    #[arg(long, value_name = "0|1", default_value = "1", value_parser = ["0", "1"])]
    forward: String,
    /// Subscribe with Forward State 0, and set it to 1 after this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "forward")]
    forward_after: Option<Duration>,
    /// The subscriber's priority: 0 is served first, 255 last
    #[arg(long, value_name = "0..255", default_value_t = DEFAULT_PRIORITY)]
    priority: u8,
    /// Ask for the latest group first, where groups wait for each other
    #[arg(long)]
    descending: bool,
    /// Objects later than this are not wanted (DELIVERY_TIMEOUT)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    delivery_timeout: Option<Duration>,
    /// Write objects as they arrive, not in the order of group and object
    #[arg(long)]
    as_they_come: bool,
    /// End after this many objects
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Tell rate, latency, jitter, loss and reordering on stderr in this interval, in JSON with --json. Without it, they
    /// are shown where stderr is a terminal and stdout is not
    #[arg(long, value_name = "SECONDS", value_parser = interval, num_args = 0..=1, require_equals = true,
          default_missing_value = "1")]
    stats: Option<Duration>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

const USAGE: &str = "moqt sub [OPTIONS] <URL> <NAMESPACE> <TRACK>
       moqt sub [OPTIONS] --listen <ADDR> <NAMESPACE> <TRACK>";

const EXAMPLES: &str = "\
Examples:
  moqt sub moqt://localhost:4443 demo numbers --insecure
  moqt sub https://relay.example/ demo pictures --file-dir received
  moqt sub moqt://relay.example demo log --draft 14 --join 2 --count 10
  moqt sub moqt://relay.example demo log --filter 7/3..9 --json
  moqt sub moqt://relay.example demo sensor --no-join --as-they-come --stats=5 --format raw > sensor.bin
  moqt sub --listen 127.0.0.1:4443 demo numbers";

fn interval(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|every| {
        if every.is_zero() { Err("an interval is longer than 0".to_owned()) } else { Ok(every) }
    })
}

pub(crate) async fn run(args: Args) -> Outcome {
    args.verbosity.start();
    let forward = args.forward == "1" && args.forward_after.is_none();
    let filter = args.filter.map_or(Some(SubscriptionFilter::LargestObject), |filter| filter.0);
    let joins = !args.no_join && forward && filter == Some(SubscriptionFilter::LargestObject);
    let meter = Meter::new(args.stats, args.output.is_json());
    let (peer, name) = args.target.resolve()?;
    let wish = Wish {
        subscribe: Subscribe {
            forward,
            filter,
            subscriber_priority: args.priority,
            group_order: args.descending.then_some(GroupOrder::Descending),
            delivery_timeout: args.delivery_timeout,
            ..Subscribe::new(name)
        },
        join: joins.then(|| args.join.unwrap_or(0)),
        forward_after: args.forward_after,
        count: args.count.unwrap_or(u64::MAX),
        ordered: !args.as_they_come,
        sink: args.output.open()?,
        meter,
    };
    wish.fulfil(&peer, args.reconnect, &args.connection).await
}

/// Prints a track's objects from now on as lines.
pub(crate) async fn print(
    url: ServerUrl,
    reconnect: ReconnectArgs,
    connection: &ConnectionArgs,
    name: FullTrackName,
    count: Option<u64>,
) -> Outcome {
    let wish = Wish {
        subscribe: Subscribe::new(name),
        join: None,
        forward_after: None,
        count: count.unwrap_or(u64::MAX),
        ordered: true,
        sink: Sink::Stdout(Format::Lines),
        meter: None,
    };
    wish.fulfil(&Peer::Server(url), reconnect, connection).await
}

/// What is wanted of a track.
pub(crate) struct Wish {
    pub(crate) subscribe: Subscribe,
    /// How many groups before the current one it begins.
    pub(crate) join: Option<u64>,
    pub(crate) forward_after: Option<Duration>,
    pub(crate) count: u64,
    pub(crate) ordered: bool,
    pub(crate) sink: Sink,
    pub(crate) meter: Option<Meter>,
}

impl Wish {
    async fn fulfil(self, peer: &Peer, reconnect: ReconnectArgs, connection: &ConnectionArgs) -> Outcome {
        connection
            .with_peers(peer, reconnect, async |peers| {
                let mut upstream = Upstream::find(peers).await?;
                let name = &self.subscribe.track;
                let subscription = upstream.subscribe(&self.subscribe).await;
                let subscription = subscription.map_err(|error| refused(name, &error))?;
                tracing::info!("subscribed to {name}");
                Receiver::new(upstream, subscription, self).run().await
            })
            .await
    }
}

fn refused(name: &FullTrackName, error: &RequestFailed) -> Failure {
    let advice = match error {
        RequestFailed::Rejected(_) => "; check the names, and that the publisher is there",
        _ => "",
    };
    Failure::Failed(format!("cannot subscribe to {name}: {error}{advice}"))
}
