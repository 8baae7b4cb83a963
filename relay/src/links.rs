//! How relays know each other, and tell each other by which relays something has come.
//!
//! A relay writes its number behind the name of its implementation in SETUP. To a relay that has one, the path of an
//! announcement or request is told in an AUTHORIZATION_TOKEN of a type of our own; nobody else is sent one.

use std::hash::{BuildHasher, Hasher, RandomState};

use bytes::Bytes;
use moqingbird::Session;
use moqingbird::wire::model::{AuthorizationToken, PublishNamespace, Setup};
use tokio::task::JoinHandle;

use crate::core::{Link, Path, RelayId};

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
    id_of(setup).map(|relay| Link { relay: Some(relay), upstream: None, announce: false })
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
