//! The workload over sessions of this project.

use std::sync::Arc;

use bytes::Bytes;
use moqingbird::wire::Version;
use moqingbird::wire::model::{
    Datagram, DatagramBody, Extensions, FullTrackName, ObjectHeader, ObjectStatus, PublishDoneCode,
    PublishNamespace, RequestError, RequestErrorCode, SubgroupId, Subscribe, TrackAlias, TrackNamespace,
};
use moqingbird::wire::stream::SubgroupItem;
use moqingbird::{
    Delivery, IncomingRequest, IncomingSubgroup, IncomingSubscribe, Publication, PublishedNamespace, Session,
    SubgroupError, SubgroupOptions, SubgroupSender, Subscription, TrackInfo,
};
use tokio::task::JoinSet;

use crate::publish::{Feed, ObjectStream, Outlet, Payload, Sent};
use crate::receive::{self, Arrival, Arriving, Counter, Inlet};
use crate::tally::Batch;
use crate::{Error, Workload, stamp};

const PRIORITY: u8 = 128;

/// The n-th track of a workload.
pub(crate) fn track(namespace: &str, number: u32) -> Result<FullTrackName, Error> {
    Ok(FullTrackName::new(TrackNamespace::from_path(namespace)?, format!("track-{number}"))?)
}

/// Announces the workload's tracks to a relay.
pub(crate) async fn announce(session: &Session, namespace: &str) -> Result<PublishedNamespace, Error> {
    let namespace = TrackNamespace::from_path(namespace)?;
    Ok(session.publish_namespace(PublishNamespace { namespace, authorization_tokens: Vec::new() }).await?)
}

/// Serves the workload's tracks on a session until each has been sent once; `started` is called when the first begins.
pub(crate) async fn publish(
    session: &Session,
    workload: &Workload,
    sent: &Arc<Sent>,
    started: impl FnOnce(),
) -> Result<(), Error> {
    let mut started = Some(started);
    let mut feeds = JoinSet::new();
    for _ in 0..workload.tracks {
        let publication = next_subscriber(session).await?.accept(TrackInfo::default())?;
        let version = session.version();
        if let Some(started) = started.take() {
            tokio::time::sleep(workload.lead()).await;
            started();
        }
        let feed = Feed::new(workload, sent.clone());
        feeds.spawn(async move {
            let outlet = Arc::new(Ours { publication, version });
            feed.run(outlet.clone()).await?;
            match Arc::into_inner(outlet) {
                Some(Ours { publication, .. }) => {
                    Ok(publication.finish(PublishDoneCode::TrackEnded, "the run is over").await?)
                }
                None => Ok::<_, Error>(()),
            }
        });
    }
    while let Some(done) = feeds.join_next().await {
        done??;
    }
    Ok(())
}

async fn next_subscriber(session: &Session) -> Result<IncomingSubscribe, Error> {
    loop {
        match session.next_request().await {
            Some(IncomingRequest::Subscribe(request)) => return Ok(request),
            Some(other) => other.reject(RequestError::new(
                RequestErrorCode::NotSupported,
                "a bench serves subscriptions only",
            )),
            None => return Err(format!("the subscriber's session ended: {}", session.closed().await).into()),
        }
    }
}

/// Subscribes to the workload's tracks and counts until each has ended.
pub(crate) async fn subscribe(
    session: &Session,
    namespace: &str,
    workload: &Workload,
    number: u32,
    counter: &Counter,
) -> Result<(), Error> {
    let mut subscriptions = JoinSet::new();
    for index in 0..workload.tracks {
        let subscription = session.subscribe(Subscribe::new(track(namespace, index)?)).await?;
        let number = number * workload.tracks + index;
        let (workload, counter) = (workload.clone(), counter.clone());
        subscriptions.spawn(async move {
            receive::subscription(Incoming { subscription }, number, &workload, counter).await
        });
    }
    while let Some(done) = subscriptions.join_next().await {
        done??;
    }
    Ok(())
}

/// Objects on their way to one subscriber.
struct Ours {
    publication: Publication,
    version: Version,
}

impl Outlet for Ours {
    type Stream = OurStream;

    async fn open(&self, group: u64, lane: u32) -> Result<OurStream, Error> {
        let mut options = SubgroupOptions::new(group);
        if lane > 0 {
            options.subgroup_id = SubgroupId::Id(lane.into());
        }
        options.publisher_priority = PRIORITY;
        options.extensions = true;
        Ok(OurStream { sender: self.publication.open_subgroup(options).await?, version: self.version })
    }

    async fn datagram(&self, group: u64, object: u64, payload: Payload) -> Result<(), Error> {
        let extensions = extensions(self.version, &payload);
        let body = match payload.head() {
            // A datagram is one piece: here alone the payload is put together.
            Some(head) => [&head[..], &payload.rest].concat().into(),
            None => payload.rest,
        };
        let datagram = Datagram {
            track_alias: TrackAlias(0),
            group_id: group,
            object_id: object,
            publisher_priority: Some(PRIORITY),
            end_of_group: false,
            extensions,
            body: DatagramBody::Payload(body),
        };
        Ok(self.publication.send_datagram(datagram).await?)
    }
}

fn extensions(version: Version, payload: &Payload) -> Extensions {
    payload.beside().map_or(Extensions::NONE, |at| stamp::extensions(version, at))
}

struct OurStream {
    sender: SubgroupSender,
    version: Version,
}

impl ObjectStream for OurStream {
    fn add(&mut self, object: u64, payload: Payload) -> Result<(), Error> {
        self.sender.begin(&ObjectHeader {
            object_id: object,
            extensions: extensions(self.version, &payload),
            status: ObjectStatus::Normal,
            payload_length: payload.length.into(),
        })?;
        if let Some(head) = payload.head() {
            self.sender.add(Bytes::copy_from_slice(&head))?;
        }
        Ok(self.sender.add(payload.rest)?)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        Ok(self.sender.flush().await?)
    }

    async fn finish(self) -> Result<(), Error> {
        Ok(self.sender.finish()?)
    }
}

/// Objects as a subscription brings them.
struct Incoming {
    subscription: Subscription,
}

impl Inlet for Incoming {
    type Stream = Subgroup;

    async fn next(&mut self) -> Result<Option<Arrival<Subgroup>>, Error> {
        Ok(match self.subscription.next().await? {
            Some(Delivery::Subgroup(subgroup)) => Some(Arrival::Stream(Subgroup::new(subgroup))),
            Some(Delivery::Datagram(datagram)) => Some(of_datagram(&datagram)),
            _ => None,
        })
    }
}

fn of_datagram(datagram: &Datagram) -> Arrival<Subgroup> {
    let payload = match &datagram.body {
        DatagramBody::Payload(payload) => &payload[..],
        _ => &[],
    };
    let sent_at = match payload.len() < stamp::BYTES {
        true => stamp::of_extensions(&datagram.extensions),
        false => stamp::read(payload),
    };
    let (group, object) = (datagram.group_id, datagram.object_id);
    Arrival::Datagram { group, object, length: payload.len() as u64, sent_at }
}

struct Subgroup {
    subgroup: IncomingSubgroup,
    objects: u64,
    /// The beginning of the payload, while its timestamp is not whole.
    head: Head,
}

/// The first bytes of a payload as they come.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; stamp::BYTES],
    length: usize,
}

impl Head {
    /// The timestamp, once it is whole.
    fn add(&mut self, part: &[u8]) -> Option<u64> {
        let missing = stamp::BYTES - self.length;
        if missing == 0 {
            return None;
        }
        let taken = missing.min(part.len());
        self.bytes[self.length..self.length + taken].copy_from_slice(&part[..taken]);
        self.length += taken;
        (self.length == stamp::BYTES).then(|| u64::from_be_bytes(self.bytes))
    }
}

impl Subgroup {
    fn new(subgroup: IncomingSubgroup) -> Self {
        Self { subgroup, objects: 0, head: Head::default() }
    }

    /// Counts an item; `false` at the end.
    fn count(&mut self, item: &SubgroupItem, batch: &mut Batch, first: u64) -> bool {
        match item {
            SubgroupItem::Object(header) => {
                batch.object(first + self.objects, header.payload_length);
                self.objects += 1;
                self.head = Head::default();
                if !header.extensions.is_empty()
                    && let Some(at) = stamp::of_extensions(&header.extensions)
                {
                    batch.sent_at(at);
                }
                true
            }
            SubgroupItem::Payload(part) => {
                self.head.add(part).into_iter().for_each(|at| batch.sent_at(at));
                true
            }
            _ => false,
        }
    }
}

impl Arriving for Subgroup {
    async fn place(&mut self) -> Result<Option<(u64, u64)>, Error> {
        Ok(Some((self.subgroup.group_id(), self.subgroup.subgroup_id().unwrap_or(0))))
    }

    async fn read(&mut self, batch: &mut Batch, first: u64) -> Result<bool, Error> {
        let mut next = self.subgroup.next_item().await;
        let mut arrived = false;
        loop {
            match next {
                Ok(Some(item)) if self.count(&item, batch, first) => arrived = true,
                // Nothing more has come for now; or there is nothing more.
                Ok(None) => return Ok(arrived),
                // The end, or a subgroup that was given up on the way, as one is whose reader is far behind: the rest of it
                // is lost.
                Ok(Some(_)) | Err(SubgroupError::Reset(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            next = self.subgroup.try_next_item();
        }
    }
}
