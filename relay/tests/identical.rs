//! An object is the same by whatever way it comes: from its publisher or through the relay, as it is published or fetched.

#[macro_use]
#[expect(dead_code, reason = "shared with the other tests of the relay, which use more of it")]
mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use moqingbird::track::{SubgroupInfo, Track, TrackOptions, Writer, serve, serve_fetch};
use moqingbird::wire::model::{
    EndLocation, Fetch, FetchRange, GroupOrder, Location, RequestError, RequestErrorCode, TrackExtensions,
};
use moqingbird::{Delivery, IncomingRequest, Session, Subscription, TrackInfo, memory_pair};
use moqingbird_ledger::covers;
use support::*;

in_every_pair! {
    an_object_is_the_same_by_every_way;
}

const GROUPS: u64 = 3;
const OBJECTS: u64 = 4;

/// Answers for a track.
async fn answer(session: Session, track: Track) {
    while let Some(request) = session.next_request().await {
        match request {
            IncomingRequest::Subscribe(request) => {
                let reader = track.reader(request.request().filter);
                let info = TrackInfo { largest: reader.largest(), ..TrackInfo::default() };
                let publication = request.accept(info).unwrap();
                let track = track.clone();
                tokio::spawn(async move { serve(publication, &track, reader, 16, |_| {}).await });
            }
            IncomingRequest::Fetch(request) => {
                let order = request.request().group_order.unwrap_or(GroupOrder::Ascending);
                match track.held(request.start(), request.end(), order) {
                    Some(held) => drop(tokio::spawn(serve_fetch(request, held, TrackExtensions::default()))),
                    None => request.reject(RequestError::new(RequestErrorCode::InvalidRange, "nothing")),
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn payload(group: u64, id: u64) -> Bytes {
    Bytes::from(format!("{group}.{id} ").repeat(100 * (1 + id as usize)))
}

fn write(writer: &Writer) {
    for group_id in 0..GROUPS {
        let mut subgroup = writer.open_subgroup(SubgroupInfo {
            group_id,
            subgroup_id: Some(0),
            publisher_priority: 7,
            extensions: false,
            end_of_group: true,
        });
        for id in 0..OBJECTS {
            let payload = payload(group_id, id);
            subgroup.object(header(id, &payload)).unwrap();
            subgroup.chunk(payload).unwrap();
        }
        subgroup.finish().unwrap();
    }
}

type Objects = BTreeMap<(u64, u64), Bytes>;

async fn subscribed(mut subscription: Subscription) -> Objects {
    let mut objects = Objects::new();
    while (objects.len() as u64) < GROUPS * OBJECTS {
        let Ok(Some(Delivery::Subgroup(mut subgroup))) = soon("a subgroup", subscription.next()).await else {
            panic!("not a subgroup")
        };
        while let Some(object) = next_object(&mut subgroup).await {
            let at = object.location;
            assert_eq!(objects.insert((at.group, at.object), object.payload), None, "{at:?} came twice");
        }
    }
    objects
}

async fn fetched(session: &Session) -> Objects {
    let range = FetchRange::Standalone {
        track: track(),
        start: Location::new(0, 0),
        end: EndLocation { group: GROUPS - 1, object: None },
    };
    let mut fetched = soon("an answer", session.fetch(Fetch::new(range))).await.unwrap();
    let mut objects = Objects::new();
    while let Some(object) = soon("an object", fetched.next_object()).await.unwrap() {
        let at = object.header.location;
        objects.insert((at.group, at.object), object.payload);
    }
    objects
}

async fn an_object_is_the_same_by_every_way(world: World) {
    covers!("D14-2.1-01");
    let writer = Writer::new(TrackOptions::default());
    let publisher = world.publisher().await;
    let _announced = announce(&publisher).await;
    tokio::spawn(answer(publisher, writer.track()));
    let (direct, server) = memory_pair(world.subscriber).await.unwrap();
    tokio::spawn(answer(server, writer.track()));
    let relayed = world.subscriber().await;

    let mut subscriptions = Vec::new();
    for session in [&direct, &relayed] {
        subscriptions.push(soon("SUBSCRIBE is granted", session.subscribe(subscribe())).await.unwrap());
    }
    write(&writer);
    let ways = [
        subscribed(subscriptions.remove(0)).await,
        subscribed(subscriptions.remove(0)).await,
        fetched(&direct).await,
        fetched(&relayed).await,
        fetched(&relayed).await,
    ];
    for way in &ways {
        assert_eq!(way.len() as u64, GROUPS * OBJECTS);
        assert!(way.iter().all(|(at, bytes)| *bytes == payload(at.0, at.1)));
    }
}
