//! From a track to one subscriber.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::model::{ObjectHeader, PublishDoneCode, ReasonPhrase, ResetCode, SubgroupId};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::state::Part;
use super::{Delivery, Item, Reader, SubgroupEnd, SubgroupReader, Track, TrackEnd};
use crate::api::{
    Heard, Publication, PublicationError, StreamPlace, SubgroupOptions, SubgroupSender, as_expressible,
};

/// What a subscriber says while it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told {
    /// Its Forward State is this now.
    Forward(bool),
    /// It would like a new group, from this one on (NEW_GROUP_REQUEST).
    NewGroup(u64),
}

/// How a subscriber is served.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    /// How many subgroups are sent side by side; further ones wait, and are lost to the subscriber if the track evicts them
    /// meanwhile. Default: 256.
    pub max_subgroups: usize,
    /// A subscriber that has taken nothing for so long, while the track went on to another group or evicted what comes next
    /// for it, is too far behind: its subscription is ended (TOO_FAR_BEHIND). Default: 10 s.
    pub too_far_behind_after: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { max_subgroups: 256, too_far_behind_after: Duration::from_secs(10) }
    }
}

/// As [`serve_with`], with so many subgroups side by side.
///
/// # Errors
/// As [`serve_with`].
pub async fn serve(
    publication: Publication,
    track: &Track,
    reader: Reader,
    max_subgroups: usize,
    tell: impl Fn(bool),
) -> Result<(), PublicationError> {
    let options = ServeOptions { max_subgroups, ..ServeOptions::default() };
    let tell = |told| match told {
        Told::Forward(forward) => tell(forward),
        Told::NewGroup(_) => {}
    };
    serve_with(publication, track, reader, options, tell).await
}

/// Sends a subscriber what `reader` gives of `track`, as it comes, and PUBLISH_DONE when the track ends. Each subgroup
/// moves at its own stream's pace. `tell` hears what the subscriber says meanwhile. What the session's draft
/// cannot say of an object without payload is left out. Dropping the future ends the subscription.
///
/// # Errors
/// The subscriber left, or the session ended, before the subscriber had everything.
pub fn serve_with<T: Fn(Told)>(
    publication: Publication,
    track: &Track,
    mut reader: Reader,
    options: ServeOptions,
    tell: T,
) -> impl Future<Output = Result<(), PublicationError>> + use<T> {
    reader.encode_in(publication.version());
    let (patience, taken) = (options.too_far_behind_after, Mutex::new(Instant::now()));
    let mut serving = Serving {
        preference: Preference { is_free: publication.may_mix(), datagrams: None },
        progress: Arc::new(Progress { patience, taken, given_up: Notify::new() }),
        publication: Arc::new(publication),
        track: track.clone(),
        reader,
        subgroups: JoinSet::new(),
        max_subgroups: options.max_subgroups,
        tell,
    };
    // Of a subscription that has nothing to do this is all that is kept: what is rare is kept apart while it lasts.
    async move {
        let served = serving.run().await?;
        let Serving { publication, reader, mut subgroups, .. } = serving;
        subgroups.shutdown().await;
        Box::pin(finish(publication, served, reader)).await
    }
}

/// A subscriber that is being served.
struct Serving<T> {
    publication: Arc<Publication>,
    track: Track,
    reader: Reader,
    preference: Preference,
    progress: Arc<Progress>,
    subgroups: JoinSet<()>,
    max_subgroups: usize,
    tell: T,
}

/// How far a subscriber has been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// It has all of the track.
    All,
    /// It is too far behind.
    TooFarBehind,
}

impl<T: Fn(Told)> Serving<T> {
    async fn run(&mut self) -> Result<Served, PublicationError> {
        loop {
            if !self.publication.forward() {
                self.subgroups.shutdown().await;
                Box::pin(self.pause()).await?;
            }
            let Self { publication, reader, subgroups, progress, .. } = self;
            tokio::select! {
                heard = publication.heard() => match heard {
                    Heard::Cancelled => return Err(PublicationError::Cancelled),
                    Heard::Paused => {}
                    Heard::NewGroup(group) => (self.tell)(Told::NewGroup(group)),
                },
                Some(_) = subgroups.join_next() => {}
                () = progress.given_up.notified() => return Ok(Served::TooFarBehind),
                delivery = reader.next(), if subgroups.len() < self.max_subgroups => {
                    let Some(delivery) = delivery else { break };
                    if let Some(datagram) = self.take(delivery) {
                        // It fails if the subscriber has left, which is heard next.
                        let _ = self.publication.send_encoded_datagram(datagram).await;
                    }
                }
            }
        }
        let Self { publication, subgroups, progress, .. } = self;
        tokio::select! {
            () = publication.cancelled() => Err(PublicationError::Cancelled),
            () = progress.given_up.notified() => Ok(Served::TooFarBehind),
            () = async { while subgroups.join_next().await.is_some() {} } => Ok(Served::All),
        }
    }

    /// Begins to send a subgroup. A datagram is given as it is to be sent, unless the subscriber's draft cannot say it.
    fn take(&mut self, delivery: Delivery) -> Option<Bytes> {
        let Self { publication, track, progress, .. } = self;
        match delivery {
            // Where a track has one forwarding preference it is that of its first object.
            delivery if !self.preference.takes(&delivery) => {
                tracing::debug!(track = %publication.track(), "an object of another forwarding preference is left out");
                None
            }
            Delivery::Subgroup(subgroup) => {
                let (publication, progress) = (Arc::clone(publication), Arc::clone(progress));
                self.subgroups.spawn(copy_subgroup(publication, track.clone(), subgroup, progress));
                None
            }
            Delivery::Datagram(datagram) => match publication.encode_datagram(datagram) {
                Err(PublicationError::Encode(error)) => {
                    tracing::debug!(track = %publication.track(), %error, "a datagram is left out");
                    None
                }
                encoded => encoded.ok(),
            },
        }
    }

    /// Waits until the subscriber wants objects, or the track has ended.
    async fn pause(&mut self) -> Result<(), PublicationError> {
        (self.tell)(Told::Forward(false));
        let Self { publication, reader, track, .. } = self;
        loop {
            tokio::select! {
                () = publication.cancelled() => return Err(PublicationError::Cancelled),
                () = publication.forwarding() => {
                    *reader = track.reader(publication.filter());
                    reader.encode_in(publication.version());
                    break;
                }
                delivery = reader.next() => if delivery.is_none() {
                    break;
                },
            }
        }
        (self.tell)(Told::Forward(publication.forward()));
        Ok(())
    }
}

/// By what a track is sent to a subscriber.
struct Preference {
    /// By streams and datagrams alike.
    is_free: bool,
    /// By datagrams, or by streams; not known before the first object.
    datagrams: Option<bool>,
}

impl Preference {
    fn takes(&mut self, delivery: &Delivery) -> bool {
        let is_datagram = matches!(delivery, Delivery::Datagram(_));
        self.is_free || *self.datagrams.get_or_insert(is_datagram) == is_datagram
    }
}

/// Whether a subscriber takes what it is sent.
#[derive(Debug)]
struct Progress {
    patience: Duration,
    /// When it took something last.
    taken: Mutex<Instant>,
    /// It is too far behind.
    given_up: Notify,
}

impl Progress {
    fn taken(&self) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_stuck(&self) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= self.patience
    }
}

async fn finish(
    publication: Arc<Publication>,
    served: Served,
    reader: Reader,
) -> Result<(), PublicationError> {
    let (code, reason) = match (served, reader.end()) {
        (Served::TooFarBehind, _) => {
            let reason = "the subscriber does not keep up with the track";
            (PublishDoneCode::TooFarBehind, ReasonPhrase::from(reason))
        }
        (Served::All, Some(TrackEnd::Finished { code, reason })) => (*code, reason.clone()),
        (Served::All, Some(TrackEnd::EndOfRange)) => {
            (PublishDoneCode::SubscriptionEnded, ReasonPhrase::from("the end of the range is reached"))
        }
        _ => (PublishDoneCode::InternalError, ReasonPhrase::from("the track's publisher was lost")),
    };
    match Arc::into_inner(publication) {
        Some(publication) => publication.finish(code, reason).await,
        // Not reached: every task that shared the publication has ended.
        None => Ok(()),
    }
}

/// Copies one subgroup as it grows.
async fn copy_subgroup(
    publication: Arc<Publication>,
    track: Track,
    reader: SubgroupReader,
    progress: Arc<Progress>,
) {
    match try_copy_subgroup(&publication, &track, reader, &progress).await {
        Ok(()) | Err(PublicationError::Cancelled | PublicationError::Late | PublicationError::Closed(_)) => {}
        Err(error) => tracing::warn!(track = %publication.track(), %error, "a subgroup cannot be forwarded"),
    }
}

async fn try_copy_subgroup(
    publication: &Publication,
    track: &Track,
    mut reader: SubgroupReader,
    progress: &Progress,
) -> Result<(), PublicationError> {
    let version = publication.version();
    let mut parts = Vec::new();
    let mut end = reader.next_parts(version, StreamPlace::default(), &mut parts).await;
    if parts.is_empty() {
        return Ok(());
    }
    let info = reader.info();
    let options = SubgroupOptions {
        group_id: info.group_id,
        // Never "that of the first object": this subscriber may have joined behind it.
        subgroup_id: SubgroupId::Id(info.subgroup_id.unwrap_or(0)),
        publisher_priority: info.publisher_priority,
        extensions: info.extensions,
        end_of_group: info.end_of_group,
    };
    let mut sender = publication.open_subgroup(options).await?;
    loop {
        if !publication.forward() {
            return Ok(());
        }
        for part in parts.drain(..) {
            match part {
                Part::Encoded(encoded) => sender.add_encoded(&encoded)?,
                Part::Item(Item::Object(header)) => begin(&mut sender, &header)?,
                Part::Item(Item::Payload(payload)) => sender.add(payload)?,
            }
        }
        loop {
            match timeout(progress.patience, sender.flush()).await {
                Ok(flushed) => break flushed?,
                Err(_) => {
                    let went_on = track.largest().is_some_and(|largest| largest.group > info.group_id);
                    if progress.is_stuck() && (went_on || reader.is_too_far_behind()) {
                        progress.given_up.notify_one();
                    }
                }
            }
        }
        progress.taken();
        match end {
            None => end = reader.next_parts(version, sender.place(), &mut parts).await,
            Some(SubgroupEnd::Finished) => return sender.finish(),
            Some(SubgroupEnd::Reset(code)) => {
                sender.reset(code);
                return Ok(());
            }
            Some(SubgroupEnd::TooFarBehind) => {
                sender.reset(ResetCode::DeliveryTimeout);
                return Ok(());
            }
        }
    }
}

/// Begins an object. What the subscriber's draft cannot say of one without payload is left out: its extension headers,
/// or all of it.
fn begin(sender: &mut SubgroupSender, header: &ObjectHeader) -> Result<(), PublicationError> {
    let is_inexpressible = |error: &_| matches!(error, PublicationError::Encode(_));
    as_expressible(header, |header| sender.begin(header), is_inexpressible)
}
