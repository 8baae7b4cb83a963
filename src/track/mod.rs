//! A track in memory: one writer, many readers, each with a cursor of its own.
//!
//! ```text
//! Writer ── open_subgroup ──> SubgroupWriter ── object, chunk ──┐
//!   │  datagram                                                 v
//!   └──────────────> arrivals: subgroups and datagrams, in the order in which they began
//!                        │ Reader (a cursor over arrivals) ── next ──> SubgroupReader (a cursor over items)
//! ```
//!
//! For most programs the first two lines of this are enough:
//!
//! ```
//! use moqingbird::track::{ReadOptions, TrackOptions, Writer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let track = Writer::new(TrackOptions::default());
//! track.write_frame("a group of one object");
//! let mut group = track.append_group();
//! group.write_frame("the first of two")?;
//! group.write_frame("the second")?;
//! group.finish()?;
//!
//! let mut reader = track.track().read(ReadOptions::default());
//! let object = reader.next_object().await?.ok_or("the track has ended")?;
//! assert_eq!((object.location.group, &object.payload[..]), (1, &b"the first of two"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! A track knows neither connections nor drafts. A reader gets what is published after it was made and what its filter
//! passes; an object is read while it is still being written. Payload is never copied for a reader: all share the slices that
//! the writer hands in. What goes to subscribers is encoded once a draft, with small payload copied behind its header.
//!
//! Memory is bounded by [`TrackOptions`], that of many tracks together by a [`Budget`]: before something new is kept, the
//! oldest objects of the oldest group give way, those that somebody has read before those that nobody has. A reader that had
//! not come so far is told [`TooFarBehind`](SubgroupEnd::TooFarBehind) for that subgroup, and goes on with the next. Whoever
//! feeds a writer from a network waits for [`Writer::ready`] before it reads on: a fast publisher is then held back at the
//! pace of the fastest reader, which misses nothing.

mod budget;
mod event;
mod group;
mod held;
mod merge;
mod pack;
mod range;
mod reader;
mod serve;
mod serve_fetch;
mod source;
mod state;
mod subscription;
mod writer;

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::model::{
    DEFAULT_PRIORITY, Datagram, ObjectHeader, PublishDoneCode, ReasonPhrase, ResetCode,
};

pub use budget::Budget;
pub use event::{Gap, GapCause, Order, ReadError, ReadOptions, Start, TrackEvent, TrackObject};
pub use group::GroupWriter;
pub use held::{Held, HeldItem, NoLongerHeld};
pub use pack::Packed;
pub use reader::{Reader, SubgroupReader};
pub use serve::{ServeOptions, Told, serve, serve_with};
pub use serve_fetch::serve_fetch;
pub use subscription::TrackSubscription;
pub(crate) use subscription::{Place, Provider};
pub use writer::{SubgroupWriter, Track, WriteError, Writer};

/// What became of a track's objects so far. Of objects that came in parts, the parts are counted as they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackStats {
    /// Objects that were written.
    pub written_objects: u64,
    /// Their payload.
    pub written_bytes: u64,
    /// Objects that readers have taken, each counted for each reader.
    pub read_objects: u64,
    /// Their payload.
    pub read_bytes: u64,
    /// How often a reader missed the rest of a subgroup because it was too far behind.
    pub too_far_behind: u64,
    /// What is kept now, what describes it included.
    pub kept_bytes: usize,
    /// How many readers there are now.
    pub readers: usize,
}

/// What a track may hold.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TrackOptions {
    /// How many bytes of objects are kept, what describes them included. What is written at once comes on top.
    /// Default: 8 MiB.
    pub max_bytes: usize,
    /// How many groups are kept once the fastest reader has read them. Default: 256.
    pub max_groups: usize,
    /// How long ago a group may have been written to last and still be kept. The newest group stays whatever its age.
    /// Looked at whenever the track is written to or read. Default: `None`, as long as there is room.
    pub max_age: Option<Duration>,
    /// Whether what every reader has read is kept, to be fetched: at once forgotten it is if not. Default: `true`.
    pub keep_read: bool,
    /// How many bytes the fastest reader may be behind before [`Writer::ready`] waits. Default: 1 MiB.
    pub window: usize,
    /// The priority of what [`Writer::write_frame`] and [`Writer::append_group`] write: 0 is sent first, 255 last.
    /// Default: 128.
    pub priority: u8,
}

impl Default for TrackOptions {
    fn default() -> Self {
        Self {
            max_bytes: 8 << 20,
            max_groups: 256,
            max_age: None,
            keep_read: true,
            window: 1 << 20,
            priority: DEFAULT_PRIORITY,
        }
    }
}

/// What is known of a subgroup when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubgroupInfo {
    /// The group.
    pub group_id: u64,
    /// The subgroup. `None`: the ID of its first object.
    pub subgroup_id: Option<u64>,
    /// 0 is sent first, 255 last.
    pub publisher_priority: u8,
    /// Whether objects may carry extension headers.
    pub extensions: bool,
    /// Whether the last object before the end is the last of the group.
    pub end_of_group: bool,
}

/// A part of a subgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An object begins.
    Object(ObjectHeader),
    /// The next part of that object's payload. The parts add up to its payload length.
    Payload(Bytes),
}

/// What a reader is given.
#[derive(Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// A subgroup with at least one more object to come, or its end.
    Subgroup(SubgroupReader),
    /// An object that came in a datagram.
    Datagram(Datagram),
}

/// How a subgroup ended for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubgroupEnd {
    /// It has no further object.
    Finished,
    /// The publisher gave it up.
    Reset(ResetCode),
    /// What comes next for this reader is no longer kept.
    TooFarBehind,
}

/// How a track ended for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackEnd {
    /// The writer finished it.
    Finished {
        /// Why.
        code: PublishDoneCode,
        /// Why, for people.
        reason: ReasonPhrase,
    },
    /// The writer was dropped.
    Aborted,
    /// The reader's range has been delivered.
    EndOfRange,
}
