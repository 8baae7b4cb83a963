//! Whole sessions over links that deliver streams in any order among each other, and bytes in any cut.

use std::collections::BTreeMap;

use moqingbird::session::{Config, Event, Misuse, StreamId};
use moqingbird::wire::Draft;
use moqingbird::wire::model::{
    PublishDoneCode, ReasonPhrase, Request, RequestError, RequestErrorCode, RequestId, RequestKind,
};

use crate::in_every_draft;
use crate::support::pair::Pair;
use crate::support::{
    Rng, namespace, ok, publish, publish_namespace, publish_ok, subscribe, subscribe_namespace, subscribe_ok,
};

/// What the applications of both ends know.
#[derive(Default)]
struct World {
    /// Subscriptions by which an end sends, with its open streams.
    sending: [BTreeMap<RequestId, Vec<StreamId>>; 2],
    receiving: [Vec<RequestId>; 2],
    /// What an end may take back.
    asked: [Vec<RequestId>; 2],
    prefixes: [Vec<RequestId>; 2],
    log: Vec<String>,
}

/// The peer may have taken a request back before its event was read.
fn still_there(result: Result<(), Misuse>) -> bool {
    assert!(matches!(result, Ok(()) | Err(Misuse::UnknownRequest)), "{result:?}");
    result.is_ok()
}

fn heard(pair: &mut Pair, world: &mut World, rng: &mut Rng) {
    for end in 0..2 {
        while let Some(event) = pair.ends[end].events.pop_front() {
            world.log.push(format!("{end} {event:?}"));
            let now = pair.now;
            match event {
                Event::Request { id, request } => {
                    if rng.below(5) == 0 {
                        let error = RequestError::new(RequestErrorCode::InternalError, "no");
                        still_there(pair.session(end).reject(now, id, error));
                        continue;
                    }
                    let response = match &request {
                        Request::Subscribe(_) => subscribe_ok(None),
                        Request::Publish(_) => publish_ok(),
                        other => ok(other.kind()),
                    };
                    if !still_there(pair.session(end).accept(now, id, response)) {
                        continue;
                    }
                    match request {
                        Request::Subscribe(_) => drop(world.sending[end].insert(id, Vec::new())),
                        Request::Publish(_) => world.receiving[end].push(id),
                        Request::SubscribeNamespace(_) => world.prefixes[end].push(id),
                        _ => {}
                    }
                }
                Event::Update { answer: Some(answer), .. } => {
                    still_there(pair.session(end).accept(now, answer, ok(RequestKind::Update)));
                }
                Event::Accepted { id, .. } if world.sending[1 - end].contains_key(&id) => {
                    world.receiving[end].push(id);
                }
                Event::Cancelled { id } | Event::Rejected { id, .. } | Event::Ended { id, .. } => {
                    world.sending[end].remove(&id);
                    world.receiving[end].retain(|it| *it != id);
                    world.asked[end].retain(|it| *it != id);
                    world.prefixes[end].retain(|it| *it != id);
                }
                Event::Closed(closed) => panic!("{closed}\n{}", world.log.join("\n")),
                _ => {}
            }
        }
    }
}

fn act(pair: &mut Pair, world: &mut World, rng: &mut Rng, step: usize) {
    let end = rng.below(2);
    let now = pair.now;
    match rng.below(10) {
        0 | 1 => {
            let name = format!("live/cam/{}", rng.below(6));
            let request = match rng.below(4) {
                0 => publish(&name),
                1 => publish_namespace(&format!("live/{}", rng.below(6))),
                2 => subscribe_namespace(&format!("live/{}", rng.below(6))),
                _ => subscribe(&name),
            };
            let is_publish = matches!(request, Request::Publish(_));
            if let Ok(id) = pair.session(end).request(now, request) {
                world.log.push(format!("{end} asks {id} at {step}"));
                match is_publish {
                    true => drop(world.sending[end].insert(id, Vec::new())),
                    false => world.asked[end].push(id),
                }
            }
        }
        2..=4 => {
            let index = rng.below(world.sending[end].len().max(1));
            let Some((&id, streams)) = world.sending[end].iter_mut().nth(index) else { return };
            if streams.len() > 3 {
                pair.finish(end, streams.remove(0));
            }
            streams.extend(pair.try_open(end, id, step as u64).ok().map(|opened| opened.stream));
        }
        5 => {
            let Some((&id, _)) = world.sending[end].iter().next() else { return };
            let reason = ReasonPhrase::default();
            if pair.session(end).finish(now, id, PublishDoneCode::TrackEnded, reason).is_ok() {
                for stream in world.sending[end].remove(&id).unwrap_or_default() {
                    pair.finish(end, stream);
                }
            }
        }
        6 => {
            if let Some(id) = world.asked[end].pop() {
                world.receiving[end].retain(|it| *it != id);
                let _ = pair.session(end).cancel(now, id);
            }
        }
        7 => {
            if let Some(&id) = world.prefixes[end].first() {
                let _ = pair.session(end).namespace(now, id, namespace(&format!("live/{}/x", rng.below(6))));
            }
        }
        8 => {
            if let Some(&id) = world.receiving[end].first() {
                let update = moqingbird::wire::model::RequestUpdate {
                    subscriber_priority: Some(step as u8),
                    ..Default::default()
                };
                let _ = pair.session(end).update(now, id, update);
            }
        }
        _ => pair.pass(std::time::Duration::from_millis(rng.below(400) as u64)),
    }
}

/// Ends everything, and asserts that nothing is left.
fn wind_up(pair: &mut Pair, world: &mut World, rng: &mut Rng) {
    for _ in 0..20 {
        let now = pair.now;
        for end in 0..2 {
            for id in std::mem::take(&mut world.asked[end])
                .into_iter()
                .chain(std::mem::take(&mut world.receiving[end]))
            {
                let _ = pair.session(end).cancel(now, id);
            }
            for (id, streams) in std::mem::take(&mut world.sending[end]) {
                let reason = ReasonPhrase::default();
                let _ = pair.session(end).finish(now, id, PublishDoneCode::TrackEnded, reason);
                for stream in streams {
                    pair.finish(end, stream);
                }
            }
        }
        pair.pass(std::time::Duration::from_secs(11));
        heard(pair, world, rng);
    }
    pair.assert_idle();
}

fn scenario(draft: &'static dyn Draft, seed: u64) -> Vec<String> {
    let mut config = Config::default();
    config.max_request_id = 12;
    let mut pair = Pair::opening(draft, config.clone(), config, Some(seed));
    let mut world = World::default();
    let mut rng = Rng(seed ^ 0x5eed);
    for step in 0..120 {
        act(&mut pair, &mut world, &mut rng, step);
        for _ in 0..rng.below(12) {
            pair.step();
        }
        heard(&mut pair, &mut world, &mut rng);
    }
    wind_up(&mut pair, &mut world, &mut rng);
    world.log
}

in_every_draft! {
    fn sessions_of_two_lawful_ends_never_break(draft) {
        for seed in 0..100 {
            scenario(draft, seed);
        }
    }

    fn the_same_seed_gives_the_same_session(draft) {
        assert_eq!(scenario(draft, 7), scenario(draft, 7));
    }
}
