use bytes::Bytes;
use moqingbird::session::{Event, Fact, Input, Side};
use moqingbird::wire::Draft;
use moqingbird::wire::buf::Writer;
use moqingbird::wire::model::{
    Datagram, DatagramBody, Extensions, FetchOk, Location, Message, RequestId, Response, Target, TrackAlias,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::raw::Raw;
use crate::support::{fetch, stated_fetch_ok, subscribe, subscribe_ok_as};

/// A client with a subscription to `live/cam/video` under the alias 7.
fn subscribed(draft: &'static dyn Draft) -> (Raw, RequestId) {
    let mut raw = Raw::new(draft, Side::Client);
    let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
    raw.say(&Message::Response { target: Target::Id(id), response: subscribe_ok_as(7, None) });
    raw.heard();
    raw.events.clear();
    (raw, id)
}

/// All objects of a subgroup, up to `last`.
const fn whole(group_id: u64, subgroup_id: u64, last: u64) -> Fact {
    Fact::Subgroup { group_id, subgroup_id, priority: None, first: 0, last, finished: true }
}

/// One object of a subgroup.
const fn one(group_id: u64, subgroup_id: u64, id: u64) -> Fact {
    Fact::Subgroup { group_id, subgroup_id, priority: None, first: id, last: id, finished: false }
}

fn at(group: u64, object: u64) -> Location {
    Location::new(group, object)
}

fn tell(raw: &mut Raw, of: RequestId, facts: &[Fact]) {
    for &fact in facts {
        raw.handle(Input::Fact { of, fact });
    }
}

/// The last of these facts makes the track malformed: the subscription is left, and the session goes on.
#[track_caller]
fn malformed(draft: &'static dyn Draft, facts: &[Fact]) {
    let (mut raw, id) = subscribed(draft);
    let (last, before) = facts.split_last().unwrap();
    tell(&mut raw, id, before);
    assert!(raw.events.is_empty() && raw.heard().is_empty(), "{:?}", raw.events);
    tell(&mut raw, id, &[*last]);
    assert!(matches!(raw.events[..], [Event::Malformed { id: it, .. }] if it == id), "{:?}", raw.events);
    assert_eq!(raw.heard_one(), Message::Unsubscribe(id));
    raw.assert_open();
    assert!(raw.session.is_idle());
}

#[track_caller]
fn harmless(draft: &'static dyn Draft, facts: &[Fact]) {
    let (mut raw, id) = subscribed(draft);
    tell(&mut raw, id, facts);
    assert!(raw.events.is_empty() && raw.heard().is_empty(), "{:?}", raw.events);
}

in_every_draft! {
    fn every_subscription_and_fetch_of_the_track_is_left_and_no_other(draft) {
        covers!("D14-2.5-01", "D14-2.5-02", "D16-2.4.2-01", "D16-2.4.2-02");
        let (mut raw, id) = subscribed(draft);
        let stream = raw.open(7);
        let fetching = raw.session.request(raw.now, fetch(0, 1)).unwrap();
        let other = raw.session.request(raw.now, subscribe("live/cam/audio")).unwrap();
        raw.heard();
        tell(&mut raw, fetching, &[Fact::Malformed("it says so itself")]);
        let left: Vec<_> = raw.events.iter().filter_map(|event| match event {
            Event::Malformed { id, reason: "it says so itself" } => Some(*id),
            _ => None,
        }).collect();
        assert_eq!(left, [id, fetching]);
        assert_eq!(raw.heard(), [Message::Unsubscribe(id), Message::FetchCancel(fetching)]);
        assert!(raw.stopped(stream));
        raw.say(&Message::Response { target: Target::Id(other), response: subscribe_ok_as(9, None) });
        raw.assert_open();
        assert!(matches!(raw.events.last(), Some(Event::Accepted { id, .. }) if *id == other));
    }

    fn object_behind_the_end_of_its_subgroup(draft) {
        covers!("D14-2.5-08", "D16-2.4.2-11");
        malformed(draft, &[whole(1, 2, 3), one(1, 2, 4)]);
        malformed(draft, &[one(1, 2, 4), whole(1, 2, 3)]);
        harmless(draft, &[whole(1, 2, 3), one(1, 2, 3), one(1, 3, 4), one(2, 2, 4)]);
    }

    fn subgroup_that_ends_twice(draft) {
        covers!("D14-2.5-09", "D16-2.4.2-12");
        malformed(draft, &[whole(1, 2, 3), whole(1, 2, 2)]);
        malformed(draft, &[whole(1, 2, 3), whole(1, 2, 5)]);
        harmless(draft, &[whole(1, 2, 3), whole(1, 2, 3), whole(2, 2, 2)]);
    }

    fn object_behind_the_end_of_its_group(draft) {
        covers!("D14-2.5-10", "D16-2.4.2-13");
        malformed(draft, &[Fact::EndOfGroup(at(7, 11)), one(7, 0, 11)]);
        malformed(draft, &[one(7, 0, 11), Fact::EndOfGroup(at(7, 11))]);
        harmless(draft, &[Fact::EndOfGroup(at(7, 11)), one(7, 0, 10), one(8, 0, 11)]);
    }

    fn object_behind_the_end_of_the_track(draft) {
        covers!("D14-2.5-11", "D16-2.4.2-14");
        malformed(draft, &[Fact::EndOfTrack(at(9, 1)), one(9, 0, 1)]);
        malformed(draft, &[Fact::EndOfTrack(at(9, 1)), one(10, 0, 0)]);
        malformed(draft, &[one(10, 0, 0), Fact::EndOfTrack(at(9, 1))]);
        harmless(draft, &[Fact::EndOfTrack(at(9, 1)), one(9, 0, 0), one(8, 0, 99)]);
    }

    fn object_behind_the_end_that_a_fetch_tells(draft) {
        covers!("D14-2.5-11", "D16-2.4.2-14");
        let (mut raw, id) = subscribed(draft);
        let fetching = raw.session.request(raw.now, fetch(0, 9)).unwrap();
        raw.heard();
        let Response::Fetch(ok) = stated_fetch_ok(draft, 4, Some(2)) else { panic!() };
        let response = Response::Fetch(FetchOk { end_of_track: true, ..ok });
        raw.say(&Message::Response { target: Target::Id(fetching), response });
        tell(&mut raw, id, &[one(4, 0, 2)]);
        assert_eq!(raw.heard(), []);
        tell(&mut raw, id, &[one(4, 0, 3)]);
        assert_eq!(raw.heard(), [Message::Unsubscribe(id), Message::FetchCancel(fetching)]);
    }

    fn gaps_that_cover_what_was_seen(draft) {
        covers!("D14-11.1-06", "D14-11.3-05", "D16-11.3-06", "D16-11.4-06");
        malformed(draft, &[one(9, 0, 0), Fact::GroupGap { group_id: 10, length: 2 }]);
        malformed(draft, &[one(3, 0, 9), Fact::ObjectGap { at: at(3, 10), length: 2 }]);
        harmless(draft, &[one(7, 0, 0), Fact::GroupGap { group_id: 10, length: 2 }]);
        harmless(draft, &[one(3, 0, 7), Fact::ObjectGap { at: at(3, 10), length: 2 }]);
    }

    fn objects_in_a_gap(draft) {
        covers!("D14-11.1-07", "D14-11.3-06", "D16-11.3-07", "D16-11.4-07");
        malformed(draft, &[Fact::GroupGap { group_id: 10, length: 2 }, one(9, 0, 0)]);
        malformed(draft, &[Fact::ObjectGap { at: at(3, 10), length: 2 }, one(3, 1, 8)]);
        harmless(draft, &[Fact::GroupGap { group_id: 10, length: 2 }, one(10, 0, 0), one(7, 0, 0)]);
        harmless(draft, &[Fact::ObjectGap { at: at(3, 10), length: 2 }, one(3, 1, 10), one(3, 1, 7)]);
    }

    fn gaps_that_reach_before_the_beginning(draft) {
        covers!("D14-11.1-05", "D14-11.3-04", "D16-11.3-05", "D16-11.4-05");
        malformed(draft, &[Fact::GroupGap { group_id: 3, length: 4 }]);
        malformed(draft, &[Fact::ObjectGap { at: at(0, 2), length: 3 }]);
        harmless(draft, &[Fact::GroupGap { group_id: 3, length: 3 }, Fact::ObjectGap { at: at(3, 2), length: 2 }]);
    }

    fn different_gaps_before_one_group(draft) {
        covers!("D14-11.1-04", "D16-11.3-09");
        malformed(draft, &[Fact::GroupGap { group_id: 10, length: 2 }, Fact::GroupGap { group_id: 10, length: 1 }]);
        harmless(draft, &[Fact::GroupGap { group_id: 10, length: 2 }, Fact::GroupGap { group_id: 10, length: 2 }]);
    }

    fn track_in_streams_and_datagrams_is_malformed_where_the_draft_says_so(draft) {
        covers!("D14-2.5-13");
        let (mut raw, id) = subscribed(draft);
        let datagram = Datagram {
            track_alias: TrackAlias(7),
            group_id: 0,
            object_id: 1,
            publisher_priority: Some(3),
            end_of_group: false,
            extensions: Extensions::NONE,
            body: DatagramBody::Payload(Bytes::from_static(b"hi")),
        };
        let mut w = Writer::new();
        draft.encode_datagram(&datagram, &mut w).unwrap();
        raw.handle(Input::Datagram(w.take()));
        raw.open(7);
        let expected = if draft.rules().mixed_forwarding { vec![] } else { vec![Message::Unsubscribe(id)] };
        assert_eq!(raw.heard(), expected);
        raw.assert_open();
    }

    fn groups_may_come_in_any_order_and_share_subgroup_ids(draft) {
        covers!("D14-2.2-03", "D14-2.3.1-03", "D16-2.3.1-03");
        harmless(draft, &[whole(5, 1, 3), whole(4, 1, 9), whole(9, 1, 0), whole(6, 1, 2)]);
    }

    fn facts_of_what_has_ended_are_forgotten(draft) {
        let (mut raw, id) = subscribed(draft);
        tell(&mut raw, id, &[whole(1, 0, 3)]);
        raw.session.cancel(raw.now, id).unwrap();
        tell(&mut raw, id, &[one(1, 0, 9)]);
        assert!(raw.session.is_idle() && raw.events.is_empty());
    }
}
