//! `moqt fetch`.

use std::path::PathBuf;
use std::str::FromStr;

use moqingbird::wire::model::{
    EndLocation, Fetch, FetchRange, FullTrackName, GroupOrder, Location, ObjectStatus, Subscribe,
};
use moqingbird::{FetchDelivery, Fetched, RequestFailed, ServerUrl, Session};

use crate::connection::{ConnectionArgs, TrackArgs};
use crate::exit::{Failure, Outcome};
use crate::logs::Verbosity;
use crate::sink::Sink;

/// Fetch a track's objects of the past: each object's payload is a line on stdout, or a file.
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
    #[arg(long, value_name = "GROUP[/OBJECT]", required_unless_present = "join")]
    start: Option<Place>,
    /// The last group, whole, or the last object
    #[arg(long, value_name = "GROUP[/OBJECT]", required_unless_present = "join")]
    end: Option<Place>,
    /// What has been published so far, from this many groups before the current one (a joining FETCH)
    #[arg(long, value_name = "GROUPS", conflicts_with_all = ["start", "end", "descending"])]
    join: Option<u64>,
    /// The latest group first
    #[arg(long)]
    descending: bool,
    /// Write each object into this directory, as GROUP-OBJECT, instead of stdout
    #[arg(long, value_name = "DIR")]
    file_dir: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "\
Examples:
  moqt fetch moqt://localhost:4443 demo numbers --start 0 --end 4 --insecure
  moqt fetch https://relay.example/ demo numbers --start 3/10 --end 3/19
  moqt fetch moqt://relay.example demo log --join 2";

/// `GROUP` or `GROUP/OBJECT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    group: u64,
    object: Option<u64>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let problem = |error| format!("{error}; a place is GROUP or GROUP/OBJECT, such as 3 or 3/10");
            text.parse().map_err(problem)
        };
        match text.split_once('/') {
            Some((group, object)) => Ok(Self { group: number(group)?, object: Some(number(object)?) }),
            None => Ok(Self { group: number(text)?, object: None }),
        }
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    args.verbosity.start();
    let name = args.track.name()?;
    let sink = Sink::new(args.file_dir)?;
    let order = if args.descending { GroupOrder::Descending } else { GroupOrder::Ascending };
    args.connection
        .with_session(&args.url, async |session| match (args.start, args.end, args.join) {
            (Some(start), Some(end), _) => {
                let range = FetchRange::Standalone {
                    track: name.clone(),
                    start: Location::new(start.group, start.object.unwrap_or(0)),
                    end: EndLocation { group: end.group, object: end.object },
                };
                let fetch = Fetch { group_order: Some(order), ..Fetch::new(range) };
                let fetched = session.fetch(fetch).await.map_err(|error| refused(&name, &error))?;
                write(fetched, &sink, u64::MAX).await.map(drop)
            }
            (_, _, groups_before) => join(&session, &name, groups_before.unwrap_or(0), &sink).await,
        })
        .await
}

/// A joining FETCH needs a subscription, which is left again.
async fn join(
    session: &Session,
    name: &FullTrackName,
    groups_before: u64,
    sink: &Sink,
) -> Result<(), Failure> {
    let subscribe = Subscribe { forward: false, ..Subscribe::new(name.clone()) };
    let subscription = session.subscribe(subscribe).await.map_err(|error| refused(name, &error))?;
    if subscription.largest().is_none() {
        return Err(Failure::Failed(format!("nothing of {name} has been published yet; try `moqt sub`")));
    }
    let fetched = subscription.join(groups_before).await.map_err(|error| refused(name, &error))?;
    write(fetched, sink, u64::MAX).await.map(drop)
}

fn refused(name: &FullTrackName, error: &RequestFailed) -> Failure {
    let advice = match error {
        RequestFailed::Rejected(_) => "; check the names and the range, and that the publisher is there",
        _ => "",
    };
    Failure::Failed(format!("cannot fetch {name}: {error}{advice}"))
}

/// Writes what comes, at most `left` objects; gives how many are left then.
pub(crate) async fn write(mut fetched: Fetched, sink: &Sink, mut left: u64) -> Result<u64, Failure> {
    while left > 0 {
        let next = fetched.next().await;
        let cut = |error| Failure::Failed(format!("the FETCH is incomplete: {error}"));
        match next.map_err(cut)? {
            Some(FetchDelivery::Object(object)) if object.header.status == ObjectStatus::Normal => {
                sink.write(object.header.location, &object.payload)?;
                left -= 1;
            }
            Some(FetchDelivery::EndOfRange { end, status }) => {
                tracing::warn!("up to {end} nothing comes: {status:?}");
            }
            Some(_) => {}
            None => break,
        }
    }
    sink.flush()?;
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_groups_or_objects() {
        assert_eq!("3".parse(), Ok(Place { group: 3, object: None }));
        assert_eq!("3/10".parse(), Ok(Place { group: 3, object: Some(10) }));
        for wrong in ["", "x", "3/", "/1", "3/1/2", "-1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
