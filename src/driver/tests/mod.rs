//! What a session leaves behind, what becomes of dropped handles and futures, and what a hostile peer can do to it.

mod adversary;
mod cancelled;
mod dropped;
mod knowledge;
mod leaks;
mod malformed;
mod publisher;
mod raw;
mod violations;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::model::{
    Extensions, FullTrackName, ObjectHeader, ObjectStatus, Publish, Subscribe, TrackAlias, TrackExtensions,
    TrackNamespace,
};

use crate::{IncomingRequest, Publication, Session, Subscription, TrackInfo};

/// A behaviour that takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fails a test that hangs rather than waiting for it.
async fn within<T>(behaviour: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, behaviour).await.expect("hangs")
}

/// Lets every task of a session in memory run until there is nothing to do at this moment of the paused clock.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn namespace() -> TrackNamespace {
    TrackNamespace::from_path("live/cam").unwrap()
}

fn track() -> FullTrackName {
    FullTrackName::new(namespace(), "video").unwrap()
}

fn publish() -> Publish {
    Publish {
        track: track(),
        track_alias: TrackAlias(0),
        largest: None,
        forward: true,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: TrackExtensions::default(),
    }
}

fn object(object_id: u64, payload: &Bytes) -> ObjectHeader {
    ObjectHeader {
        object_id,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: payload.len() as u64,
    }
}

async fn memory(version: Version) -> (Session, Session) {
    crate::memory_pair(version).await.unwrap()
}

/// The client subscribes to the server's track.
async fn subscribed(client: &Session, server: &Session) -> (Subscription, Publication) {
    let accepts = async {
        let Some(IncomingRequest::Subscribe(request)) = server.next_request().await else { panic!() };
        request.accept(TrackInfo::default()).unwrap()
    };
    let (subscription, publication) = tokio::join!(client.subscribe(Subscribe::new(track())), accepts);
    (subscription.unwrap(), publication)
}

/// Makes a test of each scenario for every draft, in memory, by a clock that leaps when nothing is to do.
macro_rules! in_every_draft {
    ($($scenario:ident;)*) => {
        $(mod $scenario {
            #[tokio::test(start_paused = true)]
            async fn draft_14() {
                $crate::driver::tests::within(super::$scenario(moqingbird_wire::Version::Draft14)).await;
            }
            #[tokio::test(start_paused = true)]
            async fn draft_16() {
                $crate::driver::tests::within(super::$scenario(moqingbird_wire::Version::Draft16)).await;
            }
        })*
    };
}
use in_every_draft;
