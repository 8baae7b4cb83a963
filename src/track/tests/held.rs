//! What is held of a track's past.

use moqingbird_wire::model::{EndLocation, FetchObject, GroupOrder};

use super::*;

fn held(writer: &Writer, start: (u64, u64), end: (u64, Option<u64>)) -> Option<Held> {
    let (start, end) = (Location::new(start.0, start.1), EndLocation { group: end.0, object: end.1 });
    writer.track().held(start, end, GroupOrder::Ascending)
}

/// A group of objects 0, 1, .. whose payloads are their IDs.
fn group(writer: &Writer, group_id: u64, objects: u64) {
    let mut subgroup = writer.open_subgroup(info(group_id));
    for id in 0..objects {
        object(&mut subgroup, id, b"payload");
    }
    subgroup.finish().unwrap();
}

/// Where the objects are that are given without waiting, and whether that was all.
fn locations(held: &mut Held) -> (Vec<(u64, u64)>, bool) {
    let mut locations = Vec::new();
    loop {
        match now(held.next()) {
            Some(Ok(Some(HeldItem::Object(FetchObject { location, .. })))) => {
                locations.push((location.group, location.object));
            }
            Some(Ok(Some(_))) => {}
            Some(Ok(None)) => return (locations, true),
            Some(Err(NoLongerHeld)) | None => return (locations, false),
        }
    }
}

#[test]
fn a_range_within_what_is_held_is_whole() {
    let writer = Writer::new(TrackOptions::default());
    (3..6).for_each(|number| group(&writer, number, 2));
    let mut range = held(&writer, (3, 1), (4, None)).unwrap();
    assert!(range.is_whole() && range.lost().is_none() && !range.is_end_of_track());
    assert_eq!(locations(&mut range), (vec![(3, 1), (4, 0), (4, 1)], true));
}

#[test]
fn a_range_with_a_hole_is_not_whole() {
    let writer = Writer::new(TrackOptions::default());
    group(&writer, 3, 2);
    group(&writer, 5, 2);
    let mut late = writer.open_subgroup(info(6));
    object(&mut late, 4, b"x");
    for (start, end) in
        [((2, 0), (3, None)), ((3, 0), (5, None)), ((5, 0), (6, Some(4))), ((0, 0), (u64::MAX, None))]
    {
        assert!(!held(&writer, start, end).unwrap().is_whole(), "{start:?} {end:?}");
    }
    assert!(held(&writer, (5, 0), (5, None)).unwrap().is_whole());
}

#[test]
fn a_group_that_may_go_on_or_was_given_up_is_not_whole() {
    let writer = Writer::new(TrackOptions::default());
    let mut open = writer.open_subgroup(info(0));
    object(&mut open, 0, b"x");
    let mut given_up = writer.open_subgroup(info(1));
    object(&mut given_up, 0, b"x");
    given_up.reset(ResetCode::Cancelled);
    group(&writer, 2, 1);
    assert!(!held(&writer, (0, 0), (0, None)).unwrap().is_whole());
    assert!(!held(&writer, (1, 0), (1, None)).unwrap().is_whole());
    // What precedes the end is there all the same.
    assert!(held(&writer, (0, 0), (0, Some(0))).unwrap().is_whole());
}

#[test]
fn datagrams_are_whole_only_with_the_one_that_says_that_it_is_the_last() {
    let writer = Writer::new(TrackOptions::default());
    writer.datagram(datagram(0, 0));
    writer.datagram(datagram(1, 0));
    assert!(!held(&writer, (0, 0), (0, None)).unwrap().is_whole());
    writer.datagram(Datagram { end_of_group: true, ..datagram(0, 1) });
    let mut range = held(&writer, (0, 0), (0, None)).unwrap();
    assert!(range.is_whole());
    assert_eq!(locations(&mut range), (vec![(0, 0), (0, 1)], true));
}

#[test]
fn subgroups_of_a_group_are_merged_by_object() {
    let writer = Writer::new(TrackOptions::default());
    let mut even = writer.open_subgroup(info(0));
    let mut odd = writer.open_subgroup(SubgroupInfo { subgroup_id: Some(1), ..info(0) });
    (0..2).for_each(|id| object(&mut even, 2 * id, b"even"));
    (0..2).for_each(|id| object(&mut odd, 2 * id + 1, b"odd"));
    let mut range = held(&writer, (0, 0), (0, Some(3))).unwrap();
    assert!(range.is_whole());
    assert_eq!(locations(&mut range), (vec![(0, 0), (0, 1), (0, 2), (0, 3)], true));
}

#[test]
fn an_object_is_waited_for_until_it_is_complete_or_given_up() {
    let writer = Writer::new(TrackOptions::default());
    let mut subgroup = writer.open_subgroup(info(0));
    subgroup.object(header(0, 8)).unwrap();
    let mut range = held(&writer, (0, 0), (0, None)).unwrap();
    let mut other = held(&writer, (0, 0), (0, None)).unwrap();
    assert_eq!(range.end(), EndLocation { group: 0, object: Some(0) });
    assert_eq!(locations(&mut range), (vec![(0, 0)], false));
    subgroup.chunk(Bytes::from_static(b"half")).unwrap();
    assert_eq!(now(range.next()), Some(Ok(Some(HeldItem::Payload(Bytes::from_static(b"half"))))));
    assert_eq!(now(range.next()), None);
    subgroup.chunk(Bytes::from_static(b"rest")).unwrap();
    assert_eq!(locations(&mut range), (vec![], true));
    subgroup.reset(ResetCode::Cancelled);
    assert_eq!(locations(&mut other), (vec![(0, 0)], true));
    let mut broken = writer.open_subgroup(info(1));
    broken.object(header(0, 8)).unwrap();
    let mut range = held(&writer, (1, 0), (1, None)).unwrap();
    broken.reset(ResetCode::Cancelled);
    assert!(matches!(now(range.next()), Some(Ok(Some(HeldItem::Object(_))))));
    assert_eq!(now(range.next()), Some(Err(NoLongerHeld)));
}

#[test]
fn what_was_evicted_is_told_and_what_is_evicted_meanwhile_is_an_error() {
    let writer = Writer::new(TrackOptions { max_groups: 2, ..TrackOptions::default() });
    (0..2).for_each(|number| group(&writer, number, 2));
    let mut early = held(&writer, (0, 0), (1, None)).unwrap();
    assert!(early.lost().is_none());
    (2..4).for_each(|number| group(&writer, number, 2));
    assert_eq!(now(early.next()), Some(Err(NoLongerHeld)));
    let mut range = held(&writer, (0, 0), (3, None)).unwrap();
    assert!(!range.is_whole());
    assert_eq!(range.lost(), Some(Location::new(1, 1)));
    assert_eq!(locations(&mut range), (vec![(2, 0), (2, 1), (3, 0), (3, 1)], true));
}

#[test]
fn nothing_is_held_behind_the_largest_object_and_its_end_is_that_of_the_track() {
    let writer = Writer::new(TrackOptions::default());
    assert!(held(&writer, (0, 0), (9, None)).is_none());
    group(&writer, 0, 2);
    assert!(held(&writer, (0, 2), (9, None)).is_none());
    assert!(held(&writer, (1, 0), (0, None)).is_none());
    assert!(!held(&writer, (0, 0), (9, None)).unwrap().is_end_of_track());
    writer.finish(PublishDoneCode::TrackEnded, ReasonPhrase::default());
    let range = held(&writer, (0, 0), (9, None)).unwrap();
    assert_eq!((range.end(), range.is_end_of_track()), (EndLocation { group: 0, object: Some(1) }, true));
}
