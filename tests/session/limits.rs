//! Limits of [`Config`] that no other file hits.

use std::time::Duration;

use moqingbird::session::{Config, Event, Input, Output, Session, Side, StreamId};
use moqingbird::wire::model::{
    Message, Opening, PublishDone, PublishDoneCode, ReasonPhrase, RequestId, SubgroupHeader, SubgroupId,
    Target, TrackAlias,
};

use crate::in_every_draft;
use crate::support::raw::Raw;
use crate::support::{publish_as, subscribe, subscribe_ok_as};

/// A client that has asked for a track, which will be named 7.
fn asked(raw: &mut Raw) -> RequestId {
    let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
    raw.heard();
    id
}

fn grant(raw: &mut Raw, id: RequestId) {
    raw.say(&Message::Response { target: Target::Id(id), response: subscribe_ok_as(7, None) });
}

/// A stream of the track, behind whose header something has come that keeps this much memory.
fn open(raw: &mut Raw, pinned: usize) -> StreamId {
    let stream = raw.session.new_stream();
    let header = SubgroupHeader {
        track_alias: TrackAlias(7),
        group_id: 0,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: Some(1),
        extensions: false,
        end_of_group: false,
    };
    raw.handle(Input::Data { stream, opening: Opening::Subgroup(header), pinned });
    stream
}

fn stopped(raw: &Raw) -> Vec<StreamId> {
    let stopped = |output: &Output| match output {
        Output::Stop { stream, .. } => Some(*stream),
        _ => None,
    };
    raw.others.iter().filter_map(stopped).collect()
}

fn delivered(raw: &Raw) -> Vec<StreamId> {
    let delivered = |output: &Output| match output {
        Output::Deliver { stream, .. } => Some(*stream),
        _ => None,
    };
    raw.others.iter().filter_map(delivered).collect()
}

in_every_draft! {
    fn held_streams_keep_no_more_memory_than_is_allowed(draft) {
        let mut config = Config::default();
        config.max_held_bytes = 100_000;
        let mut raw = Raw::with(draft, Side::Client, config);
        let id = asked(&mut raw);
        let kept = [open(&mut raw, 65_536), open(&mut raw, 0)];
        let refused = open(&mut raw, 65_536);
        assert_eq!(stopped(&raw), [refused]);
        grant(&mut raw, id);
        assert_eq!(delivered(&raw), kept);
        // What was handed over keeps nothing here any more.
        let id = raw.session.request(raw.now, subscribe("live/cam/audio")).unwrap();
        raw.say(&Message::Response { target: Target::Id(id), response: subscribe_ok_as(8, None) });
        assert_eq!(stopped(&raw), [refused]);
    }

    fn memory_of_a_held_stream_is_free_again_when_it_is_dropped(draft) {
        let mut config = Config::default();
        config.max_held_bytes = 65_536;
        let mut raw = Raw::with(draft, Side::Client, config);
        asked(&mut raw);
        let first = open(&mut raw, 65_536);
        raw.pass(Duration::from_secs(2));
        assert_eq!(stopped(&raw), [first]);
        open(&mut raw, 65_536);
        assert_eq!(stopped(&raw), [first]);
    }

    fn streams_of_a_subscription_beyond_the_limit_are_refused_and_counted(draft) {
        let mut config = Config::default();
        config.max_subscription_streams = 2;
        let mut raw = Raw::with(draft, Side::Client, config);
        let id = asked(&mut raw);
        grant(&mut raw, id);
        let taken = [open(&mut raw, 0), open(&mut raw, 0)];
        let refused = open(&mut raw, 0);
        assert_eq!((delivered(&raw), stopped(&raw)), (taken.to_vec(), vec![refused]));
        for stream in taken {
            raw.handle(Input::DataEnded { stream, how: moqingbird::session::StreamEnd::Finished });
        }
        let fourth = open(&mut raw, 0);
        assert_eq!(delivered(&raw).last(), Some(&fourth));
        raw.handle(Input::DataEnded { stream: fourth, how: moqingbird::session::StreamEnd::Finished });
        let done = PublishDone {
            code: PublishDoneCode::TrackEnded,
            stream_count: 4,
            reason: ReasonPhrase::default(),
        };
        raw.say(&Message::PublishDone { target: id, done });
        assert!(matches!(raw.events.last(), Some(Event::Ended { .. })), "{:?}", raw.events);
    }

    fn a_session_whose_answers_pile_up_says_so_until_they_are_taken(draft) {
        let mut config = Config::default();
        config.max_unsent_control_bytes = 200;
        let mut raw = Raw::with(draft, Side::Client, config);
        raw.session.wrote(usize::MAX);
        assert!(!raw.session.congested());
        let mut unsent = 0;
        for number in 0..20 {
            let id = RequestId(2 * number + 1);
            let request = moqingbird::wire::model::Request::Publish(publish_as("live/cam/video", number));
            say_quietly(&mut raw, &Message::Request { id, request });
            unsent += written(&mut raw.session);
        }
        assert!(unsent > 200 && raw.session.congested(), "{unsent} bytes");
        raw.session.wrote(unsent);
        assert!(!raw.session.congested());
    }
}

/// Says something without taking what the engine answers.
fn say_quietly(raw: &mut Raw, message: &Message) {
    let (stream, data) = (raw.control.unwrap(), raw.bytes(message));
    raw.session.handle(raw.now, Input::Lane { stream, data, fin: false });
}

fn written(session: &mut Session) -> usize {
    let outputs = std::iter::from_fn(|| session.poll_output());
    outputs.map(|output| if let Output::Write { data, .. } = output { data.len() } else { 0 }).sum()
}
