//! `moqt sub`.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use moqingbird::wire::model::{
    DatagramBody, FullTrackName, Location, ObjectStatus, PublishDone, PublishDoneCode, Subscribe,
};
use moqingbird::{Delivery, IncomingSubgroup, RequestFailed, ServerUrl, Subscription};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::connection::{ConnectionArgs, TrackArgs};
use crate::exit::{Failure, Outcome};
use crate::fetch;
use crate::in_order::InOrder;
use crate::logs::Verbosity;
use crate::sink::Sink;

/// How long an object waits for those that should come before it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many objects may be between the streams' readers and the output.
const QUEUE: usize = 64;

/// Subscribe to a track: each object's payload is a line on stdout, or a file.
///
/// Objects come in the order of group and object. It ends when the publisher ends the track.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The server: moqt://HOST:PORT/PATH for raw QUIC, https://HOST:PORT/PATH for WebTransport; port 443 unless given
    url: ServerUrl,
    #[command(flatten)]
    track: TrackArgs,
    /// Begin this many groups before the current one (a joining FETCH), instead of with what comes next
    #[arg(long, value_name = "GROUPS")]
    join: Option<u64>,
    /// End after this many objects
    #[arg(long, value_name = "N")]
    count: Option<u64>,
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
  moqt sub moqt://localhost:4443 demo numbers --insecure
  moqt sub https://relay.example/ demo pictures --file-dir received
  moqt sub moqt://relay.example demo log --draft 14 --count 10
  moqt sub moqt://relay.example demo log --join 2";

pub(crate) async fn run(args: Args) -> Outcome {
    args.verbosity.start();
    let name = args.track.name()?;
    let sink = Sink::new(args.file_dir)?;
    subscribe(&args.url, &args.connection, name, args.join, args.count, sink).await
}

/// Prints a track's objects as lines.
pub(crate) async fn print(
    url: &ServerUrl,
    connection: &ConnectionArgs,
    name: FullTrackName,
    count: Option<u64>,
) -> Outcome {
    subscribe(url, connection, name, None, count, Sink::Stdout).await
}

async fn subscribe(
    url: &ServerUrl,
    connection: &ConnectionArgs,
    name: FullTrackName,
    join: Option<u64>,
    count: Option<u64>,
    sink: Sink,
) -> Outcome {
    connection
        .with_session(url, async |session| {
            let subscription = session.subscribe(Subscribe::new(name.clone())).await;
            let subscription = subscription.map_err(|error| refused(&name, &error))?;
            tracing::info!("subscribed to {name}");
            let mut receiver = Receiver::new(subscription, count.unwrap_or(u64::MAX), sink);
            if let Some(groups_before) = join {
                receiver.join(groups_before).await?;
            }
            receiver.run().await
        })
        .await
}

fn refused(name: &FullTrackName, error: &RequestFailed) -> Failure {
    let advice = match error {
        RequestFailed::Rejected(_) => "; check the names, and that the publisher is there",
        _ => "",
    };
    Failure::Failed(format!("cannot subscribe to {name}: {error}{advice}"))
}

/// What the streams' readers tell.
enum Event {
    Object(Location, Bytes),
    Closed(u64),
}

/// Brings a subscription's objects into order.
struct Receiver {
    subscription: Subscription,
    /// Where the subscription begins.
    first: Location,
    order: InOrder,
    left: u64,
    sink: Sink,
}

impl Receiver {
    fn new(subscription: Subscription, left: u64, sink: Sink) -> Self {
        // SUBSCRIBE asked for what follows the largest object.
        let first = subscription
            .largest()
            .map_or(Location::default(), |largest| Location::new(largest.group, largest.object + 1));
        Self { subscription, first, order: InOrder::new(first), left, sink }
    }

    /// Writes what precedes the subscription. That it cannot be had is told, and no reason to have nothing.
    async fn join(&mut self, groups_before: u64) -> Result<(), Failure> {
        if self.subscription.largest().is_none() {
            return Ok(());
        }
        match self.subscription.join(groups_before).await {
            Ok(fetched) => {
                self.left = fetch::write(fetched, &self.sink, self.left).await?;
                Ok(())
            }
            Err(error) => {
                tracing::warn!("what was published before {} cannot be had: {error}", self.first);
                Ok(())
            }
        }
    }

    async fn run(mut self) -> Result<(), Failure> {
        let (events, mut received) = mpsc::channel(QUEUE);
        let mut events = Some(events);
        // When what is held waits no longer for what should come before it.
        let mut give_up: Option<Instant> = None;
        while self.left > 0 {
            let mut progress = false;
            tokio::select! {
                delivery = self.subscription.next(), if events.is_some() => match delivery {
                    Ok(Some(delivery)) => self.deliver(delivery, events.as_ref()),
                    // The readers of the last streams still hold their ends of the queue.
                    Ok(None) => events = None,
                    Err(closed) => return Err(Failure::Failed(format!("the track was cut off: {closed}"))),
                },
                event = received.recv() => match event {
                    Some(event) => self.take(event),
                    None => break,
                },
                () = sleep_until(give_up.unwrap_or_else(Instant::now)), if give_up.is_some() => {
                    progress = self.write_next(InOrder::skip)?;
                }
            }
            progress |= self.write_ready()?;
            if progress || !self.order.is_waiting() {
                give_up = None;
            }
            if self.order.is_waiting() {
                give_up.get_or_insert_with(|| Instant::now() + PATIENCE);
            }
        }
        while self.write_next(InOrder::skip)? {}
        self.sink.flush()?;
        match self.subscription.done() {
            Some(done) if self.left > 0 => ended(done),
            _ => Ok(()),
        }
    }

    fn deliver(&mut self, delivery: Delivery, events: Option<&mpsc::Sender<Event>>) {
        match delivery {
            Delivery::Subgroup(subgroup) => {
                self.order.opened(subgroup.header().group_id);
                if let Some(events) = events {
                    tokio::spawn(read(subgroup, events.clone()));
                }
            }
            Delivery::Datagram(datagram) => {
                if let DatagramBody::Payload(payload) = datagram.body {
                    let location = Location::new(datagram.group_id, datagram.object_id);
                    self.take(Event::Object(location, payload));
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            // A publisher that sends more than was asked for makes nothing come twice.
            Event::Object(location, _) if location < self.first => {}
            Event::Object(location, payload) => self.order.object(location, payload),
            Event::Closed(group) => self.order.closed(group),
        }
    }

    /// Whether something was ready.
    fn write_ready(&mut self) -> Result<bool, Failure> {
        let mut wrote = false;
        while self.write_next(InOrder::pop)? {
            wrote = true;
        }
        if wrote {
            self.sink.flush()?;
        }
        Ok(wrote)
    }

    fn write_next(
        &mut self,
        next: impl FnOnce(&mut InOrder) -> Option<(Location, Bytes)>,
    ) -> Result<bool, Failure> {
        if self.left == 0 {
            return Ok(false);
        }
        let Some((location, payload)) = next(&mut self.order) else { return Ok(false) };
        self.sink.write(location, &payload)?;
        self.left -= 1;
        Ok(true)
    }
}

/// Reads a stream to its end.
async fn read(mut subgroup: IncomingSubgroup, events: mpsc::Sender<Event>) {
    let group = subgroup.header().group_id;
    loop {
        match subgroup.next_object().await {
            Ok(Some(object)) if object.header.status == ObjectStatus::Normal => {
                if events.send(Event::Object(object.location, object.payload)).await.is_err() {
                    return;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                tracing::warn!("group {group} is incomplete: {error}");
                break;
            }
        }
    }
    // It fails if nobody wants more, which is as good.
    let _ = events.send(Event::Closed(group)).await;
}

/// Whether the publisher ended as publishers do.
fn ended(done: &PublishDone) -> Result<(), Failure> {
    match done.code {
        PublishDoneCode::TrackEnded | PublishDoneCode::SubscriptionEnded | PublishDoneCode::GoingAway => {
            Ok(())
        }
        code => {
            Err(Failure::Failed(format!("the publisher broke the track off with {code}: {}", done.reason)))
        }
    }
}
