//! From a subscription to the output.

use std::fmt;
use std::time::Duration;

use moqingbird::wire::model::{
    EndLocation, Fetch, FetchRange, GroupOrder, Location, ObjectStatus, PublishDone, PublishDoneCode,
    RequestUpdate, Subscribe, SubscriptionFilter,
};
use moqingbird::{
    Delivery, FetchDelivery, FetchError, Fetched, IncomingSubgroup, RequestFailed, Subscription,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::exit::Failure;
use crate::in_order::InOrder;
use crate::meter::Meter;
use crate::received::Received;
use crate::sink::Sink;
use crate::subscribe::Wish;
use crate::upstream::Upstream;

/// How long an object waits for those that should come before it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many objects may be between the streams' readers and the output.
const QUEUE: usize = 64;

/// What the streams' readers tell.
enum Event {
    Object(Box<Received>),
    Closed(u64),
}

/// How a subscription came to its end.
enum End {
    /// All that was wanted has come.
    Complete,
    /// It has to be made anew, for the track goes on.
    Cut,
}

/// Brings a subscription's objects into order.
pub(crate) struct Receiver<'a> {
    upstream: Upstream<'a>,
    subscribe: Subscribe,
    subscription: Subscription,
    /// Where the subscription begins.
    first: Location,
    /// What comes next, if all before it has come.
    next: Location,
    order: InOrder<Received>,
    join: Option<u64>,
    forward_at: Option<Instant>,
    left: u64,
    ordered: bool,
    sink: Sink,
    meter: Option<Meter>,
}

impl<'a> Receiver<'a> {
    pub(crate) fn new(upstream: Upstream<'a>, subscription: Subscription, wish: Wish) -> Self {
        let Wish { subscribe, join, forward_after, count, ordered, sink, meter } = wish;
        let first = first(subscribe.filter, subscription.largest());
        Self {
            upstream,
            subscribe,
            // Without a filter it is the publisher who says where a subscription begins.
            next: subscription.largest().map_or(first, |largest| first.max(after(largest))),
            subscription,
            first,
            order: InOrder::new(first),
            join,
            forward_at: forward_after.map(|after| Instant::now() + after),
            left: count,
            ordered,
            sink,
            meter,
        }
    }

    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let received = self.follow().await;
        if let Some(meter) = self.meter.take() {
            meter.finish();
        }
        received
    }

    /// Writes the track, whatever session brings it.
    async fn follow(&mut self) -> Result<(), Failure> {
        let mut past = self.join().await;
        loop {
            if let Some((fetched, end)) = past {
                self.catch_up(fetched, end).await?;
            }
            match self.receive().await? {
                End::Complete => break,
                End::Cut => past = self.resume().await?,
            }
        }
        while self.write_next(InOrder::skip)? {}
        self.sink.flush()
    }

    /// Asks for what precedes the subscription. That it cannot be had is told, and no reason to have nothing.
    async fn join(&mut self) -> Option<(Fetched, Location)> {
        let (groups_before, largest) = self.join.zip(self.subscription.largest())?;
        match self.subscription.join(groups_before).await {
            Ok(fetched) => {
                self.next = Location::new(largest.group.saturating_sub(groups_before), 0);
                Some((fetched, largest))
            }
            Err(error) => {
                tracing::warn!("what was published before {} cannot be had: {error}", self.first);
                None
            }
        }
    }

    /// Subscribes once more, and asks for what was missed.
    async fn resume(&mut self) -> Result<Option<(Fetched, Location)>, Failure> {
        let again = Subscribe { filter: from(self.subscribe.filter, self.next), ..self.subscribe.clone() };
        self.subscription = self.upstream.subscribe_again(&again).await?;
        tracing::info!("subscribed to {} again; {} is next", self.subscribe.track, self.next);
        let largest = self.subscription.largest();
        self.first = largest.map_or(self.next, |largest| self.next.max(after(largest)));
        self.order.begin_again(self.next);
        let Some(largest) = largest.filter(|_| self.subscribe.forward) else { return Ok(None) };
        if after(largest) < self.next {
            tracing::warn!("the track is only at {largest} now: up to {} nothing is written", self.next);
        }
        let (start, end) = (self.next, last(self.subscribe.filter, largest));
        if end < start {
            return Ok(None);
        }
        let track = self.subscribe.track.clone();
        let range = FetchRange::Standalone { track, start, end: whole(end) };
        let fetch = Fetch {
            subscriber_priority: self.subscribe.subscriber_priority,
            group_order: Some(GroupOrder::Ascending),
            ..Fetch::new(range)
        };
        match self.upstream.fetch(fetch).await {
            Ok(fetched) => Ok(Some((fetched, end))),
            Err(error) => {
                self.hole(end, &error);
                Ok(None)
            }
        }
    }

    /// Writes what was published up to `end`.
    async fn catch_up(&mut self, mut fetched: Fetched, end: Location) -> Result<(), Failure> {
        while self.left > 0 {
            match fetched.next().await {
                Ok(Some(FetchDelivery::Object(object))) => {
                    let object = Received::of_fetch(object);
                    let location = object.location;
                    if location < self.next {
                        continue;
                    }
                    self.arrived(object)?;
                    while self.write_next(|order| order.pop_up_to(location))? {}
                }
                Ok(Some(FetchDelivery::EndOfRange { end, status })) => {
                    tracing::warn!("up to {end} nothing comes: {status:?}");
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                // The subscription hears of it too.
                Err(FetchError::Closed(_)) if self.upstream.goes_on() => return self.sink.flush(),
                Err(error) => {
                    self.hole(end, &error);
                    break;
                }
            }
        }
        while self.write_next(|order| order.pop_up_to(end))? {}
        self.next = self.next.max(after(end));
        self.order.begin_again(self.next);
        self.sink.flush()
    }

    fn hole(&self, end: Location, error: &dyn fmt::Display) {
        tracing::warn!("what was published from {} to {end} cannot be had: {error}", self.next);
    }

    /// Writes what the subscription brings, until it ends.
    async fn receive(&mut self) -> Result<End, Failure> {
        let (events, mut received) = mpsc::channel(QUEUE);
        let mut events = Some(events);
        let mut end = End::Complete;
        // When what is held waits no longer for what should come before it.
        let mut give_up: Option<Instant> = None;
        while self.left > 0 {
            let mut progress = false;
            let meter = &mut self.meter;
            let tick = async {
                match meter {
                    Some(meter) => meter.tick().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                delivery = self.subscription.next(), if events.is_some() => match delivery {
                    Ok(Some(delivery)) => self.deliver(delivery, events.as_ref())?,
                    // The readers of the last streams still hold their ends of the queue.
                    Ok(None) => events = None,
                    Err(_) if self.upstream.goes_on() => (end, events) = (End::Cut, None),
                    Err(closed) => return Err(Failure::Failed(format!("the track was cut off: {closed}"))),
                },
                event = received.recv() => match event {
                    Some(event) => self.take(event)?,
                    None => break,
                },
                moved = self.upstream.moved(), if events.is_some() => {
                    moved?;
                    // What is on its way is asked for again.
                    while let Ok(event) = received.try_recv() {
                        self.take(event)?;
                    }
                    end = End::Cut;
                    break;
                }
                () = tick => self.meter.iter_mut().for_each(Meter::show),
                () = sleep_until(self.forward_at.unwrap_or_else(Instant::now)), if self.forward_at.is_some() => {
                    self.forward().await?;
                }
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
        self.write_ready()?;
        if self.left == 0 {
            return Ok(End::Complete);
        }
        match (end, self.subscription.done()) {
            (End::Complete, Some(done)) => ended(done, self.upstream.goes_on()),
            (end, _) => Ok(end),
        }
    }

    async fn forward(&mut self) -> Result<(), Failure> {
        self.forward_at = None;
        let update = RequestUpdate { forward: Some(true), ..RequestUpdate::default() };
        self.subscribe.forward = true;
        match self.subscription.update(update).await {
            // The next subscription has it from the beginning.
            Err(RequestFailed::Closed(_)) if self.upstream.goes_on() => Ok(()),
            Err(error) => Err(Failure::Failed(format!("the Forward State cannot be changed: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    fn deliver(&mut self, delivery: Delivery, events: Option<&mpsc::Sender<Event>>) -> Result<(), Failure> {
        match delivery {
            Delivery::Subgroup(subgroup) => {
                self.order.opened(subgroup.group_id());
                if let Some(events) = events {
                    tokio::spawn(read(subgroup, events.clone()));
                }
                Ok(())
            }
            Delivery::Datagram(datagram) => {
                self.take(Event::Object(Box::new(Received::of_datagram(datagram))))
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            // A publisher that sends more than was asked for makes nothing come twice.
            Event::Object(object) if object.location < self.first => {}
            Event::Object(object) => {
                self.arrived(*object)?;
                if !self.ordered {
                    self.sink.flush()?;
                }
            }
            Event::Closed(group) => self.order.closed(group),
        }
        Ok(())
    }

    /// An object is put into order, or written.
    fn arrived(&mut self, object: Received) -> Result<(), Failure> {
        if let Some(meter) = &mut self.meter {
            meter.object(&object);
        }
        if self.ordered {
            self.order.object(object.location, object);
            return Ok(());
        }
        self.write(&object)
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
        next: impl FnOnce(&mut InOrder<Received>) -> Option<(Location, Received)>,
    ) -> Result<bool, Failure> {
        if self.left == 0 {
            return Ok(false);
        }
        let Some((_, object)) = next(&mut self.order) else { return Ok(false) };
        self.write(&object)?;
        Ok(true)
    }

    fn write(&mut self, object: &Received) -> Result<(), Failure> {
        self.sink.write(object)?;
        self.next = self.next.max(after(object.location));
        if object.status == ObjectStatus::Normal {
            self.left -= 1;
        }
        Ok(())
    }
}

/// Reads a stream to its end.
async fn read(mut subgroup: IncomingSubgroup, events: mpsc::Sender<Event>) {
    let group = subgroup.group_id();
    loop {
        match subgroup.next_object().await {
            Ok(Some(object)) => {
                let object = Box::new(Received::of_subgroup(&subgroup, object));
                if events.send(Event::Object(object)).await.is_err() {
                    return;
                }
            }
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

/// Whether the publisher ended as publishers do, or the track goes on elsewhere or later.
fn ended(done: &PublishDone, goes_on: bool) -> Result<End, Failure> {
    use PublishDoneCode::{Expired, GoingAway, InternalError, SubscriptionEnded, TooFarBehind, TrackEnded};
    match done.code {
        TrackEnded | SubscriptionEnded => Ok(End::Complete),
        GoingAway | InternalError | Expired | TooFarBehind if goes_on => {
            tracing::warn!("the publisher broke the track off with {}: {}", done.code, done.reason);
            Ok(End::Cut)
        }
        code => {
            Err(Failure::Failed(format!("the publisher broke the track off with {code}: {}", done.reason)))
        }
    }
}

/// Where a subscription begins when the track is this far.
fn first(filter: Option<SubscriptionFilter>, largest: Option<Location>) -> Location {
    use SubscriptionFilter::{AbsoluteRange, AbsoluteStart, LargestObject};
    match (filter, largest) {
        (Some(LargestObject), Some(largest)) => after(largest),
        (Some(AbsoluteStart(start) | AbsoluteRange { start, .. }), Some(largest)) => {
            start.max(after(largest))
        }
        (Some(AbsoluteStart(start) | AbsoluteRange { start, .. }), None) => start,
        (Some(_), Some(largest)) => Location::new(largest.group + 1, 0),
        _ => Location::default(),
    }
}

/// The filter of a subscription that goes on here.
fn from(filter: Option<SubscriptionFilter>, next: Location) -> Option<SubscriptionFilter> {
    use SubscriptionFilter::{AbsoluteRange, AbsoluteStart, LargestObject};
    Some(match filter {
        Some(AbsoluteStart(start)) => AbsoluteStart(start.max(next)),
        Some(AbsoluteRange { start, end_group }) => {
            AbsoluteRange { start: start.max(next), end_group: end_group.max(next.group) }
        }
        _ => LargestObject,
    })
}

/// The last location that is wanted of a track that is this far.
fn last(filter: Option<SubscriptionFilter>, largest: Location) -> Location {
    match filter {
        Some(SubscriptionFilter::AbsoluteRange { end_group, .. }) => {
            largest.min(Location::new(end_group, u64::MAX))
        }
        _ => largest,
    }
}

const fn whole(Location { group, object }: Location) -> EndLocation {
    EndLocation { group, object: if object == u64::MAX { None } else { Some(object) } }
}

const fn after(Location { group, object }: Location) -> Location {
    Location::new(group, object.saturating_add(1))
}
