//! Whether a session does more than SETUP: it is asked for a track that is not there, and for namespaces.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use moqingbird::wire::model::{
    FullTrackName, RequestErrorCode, Subscribe, SubscribeNamespace, TrackNamespace,
};
use moqingbird::{RequestFailed, Session};
use serde::Serialize;

use crate::stamp;

/// What a session answered to requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Deep {
    /// To SUBSCRIBE to a track that is not there. An error is the right answer.
    pub track: Answer,
    /// To SUBSCRIBE_NAMESPACE.
    pub namespace: Answer,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// Whether there was an answer.
    pub answered: bool,
    /// Whether it was granted.
    pub granted: bool,
    /// The answer in words: `OK`, or an error's name with what the relay says of it.
    pub answer: String,
    /// How long it took.
    pub ms: f64,
}

/// Asks both at once.
pub(crate) async fn ask(session: &Session) -> Option<Deep> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let namespace = TrackNamespace::from_path(&format!("moqt-probe/{:x}", since.as_nanos())).ok()?;
    let track = FullTrackName::new(namespace.clone(), "none").ok()?;
    let asked = Instant::now();
    let track = async {
        let answer = session.subscribe(Subscribe::new(track)).await.map(drop);
        Answer::new(answer, asked.elapsed())
    };
    let namespace = async {
        let answer = session.subscribe_namespace(SubscribeNamespace::new(namespace)).await.map(drop);
        Answer::new(answer, asked.elapsed())
    };
    let (track, namespace) = tokio::join!(track, namespace);
    Some(Deep { track, namespace })
}

impl Answer {
    fn new(answer: Result<(), RequestFailed>, took: Duration) -> Self {
        let answered = match &answer {
            Ok(()) => true,
            // The session itself says so where nothing came: that has no number of the wire.
            Err(RequestFailed::Rejected(rejected)) => {
                rejected.wire_code.is_some() || rejected.error.code != RequestErrorCode::Timeout
            }
            Err(_) => false,
        };
        let text = match &answer {
            Ok(()) => "OK".to_owned(),
            Err(RequestFailed::Rejected(_)) if !answered => "no answer".to_owned(),
            Err(RequestFailed::Rejected(rejected)) => match rejected.error.reason.as_bytes() {
                [] => rejected.error.code.to_string(),
                _ => format!("{}: {}", rejected.error.code, rejected.error.reason),
            },
            Err(error) => error.to_string(),
        };
        Self { answered, granted: answer.is_ok(), answer: text, ms: stamp::milliseconds(took) }
    }
}
