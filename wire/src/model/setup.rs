//! How a session begins.

use bytes::Bytes;

use super::AuthorizationToken;
use crate::list::KeyValue;

/// CLIENT_SETUP or SERVER_SETUP (draft-14 §9.3, draft-16 §9.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Draft-14: the versions that the client offers, or the one that the server selects. Empty where the transport
    /// has agreed on the draft.
    pub versions: Vec<u64>,
    /// PATH: path and query of a `moqt` URI; from clients over raw QUIC only.
    pub path: Option<Bytes>,
    /// AUTHORITY: host and port of a `moqt` URI; from clients over raw QUIC only.
    pub authority: Option<Bytes>,
    /// MAX_REQUEST_ID: the peer's Request IDs stay below this.
    pub max_request_id: u64,
    /// MAX_AUTH_TOKEN_CACHE_SIZE, in bytes: how much the peer's registered tokens may take.
    pub max_auth_token_cache_size: u64,
    /// AUTHORIZATION_TOKEN, in the order in which they were sent.
    pub authorization_tokens: Vec<AuthorizationToken>,
    /// MOQT_IMPLEMENTATION: name and version of the software, for logs.
    pub implementation: Option<Bytes>,
    /// Parameters of types that the draft does not define.
    pub unknown: Vec<KeyValue>,
}
