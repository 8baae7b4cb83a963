//! A publisher of one track: whatever the relay asks of it is answered from what has been written.

use std::sync::Arc;

use bytes::Bytes;
use moqingbird::track::{self, SubgroupInfo, Track, TrackOptions, WriteError, Writer};
use moqingbird::wire::model::{
    DEFAULT_PRIORITY, Datagram, Extensions, FullTrackName, ObjectHeader, ObjectStatus, Publish,
    PublishDoneCode, RequestError, RequestErrorCode, RequestKind, TrackAlias, TrackExtensions,
};
use moqingbird::{IncomingRequest, Publication, PublishedNamespace, Session, TrackInfo};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::steps;
use crate::Context;
use crate::context::{ANSWER_LIMIT, mismatch};
use crate::report::{Failure, NotPassed, Role};

/// As many streams as a subscriber gets side by side.
const MAX_SUBGROUPS: usize = 64;
/// More than any case writes.
const MAX_BYTES: usize = 64 << 20;

/// A session that publishes one track.
#[derive(Debug)]
pub(super) struct Origin {
    session: Session,
    writer: Writer,
    /// Dropping it withdraws the namespace.
    announced: Option<PublishedNamespace>,
    /// How many subscriptions of the relay have wanted objects so far.
    wanted: watch::Receiver<usize>,
    wants: Arc<watch::Sender<usize>>,
    serving: JoinSet<()>,
}

impl Origin {
    /// A publisher whose namespace the relay has taken (PUBLISH_NAMESPACE).
    pub(super) async fn announce(cx: &Context, track: &FullTrackName) -> Result<Self, Failure> {
        let mut origin = Self::connect(cx, track).await?;
        origin.announced = Some(steps::announce(cx, &origin.session, &track.namespace).await?);
        Ok(origin)
    }

    /// A publisher that has said nothing of its track yet.
    pub(super) async fn connect(cx: &Context, track: &FullTrackName) -> Result<Self, Failure> {
        let session = cx.connect(Role::Publisher).await?;
        let mut options = TrackOptions::default();
        options.max_bytes = MAX_BYTES;
        let writer = Writer::new(options);
        let (wants, wanted) = watch::channel(0);
        let wants = Arc::new(wants);
        let server = Server { name: track.clone(), track: writer.track(), wants: wants.clone() };
        let mut serving = JoinSet::new();
        serving.spawn(server.answer(session.clone()));
        Ok(Self { session, writer, announced: None, wanted, wants, serving })
    }

    /// Offers the track (PUBLISH), and serves the relay's subscription; the case is skipped if the relay does not do
    /// PUBLISH.
    pub(super) async fn offer(&mut self, cx: &Context, track: &FullTrackName) -> Result<(), NotPassed> {
        let reader = self.writer.reader(None);
        let answer = cx.within("PUBLISH_OK", ANSWER_LIMIT, self.session.publish(offer(track))).await?;
        let publication =
            answer.map_err(|failed| steps::not_granted(&self.session, RequestKind::Publish, &failed))?;
        self.serving.spawn(serve(publication, self.writer.track(), reader, self.wants.clone()));
        Ok(())
    }

    /// The session.
    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    /// Waits until the relay wants objects: its SUBSCRIBE has been granted, or our PUBLISH, with Forward State 1.
    pub(super) async fn subscribed(&mut self, cx: &Context) -> Result<(), Failure> {
        let expected = "SUBSCRIBE of the relay at the publisher";
        let come = self.wanted.wait_for(|count| *count > 0);
        // It does not fail: `self.wants` is held here.
        cx.within(expected, ANSWER_LIMIT, come).await.map(drop)
    }

    /// Writes a group of one subgroup, whole.
    pub(super) fn write_group(&self, group: u64, payloads: &[Bytes]) -> Result<(), Failure> {
        self.write_subgroup(group, 0, &numbered(0, payloads))
    }

    /// Writes a subgroup, whole.
    pub(super) fn write_subgroup(
        &self,
        group: u64,
        subgroup: u64,
        objects: &[(u64, Bytes)],
    ) -> Result<(), Failure> {
        let unwritable = |error: WriteError| mismatch("objects to send", "nothing", error.to_string());
        let mut writer = self.writer.open_subgroup(SubgroupInfo {
            group_id: group,
            subgroup_id: Some(subgroup),
            publisher_priority: DEFAULT_PRIORITY,
            extensions: false,
            end_of_group: false,
        });
        for (object_id, payload) in objects {
            let header = ObjectHeader {
                object_id: *object_id,
                extensions: Extensions::NONE,
                status: ObjectStatus::Normal,
                payload_length: payload.len() as u64,
            };
            writer.object(header).map_err(unwritable)?;
            if !payload.is_empty() {
                writer.chunk(payload.clone()).map_err(unwritable)?;
            }
        }
        writer.finish().map_err(unwritable)
    }

    /// Writes an object that travels in a datagram.
    pub(super) fn write_datagram(&self, datagram: Datagram) {
        self.writer.datagram(datagram);
    }

    /// The track has ended (PUBLISH_DONE, TRACK_ENDED).
    pub(super) fn finish(&self) {
        self.writer.finish(PublishDoneCode::TrackEnded, "the case has sent everything".into());
    }

    /// Withdraws the namespace (PUBLISH_NAMESPACE_DONE).
    pub(super) fn withdraw(&mut self) {
        self.announced = None;
    }

    /// Ends the session, which must still be open.
    pub(super) async fn close(mut self, cx: &Context) -> Result<(), Failure> {
        self.announced = None;
        cx.close(self.session).await
    }
}

/// Objects with their IDs, from `first` on.
pub(super) fn numbered(first: u64, payloads: &[Bytes]) -> Vec<(u64, Bytes)> {
    (first..).zip(payloads.iter().cloned()).collect()
}

/// The PUBLISH of a track of which nothing is known yet. Objects flow as soon as the relay says so.
pub(super) fn offer(track: &FullTrackName) -> Publish {
    Publish {
        track: track.clone(),
        // The session chooses it.
        track_alias: TrackAlias(0),
        largest: None,
        forward: false,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: TrackExtensions::default(),
    }
}

/// Answers the relay.
struct Server {
    name: FullTrackName,
    track: Track,
    wants: Arc<watch::Sender<usize>>,
}

impl Server {
    async fn answer(self, session: Session) {
        let mut serving = JoinSet::new();
        while let Some(request) = session.next_request().await {
            match request {
                IncomingRequest::Subscribe(asked) if asked.request().track == self.name => {
                    // The reader comes first, so that nothing falls between it and what the answer says.
                    let reader = self.track.reader(asked.request().filter);
                    let info = TrackInfo { largest: reader.largest(), ..TrackInfo::default() };
                    // The relay may have left before it was answered.
                    let Ok(publication) = asked.accept(info) else { continue };
                    serving.spawn(serve(publication, self.track.clone(), reader, self.wants.clone()));
                }
                IncomingRequest::Fetch(asked) if *asked.track() == self.name => {
                    let order = asked.request().group_order.unwrap_or_default();
                    match self.track.held(asked.start(), asked.end(), order) {
                        Some(held) => {
                            serving.spawn(async move {
                                // It fails when the relay cancels.
                                let _ = track::serve_fetch(asked, held, TrackExtensions::default()).await;
                            });
                        }
                        None => asked.reject(RequestError::new(
                            RequestErrorCode::InvalidRange,
                            "nothing has been published there",
                        )),
                    }
                }
                IncomingRequest::TrackStatus(asked) if asked.request().track == self.name => {
                    let info = TrackInfo { largest: self.track.largest(), ..TrackInfo::default() };
                    // It fails when the session is over.
                    let _ = asked.accept(info);
                }
                other => {
                    other.reject(RequestError::new(RequestErrorCode::DoesNotExist, "no such track here"));
                }
            }
        }
    }
}

async fn serve(
    publication: Publication,
    track: Track,
    reader: track::Reader,
    wants: Arc<watch::Sender<usize>>,
) {
    publication.forwarding().await;
    wants.send_modify(|count| *count += 1);
    // It fails when the relay has left, which the case sees at the subscriber if it matters.
    let _ = track::serve(publication, &track, reader, MAX_SUBGROUPS, |_| ()).await;
}
