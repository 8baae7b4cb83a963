//! From a subscription to the output.

use std::time::Duration;

use moqingbird::wire::model::{Location, ObjectStatus, PublishDone, PublishDoneCode, RequestUpdate};
use moqingbird::{Delivery, IncomingSubgroup, Subscription};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::exit::Failure;
use crate::fetch;
use crate::in_order::InOrder;
use crate::meter::Meter;
use crate::received::Received;
use crate::sink::Sink;
use crate::subscribe::Wish;

/// How long an object waits for those that should come before it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many objects may be between the streams' readers and the output.
const QUEUE: usize = 64;

/// What the streams' readers tell.
enum Event {
    Object(Box<Received>),
    Closed(u64),
}

/// Brings a subscription's objects into order.
pub(crate) struct Receiver {
    subscription: Subscription,
    /// Where the subscription begins.
    first: Location,
    order: InOrder<Received>,
    join: Option<u64>,
    forward_at: Option<Instant>,
    left: u64,
    ordered: bool,
    sink: Sink,
    meter: Option<Meter>,
}

impl Receiver {
    pub(crate) fn new(subscription: Subscription, wish: Wish) -> Self {
        let Wish { subscribe, join, forward_after, count, ordered, sink, meter } = wish;
        use moqingbird::wire::model::SubscriptionFilter::{AbsoluteRange, AbsoluteStart, LargestObject};
        let first = match (subscribe.filter, subscription.largest()) {
            (Some(LargestObject), Some(largest)) => Location::new(largest.group, largest.object + 1),
            (Some(AbsoluteStart(start) | AbsoluteRange { start, .. }), Some(largest)) => {
                start.max(Location::new(largest.group, largest.object + 1))
            }
            (Some(AbsoluteStart(start) | AbsoluteRange { start, .. }), None) => start,
            (Some(_), Some(largest)) => Location::new(largest.group + 1, 0),
            _ => Location::default(),
        };
        Self {
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
        if let Some(groups_before) = self.join {
            self.join(groups_before).await?;
        }
        let received = self.receive().await;
        if let Some(meter) = self.meter.take() {
            meter.finish();
        }
        received
    }

    /// Writes what precedes the subscription. That it cannot be had is told, and no reason to have nothing.
    async fn join(&mut self, groups_before: u64) -> Result<(), Failure> {
        if self.subscription.largest().is_none() {
            return Ok(());
        }
        match self.subscription.join(groups_before).await {
            Ok(fetched) => {
                self.left = fetch::write(fetched, &self.sink, self.left, self.meter.as_mut()).await?;
                Ok(())
            }
            Err(error) => {
                tracing::warn!("what was published before {} cannot be had: {error}", self.first);
                Ok(())
            }
        }
    }

    async fn receive(&mut self) -> Result<(), Failure> {
        let (events, mut received) = mpsc::channel(QUEUE);
        let mut events = Some(events);
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
                    Err(closed) => return Err(Failure::Failed(format!("the track was cut off: {closed}"))),
                },
                event = received.recv() => match event {
                    Some(event) => self.take(event)?,
                    None => break,
                },
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
        while self.write_next(InOrder::skip)? {}
        self.sink.flush()?;
        match self.subscription.done() {
            Some(done) if self.left > 0 => ended(done),
            _ => Ok(()),
        }
    }

    async fn forward(&mut self) -> Result<(), Failure> {
        self.forward_at = None;
        let update = RequestUpdate { forward: Some(true), ..RequestUpdate::default() };
        let updated = self.subscription.update(update).await;
        updated.map_err(|error| Failure::Failed(format!("the Forward State cannot be changed: {error}")))
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
                if let Some(meter) = &mut self.meter {
                    meter.object(&object);
                }
                if self.ordered {
                    self.order.object(object.location, *object);
                } else {
                    self.write(&object)?;
                    self.sink.flush()?;
                }
            }
            Event::Closed(group) => self.order.closed(group),
        }
        Ok(())
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
