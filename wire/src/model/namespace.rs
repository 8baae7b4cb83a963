//! Announcing namespaces, and asking for announcements.

use super::{AuthorizationToken, TrackNamespace};

/// PUBLISH_NAMESPACE: the sender has tracks in this namespace (draft-14 §9.23, draft-16 §9.20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishNamespace {
    /// The namespace.
    pub namespace: TrackNamespace,
    /// What permits this.
    pub authorization_tokens: Vec<AuthorizationToken>,
}

impl PublishNamespace {
    /// Announces a namespace without a token.
    pub const fn new(namespace: TrackNamespace) -> Self {
        Self { namespace, authorization_tokens: Vec::new() }
    }
}

/// SUBSCRIBE_NAMESPACE: the sender wants to hear of namespaces and tracks below a prefix (draft-14 §9.28, draft-16
/// §9.25).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeNamespace {
    /// The prefix. It may be empty in draft-16.
    pub prefix: TrackNamespace,
    /// What is wanted; draft-14 always means both.
    pub options: SubscribeOptions,
    /// The forward state of the PUBLISH messages that answer this. Always true in draft-14.
    pub forward: bool,
    /// What permits this.
    pub authorization_tokens: Vec<AuthorizationToken>,
}

impl SubscribeNamespace {
    /// Asks for namespaces and tracks below `prefix`.
    pub const fn new(prefix: TrackNamespace) -> Self {
        Self { prefix, options: SubscribeOptions::Both, forward: true, authorization_tokens: Vec::new() }
    }
}

/// What SUBSCRIBE_NAMESPACE asks for (draft-16 §9.25).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubscribeOptions {
    /// Tracks, by PUBLISH.
    Publish,
    /// Namespaces, by NAMESPACE.
    Namespace,
    /// Both.
    Both,
}
