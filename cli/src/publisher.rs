//! A track of ours, offered to whoever asks for it.

use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;

use moqingbird::track::{self, Reader, Track};
use moqingbird::wire::model::{
    FullTrackName, Publish, PublishNamespace, RequestError, RequestErrorCode, SessionErrorCode, TrackAlias,
    TrackExtensions,
};
use moqingbird::{
    Backoff, Incoming, IncomingFetch, IncomingRequest, IncomingSubscribe, IncomingSubscribeNamespace,
    Publication, PublishedNamespace, RequestFailed, Server, Session, TrackInfo, Version,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::connection::Peers;
use crate::exit::Failure;
use crate::link::Link;

/// How many streams are open to a subscriber at a time.
const MAX_SUBGROUPS: usize = 256;

/// How a peer learns of the track without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// By PUBLISH_NAMESPACE, and then SUBSCRIBE comes from the peer.
    namespace: bool,
    /// By PUBLISH of the track itself.
    track: bool,
}

impl Offer {
    pub(crate) const NAMESPACE: Self = Self { namespace: true, track: false };
    pub(crate) const TRACK: Self = Self { namespace: false, track: true };
    pub(crate) const BOTH: Self = Self { namespace: true, track: true };
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

/// A track, and how it is offered.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: FullTrackName,
    track: Track,
    offer: Offer,
    /// Whether nothing is written while there is no subscriber.
    waits: bool,
    /// Whether anybody has subscribed.
    come: watch::Sender<bool>,
    /// Whether the track has ended.
    ended: watch::Sender<bool>,
}

impl Publisher {
    /// With `waits`, the work goes on after the loss of a session only when a subscriber has come to the next.
    pub(crate) fn new(name: FullTrackName, track: Track, offer: Offer, waits: bool) -> Self {
        let (come, ended) = (watch::channel(false).0, watch::channel(false).0);
        Self { shared: Arc::new(Shared { name, track, offer, waits, come, ended }) }
    }

    /// Offers the track and serves its subscribers until `work`, which writes the track and finishes it, is done, and
    /// every subscriber has got the rest.
    pub(crate) async fn run(
        self,
        peers: Peers<'_>,
        work: impl AsyncFnOnce(Subscribers) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match peers {
            Peers::Server(link) => self.connected(link, work).await,
            Peers::Clients(server) => self.listening(&server, work).await,
        }
    }

    async fn connected(
        self,
        link: &mut Link,
        work: impl AsyncFnOnce(Subscribers) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut serving = Serving::new(self.shared.clone(), link.session().clone());
        serving.offer().await.map_err(|refused| serving.refused(&refused))?;
        tracing::info!("offered {}: waiting for a subscriber", self.shared.name);
        let mut work = pin!(work(self.subscribers()));
        let mut subscribers = self.subscribers();
        let mut leaving = JoinSet::new();
        // While there is nobody to write for, the work waits.
        let mut paused = false;
        loop {
            tokio::select! {
                done = &mut work, if !paused => break done?,
                () = subscribers.first(), if paused => {
                    paused = false;
                    continue;
                }
                () = serving.answer() => link.next().await?,
                next = link.next() => next?,
            }
            self.shared.come.send_replace(false);
            let successor = self.offered_again(link).await?;
            leaving.spawn(std::mem::replace(&mut serving, successor).leave());
            paused = self.shared.waits;
        }
        self.shared.ended.send_replace(true);
        serving.finish().await;
        while leaving.join_next().await.is_some() {}
        Ok(())
    }

    /// Offers the track on another session, until it is taken.
    async fn offered_again(&self, link: &mut Link) -> Result<Serving, Failure> {
        let mut backoff = Backoff::default();
        loop {
            let mut serving = Serving::new(self.shared.clone(), link.session().clone());
            match serving.offer().await {
                Ok(()) => {
                    tracing::info!("offered {} again", self.shared.name);
                    return Ok(serving);
                }
                Err(error) => tracing::warn!("{} is not taken yet: {error}", self.shared.name),
            }
            tokio::select! {
                () = sleep(backoff.next_delay()) => {}
                next = link.next() => next?,
            }
        }
    }

    async fn listening(
        self,
        server: &Server,
        work: impl AsyncFnOnce(Subscribers) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut sessions = JoinSet::new();
        let accept = async {
            loop {
                tokio::select! {
                    Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                    incoming = server.accept() => {
                        let Some(incoming) = incoming else { break };
                        sessions.spawn(client(self.shared.clone(), incoming));
                    }
                }
            }
        };
        tracing::info!("offered {}: waiting for a subscriber", self.shared.name);
        tokio::select! {
            done = work(self.subscribers()) => done?,
            () = accept => return Err(Failure::failed("the server was closed before the track ended")),
        }
        self.shared.ended.send_replace(true);
        while sessions.join_next().await.is_some() {}
        Ok(())
    }

    fn subscribers(&self) -> Subscribers {
        Subscribers(self.shared.come.subscribe())
    }
}

/// Serves one who has connected, until the track has ended or it leaves.
async fn client(shared: Arc<Shared>, incoming: Incoming) {
    let session = match incoming.accept().await {
        Ok(session) => session,
        Err(error) => return tracing::info!("{error}"),
    };
    tracing::info!("a client has come: {} over {}", session.version(), session.transport());
    let mut serving = Serving::new(shared, session.clone());
    serving.offer_unasked();
    serving.leave().await;
    session.close(SessionErrorCode::NoError, "the track has ended");
    session.drained().await;
}

/// One session's requests, and what is done about them.
struct Serving {
    shared: Arc<Shared>,
    session: Session,
    /// Those who get objects.
    subscribers: JoinSet<()>,
    /// What is held for as long as the session lasts.
    announcing: JoinSet<()>,
}

impl Serving {
    fn new(shared: Arc<Shared>, session: Session) -> Self {
        Self { shared, session, subscribers: JoinSet::new(), announcing: JoinSet::new() }
    }

    /// Offers the track to a server, which must take one of the offers.
    async fn offer(&mut self) -> Result<(), RequestFailed> {
        let Offer { namespace, track } = self.shared.offer;
        let announced = if namespace { Some(announce(&self.shared, &self.session).await) } else { None };
        let published = if track { Some(publish(&self.shared, &self.session).await) } else { None };
        let mut refused = None;
        let announced = announced.and_then(|answer| answer.map_err(|error| refused = Some(error)).ok());
        let published = published.and_then(|answer| answer.map_err(|error| refused = Some(error)).ok());
        match refused {
            Some(error) if announced.is_none() && published.is_none() => return Err(error),
            Some(error) => tracing::info!("the server takes one of the offers only: {error}"),
            None => {}
        }
        if let Some((reader, publication)) = published {
            self.subscribers.spawn(serve(self.shared.clone(), reader, publication));
        }
        if let Some(mut announced) = announced {
            self.announcing.spawn(async move { drop(announced.revoked().await) });
        }
        Ok(())
    }

    /// Offers the track to a client, which need not take what it did not ask for.
    fn offer_unasked(&mut self) {
        let Offer { namespace, track } = self.shared.offer;
        if namespace {
            let (shared, session) = (self.shared.clone(), self.session.clone());
            self.announcing.spawn(async move {
                match announce(&shared, &session).await {
                    Ok(mut announced) => drop(announced.revoked().await),
                    Err(error) => tracing::info!("a client does not take the namespace: {error}"),
                }
            });
        }
        if track {
            let (shared, session) = (self.shared.clone(), self.session.clone());
            self.subscribers.spawn(async move {
                match publish(&shared, &session).await {
                    Ok((reader, publication)) => serve(shared, reader, publication).await,
                    Err(error) => tracing::info!("a client does not take the track: {error}"),
                }
            });
        }
    }

    /// Answers requests until the session ends.
    async fn answer(&mut self) {
        while let Some(request) = self.session.next_request().await {
            let name = &self.shared.name;
            match request {
                IncomingRequest::Subscribe(subscribe) if subscribe.request().track == *name => {
                    self.subscribed(subscribe);
                }
                IncomingRequest::Fetch(fetch) if fetch.track() == name => self.fetched(fetch),
                IncomingRequest::TrackStatus(asked) if asked.request().track == *name => {
                    if let Err(error) = asked.accept(self.info()) {
                        tracing::debug!(%error, "the asker left before it was answered");
                    }
                }
                IncomingRequest::SubscribeNamespace(subscribe) => self.namespaces(subscribe),
                other @ (IncomingRequest::Subscribe(_)
                | IncomingRequest::Fetch(_)
                | IncomingRequest::TrackStatus(_)) => {
                    other.reject(RequestError::new(RequestErrorCode::DoesNotExist, "no such track here"));
                }
                other => {
                    let reason = "this end only publishes";
                    other.reject(RequestError::new(RequestErrorCode::NotSupported, reason));
                }
            }
        }
    }

    /// Serves until the session ends, or the track has and every subscriber has got the rest.
    async fn leave(mut self) {
        let mut ended = self.shared.ended.subscribe();
        tokio::select! {
            () = self.answer() => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
        self.finish().await;
    }

    /// Waits until every subscriber has got the rest. The track has ended, so each of them ends by itself.
    async fn finish(&mut self) {
        while self.subscribers.join_next().await.is_some() {}
    }

    fn subscribed(&mut self, subscribe: IncomingSubscribe) {
        // The reader comes first, so that nothing falls between it and the location that the answer names.
        let reader = self.shared.track.reader(subscribe.request().filter);
        match subscribe.accept(self.info()) {
            Ok(publication) => {
                self.subscribers.spawn(serve(self.shared.clone(), reader, publication));
            }
            Err(error) => tracing::debug!(%error, "the subscriber left before it was answered"),
        }
    }

    /// Answers with what is still held of the range: what is not held is not to be had anywhere.
    fn fetched(&mut self, fetch: IncomingFetch) {
        let order = fetch.request().group_order.unwrap_or_default();
        match self.shared.track.held(fetch.start(), fetch.end(), order) {
            Some(held) => {
                self.subscribers.spawn(async move {
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

    /// Tells of our namespace to one who asks for namespaces.
    fn namespaces(&mut self, subscribe: IncomingSubscribeNamespace) {
        let namespace = self.shared.name.namespace.clone();
        // Draft-14 says both by the same message, PUBLISH_NAMESPACE (§9.28): once is enough.
        let told = self.shared.offer.namespace && self.session.version() == Version::Draft14;
        let asked = namespace.starts_with(&subscribe.request().prefix) && !told;
        self.announcing.spawn(async move {
            let Ok(subscriber) = subscribe.accept() else { return };
            if asked && let Err(error) = subscriber.namespace(namespace) {
                tracing::debug!(%error, "the asker left before it was told");
            }
            subscriber.cancelled().await;
        });
    }

    fn info(&self) -> TrackInfo {
        TrackInfo { largest: self.shared.track.largest(), ..TrackInfo::default() }
    }

    fn refused(&self, error: &dyn Display) -> Failure {
        let advice = "try another --offer, or check that this server takes publishers here";
        Failure::Failed(format!("the server does not take {}: {error}; {advice}", self.shared.name))
    }
}

async fn announce(shared: &Shared, session: &Session) -> Result<PublishedNamespace, RequestFailed> {
    session.publish_namespace(PublishNamespace::new(shared.name.namespace.clone())).await
}

async fn publish(shared: &Shared, session: &Session) -> Result<(Reader, Publication), RequestFailed> {
    let reader = shared.track.reader(None);
    let publish = Publish {
        track: shared.name.clone(),
        track_alias: TrackAlias(0),
        largest: shared.track.largest(),
        // Objects flow when the answer, or an update, says that somebody wants them.
        forward: false,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: TrackExtensions::default(),
    };
    Ok((reader, session.publish(publish).await?))
}

async fn serve(shared: Arc<Shared>, reader: Reader, publication: Publication) {
    let wanted = |forward: bool| {
        if forward {
            shared.come.send_replace(true);
        }
    };
    wanted(publication.forward());
    match track::serve(publication, &shared.track, reader, MAX_SUBGROUPS, wanted).await {
        Ok(()) => tracing::debug!("a subscriber has got the whole track"),
        Err(error) => tracing::info!("a subscriber left: {error}"),
    }
}
