//! What a session is told at its start: what to say in SETUP, how long to wait, how much to hold.

use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::list::KeyValue;
use moqingbird_wire::model::AuthorizationToken;

/// Which end of the connection a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// It opened the connection.
    Client,
    /// It accepted the connection.
    Server,
}

/// Settings and limits of a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// PATH, path and query of a `moqt` URI: for clients over raw QUIC.
    pub path: Option<Bytes>,
    /// AUTHORITY, host and port of a `moqt` URI: for clients over raw QUIC.
    pub authority: Option<Bytes>,
    /// Whether the peer may send PATH and AUTHORITY: servers over raw QUIC.
    pub accept_path: bool,
    /// AUTHORIZATION_TOKEN parameters of SETUP. What is registered and does not fit the peer's cache is used by value;
    /// there is no alias yet that could be used or deleted.
    pub authorization_tokens: Vec<AuthorizationToken>,
    /// MOQT_IMPLEMENTATION.
    pub implementation: Option<Bytes>,
    /// Setup parameters beyond the draft's, said as they are. Those of the peer are in
    /// [`Setup::unknown`](moqingbird_wire::model::Setup::unknown).
    pub setup_parameters: Vec<KeyValue>,
    /// Types of control messages beyond the draft's that this end speaks: they come as
    /// [`Event::Message`](super::Event::Message). Messages of types that are not registered close the session.
    pub control_types: Vec<u64>,
    /// Types of unidirectional streams beyond the draft's that this end speaks: they come as
    /// [`Output::Accept`](super::Output::Accept). Streams of types that are not registered close the session.
    pub stream_types: Vec<u64>,
    /// MAX_REQUEST_ID at the start: the peer's Request IDs stay below it, so it allows half as many requests. It is
    /// raised as requests end.
    pub max_request_id: u64,
    /// MAX_AUTH_TOKEN_CACHE_SIZE: how many bytes of tokens the peer may register under aliases, each counted with 16 more.
    pub max_auth_token_cache_size: u64,
    /// How many requests of our own may wait for the peer's MAX_REQUEST_ID to grow.
    pub max_waiting_requests: usize,
    /// How many data streams of unknown aliases, or before SETUP, are held; and how many bidirectional streams of the
    /// peer may be without a first message, or wait for SETUP.
    pub max_held_streams: usize,
    /// How many bytes of memory the held data streams may keep together: what has come behind their headers, counted by
    /// the receive buffers that it pins. A stream that would exceed it is refused.
    pub max_held_bytes: usize,
    /// How many streams of one subscription may be delivered and not have ended. What comes then is refused, and counts
    /// as ended.
    pub max_subscription_streams: usize,
    /// How many datagrams of unknown aliases are held.
    pub max_held_datagrams: usize,
    /// How many bytes the held datagrams may take together.
    pub max_held_datagram_bytes: usize,
    /// How many namespaces a peer may have told us of, over all its requests.
    pub max_namespaces: usize,
    /// Past this many unsent control bytes the session reads no more control messages.
    pub max_unsent_control_bytes: usize,
    /// Whether [`Output::Trace`](super::Output::Trace) tells of all that is said and heard.
    pub tap: bool,
    /// How long SETUP may take.
    pub setup_timeout: Duration,
    /// How long the peer may take to answer a request.
    pub response_timeout: Duration,
    /// How long the stream of a FETCH may take after FETCH_OK: one that is reset before its header has arrived never comes,
    /// and nothing tells of it.
    pub fetch_stream_timeout: Duration,
    /// How long a stream or datagram of an unknown alias, or a request that came before SETUP, is held.
    pub held_timeout: Duration,
    /// How long counted streams are waited for after PUBLISH_DONE. If the subscription has a longer delivery timeout, that.
    pub late_stream_timeout: Duration,
    /// How long subscriptions and fetches may be left after our GOAWAY before the session is closed with
    /// GOAWAY_TIMEOUT.
    pub goaway_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: None,
            authority: None,
            accept_path: false,
            authorization_tokens: Vec::new(),
            implementation: Some(Bytes::from_static(
                concat!("moqingbird/", env!("CARGO_PKG_VERSION")).as_bytes(),
            )),
            setup_parameters: Vec::new(),
            control_types: Vec::new(),
            stream_types: Vec::new(),
            max_request_id: 100,
            max_auth_token_cache_size: 4 * 1024,
            max_waiting_requests: 1_000,
            max_held_streams: 1_000,
            max_held_bytes: 16 * 1024 * 1024,
            max_subscription_streams: 16_384,
            max_held_datagrams: 64,
            max_held_datagram_bytes: 64 * 1024,
            max_namespaces: 10_000,
            max_unsent_control_bytes: 1024 * 1024,
            tap: false,
            setup_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(10),
            fetch_stream_timeout: Duration::from_secs(30),
            held_timeout: Duration::from_secs(2),
            late_stream_timeout: Duration::from_secs(5),
            goaway_timeout: Duration::from_secs(30),
        }
    }
}
