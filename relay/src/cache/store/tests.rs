//! One behaviour a test, and random tracks against a model that keeps everything.

use std::collections::{BTreeMap, BTreeSet};

use moqingbird::wire::list::{KeyValue, Keys};
use moqingbird::wire::model::{Extensions, GroupOrder};
use moqingbird_ledger::covers;

use super::*;
use crate::core::tests::Random;

const T0: Duration = Duration::ZERO;

fn object(group: u64, object: u64) -> FetchObject {
    FetchObject {
        location: Location::new(group, object),
        subgroup_id: Some(0),
        publisher_priority: 1,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: 0,
    }
}

fn status(group: u64, id: u64, status: ObjectStatus) -> FetchObject {
    FetchObject { status, ..object(group, id) }
}

fn whole(group: u64) -> EndLocation {
    EndLocation { group, object: None }
}

fn up_to(group: u64, object: u64) -> EndLocation {
    EndLocation { group, object: Some(object) }
}

/// What a range gives: objects by their location, gaps by their ends.
fn read(store: &mut Store, start: Location, end: EndLocation, order: GroupOrder) -> Vec<String> {
    read_at(store, start, end, order, T0)
}

fn read_at(
    store: &mut Store,
    start: Location,
    end: EndLocation,
    order: GroupOrder,
    now: Duration,
) -> Vec<String> {
    let mut cursor = Cursor::new(start, end, order);
    let mut found = Vec::new();
    loop {
        match store.step(&mut cursor, now) {
            Step::Object(location) => {
                found.push(location.to_string());
                cursor.pass(location);
            }
            Step::Gap { start, end } => {
                let last = end.object.map_or("*".to_owned(), |object| object.to_string());
                found.push(format!("?{start}-{}/{last}", end.group));
                cursor.pass_gap(start, end);
            }
            Step::End => return found,
        }
    }
}

/// Groups that came live, whole, each of as many objects.
fn live(groups: &[(u64, u64)]) -> Store {
    let mut store = Store::default();
    for &(group, objects) in groups {
        store.open(group, T0);
        (0..objects).for_each(|id| assert!(store.publish(object(group, id), T0)));
        store.close(group, true);
    }
    store
}

#[test]
fn what_came_live_is_known_up_to_the_largest() {
    let mut store = live(&[(0, 2), (1, 1), (2, 2)]);
    let all = read(&mut store, Location::new(0, 0), up_to(2, 1), GroupOrder::Ascending);
    assert_eq!(all, ["0/0", "0/1", "1/0", "2/0", "2/1"]);
    let all = read(&mut store, Location::new(0, 1), up_to(2, 0), GroupOrder::Descending);
    assert_eq!(all, ["2/0", "1/0", "0/1"]);
}

#[test]
fn nothing_is_known_of_what_did_not_come() {
    let mut store = live(&[(3, 1), (7, 1)]);
    let all = read(&mut store, Location::new(1, 5), up_to(7, 0), GroupOrder::Ascending);
    assert_eq!(all, ["?1/5-2/*", "3/0", "?4/0-6/*", "7/0"]);
    let all = read(&mut store, Location::new(1, 5), up_to(7, 0), GroupOrder::Descending);
    assert_eq!(all, ["7/0", "?4/0-6/*", "3/0", "?1/5-2/*"]);
}

#[test]
fn a_hole_in_a_group_is_not_known_and_neither_is_its_end() {
    let mut store = Store::default();
    store.open(0, T0);
    for id in [0, 1, 4] {
        store.publish(object(0, id), T0);
    }
    store.close(0, true);
    store.publish(object(1, 0), T0);
    let all = read(&mut store, Location::new(0, 0), up_to(1, 0), GroupOrder::Ascending);
    assert_eq!(all, ["0/0", "0/1", "?0/2-0/3", "0/4", "?0/5-0/*", "1/0"]);
}

#[test]
fn a_gap_that_an_object_states_holds_nothing() {
    covers!("D16-8.1-05");
    let mut store = Store::default();
    let gaps = |key, length| {
        Extensions::from_pairs([KeyValue { key, value: Value::Integer(length) }], Keys::Absolute).unwrap()
    };
    store.open(9, T0);
    store.publish(FetchObject { extensions: gaps(extension::PRIOR_GROUP_ID_GAP, 7), ..object(9, 0) }, T0);
    store.publish(FetchObject { extensions: gaps(extension::PRIOR_OBJECT_ID_GAP, 2), ..object(9, 3) }, T0);
    let all = read(&mut store, Location::new(1, 0), up_to(9, 3), GroupOrder::Ascending);
    assert_eq!(all, ["?1/0-1/*", "9/0", "9/3"]);
    assert!(!store.publish(object(9, 2), T0));
}

#[test]
fn the_end_of_a_group_and_of_a_track_are_kept() {
    covers!("D14-10.2.1.1-02", "D14-10.2.1.1-05", "D16-10.2.1.1-05");
    let mut store = Store::default();
    store.open(0, T0);
    store.publish(object(0, 5), T0);
    store.publish(status(0, 6, ObjectStatus::EndOfGroup), T0);
    store.publish(status(1, 0, ObjectStatus::EndOfTrack), T0);
    let all = read(&mut store, Location::new(0, 5), whole(4), GroupOrder::Ascending);
    assert_eq!(all, ["0/5", "0/6", "1/0"]);
    let all = read(&mut store, Location::new(0, 5), whole(4), GroupOrder::Descending);
    assert_eq!(all, ["1/0", "0/5", "0/6"]);
    assert!(store.is_complete());
}

#[test]
fn an_object_that_does_not_exist_never_does() {
    covers!("D14-8.1-05", "D14-8.1-06", "D14-10.2.1.1-01", "D16-2.1-03");
    let mut store = live(&[(0, 3)]);
    assert!(store.publish(status(0, 1, ObjectStatus::DoesNotExist), T0));
    assert!(!store.publish(object(0, 1), T0));
    store.insert(object(0, 1), T0);
    assert_eq!(read(&mut store, Location::new(0, 0), up_to(0, 2), GroupOrder::Ascending), ["0/0", "0/2"]);
}

#[test]
fn what_was_left_out_of_a_range_may_still_come() {
    let mut store = live(&[(0, 1)]);
    store.insert_absent(Location::new(0, 1), up_to(0, 3), T0);
    assert!(store.publish(object(0, 2), T0));
    assert_eq!(read(&mut store, Location::new(0, 0), up_to(0, 3), GroupOrder::Ascending), ["0/0", "0/2"]);
}

#[test]
fn the_end_of_a_group_that_was_only_fetched_in_part_is_not_known() {
    let mut store = live(&[(9, 1)]);
    store.insert(object(5, 0), T0);
    let all = read(&mut store, Location::new(5, 0), whole(5), GroupOrder::Ascending);
    assert_eq!(all, ["5/0", "?5/1-5/*"]);
    store.insert_absent(Location::new(5, 1), whole(5), T0);
    assert_eq!(read(&mut store, Location::new(5, 0), whole(5), GroupOrder::Ascending), ["5/0"]);
}

#[test]
fn a_group_whose_largest_object_did_not_come_has_no_known_end() {
    let mut store = Store::default();
    store.tell_largest(Location::new(0, 9));
    store.open(0, T0);
    store.publish(object(0, 0), T0);
    store.close(0, true);
    store.publish(object(1, 0), T0);
    let all = read(&mut store, Location::new(0, 0), up_to(1, 0), GroupOrder::Ascending);
    assert_eq!(all, ["0/0", "?0/1-0/*", "1/0"]);
}

#[test]
fn objects_over_their_age_are_not_served_each_by_its_own() {
    covers!("D14-9.2.1.3-02", "D14-9.2.1.3-03", "D16-11.1.1-01");
    let mut store = Store::default();
    store.limit_age(Some(Duration::from_millis(200)));
    store.publish(object(0, 0), T0);
    store.publish(object(0, 1), Duration::from_millis(150));
    let read = |store: &mut Store, at| {
        let order = GroupOrder::Ascending;
        read_at(store, Location::new(0, 0), up_to(0, 1), order, Duration::from_millis(at))
    };
    assert_eq!(read(&mut store, 199), ["0/0", "0/1"]);
    assert_eq!(read(&mut store, 200), ["?0/0-0/0", "0/1"]);
    assert_eq!(read(&mut store, 350), ["?0/0-0/1"]);
}

#[test]
fn without_a_limit_objects_are_served_at_any_age() {
    covers!("D16-11.1.1-02");
    let mut store = live(&[(0, 1)]);
    let at = Duration::from_secs(3600);
    assert_eq!(read_at(&mut store, Location::new(0, 0), up_to(0, 0), GroupOrder::Ascending, at), ["0/0"]);
}

#[test]
fn the_newest_group_stays_but_for_its_oldest_objects() {
    let mut store = live(&[(0, 2), (1, 2), (2, 50)]);
    assert_eq!(store.old_groups().map(|(_, group)| group).collect::<Vec<_>>(), [0, 1]);
    store.limit_groups(1);
    let before = store.bytes();
    store.shrink_to(before / 2);
    assert!(store.bytes() <= before / 2);
    let all = read(&mut store, Location::new(2, 0), up_to(2, 49), GroupOrder::Ascending);
    assert!(all[0].starts_with("?2/0-2/"), "{all:?}");
    assert_eq!(all.last().unwrap(), "2/49");
    store.shrink_to(0);
    assert_eq!(read(&mut store, Location::new(2, 49), up_to(2, 49), GroupOrder::Ascending), ["2/49"]);
}

#[test]
fn a_payload_is_read_while_it_comes() {
    let mut store = Store::default();
    store.publish(FetchObject { payload_length: 4, ..object(0, 0) }, T0);
    let at = Location::new(0, 0);
    assert_eq!(store.part(at, 0), Part::Later);
    store.add(at, Bytes::from_static(b"ab"));
    store.add(at, Bytes::from_static(b"cd"));
    assert_eq!(store.part(at, 1), Part::Payload(Bytes::from_static(b"cd")));
    assert_eq!(store.part(at, 2), Part::End);
    assert!(!store.differs(at, 1, b"bc") && !store.differs(at, 4, b"x"));
    assert!(store.differs(at, 1, b"bx") && store.differs(at, 2, b"x"));
    store.give_up(at);
    assert_eq!(store.part(at, 0), Part::Payload(Bytes::from_static(b"ab")), "it is whole");
}

/// Objects that come in any order, live or fetched, and ranges that are known to be empty: a range gives exactly what
/// there is of it, and where it says that nothing is known, nothing is.
#[test]
fn random_tracks_give_what_they_were_given() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut store = Store::default();
        let (mut present, mut absent) = (BTreeMap::new(), BTreeSet::new());
        for _ in 0..random.below(60) {
            let (group, id) = (random.below(6) as u64, random.below(6) as u64);
            let location = Location::new(group, id);
            if random.below(3) > 0 {
                if !absent.contains(&location) {
                    present.insert(location, ());
                }
                store.insert(object(group, id), T0);
            } else {
                let last = id + random.below(3) as u64;
                let free = (id..=last).all(|id| !present.contains_key(&Location::new(group, id)));
                if free {
                    store.insert_absent(location, up_to(group, last), T0);
                    absent.extend((id..=last).map(|id| Location::new(group, id)));
                }
            }
        }
        let start = Location::new(random.below(6) as u64, random.below(6) as u64);
        let end = up_to(start.group + random.below(4) as u64, random.below(8) as u64);
        for order in [GroupOrder::Ascending, GroupOrder::Descending] {
            check(&mut store, start, end, order, &present, &absent);
        }
    }
}

fn check(
    store: &mut Store,
    start: Location,
    end: EndLocation,
    order: GroupOrder,
    present: &BTreeMap<Location, ()>,
    absent: &BTreeSet<Location>,
) {
    let wanted = |it: &Location| start <= *it && *it <= Location::new(end.group, end.object.unwrap());
    let mut expected: Vec<_> = present.keys().copied().filter(wanted).collect();
    if order == GroupOrder::Descending {
        expected.sort_by_key(|it| (std::cmp::Reverse(it.group), it.object));
    }
    let (mut found, mut gaps) = (Vec::new(), Vec::new());
    let mut cursor = Cursor::new(start, end, order);
    loop {
        match store.step(&mut cursor, T0) {
            Step::Object(location) => {
                found.push(location);
                cursor.pass(location);
            }
            Step::Gap { start, end } => {
                gaps.push((start, end));
                cursor.pass_gap(start, end);
            }
            Step::End => break,
        }
    }
    assert_eq!(found, expected, "{order:?} {start}..{end:?}");
    let in_gap = |it: Location| gaps.iter().any(|(start, end)| *start <= it && end.reaches(it));
    for group in start.group..=end.group {
        for id in 0..8 {
            let it = Location::new(group, id);
            if wanted(&it) {
                let known = present.contains_key(&it) || absent.contains(&it);
                assert_eq!(in_gap(it), !known, "{it} {order:?} {start}..{end:?} {gaps:?}");
            } else {
                assert!(!in_gap(it), "{it} is not asked for: {gaps:?}");
            }
        }
    }
}
