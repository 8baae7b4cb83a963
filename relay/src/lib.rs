//! A MoQT relay that routes, fans out and bridges drafts and transports.
//!
//! It embeds in another program:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = moqingbird::Server::bind(&moqingbird::ServerOptions::default())?;
//! let relay = moqingbird_relay::Relay::new(moqingbird_relay::RelayOptions::default());
//! relay.run(&server).await;
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! Each session of [`Relay::serve`] hands the peer's requests to the routing core, which knows no I/O and answers with
//! actions. A track is subscribed to at every publisher that announces its namespace; what they send is made one by
//! location, and goes into a [`track`](moqingbird::track), which forgets what all subscribers have read, and into a cache,
//! which all tracks share ([`CacheOptions`]). A downstream task for each subscriber copies the track onto streams of its
//! own. Nobody waits for a subscriber but its own task: the publishers are read at the pace of the fastest, a slow one loses
//! its own late groups, and is ended with TOO_FAR_BEHIND when it takes nothing any more
//! ([`RelayOptions::too_far_behind_after`]).
//!
//! FETCH is answered from the cache. What that does not know is fetched from upstream, once for all who ask at a time, and
//! kept. A FETCH is granted when it is known what it holds, and its stream never ends as if it were complete when it is not.
//!
//! # Who may do what, and how many
//!
//! Before a newcomer costs a handshake, [`Limits`] and [`Retry`] decide whether it is let in. An [`auth::Authorizer`] is asked
//! for every session, and for every request before the core hears of it; what it allows up to a time is ended then.
//! [`Relay::stats`] and [`Relay::tracks`] tell what there is, [`Relay::drain`] takes leave.
//!
//! # Between drafts
//!
//! Objects, names and codes are neutral, so the sessions' encoders do the rest. ARCHITECTURE.md has the table of what one
//! draft can say and the other cannot.
//!
//! # Between relays
//!
//! [`Relay::keep_link`] links a relay to another: to ask it for what nobody here has, to tell it what is announced here, or
//! both. Relays of this project know each other by MOQT_IMPLEMENTATION, and tell each other by which relays something has
//! come, so that nothing goes in a circle and nothing keeps itself alive.
//!
//! # When a publisher is lost
//!
//! If somebody else publishes the track or announces its namespace, subscribers go on with that publisher's objects, even
//! in the middle of one. Otherwise its open subgroups are reset, with the code that it gave, if it gave one, or with
//! INTERNAL_ERROR; a subscriber never sees the end of a subgroup that is not complete. The subscribers are then told
//! PUBLISH_DONE: with the publisher's own code if it gave one, otherwise with INTERNAL_ERROR. What is kept of the track is
//! forgotten with its last publisher.

mod admission;
pub mod auth;
mod bridge;
mod cache;
mod config;
mod core;
mod fanout;
mod links;
mod merge;
mod past;
mod ranges;
mod relay;
mod session;
mod stats;
mod tree;
mod upstream;

pub use admission::{Limits, Retry};
pub use cache::CacheOptions;
pub use config::RelayOptions;
pub use links::LinkOptions;
pub use relay::Relay;
pub use stats::{Refusals, Stats, TrackState};
