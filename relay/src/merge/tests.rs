//! One behaviour a test, and random publishers of the same track.

use std::collections::BTreeMap;

use moqingbird::wire::model::{Extensions, ObjectStatus};
use moqingbird_ledger::covers;

use super::*;

fn object(id: u64) -> ObjectHeader {
    sized(id, 0)
}

fn sized(object_id: u64, payload_length: u64) -> ObjectHeader {
    ObjectHeader { object_id, extensions: Extensions::NONE, status: ObjectStatus::Normal, payload_length }
}

fn opened(verdict: Verdict) -> LaneKey {
    match verdict {
        Verdict::Open(lane, given_up) => {
            assert_eq!(given_up, []);
            lane
        }
        other => panic!("no new lane: {other:?}"),
    }
}

#[test]
fn a_stream_is_one_lane_and_ends_with_it() {
    let mut merge = Merge::default();
    let stream = merge.begin(3, Some(0));
    let lane = opened(merge.object(stream, &object(0)));
    assert_eq!(merge.object(stream, &object(1)), Verdict::Append(lane));
    // What follows on the same stream is the next of the subgroup, whatever its ID.
    assert_eq!(merge.object(stream, &object(7)), Verdict::Append(lane));
    assert_eq!(merge.finished(stream), (Some(lane), vec![]));
    assert!(merge.is_idle());
}

#[test]
fn each_object_of_two_publishers_goes_out_once_whoever_is_first() {
    covers!("D14-8.2-02", "D16-8.3-02");
    let mut merge = Merge::default();
    let (first, second) = (merge.begin(0, Some(0)), merge.begin(0, Some(0)));
    let lane = opened(merge.object(first, &object(0)));
    assert_eq!(merge.object(second, &object(0)), Verdict::Skip);
    assert_eq!(merge.object(second, &object(1)), Verdict::Append(lane));
    assert_eq!(merge.object(second, &object(4)), Verdict::Append(lane));
    assert_eq!(merge.object(first, &object(1)), Verdict::Skip);
    assert_eq!(merge.object(first, &object(4)), Verdict::Skip);
    assert_eq!(merge.finished(first), (Some(lane), vec![]));
    assert_eq!(merge.finished(second), (None, vec![]));
    assert!(merge.is_idle());
}

#[test]
fn an_object_that_is_not_provably_next_is_not_appended() {
    covers!("D14-10.4.3-06", "D14-10.4.3-07", "D16-10.4.3-07", "D16-10.4.3-08");
    let mut merge = Merge::default();
    let first = merge.begin(0, Some(0));
    let lane = opened(merge.object(first, &object(0)));
    assert_eq!(merge.object(first, &object(1)), Verdict::Append(lane));
    assert_eq!(merge.broken_off(first), [lane]);

    let (first, second) = (merge.begin(0, Some(0)), merge.begin(0, Some(0)));
    assert_eq!(merge.object(first, &object(1)), Verdict::Skip);
    let lane = opened(merge.object(first, &object(2)));
    // Whether there is anything between 2 and 5 nobody knows.
    let other = opened(merge.object(second, &object(5)));
    assert_ne!(lane, other);
    assert_eq!(merge.object(first, &object(3)), Verdict::Append(lane));
}

#[test]
fn a_lane_that_nobody_goes_on_with_is_given_up_for_the_new_one() {
    covers!("D16-10.4.3-08");
    let mut merge = Merge::default();
    let (first, second) = (merge.begin(0, Some(0)), merge.begin(0, Some(0)));
    let lane = opened(merge.object(first, &object(0)));
    assert_eq!(merge.object(second, &object(1)), Verdict::Append(lane));
    assert_eq!(merge.broken_off(second), [], "the other may go on with it");
    // But it goes on with something that need not be the next.
    let Verdict::Open(anew, given_up) = merge.object(first, &object(9)) else { panic!() };
    assert_eq!(given_up, [lane]);
    assert_eq!(merge.object(first, &object(10)), Verdict::Append(anew));
}

#[test]
fn an_object_that_another_stream_is_in_the_middle_of_is_waited_for() {
    let mut merge = Merge::default();
    let (first, second) = (merge.begin(0, Some(0)), merge.begin(0, Some(0)));
    let lane = opened(merge.object(first, &sized(0, 10)));
    assert!(!merge.payload(first, 4));
    assert_eq!(merge.object(second, &sized(0, 10)), Verdict::Wait);
    assert!(merge.payload(first, 6));
    assert_eq!(merge.object(second, &sized(0, 10)), Verdict::Skip);
    assert_eq!(merge.object(second, &sized(1, 10)), Verdict::Append(lane));
}

#[test]
fn an_object_whose_publisher_is_lost_is_completed_by_the_other() {
    let mut merge = Merge::default();
    let (first, second) = (merge.begin(0, Some(0)), merge.begin(0, Some(0)));
    let lane = opened(merge.object(first, &object(0)));
    assert_eq!(merge.object(second, &object(0)), Verdict::Skip);
    assert_eq!(merge.object(first, &sized(1, 10)), Verdict::Append(lane));
    assert!(!merge.payload(first, 4));
    assert_eq!(merge.object(second, &sized(1, 10)), Verdict::Wait);
    assert_eq!(merge.broken_off(first), [], "the other goes on with it");
    assert_eq!(merge.object(second, &sized(1, 10)), Verdict::Resume(lane, 4));
    assert!(merge.payload(second, 6));
    assert_eq!(merge.finished(second), (Some(lane), vec![]));
    assert!(merge.is_idle());
}

#[test]
fn an_object_that_differs_in_its_middle_makes_the_track_malformed() {
    let mut merge = Merge::default();
    let (first, second) = (merge.begin(0, Some(0)), merge.begin(0, Some(0)));
    opened(merge.object(first, &sized(0, 10)));
    assert!(matches!(merge.object(second, &sized(0, 11)), Verdict::Malformed(_)));
}

#[test]
fn a_datagram_goes_out_once() {
    let mut merge = Merge::default();
    assert!(merge.datagram(4, 1));
    assert!(!merge.datagram(4, 1));
    assert!(merge.datagram(4, 0));
}

#[test]
fn of_old_groups_nothing_is_known_any_more() {
    let mut merge = Merge::default();
    for group in 0..=MAX_GROUPS as u64 {
        assert!(merge.datagram(group, 0));
    }
    assert!(!merge.datagram(1, 0));
    assert!(merge.datagram(0, 0));
    assert!(merge.groups.len() <= MAX_GROUPS);
}

/// Publishers of the same subgroup, cut off and begun anew at random: every lane ascends, every object is complete on
/// one lane and never on two, and nothing is left in the end.
#[test]
fn random_publishers_of_one_subgroup() {
    for seed in 0..500 {
        let mut random = crate::core::tests::Random(seed);
        let mut merge = Merge::default();
        // Of each publisher its stream, the next object, and how much of that is written; all sizes are its ID + 1.
        let mut streams: Vec<(StreamKey, u64, u64, bool)> = Vec::new();
        let mut lanes: BTreeMap<LaneKey, Vec<u64>> = BTreeMap::new();
        let mut complete = std::collections::BTreeSet::new();
        let last = 40;
        for _ in 0..600 {
            if streams.len() < 3 && random.below(4) == 0 {
                streams.push((merge.begin(0, Some(0)), random.below(10) as u64, 0, false));
            }
            let Some(at) = random.pick(0..streams.len()) else { continue };
            let (key, id, written, writing) = &mut streams[at];
            if random.below(40) == 0 {
                let key = *key;
                streams.remove(at);
                merge.broken_off(key).iter().for_each(|lane| drop(lanes.remove(lane).unwrap()));
                continue;
            }
            if *writing {
                let part = 1 + random.below(3) as u64;
                let part = part.min(*id + 1 - *written);
                *written += part;
                if merge.payload(*key, part) {
                    assert!(complete.insert(*id), "complete once");
                    (*id, *written, *writing) = (*id + 1, 0, false);
                }
                continue;
            }
            if *id == last {
                let key = *key;
                streams.remove(at);
                let (whole, given_up) = merge.finished(key);
                if let Some(lane) = whole {
                    assert_eq!(lanes.remove(&lane).unwrap().last(), Some(&(last - 1)));
                }
                given_up.iter().for_each(|lane| drop(lanes.remove(lane).unwrap()));
                continue;
            }
            match merge.object(*key, &sized(*id, *id + 1)) {
                Verdict::Skip => *id += 1,
                Verdict::Wait => {}
                Verdict::Append(lane) => {
                    let lane = lanes.get_mut(&lane).unwrap();
                    assert!(lane.last().unwrap() < id);
                    lane.push(*id);
                    *writing = true;
                }
                Verdict::Resume(lane, done) => {
                    assert_eq!(lanes[&lane].last().copied(), Some(*id));
                    (*written, *writing) = (done, true);
                }
                Verdict::Open(lane, given_up) => {
                    given_up.iter().for_each(|it| drop(lanes.remove(it).unwrap()));
                    assert!(lanes.insert(lane, vec![*id]).is_none());
                    *writing = true;
                }
                Verdict::Malformed(rule) => panic!("{rule}"),
            }
        }
        for (key, ..) in streams {
            merge.broken_off(key);
        }
        assert!(merge.is_idle(), "seed {seed}: {merge:#?}");
    }
}
