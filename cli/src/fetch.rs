//! `moqt fetch`.

use moqingbird::wire::model::{DEFAULT_PRIORITY, Fetch, FetchRange, FullTrackName, GroupOrder, Subscribe};
use moqingbird::{FetchDelivery, Fetched, RequestFailed, ServerUrl, Session, Subscription};

use crate::connection::{ConnectionArgs, TrackArgs};
use crate::exit::{Failure, Outcome};
use crate::logs::Verbosity;
use crate::place::Place;
use crate::received::Received;
use crate::sink::{OutputArgs, Sink};

/// Fetch a track's objects of the past: each object's payload is a line on stdout, a JSON object, raw bytes, or a file.
///
/// Objects come in the order of group and object. It ends with the range.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The server: moqt://HOST:PORT/PATH for raw QUIC, https://HOST:PORT/PATH for WebTransport; port 443 unless given
    url: ServerUrl,
    #[command(flatten)]
    track: TrackArgs,
    /// The first object
    #[arg(long, value_name = "GROUP[/OBJECT]", required_unless_present_any = ["join", "join_from"])]
    start: Option<Place>,
    /// The last group, whole, or the last object
    #[arg(long, value_name = "GROUP[/OBJECT]", required_unless_present_any = ["join", "join_from"])]
    end: Option<Place>,
    /// What has been published so far, from this many groups before the current one (Relative Joining FETCH)
    #[arg(long, value_name = "GROUPS", conflicts_with_all = ["start", "end", "descending", "priority", "join_from"])]
    join: Option<u64>,
    /// What has been published so far, from this group (Absolute Joining FETCH)
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["start", "end", "descending", "priority"])]
    join_from: Option<u64>,
    /// The latest group first
    #[arg(long)]
    descending: bool,
    /// The subscriber's priority: 0 is served first, 255 last
    #[arg(long, value_name = "0..255", default_value_t = DEFAULT_PRIORITY)]
    priority: u8,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "\
Examples:
  moqt fetch moqt://localhost:4443 demo numbers --start 0 --end 4 --insecure
  moqt fetch https://relay.example/ demo numbers --start 3/10 --end 3/19
  moqt fetch moqt://relay.example demo log --join 2 --json
  moqt fetch moqt://relay.example demo log --join-from 7 --format raw > log.bin";

pub(crate) async fn run(args: Args) -> Outcome {
    args.verbosity.start();
    let name = args.track.name()?;
    let sink = args.output.open()?;
    let past = match (args.start, args.end, args.join, args.join_from) {
        (Some(start), Some(end), ..) => Past::Range(Fetch {
            group_order: Some(if args.descending { GroupOrder::Descending } else { GroupOrder::Ascending }),
            subscriber_priority: args.priority,
            ..Fetch::new(FetchRange::Standalone { track: name.clone(), start: start.start(), end: end.end() })
        }),
        (.., Some(group)) => Past::From(group),
        (_, _, groups_before, None) => Past::GroupsBefore(groups_before.unwrap_or(0)),
    };
    args.connection
        .with_session(&args.url, async |session| {
            // A joining FETCH lives no longer than its subscription.
            let (fetched, _subscription) = past.fetch(&session, &name).await?;
            write(fetched, &sink).await
        })
        .await
}

/// What is wanted of the past.
enum Past {
    Range(Fetch),
    GroupsBefore(u64),
    From(u64),
}

impl Past {
    async fn fetch(
        self,
        session: &Session,
        name: &FullTrackName,
    ) -> Result<(Fetched, Option<Subscription>), Failure> {
        let refused = |error| refused(name, &error);
        if let Self::Range(fetch) = self {
            return Ok((session.fetch(fetch).await.map_err(refused)?, None));
        }
        let subscribe = Subscribe { forward: false, ..Subscribe::new(name.clone()) };
        let subscription = session.subscribe(subscribe).await.map_err(refused)?;
        if subscription.largest().is_none() {
            return Err(Failure::Failed(format!("nothing of {name} has been published yet; try `moqt sub`")));
        }
        let fetched = match self {
            Self::From(group) => subscription.join_from(group).await,
            Self::GroupsBefore(groups) => subscription.join(groups).await,
            Self::Range(fetch) => session.fetch(fetch).await,
        };
        Ok((fetched.map_err(refused)?, Some(subscription)))
    }
}

fn refused(name: &FullTrackName, error: &RequestFailed) -> Failure {
    let advice = match error {
        RequestFailed::Rejected(_) => "; check the names and the range, and that the publisher is there",
        _ => "",
    };
    Failure::Failed(format!("cannot fetch {name}: {error}{advice}"))
}

/// Writes what comes.
async fn write(mut fetched: Fetched, sink: &Sink) -> Result<(), Failure> {
    loop {
        let next = fetched.next().await;
        let cut = |error| Failure::Failed(format!("the FETCH is incomplete: {error}"));
        match next.map_err(cut)? {
            Some(FetchDelivery::Object(object)) => sink.write(&Received::of_fetch(object))?,
            Some(FetchDelivery::EndOfRange { end, status }) => {
                tracing::warn!("up to {end} nothing comes: {status:?}");
            }
            Some(_) => {}
            None => break,
        }
    }
    sink.flush()
}
