//! How relays know each other, and tell each other by which relays something has come.
//!
//! A relay writes its number behind the name of its implementation in SETUP. To a relay that has one, the path of an
//! announcement or request is told in an AUTHORIZATION_TOKEN of a type of our own; nobody else is sent one.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use moqingbird::wire::model::{
    AuthorizationToken, PublishNamespace, Setup, SubscribeNamespace, SubscribeOptions, TrackNamespace,
};
use moqingbird::{Backoff, ClientOptions, NamespaceEvent, ServerUrl, Session, connect};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::core::{Input, Link, Path, PeerId, RelayId};
use crate::relay::{Held, Relay, Shared};
use crate::session;

/// Between the name of the implementation and the relay's number.
const MARK: &str = " relay ";
/// The type of the token that tells a path: agreed out of band, as the drafts have it.
pub(crate) const TOKEN_TYPE: u64 = 0x6d6f_7172;
/// No path is longer; what claims to be is none.
const MAX_HOPS: usize = 64;

/// A number that no other relay has.
pub(crate) fn random_id() -> RelayId {
    RelayId(RandomState::new().build_hasher().finish())
}

/// What a relay says of itself in SETUP.
pub(crate) fn implementation(id: RelayId) -> Bytes {
    format!("moqingbird/{}{MARK}{:016x}", env!("CARGO_PKG_VERSION"), id.0).into()
}

/// The number of a peer that is a relay of ours.
pub(crate) fn id_of(setup: &Setup) -> Option<RelayId> {
    let text = std::str::from_utf8(setup.implementation.as_ref()?).ok()?;
    let (_, id) = text.rsplit_once(MARK)?;
    u64::from_str_radix(id, 16).ok().map(RelayId)
}

/// A peer that has connected to us, if it is a relay.
pub(crate) fn of_peer(setup: &Setup) -> Option<Link> {
    id_of(setup).map(|relay| Link { relay: Some(relay), upstream: None, tells: false, announce: false })
}

/// Tells a path.
fn tokens(path: &Path) -> Vec<AuthorizationToken> {
    let value = path.iter().flat_map(|RelayId(id)| id.to_be_bytes()).collect();
    vec![AuthorizationToken::UseValue { token_type: TOKEN_TYPE, value }]
}

/// Tells a path to a peer that understands it.
pub(crate) fn tokens_for(session: &Session, path: &Path) -> Vec<AuthorizationToken> {
    id_of(session.peer_setup()).map(|_| tokens(path)).unwrap_or_default()
}

/// The path that is told.
pub(crate) fn path(told: &[AuthorizationToken]) -> Path {
    let value = told.iter().find_map(|token| match token {
        AuthorizationToken::UseValue { token_type: TOKEN_TYPE, value } => Some(value),
        _ => None,
    });
    let ids = value.map(|value| value.chunks_exact(8)).into_iter().flatten().take(MAX_HOPS);
    ids.filter_map(|id| Some(RelayId(u64::from_be_bytes(id.try_into().ok()?)))).collect()
}

/// What another relay is to this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkOptions {
    /// Whether it is asked for tracks that nobody here publishes, and for the namespaces that it knows. Relays with smaller
    /// numbers are asked first.
    pub upstream: Option<u32>,
    /// Whether it is told of every namespace and track that is announced or published here.
    pub announce: bool,
}

impl LinkOptions {
    /// A relay that is asked, and not told.
    pub const fn upstream(rank: u32) -> Self {
        Self { upstream: Some(rank), announce: false }
    }

    /// A relay that is told, and not asked.
    pub const fn announce() -> Self {
        Self { upstream: None, announce: true }
    }
}

impl Relay {
    /// What this relay says of itself in SETUP (MOQT_IMPLEMENTATION), by which other relays of this project know it:
    /// announcements and requests between them carry the way that they have come, so that nothing goes in a circle.
    pub fn implementation(&self) -> Bytes {
        implementation(self.shared.id)
    }

    /// Serves a session that was opened to another relay, until it ends. The session's settings are to have
    /// [`Relay::implementation`]. Dropping the future closes the session.
    pub async fn serve_link(&self, session: Session, options: LinkOptions) {
        let LinkOptions { upstream, announce } = options;
        let known = id_of(session.peer_setup());
        if known == Some(self.shared.id) {
            tracing::error!(remote = ?session.remote_address(), "the other relay is this relay");
            return;
        }
        // One that has no number of its own is given one, to know what came from it.
        let relay = known.or_else(|| Some(random_id()));
        let tells = known.is_some() && upstream.is_some() && session.version().draft().rules().empty_prefix;
        let link = Link { relay, upstream, tells, announce };
        session::serve(Arc::clone(&self.shared), session, Some(link)).await;
    }

    /// Keeps a session with another relay for as long as the future lives: lost, it is opened anew.
    pub async fn keep_link(&self, url: &ServerUrl, mut client: ClientOptions, options: LinkOptions) {
        client.session.implementation = Some(self.implementation());
        let mut backoff = Backoff::default();
        loop {
            match connect(url, &client).await {
                Ok(session) => {
                    tracing::info!(%url, draft = %session.version(), "linked to a relay");
                    backoff.reset();
                    self.serve_link(session.clone(), options).await;
                    tracing::warn!(%url, end = ?session.close_reason(), "a relay is lost");
                }
                Err(error) => tracing::warn!(%url, %error, "no link to a relay"),
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}

/// Hears of what an upstream relay knows. Ours announce it, with the way it has come; others tell, and then their link
/// is all that is known of the way.
pub(crate) async fn listen(shared: Arc<Shared>, peer: PeerId, session: Session, relay: RelayId) {
    let everything = SubscribeNamespace {
        options: SubscribeOptions::Namespace,
        ..SubscribeNamespace::new(TrackNamespace::empty())
    };
    if !session.version().draft().rules().empty_prefix {
        return;
    }
    let mut heard = HashMap::new();
    match session.subscribe_namespace(everything).await {
        Ok(mut events) => {
            while let Some(event) = events.next().await {
                match event {
                    NamespaceEvent::Namespace(namespace) => {
                        let (answer, _) = oneshot::channel();
                        let request = shared.ask(Held::Answer(answer), |request| {
                            let (namespace, path) = (namespace.clone(), vec![relay]);
                            Input::PublishNamespace { peer, request, namespace, path }
                        });
                        heard.insert(namespace, request);
                    }
                    NamespaceEvent::NamespaceDone(namespace) => {
                        if let Some(request) = heard.remove(&namespace) {
                            shared.end(request);
                        }
                    }
                }
            }
        }
        Err(error) => tracing::info!(%error, "an upstream relay does not tell of namespaces"),
    }
}

/// Announces a namespace until this is aborted, or the relay takes it no more.
pub(crate) async fn announce(session: Session, publish: PublishNamespace, before: Vec<JoinHandle<()>>) {
    for ending in before {
        // It was aborted: that is the error.
        let _ = ending.await;
    }
    match session.publish_namespace(publish).await {
        Ok(mut published) => {
            if let Some(error) = published.revoked().await {
                tracing::info!(namespace = %published.namespace(), code = %error.code, "a relay takes a namespace no more");
            }
        }
        Err(error) => tracing::debug!(%error, "a relay does not take a namespace"),
    }
}
