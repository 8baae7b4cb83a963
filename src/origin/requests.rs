//! What a peer asks of an origin.

use std::sync::Arc;

use moqingbird_wire::model::{RequestError, RequestErrorCode, SubscribeOptions, TrackExtensions};

use super::serve;
use super::state::{SessionKey, Shared};
use crate::api::{
    IncomingFetch, IncomingPublishNamespace, IncomingRequest, IncomingSubscribe, IncomingSubscribeNamespace,
    IncomingTrackStatus, NamespaceSubscriber, Session, TrackInfo,
};
use crate::driver::Change;
use crate::track;

/// How many streams are open to a subscriber at a time.
pub(super) const MAX_SUBGROUPS: usize = 256;

/// Answers a request, and does what comes of it until it is over.
pub(super) async fn answer(shared: Arc<Shared>, session: Session, key: SessionKey, request: IncomingRequest) {
    match request {
        IncomingRequest::Subscribe(request) => subscribe(&shared, request).await,
        IncomingRequest::Fetch(request) => fetch(&shared, request).await,
        IncomingRequest::TrackStatus(request) => track_status(&shared, request),
        IncomingRequest::PublishNamespace(request) => publish_namespace(&shared, key, request).await,
        IncomingRequest::SubscribeNamespace(request) => subscribe_namespace(shared, session, request).await,
        IncomingRequest::Publish(request) => {
            let reason = "nobody here has asked for this track: it is subscribed to when somebody does";
            request.reject(RequestError::new(RequestErrorCode::Uninterested, reason));
        }
    }
}

fn no_such_track() -> RequestError {
    RequestError::new(RequestErrorCode::DoesNotExist, "no such track here")
}

async fn subscribe(shared: &Shared, request: IncomingSubscribe) {
    let Some(track) = shared.track(&request.request().track) else { return request.reject(no_such_track()) };
    // The reader comes first, so that nothing falls between it and the location that the answer names.
    let reader = track.reader(request.request().filter);
    let info = TrackInfo { largest: reader.largest(), ..TrackInfo::default() };
    let publication = match request.accept(info) {
        Ok(publication) => publication,
        Err(error) => return tracing::debug!(%error, "the subscriber left before it was answered"),
    };
    if let Err(error) = track::serve(publication, &track, reader, MAX_SUBGROUPS, |_| ()).await {
        tracing::debug!(%error, "a subscriber left");
    }
}

/// Answers with what is still held of the range: what is not held is not to be had anywhere.
async fn fetch(shared: &Shared, request: IncomingFetch) {
    let Some(track) = shared.track(request.track()) else { return request.reject(no_such_track()) };
    let order = request.request().group_order.unwrap_or_default();
    match track.held(request.start(), request.end(), order) {
        Some(held) => {
            if let Err(error) = track::serve_fetch(request, held, TrackExtensions::default()).await {
                tracing::debug!(%error, "a fetcher left");
            }
        }
        None => {
            let reason = "nothing has been published there";
            request.reject(RequestError::new(RequestErrorCode::InvalidRange, reason));
        }
    }
}

fn track_status(shared: &Shared, request: IncomingTrackStatus) {
    match shared.track(&request.request().track) {
        Some(track) => {
            let info = TrackInfo { largest: track.largest(), ..TrackInfo::default() };
            if let Err(error) = request.accept(info) {
                tracing::debug!(%error, "the asker left before it was answered");
            }
        }
        None => request.reject(no_such_track()),
    }
}

async fn publish_namespace(shared: &Arc<Shared>, key: SessionKey, request: IncomingPublishNamespace) {
    if let Ok(namespace) = request.accept() {
        let _heard = shared.hear(namespace.namespace().clone(), key);
        namespace.withdrawn().await;
    }
}

/// Tells of our broadcasts below the prefix, and offers their tracks where the peer wants them.
async fn subscribe_namespace(shared: Arc<Shared>, session: Session, request: IncomingSubscribeNamespace) {
    let (prefix, options, forward) = {
        let asked = request.request();
        (asked.prefix.clone(), asked.options, asked.forward)
    };
    let Ok(subscriber) = request.accept() else { return };
    let tells = async {
        if options == SubscribeOptions::Publish {
            return subscriber.cancelled().await;
        }
        tell(&shared, &subscriber).await;
    };
    let offers = async {
        match options {
            SubscribeOptions::Namespace => std::future::pending().await,
            _ => serve::publish_all(shared.clone(), session, prefix, forward).await,
        }
    };
    tokio::select! {
        () = tells => {}
        () = offers => {}
        () = subscriber.cancelled() => {}
    }
}

async fn tell(shared: &Arc<Shared>, subscriber: &NamespaceSubscriber) {
    let ours = shared.listen(subscriber.prefix().clone(), true);
    loop {
        let Change { namespace, came } = ours.changes.next().await;
        let told = if came { subscriber.namespace(namespace) } else { subscriber.namespace_done(&namespace) };
        if let Err(error) = told {
            tracing::debug!(%error, "a namespace was not told");
        }
    }
}
