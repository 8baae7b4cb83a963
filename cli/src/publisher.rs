//! A track of ours, offered to whoever asks the server for it.

use moqingbird::track::{self, Reader, Track};
use moqingbird::wire::model::{
    FullTrackName, Publish, PublishNamespace, RequestError, RequestErrorCode, TrackAlias, TrackExtensions,
};
use moqingbird::{IncomingFetch, IncomingRequest, IncomingSubscribe, Publication, Session, TrackInfo};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::exit::Failure;

/// How many streams are open to a subscriber at a time.
const MAX_SUBGROUPS: usize = 256;

/// How the server learns of the track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// PUBLISH_NAMESPACE, and then SUBSCRIBE comes from the server.
    Namespace,
    /// PUBLISH of the track itself.
    Track,
}

/// Tells the work whether anybody has subscribed yet.
#[derive(Clone, Debug)]
pub(crate) struct Subscribers(watch::Receiver<bool>);

impl Subscribers {
    /// Waits for the first.
    pub(crate) async fn first(&mut self) {
        // It fails if nobody serves any more; then the work is about to be dropped.
        let _ = self.0.wait_for(|come| *come).await;
    }
}

/// Offers a track and serves its subscribers until `work`, which writes the track and finishes it, is done, and every
/// subscriber has got the rest.
pub(crate) async fn publish(
    session: &Session,
    name: FullTrackName,
    track: Track,
    offer: Offer,
    work: impl AsyncFnOnce(Subscribers) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (come, subscribers) = watch::channel(false);
    let mut server = Server { session, name, track, come, serving: JoinSet::new() };
    // Held until the end: dropping it withdraws the namespace.
    let _announced = match offer {
        Offer::Namespace => {
            let namespace = PublishNamespace::new(server.name.namespace.clone());
            Some(session.publish_namespace(namespace).await.map_err(|error| server.refused(&error))?)
        }
        Offer::Track => {
            server.publish().await?;
            None
        }
    };
    tracing::info!("offered {}: waiting for a subscriber", server.name);
    tokio::select! {
        done = work(Subscribers(subscribers)) => done?,
        lost = server.answer() => return Err(lost),
    }
    // The track has ended, so each of them ends by itself.
    while server.serving.join_next().await.is_some() {}
    Ok(())
}

struct Server<'a> {
    session: &'a Session,
    name: FullTrackName,
    track: Track,
    come: watch::Sender<bool>,
    serving: JoinSet<()>,
}

impl Server<'_> {
    async fn publish(&mut self) -> Result<(), Failure> {
        let reader = self.track.reader(None);
        let publish = Publish {
            track: self.name.clone(),
            track_alias: TrackAlias(0),
            largest: None,
            // Objects flow when the answer, or an update, says that somebody wants them.
            forward: false,
            expires: None,
            authorization_tokens: Vec::new(),
            extensions: TrackExtensions::default(),
        };
        let publication = self.session.publish(publish).await.map_err(|error| self.refused(&error))?;
        self.serve(reader, publication);
        Ok(())
    }

    /// Answers requests until the session ends: how it ended.
    async fn answer(&mut self) -> Failure {
        while let Some(request) = self.session.next_request().await {
            match request {
                IncomingRequest::Subscribe(subscribe) if subscribe.request().track == self.name => {
                    self.accept(subscribe);
                }
                IncomingRequest::Subscribe(subscribe) => {
                    subscribe.reject(RequestError::new(RequestErrorCode::DoesNotExist, "no such track here"));
                }
                IncomingRequest::Fetch(fetch) if *fetch.track() == self.name => self.fetched(fetch),
                IncomingRequest::TrackStatus(asked) if asked.request().track == self.name => {
                    let info = TrackInfo { largest: self.track.largest(), ..TrackInfo::default() };
                    if let Err(error) = asked.accept(info) {
                        tracing::debug!(%error, "the asker left before it was answered");
                    }
                }
                other @ (IncomingRequest::Fetch(_) | IncomingRequest::TrackStatus(_)) => {
                    other.reject(RequestError::new(RequestErrorCode::DoesNotExist, "no such track here"));
                }
                other => {
                    other
                        .reject(RequestError::new(RequestErrorCode::NotSupported, "this end only publishes"));
                }
            }
        }
        let closed = self.session.closed().await;
        Failure::Failed(format!("the session ended before the track did: {closed}"))
    }

    fn accept(&mut self, subscribe: IncomingSubscribe) {
        // The reader comes first, so that nothing falls between it and the location that the answer names.
        let reader = self.track.reader(subscribe.request().filter);
        let info = TrackInfo { largest: self.track.largest(), ..TrackInfo::default() };
        match subscribe.accept(info) {
            Ok(publication) => self.serve(reader, publication),
            Err(error) => tracing::debug!(%error, "the subscriber left before it was answered"),
        }
    }

    /// Answers with what is still held of the range: what is not held is not to be had anywhere.
    fn fetched(&mut self, fetch: IncomingFetch) {
        let order = fetch.request().group_order.unwrap_or_default();
        match self.track.held(fetch.start(), fetch.end(), order) {
            Some(held) => {
                self.serving.spawn(async move {
                    if let Err(error) = track::serve_fetch(fetch, held, TrackExtensions::default()).await {
                        tracing::info!("a fetcher left: {error}");
                    }
                });
            }
            None => {
                let reason = "nothing has been published there";
                fetch.reject(RequestError::new(RequestErrorCode::InvalidRange, reason));
            }
        }
    }

    fn serve(&mut self, reader: Reader, publication: Publication) {
        let (come, track) = (self.come.clone(), self.track.clone());
        self.serving.spawn(async move {
            publication.forwarding().await;
            come.send_replace(true);
            match track::serve(publication, &track, reader, MAX_SUBGROUPS, |_| ()).await {
                Ok(()) => tracing::debug!("a subscriber has got the whole track"),
                Err(error) => tracing::info!("a subscriber left: {error}"),
            }
        });
    }

    fn refused(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::Failed(format!("the server does not take {}: {error}", self.name))
    }
}
