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
//! actions. An upstream task pours a subscription's objects into a [`track`](moqingbird::track); a downstream task for
//! each subscriber copies that track onto streams of its own. Nobody waits for a subscriber but its own task.
//!
//! # Who may do what, and how many
//!
//! Before a newcomer costs a handshake, [`Limits`] and [`Retry`] decide whether it is let in. An [`auth::Authorizer`] is asked
//! for every session, and for every request before the core hears of it; what it allows up to a time is ended then.
//! [`Relay::stats`] and [`Relay::tracks`] tell what there is, [`Relay::drain`] takes leave.
//!
//! # Between drafts
//!
//! Objects, names and codes are neutral, so the sessions' encoders do the rest. What one draft cannot say is left out:
//! an object that does not exist (draft-14) towards draft-16, extension headers of objects without payload towards
//! draft-16, and track extensions towards draft-14. A code without a name in the other draft becomes INTERNAL_ERROR.
//!
//! # When a publisher is lost
//!
//! Its open subgroups are reset: with the code that it gave, if it gave one, otherwise with INTERNAL_ERROR. If somebody else publishes the track or announces its namespace,
//! subscribers go on with that publisher's objects; otherwise they are told PUBLISH_DONE: with the publisher's own code
//! if it gave one, otherwise with INTERNAL_ERROR.

mod admission;
pub mod auth;
mod bridge;
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
pub use config::RelayOptions;
pub use relay::Relay;
pub use stats::{Refusals, Stats, TrackState};
