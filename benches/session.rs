//! What the engine costs, both ends in memory and nothing between them: a request from its question to its end, and a
//! data stream from its opening to its end.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use moqingbird::Version;
use moqingbird::session::{Config, Event, Input, Instant, Output, Session, Side, StreamEnd, StreamId};
use moqingbird::wire::model::{
    FullTrackName, Opening, Request, RequestId, Response, SubgroupId, Subscribe, SubscribeOk, TrackAlias,
    TrackExtensions, TrackNamespace,
};

const NOW: Instant = Instant::from_micros(1_000_000);

/// A session, and the number that it knows the control stream by.
struct End {
    session: Session,
    control: Option<StreamId>,
}

impl End {
    fn new(version: Version, side: Side) -> Self {
        let mut config = Config::default();
        config.max_request_id = 1 << 20;
        Self { session: Session::new(version.draft(), side, config, NOW), control: None }
    }
}

/// An established pair: client and server.
fn pair(version: Version) -> (End, End) {
    let (mut client, mut server) = (End::new(version, Side::Client), End::new(version, Side::Server));
    carry(&mut client, &mut server);
    carry(&mut server, &mut client);
    (client, server)
}

/// Brings what one end says to the other; the last event that came of it before.
fn carry(from: &mut End, to: &mut End) -> Option<Event> {
    let mut last = None;
    while let Some(output) = from.session.poll_output() {
        match output {
            Output::OpenLane { stream } => from.control = Some(stream),
            Output::Write { data, fin, .. } => {
                from.session.wrote(data.len());
                let stream = *to.control.get_or_insert_with(|| to.session.new_stream());
                to.session.handle(NOW, Input::Lane { stream, data, fin });
            }
            Output::Event(event) => last = Some(event),
            _ => {}
        }
    }
    last
}

fn track() -> FullTrackName {
    let namespace = TrackNamespace::from_path("live/cam/one").expect("a namespace");
    FullTrackName::new(namespace, "video").expect("a track")
}

fn ok() -> Response {
    Response::Subscribe(SubscribeOk {
        track_alias: TrackAlias(0),
        expires: None,
        largest: None,
        extensions: TrackExtensions::default(),
    })
}

fn subscribed(client: &mut End, server: &mut End, track: FullTrackName) -> RequestId {
    let id = client.session.request(NOW, Request::Subscribe(Subscribe::new(track))).expect("credit");
    carry(client, server);
    server.session.accept(NOW, id, ok()).expect("a request");
    carry(server, client);
    id
}

/// SUBSCRIBE, SUBSCRIBE_OK and UNSUBSCRIBE, both ends together.
fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("subscribe, ok, unsubscribe");
    for version in Version::ALL {
        let (mut client, mut server) = pair(*version);
        let track = track();
        group.bench_function(version.to_string(), |b| {
            b.iter(|| {
                let id = subscribed(&mut client, &mut server, track.clone());
                client.session.cancel(NOW, id).expect("a subscription");
                carry(&mut client, &mut server);
                carry(&mut server, &mut client);
                black_box(id)
            });
        });
    }
    group.finish();
}

/// A subgroup stream: opened, delivered, read to its end and settled, both ends together.
fn streams(c: &mut Criterion) {
    let mut group = c.benchmark_group("data stream");
    for version in Version::ALL {
        let (mut client, mut server) = pair(*version);
        let id = subscribed(&mut client, &mut server, track());
        carry(&mut client, &mut server);
        let mut number = 0;
        group.bench_function(version.to_string(), |b| {
            b.iter(|| {
                number += 1;
                let opened = server
                    .session
                    .open_subgroup(id, number, SubgroupId::Zero, 128, false, false)
                    .expect("a subscription");
                let (stream, opening) = (client.session.new_stream(), Opening::Subgroup(opened.header));
                client.session.handle(NOW, Input::Data { stream, opening, pinned: 0 });
                client.session.handle(NOW, Input::DataEnded { stream, how: StreamEnd::Finished });
                server
                    .session
                    .handle(NOW, Input::DataSettled { stream: opened.stream, how: StreamEnd::Finished });
                carry(&mut client, &mut server);
                carry(&mut server, &mut client);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, streams);
criterion_main!(benches);
