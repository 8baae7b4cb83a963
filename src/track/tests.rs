//! Behaviours of the track, one a test. `model.rs` compares it with a simple model.

mod held;
mod interleavings;
mod model;
mod shared;

use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use moqingbird_wire::model::{
    Datagram, DatagramBody, EndLocation, Extensions, GroupOrder, Location, ObjectHeader, ObjectStatus,
    PublishDoneCode, ReasonPhrase, ResetCode, SubscriptionFilter, TrackAlias,
};

use super::*;

thread_local! {
    static INTERLEAVED: Cell<bool> = const { Cell::new(false) };
}

/// Where another thread may go first, in the tests that try every order.
pub(super) fn interleave() {
    if INTERLEAVED.get() {
        shuttle::thread::yield_now();
    }
}

/// As long as this lives, every taking of a track's lock in this thread is such a place.
struct Interleaved;

impl Interleaved {
    fn begin() -> Self {
        INTERLEAVED.set(true);
        Self
    }
}

impl Drop for Interleaved {
    fn drop(&mut self) {
        INTERLEAVED.set(false);
    }
}

/// What a future gives without waiting.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn info(group_id: u64) -> SubgroupInfo {
    SubgroupInfo {
        group_id,
        subgroup_id: Some(0),
        publisher_priority: 7,
        extensions: false,
        end_of_group: false,
    }
}

fn header(object_id: u64, payload_length: u64) -> ObjectHeader {
    ObjectHeader { object_id, extensions: Extensions::NONE, status: ObjectStatus::Normal, payload_length }
}

fn datagram(group_id: u64, object_id: u64) -> Datagram {
    Datagram {
        track_alias: TrackAlias(0),
        group_id,
        object_id,
        publisher_priority: Some(9),
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(Bytes::from_static(b"datagram")),
    }
}

/// Writes an object whole.
fn object(subgroup: &mut SubgroupWriter, object_id: u64, payload: &'static [u8]) {
    subgroup.object(header(object_id, payload.len() as u64)).unwrap();
    subgroup.chunk(Bytes::from_static(payload)).unwrap();
}

fn subgroup(reader: &mut Reader) -> SubgroupReader {
    match reader.try_next() {
        Some(Delivery::Subgroup(subgroup)) => subgroup,
        other => panic!("no subgroup but {other:?}"),
    }
}

/// What is ready: the IDs of objects that begin, the payload, and the end.
fn ready(subgroup: &mut SubgroupReader) -> (Vec<u64>, Vec<u8>, Option<SubgroupEnd>) {
    let mut items = Vec::new();
    let end = subgroup.try_next(&mut items);
    let (mut ids, mut payload) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Object(header) => ids.push(header.object_id),
            Item::Payload(bytes) => payload.extend_from_slice(&bytes),
        }
    }
    (ids, payload, end)
}

fn writer() -> Writer {
    Writer::new(TrackOptions::default())
}

#[test]
fn what_every_reader_has_read_is_forgotten_where_it_is_not_to_be_kept() {
    let writer = Writer::new(TrackOptions { keep_read: false, ..TrackOptions::default() });
    let mut subgroup = writer.open_subgroup(info(0));
    object(&mut subgroup, 0, b"nobody is there to read this");
    assert_eq!(writer.track().figures().0, 0);

    let (mut fast, mut slow) = (writer.reader(None), writer.reader(None));
    let next = |reader: &mut Reader| match now(reader.next()) {
        Some(Some(Delivery::Subgroup(subgroup))) => subgroup,
        other => panic!("not a subgroup: {other:?}"),
    };
    let (mut first, mut second) = (next(&mut fast), next(&mut slow));
    object(&mut subgroup, 1, b"read by one");
    let mut items = Vec::new();
    first.try_next(&mut items);
    assert!(writer.track().figures().0 > 0);
    second.try_next(&mut items);
    assert_eq!((items.len(), writer.track().figures().0), (4, 0));

    writer.datagram(datagram(0, 7));
    assert!(matches!(now(fast.next()), Some(Some(Delivery::Datagram(_)))));
    assert!(writer.track().figures().0 > 0);
    assert!(matches!(now(slow.next()), Some(Some(Delivery::Datagram(_)))));
    assert_eq!(writer.track().figures(), (0, 0, 1));
    object(&mut subgroup, 2, b"read by the one that is left");
    drop((slow, second));
    first.try_next(&mut items);
    assert_eq!(writer.track().figures().0, 0);
}

#[test]
fn a_reader_gets_what_is_written_after_it_was_made() {
    let writer = writer();
    let mut reader = writer.reader(None);
    let mut out = writer.open_subgroup(info(3));
    object(&mut out, 0, b"ab");
    object(&mut out, 4, b"c");
    out.finish().unwrap();

    let mut subgroup = subgroup(&mut reader);
    assert_eq!(subgroup.info(), info(3));
    assert_eq!(ready(&mut subgroup), (vec![0, 4], b"abc".to_vec(), Some(SubgroupEnd::Finished)));
    assert!(reader.try_next().is_none());
    assert_eq!(reader.end(), None);
}

#[test]
fn a_reader_does_not_get_subgroups_that_ended_before_it_was_made() {
    let writer = writer();
    let mut out = writer.open_subgroup(info(0));
    object(&mut out, 0, b"old");
    out.finish().unwrap();
    writer.datagram(datagram(0, 1));
    let mut reader = writer.reader(None);
    assert!(reader.try_next().is_none());
}

#[test]
fn a_reader_that_joins_within_an_object_begins_with_the_next() {
    let writer = writer();
    let mut out = writer.open_subgroup(info(5));
    object(&mut out, 0, b"old");
    out.object(header(1, 6)).unwrap();
    out.chunk(Bytes::from_static(b"old")).unwrap();

    let mut reader = writer.reader(Some(SubscriptionFilter::LargestObject));
    out.chunk(Bytes::from_static(b"old")).unwrap();
    object(&mut out, 2, b"new");
    out.finish().unwrap();
    let mut subgroup = subgroup(&mut reader);
    assert_eq!(ready(&mut subgroup), (vec![2], b"new".to_vec(), Some(SubgroupEnd::Finished)));
}

#[test]
fn largest_object_excludes_smaller_locations_that_arrive_later() {
    let writer = writer();
    let mut first = writer.open_subgroup(info(5));
    first.object(header(9, 0)).unwrap();
    let mut reader = writer.reader(Some(SubscriptionFilter::LargestObject));
    let mut second = writer.open_subgroup(SubgroupInfo { subgroup_id: Some(1), ..info(5) });
    second.object(header(8, 0)).unwrap();
    second.object(header(10, 0)).unwrap();

    assert_eq!(ready(&mut subgroup(&mut reader)).0, [0_u64; 0]);
    assert_eq!(ready(&mut subgroup(&mut reader)).0, vec![10]);
}

#[test]
fn next_group_start_skips_the_rest_of_the_largest_group() {
    let writer = writer();
    let mut out = writer.open_subgroup(info(2));
    object(&mut out, 0, b"x");
    let mut reader = writer.reader(Some(SubscriptionFilter::NextGroupStart));
    object(&mut out, 1, b"x");
    assert!(reader.try_next().is_none());
    let mut next = writer.open_subgroup(info(3));
    object(&mut next, 0, b"y");
    assert_eq!(ready(&mut subgroup(&mut reader)).0, vec![0]);
}

#[test]
fn next_group_start_of_an_empty_track_begins_at_its_first_group() {
    let writer = writer();
    let mut reader = writer.reader(Some(SubscriptionFilter::NextGroupStart));
    let mut out = writer.open_subgroup(info(0));
    object(&mut out, 0, b"x");
    assert_eq!(ready(&mut subgroup(&mut reader)).0, vec![0]);
}

#[test]
fn absolute_start_skips_what_is_before_it() {
    let writer = writer();
    let mut reader = writer.reader(Some(SubscriptionFilter::AbsoluteStart(Location::new(1, 2))));
    let mut before = writer.open_subgroup(info(0));
    object(&mut before, 7, b"x");
    let mut out = writer.open_subgroup(info(1));
    object(&mut out, 1, b"no");
    object(&mut out, 2, b"yes");
    assert_eq!(ready(&mut subgroup(&mut reader)), (vec![2], b"yes".to_vec(), None));
    assert!(reader.try_next().is_none());
}

#[test]
fn the_end_of_a_range_ends_the_reader_once_its_subgroups_have_ended() {
    let writer = writer();
    let range = SubscriptionFilter::AbsoluteRange { start: Location::new(1, 0), end_group: 1 };
    let mut reader = writer.reader(Some(range));
    let mut within = writer.open_subgroup(info(1));
    object(&mut within, 0, b"x");
    assert!(reader.try_next().is_some());
    let mut behind = writer.open_subgroup(info(2));
    object(&mut behind, 0, b"x");
    assert_eq!(now(reader.next()).map(|_| ()), None, "group 1 is still open");
    within.finish().unwrap();
    assert!(matches!(now(reader.next()), Some(None)));
    assert_eq!(reader.end(), Some(&TrackEnd::EndOfRange));
}

#[test]
fn a_reader_starts_behind_what_was_published_elsewhere() {
    let writer = writer();
    writer.raise_largest(Location::new(4, 2));
    let mut reader = writer.reader(Some(SubscriptionFilter::LargestObject));
    let mut out = writer.open_subgroup(info(4));
    object(&mut out, 2, b"old");
    object(&mut out, 3, b"new");
    assert_eq!(ready(&mut subgroup(&mut reader)).0, vec![3]);
}

#[test]
fn an_object_is_read_while_it_is_written() {
    let writer = writer();
    let mut reader = writer.reader(None);
    let mut out = writer.open_subgroup(info(0));
    out.object(header(0, 4)).unwrap();
    let mut subgroup = subgroup(&mut reader);
    assert_eq!(ready(&mut subgroup), (vec![0], vec![], None));
    out.chunk(Bytes::from_static(b"ab")).unwrap();
    assert_eq!(ready(&mut subgroup), (vec![], b"ab".to_vec(), None));
    out.chunk(Bytes::from_static(b"cd")).unwrap();
    assert_eq!(ready(&mut subgroup), (vec![], b"cd".to_vec(), None));
}

#[test]
fn payload_is_shared_and_not_copied() {
    let writer = writer();
    let mut reader = writer.reader(None);
    let mut out = writer.open_subgroup(info(0));
    let payload = Bytes::from(vec![1; 100]);
    out.object(header(0, 100)).unwrap();
    out.chunk(payload.clone()).unwrap();
    let mut items = Vec::new();
    subgroup(&mut reader).try_next(&mut items);
    let Some(Item::Payload(read)) = items.pop() else { panic!("no payload") };
    assert_eq!(read.as_ptr(), payload.as_ptr());
}

#[test]
fn largest_moves_at_the_header_of_a_larger_object() {
    let writer = writer();
    assert_eq!(writer.largest(), None);
    let mut out = writer.open_subgroup(info(3));
    assert_eq!(writer.largest(), None);
    out.object(header(4, 100)).unwrap();
    assert_eq!(writer.largest(), Some(Location::new(3, 4)));
    writer.datagram(datagram(2, 9));
    assert_eq!(writer.largest(), Some(Location::new(3, 4)));
}

#[test]
fn two_readers_keep_their_own_paces() {
    let writer = writer();
    let (mut fast, mut slow) = (writer.reader(None), writer.reader(None));
    let mut out = writer.open_subgroup(info(0));
    let mut fast = subgroup(&mut fast);
    for id in 0..3 {
        object(&mut out, id, b"x");
        assert_eq!(ready(&mut fast).0, vec![id]);
    }
    assert_eq!(ready(&mut subgroup(&mut slow)).0, vec![0, 1, 2]);
}

#[test]
fn a_reset_code_passes_through() {
    let writer = writer();
    let mut reader = writer.reader(None);
    let mut out = writer.open_subgroup(info(0));
    object(&mut out, 0, b"x");
    out.reset(ResetCode::DeliveryTimeout);
    let end = ready(&mut subgroup(&mut reader)).2;
    assert_eq!(end, Some(SubgroupEnd::Reset(ResetCode::DeliveryTimeout)));
}

#[test]
fn a_subgroup_writer_that_is_dropped_resets() {
    let writer = writer();
    let mut reader = writer.reader(None);
    drop(writer.open_subgroup(info(0)));
    let end = ready(&mut subgroup(&mut reader)).2;
    assert_eq!(end, Some(SubgroupEnd::Reset(ResetCode::Cancelled)));
}

#[test]
fn a_subgroup_that_ends_within_an_object_is_reset() {
    let writer = writer();
    let mut reader = writer.reader(None);
    let mut out = writer.open_subgroup(info(0));
    out.object(header(0, 2)).unwrap();
    assert_eq!(out.finish(), Err(WriteError::PayloadTooShort(2)));
    let end = ready(&mut subgroup(&mut reader)).2;
    assert_eq!(end, Some(SubgroupEnd::Reset(ResetCode::InternalError)));
}

#[test]
fn an_object_takes_exactly_its_payload() {
    let writer = writer();
    let mut out = writer.open_subgroup(info(0));
    out.object(header(0, 2)).unwrap();
    assert_eq!(out.chunk(Bytes::from_static(b"abc")), Err(WriteError::PayloadTooLong(1)));
    assert_eq!(out.object(header(1, 0)), Err(WriteError::PayloadTooShort(2)));
    out.chunk(Bytes::from_static(b"ab")).unwrap();
    assert_eq!(out.object(header(0, 0)), Err(WriteError::ObjectIdNotAscending(0)));
    out.object(header(1, 0)).unwrap();
}

#[test]
fn the_subgroup_id_is_that_of_the_first_object_if_none_is_stated() {
    let writer = writer();
    let mut early = writer.reader(None);
    let mut out = writer.open_subgroup(SubgroupInfo { subgroup_id: None, ..info(0) });
    let mut early = subgroup(&mut early);
    assert_eq!(early.info().subgroup_id, None);
    object(&mut out, 6, b"x");
    let mut late = writer.reader(None);
    object(&mut out, 7, b"x");
    ready(&mut early);
    assert_eq!(early.info().subgroup_id, Some(6));
    assert_eq!(subgroup(&mut late).info().subgroup_id, Some(6));
}

#[test]
fn datagrams_and_subgroups_come_in_the_order_in_which_they_began() {
    let writer = writer();
    let mut reader = writer.reader(None);
    writer.datagram(datagram(0, 0));
    let _first = writer.open_subgroup(info(8));
    let _second = writer.open_subgroup(info(1));
    writer.datagram(datagram(0, 1));

    assert!(matches!(reader.try_next(), Some(Delivery::Datagram(it)) if it == datagram(0, 0)));
    assert_eq!(subgroup(&mut reader).info().group_id, 8);
    assert_eq!(subgroup(&mut reader).info().group_id, 1);
    assert!(matches!(reader.try_next(), Some(Delivery::Datagram(it)) if it == datagram(0, 1)));
}

#[test]
fn a_finished_track_says_why_after_all_has_been_read() {
    let writer = writer();
    let mut reader = writer.reader(None);
    writer.datagram(datagram(0, 0));
    writer.finish(PublishDoneCode::TrackEnded, ReasonPhrase::from("bye"));
    assert!(matches!(now(reader.next()), Some(Some(Delivery::Datagram(_)))));
    assert!(matches!(now(reader.next()), Some(None)));
    let end = TrackEnd::Finished { code: PublishDoneCode::TrackEnded, reason: ReasonPhrase::from("bye") };
    assert_eq!(reader.end(), Some(&end));
}

#[test]
fn a_dropped_writer_aborts_the_track() {
    let writer = writer();
    let mut reader = writer.reader(None);
    drop(writer);
    assert!(matches!(now(reader.next()), Some(None)));
    assert_eq!(reader.end(), Some(&TrackEnd::Aborted));
}

#[test]
fn a_reader_that_is_too_far_behind_loses_the_subgroup_and_goes_on_with_the_next() {
    let writer = Writer::new(TrackOptions { max_groups: 2, ..TrackOptions::default() });
    let (mut slow, mut fast) = (writer.reader(None), writer.reader(None));
    let mut lost = None;
    for group in 0..3 {
        let mut out = writer.open_subgroup(info(group));
        object(&mut out, 0, b"x");
        ready(&mut subgroup(&mut fast));
        lost.get_or_insert_with(|| subgroup(&mut slow));
        out.finish().unwrap();
    }
    writer.open_subgroup(info(3)).object(header(0, 0)).unwrap();
    assert_eq!(ready(lost.as_mut().unwrap()), (vec![], vec![], Some(SubgroupEnd::TooFarBehind)));
    assert_eq!(subgroup(&mut slow).info().group_id, 2, "group 1 went before the reader came to it");
    assert_eq!(slow.missed(), 1);
}

#[test]
fn what_nobody_has_read_is_kept_longer_than_what_somebody_has() {
    let writer = Writer::new(TrackOptions { max_bytes: 10_000, max_groups: 1, ..TrackOptions::default() });
    let mut reader = writer.reader(None);
    let mut old = writer.open_subgroup(info(0));
    let mut new = writer.open_subgroup(info(1));
    let (mut from_old, mut from_new) = (subgroup(&mut reader), subgroup(&mut reader));
    object(&mut old, 0, &[1; 500]);
    for id in 0..100 {
        object(&mut new, id, &[2; 500]);
        assert_eq!(ready(&mut from_new).0, vec![id]);
    }
    assert_eq!(ready(&mut from_old), (vec![0], vec![1; 500], None));
}

#[test]
fn a_reader_at_the_tip_of_an_evicted_group_goes_on() {
    let writer = Writer::new(TrackOptions { max_groups: 1, ..TrackOptions::default() });
    let mut reader = writer.reader(None);
    let mut old = writer.open_subgroup(info(0));
    object(&mut old, 0, b"x");
    let mut subgroup = subgroup(&mut reader);
    ready(&mut subgroup);
    object(&mut writer.open_subgroup(info(1)), 0, b"x");
    object(&mut old, 1, b"y");
    old.finish().unwrap();
    assert_eq!(ready(&mut subgroup), (vec![1], b"y".to_vec(), Some(SubgroupEnd::Finished)));
}

#[test]
fn memory_stays_within_its_limit_in_one_endless_subgroup() {
    let writer = Writer::new(TrackOptions { max_bytes: 10_000, ..TrackOptions::default() });
    let mut reader = writer.reader(None);
    let mut out = writer.open_subgroup(info(0));
    let mut subgroup = subgroup(&mut reader);
    for id in 0..1000 {
        object(&mut out, id, &[0; 500]);
        assert!(writer.track().figures().0 <= 10_000);
    }
    assert_eq!(ready(&mut subgroup).2, Some(SubgroupEnd::TooFarBehind));
}

#[test]
fn nothing_is_left_of_many_groups_but_the_newest() {
    let writer = Writer::new(TrackOptions { max_groups: 4, ..TrackOptions::default() });
    for group in 0..1000 {
        let mut out = writer.open_subgroup(info(group));
        object(&mut out, 0, b"x");
        out.finish().unwrap();
        writer.datagram(datagram(group, 1));
    }
    assert_eq!(writer.track().figures().2, 8);
}

#[test]
fn a_feeder_waits_for_the_fastest_reader_only() {
    let writer = Writer::new(TrackOptions { window: 1000, ..TrackOptions::default() });
    let (mut fast, mut slow) = (writer.reader(None), writer.reader(None));
    let mut out = writer.open_subgroup(info(0));
    let (mut fast, mut slow) = (subgroup(&mut fast), subgroup(&mut slow));
    object(&mut out, 0, &[0; 1000]);
    assert!(now(writer.ready()).is_none());
    ready(&mut fast);
    assert!(now(writer.ready()).is_some());
    ready(&mut slow);
    assert_eq!(writer.track().figures().1, 0);
}

#[test]
fn a_feeder_does_not_wait_without_readers() {
    let writer = Writer::new(TrackOptions { window: 1000, ..TrackOptions::default() });
    let mut reader = writer.reader(None);
    object(&mut writer.open_subgroup(info(0)), 0, &[0; 1000]);
    let subgroup = subgroup(&mut reader);
    drop(reader);
    assert!(now(writer.ready()).is_none());
    drop(subgroup);
    assert!(now(writer.ready()).is_some());
}

#[test]
fn a_feeder_that_gave_up_waits_again_once_a_reader_moves() {
    let writer = Writer::new(TrackOptions { window: 1000, ..TrackOptions::default() });
    let mut reader = writer.reader(None);
    let mut out = writer.open_subgroup(info(0));
    object(&mut out, 0, &[0; 1000]);
    writer.track().give_up();
    assert!(now(writer.ready()).is_some());
    ready(&mut subgroup(&mut reader));
    let mut out = writer.open_subgroup(info(1));
    object(&mut out, 0, &[0; 1000]);
    assert!(now(writer.ready()).is_none());
}

#[tokio::test]
async fn readers_that_wait_are_woken() {
    let writer = writer();
    let mut reader = writer.reader(None);
    let reading = tokio::spawn(async move {
        let Some(Delivery::Subgroup(mut subgroup)) = reader.next().await else { panic!("no subgroup") };
        let mut items = Vec::new();
        while subgroup.next(&mut items).await.is_none() {}
        assert!(reader.next().await.is_none());
        items
    });
    let mut out = writer.open_subgroup(info(0));
    for id in 0..100 {
        object(&mut out, id, b"x");
        tokio::task::yield_now().await;
    }
    out.finish().unwrap();
    tokio::task::yield_now().await;
    drop(writer);
    assert_eq!(reading.await.unwrap().len(), 200);
}
