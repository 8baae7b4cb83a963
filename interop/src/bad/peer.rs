//! A client's connection: what it says is answered, and the streams of a publisher are copied to its subscriber.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moqingbird::Version;
use moqingbird::wire::model::{
    Message, Opening, Request, RequestErrorCode, RequestId, Response, SessionErrorCode, Setup, Subscribe,
    Target, TrackAlias, TrackNamespace,
};
use moqingbird::wire::stream::OpeningReader;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{BadRelay, answer};
use crate::raw::{Hearer, Sayer, control};

/// How long the answers of [`BadRelay::Late`] take.
const LATE: Duration = Duration::from_millis(2500);
/// How long [`BadRelay::DataBeforeAlias`] holds SUBSCRIBE_OK back.
const HELD_BACK: Duration = Duration::from_millis(500);
/// The largest stream that is copied.
const MAX_STREAM: usize = 16 << 20;

/// What the connections of a relay share.
#[derive(Debug)]
pub(super) struct Shared {
    relay: BadRelay,
    version: Version,
    late: Duration,
    announced: Mutex<Vec<(TrackNamespace, Arc<Peer>)>>,
}

impl Shared {
    pub(super) fn new(relay: BadRelay, version: Version, patience: u32) -> Self {
        Self { relay, version, late: LATE * patience, announced: Mutex::default() }
    }

    fn publisher(&self, namespace: &TrackNamespace) -> Option<Arc<Peer>> {
        let announced = lock(&self.announced);
        let found = announced.iter().rev().find(|(prefix, _)| namespace.starts_with(prefix));
        found.map(|(_, peer)| peer.clone())
    }

    fn forget(&self, forgotten: impl Fn(&TrackNamespace, &Arc<Peer>) -> bool) {
        lock(&self.announced).retain(|(namespace, peer)| !forgotten(namespace, peer));
    }
}

/// A client.
#[derive(Debug)]
struct Peer {
    connection: quinn::Connection,
    sayer: AsyncMutex<Sayer>,
    /// The next of our own requests.
    next_id: AtomicU64,
    /// Our SUBSCRIBEs to it, and for whom they are.
    forwarded: Mutex<HashMap<RequestId, (Arc<Self>, RequestId)>>,
    /// The aliases that it uses, and for whom.
    aliases: Mutex<HashMap<TrackAlias, Arc<Self>>>,
}

impl Peer {
    async fn say(&self, message: &Message) {
        // It fails when the client has left, which its own task notices.
        let _ = self.sayer.lock().await.say(message).await;
    }
}

/// Serves a client until it leaves.
pub(super) async fn serve(shared: Arc<Shared>, connection: quinn::Connection) {
    let Ok((send, recv)) = connection.accept_bi().await else { return };
    let (sayer, mut hearer) = control(shared.version.draft(), send, recv);
    let peer = Arc::new(Peer {
        connection,
        sayer: AsyncMutex::new(sayer),
        next_id: AtomicU64::new(1),
        forwarded: Mutex::default(),
        aliases: Mutex::default(),
    });
    let mut tasks = JoinSet::new();
    if set_up(&shared, &peer, &mut hearer).await.is_ok() {
        tasks.spawn(requests_on_streams(shared.clone(), peer.clone()));
        tasks.spawn(copy_streams(peer.clone()));
        while let Ok(Some(message)) = hearer.hear().await {
            // The order of what is said is kept: those that do not answer at once are tasks of their own.
            heard(&shared, &peer, message, &mut tasks).await;
        }
    }
    // Whoever waits for an answer that never comes must see an open session.
    peer.connection.closed().await;
    shared.forget(|_, other| Arc::ptr_eq(other, &peer));
    lock(&peer.forwarded).clear();
    lock(&peer.aliases).clear();
}

async fn set_up(shared: &Shared, peer: &Peer, hearer: &mut Hearer) -> io::Result<()> {
    let Some(Message::ClientSetup(setup)) = hearer.hear().await? else {
        return Err(io::Error::other("no CLIENT_SETUP"));
    };
    let draft = shared.version.draft();
    let versions: Vec<_> = draft.rules().setup_version.into_iter().collect();
    if !versions.iter().all(|version| setup.versions.contains(version)) {
        let code = draft.session_code(SessionErrorCode::VersionNegotiationFailed);
        close(peer, code, "no version in common");
        return Err(io::Error::other("no version in common"));
    }
    if shared.relay != BadRelay::NoSetup {
        peer.say(&Message::ServerSetup(Setup { versions, max_request_id: 1_000, ..Setup::default() })).await;
    }
    Ok(())
}

fn close(peer: &Peer, code: u64, reason: &str) {
    peer.connection.close(u32::try_from(code).unwrap_or(u32::MAX).into(), reason.as_bytes());
}

/// Requests that have a stream of their own.
async fn requests_on_streams(shared: Arc<Shared>, peer: Arc<Peer>) {
    let mut streams = JoinSet::new();
    while let Ok((send, recv)) = peer.connection.accept_bi().await {
        let (shared, peer) = (shared.clone(), peer.clone());
        streams.spawn(async move {
            let (mut sayer, mut hearer) = control(shared.version.draft(), send, recv);
            if let Ok(Some(Message::Request { id, request })) = hearer.hear().await {
                if let Some(message) = own_answer(&shared, &peer, id, &request).await {
                    // It fails when the client has left.
                    let _ = sayer.say(&message).await;
                }
                // Held until the client ends it.
                let _ = hearer.hear().await;
            }
        });
    }
}

async fn heard(shared: &Arc<Shared>, peer: &Arc<Peer>, message: Message, tasks: &mut JoinSet<()>) {
    match message {
        Message::Request { id, request } => {
            tasks.spawn(request_heard(shared.clone(), peer.clone(), id, request));
        }
        Message::PublishNamespaceDone(Target::Namespace(gone)) => {
            shared.forget(|namespace, other| *namespace == gone && Arc::ptr_eq(other, peer));
        }
        Message::Response { target: Target::Id(id), response: Response::Subscribe(ok) } => {
            let Some((subscriber, asked)) = lock(&peer.forwarded).get(&id).cloned() else { return };
            lock(&peer.aliases).insert(ok.track_alias, subscriber.clone());
            let held_back = shared.relay == BadRelay::DataBeforeAlias;
            let message = Message::Response { target: Target::Id(asked), response: Response::Subscribe(ok) };
            tasks.spawn(async move {
                if held_back {
                    sleep(HELD_BACK).await;
                }
                subscriber.say(&message).await;
            });
        }
        Message::RequestError { target: Target::Id(id), kind, error } => {
            let Some((subscriber, asked)) = lock(&peer.forwarded).remove(&id) else { return };
            subscriber.say(&Message::RequestError { target: Target::Id(asked), kind, error }).await;
        }
        Message::PublishDone { target, done } => {
            let Some((subscriber, asked)) = lock(&peer.forwarded).remove(&target) else { return };
            let held_back = shared.relay == BadRelay::DataBeforeAlias;
            tasks.spawn(async move {
                if held_back {
                    sleep(HELD_BACK * 2).await;
                }
                subscriber.say(&Message::PublishDone { target: asked, done }).await;
            });
        }
        // Withdrawals of single requests change nothing here.
        _ => {}
    }
}

/// A request on the control stream.
async fn request_heard(shared: Arc<Shared>, peer: Arc<Peer>, id: RequestId, request: Request) {
    if let Request::Subscribe(subscribe) = &request
        && let Some(publisher) = shared.publisher(&subscribe.track.namespace)
        && routes(shared.relay)
    {
        return forward(&publisher, &peer, id, subscribe).await;
    }
    if let Some(message) = own_answer(&shared, &peer, id, &request).await {
        peer.say(&message).await;
    }
}

/// Whether the relay passes a SUBSCRIBE on.
fn routes(relay: BadRelay) -> bool {
    matches!(relay, BadRelay::OtherDraftsCode | BadRelay::DataBeforeAlias)
}

/// Passes a SUBSCRIBE on to the publisher, as a request of our own.
async fn forward(publisher: &Arc<Peer>, subscriber: &Arc<Peer>, id: RequestId, subscribe: &Subscribe) {
    let upstream = RequestId(publisher.next_id.fetch_add(2, Ordering::Relaxed));
    lock(&publisher.forwarded).insert(upstream, (subscriber.clone(), id));
    let request = Request::Subscribe(subscribe.clone());
    publisher.say(&Message::Request { id: upstream, request }).await;
}

/// What the relay itself says to a request.
async fn own_answer(shared: &Shared, peer: &Arc<Peer>, id: RequestId, request: &Request) -> Option<Message> {
    let kind = request.kind();
    match shared.relay {
        BadRelay::NoSetup | BadRelay::Silent => None,
        BadRelay::Closes => {
            let code = shared.version.draft().session_code(SessionErrorCode::InternalError);
            close(peer, code, "it closes at any request");
            None
        }
        BadRelay::OkToEverything => Some(answer::grant(id, request)),
        BadRelay::ErrorToEverything => {
            Some(answer::refusal(id, kind, RequestErrorCode::InternalError, "it declines everything"))
        }
        BadRelay::WrongRequestIds => Some(answer::grant(RequestId(id.0 + 2), request)),
        BadRelay::Late => {
            sleep(shared.late).await;
            Some(right_answer(shared, peer, id, request))
        }
        BadRelay::OtherDraftsCode | BadRelay::DataBeforeAlias => {
            Some(right_answer(shared, peer, id, request))
        }
    }
}

fn right_answer(shared: &Shared, peer: &Arc<Peer>, id: RequestId, request: &Request) -> Message {
    match request {
        Request::PublishNamespace(publish) => {
            lock(&shared.announced).push((publish.namespace.clone(), peer.clone()));
            answer::grant(id, request)
        }
        Request::Subscribe(subscribe) => match shared.publisher(&subscribe.track.namespace) {
            Some(_) => answer::grant(id, request),
            None => answer::unknown_track(shared.relay, shared.version, id),
        },
        other => {
            let reason = "it knows namespaces and subscriptions only";
            answer::refusal(id, other.kind(), RequestErrorCode::NotSupported, reason)
        }
    }
}

/// Copies the streams of a publisher, each to whom its alias belongs.
async fn copy_streams(peer: Arc<Peer>) {
    let mut streams = JoinSet::new();
    while let Ok(mut recv) = peer.connection.accept_uni().await {
        let peer = peer.clone();
        streams.spawn(async move {
            // What was reset is not copied.
            let Ok(bytes) = recv.read_to_end(MAX_STREAM).await else { return };
            let Some(subscriber) = destination(&peer, bytes.clone().into()).await else { return };
            let Ok(mut send) = subscriber.connection.open_uni().await else { return };
            if send.write_all(&bytes).await.is_ok() {
                // It fails only for a stream that has ended.
                let _ = send.finish();
                let _ = send.stopped().await;
            }
        });
    }
}

/// For whom a stream is. Its alias may be told a moment later.
async fn destination(peer: &Peer, bytes: Bytes) -> Option<Arc<Peer>> {
    let draft = peer.sayer.lock().await.draft();
    let mut reader = OpeningReader::new();
    reader.push(bytes);
    let Ok(Some(Opening::Subgroup(header))) = reader.next_opening(draft) else { return None };
    for _ in 0..100 {
        if let Some(subscriber) = lock(&peer.aliases).get(&header.track_alias) {
            return Some(subscriber.clone());
        }
        sleep(Duration::from_millis(20)).await;
    }
    None
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
