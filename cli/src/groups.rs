//! Puts objects into groups, at a pace.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use moqingbird::track::{Item, SubgroupInfo, SubgroupWriter, WriteError, Writer};
use moqingbird::wire::model::{
    DEFAULT_PRIORITY, Datagram, DatagramBody, Extensions, ObjectHeader, ObjectStatus, PublishDoneCode,
    TrackAlias,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::exit::Failure;
use crate::input::Source;
use crate::timestamp;

/// How many objects a group has where nothing is said.
const GROUP_SIZE: u64 = 100;

/// Groups, pace, and what stands in objects besides the payload.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GroupArgs {
    /// Begin a new group after this many objects [default: 100, unless --group-every is given]
    #[arg(long, value_name = "N")]
    group_size: Option<NonZeroU64>,
    /// Begin a new group with the first object after this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    group_every: Option<Duration>,
    /// The first group's number. One that continues a track begins behind the groups that were published before
    #[arg(long, value_name = "N", default_value = "0")]
    first_group: u64,
    /// Publish this many objects a second at most; fractions are allowed
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// The publisher's priority: 0 is sent first, 255 last
    #[arg(long, value_name = "0..255", default_value_t = DEFAULT_PRIORITY)]
    priority: u8,
    /// Send each object in a datagram instead of on its group's stream. One that is too large for the path is lost
    #[arg(long)]
    datagrams: bool,
    /// Say in each object when it was published (TIMESTAMP of draft-ietf-moq-loc), from which `moqt sub` tells latency
    #[arg(long)]
    timestamps: bool,
}

/// Seconds, with fractions.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "write seconds, such as 2 or 0.5".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let usable = |rate: &f64| (1e-6..=1e6).contains(rate);
    text.parse().ok().filter(usable).ok_or_else(|| "write objects per second, such as 25 or 0.5".to_owned())
}

/// Writes a track's objects as they come.
pub(crate) struct Groups {
    writer: Writer,
    args: GroupArgs,
    pace: Option<Interval>,
    group: u64,
    /// How many objects the group has.
    objects: u64,
    began: Instant,
    open: Option<SubgroupWriter>,
}

impl Groups {
    pub(crate) fn new(writer: Writer, args: GroupArgs) -> Self {
        let pace = args.rate.map(|rate| {
            let mut pace = interval(Duration::from_secs_f64(1.0 / rate));
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        Self { writer, pace, group: args.first_group, objects: 0, began: Instant::now(), open: None, args }
    }

    /// Writes all of the source and ends the track. Waits while the fastest subscriber is behind.
    pub(crate) async fn write_all(mut self, mut source: Source) -> Result<(), Failure> {
        while let Some(payload) = source.next().await? {
            if let Some(pace) = &mut self.pace {
                pace.tick().await;
            }
            self.writer.ready().await;
            self.write(payload).map_err(Failure::failed)?;
        }
        if let Some(open) = self.open.take() {
            open.finish().map_err(Failure::failed)?;
        }
        self.writer.finish(PublishDoneCode::TrackEnded, "the input has ended".into());
        Ok(())
    }

    fn write(&mut self, payload: Bytes) -> Result<(), WriteError> {
        if self.is_full() {
            (self.group, self.objects) = (self.group + 1, 0);
            self.open.take().map_or(Ok(()), SubgroupWriter::finish)?;
        }
        if self.objects == 0 {
            self.began = Instant::now();
        }
        let extensions = if self.args.timestamps { timestamp::now() } else { Extensions::NONE };
        let object = self.objects;
        self.objects += 1;
        if self.args.datagrams {
            self.writer.datagram(self.datagram(object, extensions, payload));
            return Ok(());
        }
        let subgroup = self.open.get_or_insert_with(|| {
            let priority = self.args.priority;
            let extensions = self.args.timestamps;
            let group = SubgroupInfo { publisher_priority: priority, extensions, ..subgroup(self.group) };
            self.writer.open_subgroup(group)
        });
        let header = ObjectHeader { extensions, ..object_header(object, payload.len()) };
        subgroup.write(&mut vec![Item::Object(header), Item::Payload(payload)])?;
        // A group of known size ends at once, not with the next object.
        if self.is_full() {
            self.open.take().map_or(Ok(()), SubgroupWriter::finish)?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let size = match (self.args.group_size, self.args.group_every) {
            (Some(size), _) => size.get(),
            (None, Some(_)) => u64::MAX,
            (None, None) => GROUP_SIZE,
        };
        self.objects >= size
            || (self.objects > 0 && self.args.group_every.is_some_and(|every| self.began.elapsed() >= every))
    }

    fn datagram(&self, object_id: u64, extensions: Extensions, payload: Bytes) -> Datagram {
        Datagram {
            track_alias: TrackAlias(0),
            group_id: self.group,
            object_id,
            publisher_priority: Some(self.args.priority),
            end_of_group: false,
            extensions,
            body: DatagramBody::Payload(payload),
        }
    }
}

/// The only subgroup of a group.
pub(crate) const fn subgroup(group_id: u64) -> SubgroupInfo {
    SubgroupInfo {
        group_id,
        subgroup_id: Some(0),
        publisher_priority: DEFAULT_PRIORITY,
        extensions: false,
        end_of_group: true,
    }
}

pub(crate) const fn object_header(object_id: u64, length: usize) -> ObjectHeader {
    ObjectHeader {
        object_id,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: length as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_numbers_that_make_sense() {
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0.5s"), Ok(Duration::from_millis(500)));
        assert!(["", "-1", "x", "1h"].iter().all(|wrong| seconds(wrong).is_err()));
        assert_eq!(rate("0.5"), Ok(0.5));
        assert!(["0", "-1", "x", "inf", "NaN"].iter().all(|wrong| rate(wrong).is_err()));
    }
}
