//! What several cases do.

use moqingbird::wire::model::{
    FullTrackName, PublishNamespace, RequestError, RequestErrorCode, RequestKind, TrackNamespace,
};
use moqingbird::{IncomingRequest, PublishedNamespace, Session, TrackInfo};
use tokio::task::JoinSet;

use crate::Context;
use crate::context::{ANSWER_LIMIT, mismatch};
use crate::report::Failure;

/// The namespace that the contract's cases announce.
pub(super) const NAMESPACE: &str = "moq-test/interop";
/// The track in it.
pub(super) const TRACK: &str = "test-track";

/// A track of fixed names.
pub(super) fn track(namespace: &str, name: &'static str) -> Result<FullTrackName, Failure> {
    TrackNamespace::from_path(namespace)
        .and_then(|namespace| FullTrackName::new(namespace, name))
        .map_err(|error| mismatch("a track name", "nothing", error.to_string()))
}

/// PUBLISH_NAMESPACE, and the OK that must answer it.
pub(super) async fn announce(
    cx: &Context,
    session: &Session,
    namespace: &TrackNamespace,
) -> Result<PublishedNamespace, Failure> {
    let answer = session.publish_namespace(PublishNamespace::new(namespace.clone()));
    cx.granted(session, RequestKind::PublishNamespace, ANSWER_LIMIT, answer).await
}

/// Answers every SUBSCRIBE of the track with SUBSCRIBE_OK until the set is dropped, others with the draft's error.
pub(super) fn serve(session: &Session, track: &FullTrackName) -> JoinSet<()> {
    let (session, track) = (session.clone(), track.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut publications = Vec::new();
        while let Some(request) = session.next_request().await {
            let IncomingRequest::Subscribe(subscribe) = request else { continue };
            if subscribe.request().track == track {
                publications.extend(subscribe.accept(TrackInfo::default()).ok());
            } else {
                subscribe.reject(RequestError::new(RequestErrorCode::DoesNotExist, "no such track"));
            }
        }
    });
    tasks
}
