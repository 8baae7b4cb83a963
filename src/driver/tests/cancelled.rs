//! Every public future, dropped at points that chance chooses and made anew: nothing is lost, nothing comes twice, and
//! nothing of what was dropped stays.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use moqingbird_wire::model::{
    Datagram, DatagramBody, EndLocation, Extensions, Fetch, FetchObject, FetchOk, FetchRange, FullTrackName,
    Location, ObjectStatus, Publish, PublishDoneCode, PublishNamespace, PublishOk, RequestUpdate, Subscribe,
    SubscribeNamespace, TrackAlias, TrackExtensions, TrackNamespace,
};

use super::*;
use crate::track::{ReadOptions, Start, TrackOptions, TrackSubscription, Writer};
use crate::{
    Client, ClientOptions, Delivery, FetchDelivery, IncomingRequest, NamespaceEvent, Origin, Session,
    SubgroupOptions, TrackInfo, memory_pair,
};

/// How often each scenario is run, by other numbers.
const SEEDS: u64 = 40;

/// Chance that any run repeats.
struct Chance(Cell<u64>);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    fn next(&self, below: u64) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        state % below
    }

    /// Awaits what `make` makes, dropping it after some polls and making it anew, a few times.
    async fn impatient<T>(&self, mut make: impl AsyncFnMut() -> T) -> T {
        for _ in 0..self.next(4) {
            let mut polls = self.next(5);
            let mut future = pin!(make());
            let outcome = poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                Poll::Pending if polls == 0 => Poll::Ready(None),
                Poll::Pending => {
                    polls -= 1;
                    // Polled again once the others have had their turn.
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            })
            .await;
            if let Some(value) = outcome {
                return value;
            }
        }
        make().await
    }
}

fn name() -> FullTrackName {
    FullTrackName::new(namespace(), "video").unwrap()
}

fn namespace() -> TrackNamespace {
    TrackNamespace::from_path("live/cam").unwrap()
}

/// Runs a scenario by every number in every draft; afterwards nothing is left of it at either end.
fn by_every_chance<F: Future<Output = ()>>(scenario: impl Fn(Session, Session, Chance) -> F) {
    for seed in 0..SEEDS {
        for version in Version::ALL {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let (client, server) = memory_pair(*version).await.unwrap();
                let done = scenario(client.clone(), server.clone(), Chance::new(seed));
                let done = tokio::time::timeout(Duration::from_secs(60), done).await;
                assert!(done.is_ok(), "seed {seed} in {version} hangs");
                for session in [&client, &server] {
                    let idle = async {
                        while !session.shared().is_idle() {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                    };
                    let idle = tokio::time::timeout(Duration::from_secs(60), idle).await;
                    assert!(idle.is_ok(), "seed {seed} in {version}: something is left");
                    assert_eq!(session.close_reason(), None);
                }
            });
        }
    }
}

#[test]
fn writes_and_reads_of_a_subgroup() {
    by_every_chance(|client, server, chance| async move {
        let publishes = async {
            let request = loop {
                match chance.impatient(async || server.next_request().await).await {
                    // One that was withdrawn is gone when it is accepted.
                    Some(IncomingRequest::Subscribe(request)) => {
                        if let Ok(publication) = request.accept(TrackInfo::default()) {
                            break publication;
                        }
                    }
                    other => panic!("{other:?}"),
                }
            };
            // The subscriber may have withdrawn it since; then its next one follows.
            let mut publication = request;
            loop {
                let left = publication.cancelled();
                let written = write_groups(&publication, &chance);
                tokio::select! {
                    biased;
                    () = left => {}
                    () = written => break,
                }
                loop {
                    if let Some(IncomingRequest::Subscribe(request)) = server.next_request().await
                        && let Ok(next) = request.accept(TrackInfo::default())
                    {
                        publication = next;
                        break;
                    }
                }
            }
            chance.impatient(async || publication.forwarding().await).await;
            publication.finish(PublishDoneCode::TrackEnded, "").await.unwrap();
        };
        let subscribes = async {
            let mut subscription =
                chance.impatient(async || client.subscribe(Subscribe::new(name())).await).await.unwrap();
            chance
                .impatient(async || {
                    subscription
                        .update(RequestUpdate { subscriber_priority: Some(7), ..Default::default() })
                        .await
                })
                .await
                .ok();
            let mut objects = Vec::new();
            let mut datagrams = 0;
            while let Some(delivery) = chance.impatient(async || subscription.next().await).await.unwrap() {
                match delivery {
                    Delivery::Subgroup(mut subgroup) => {
                        while let Some(object) =
                            chance.impatient(async || subgroup.next_object().await).await.unwrap()
                        {
                            assert_eq!(object.payload, payload(object.location));
                            objects.push(object.location);
                        }
                    }
                    Delivery::Datagram(_) => datagrams += 1,
                }
            }
            objects.sort_unstable();
            let all: Vec<_> =
                (0..3).flat_map(|group| (0..5).map(move |object| Location::new(group, object))).collect();
            assert_eq!(objects, all);
            // It may be overtaken by the end, which does not wait for datagrams.
            assert!(datagrams <= 1);
        };
        tokio::join!(publishes, subscribes);
    });
}

fn payload(location: Location) -> Bytes {
    let byte = u8::try_from(location.group * 5 + location.object).unwrap();
    Bytes::from(vec![byte; 30_000])
}

async fn write_groups(publication: &Publication, chance: &Chance) {
    for group in 0..3 {
        let opens = async || publication.open_subgroup(SubgroupOptions::new(group)).await;
        let Ok(mut subgroup) = chance.impatient(opens).await else { return std::future::pending().await };
        for object in 0..5 {
            let payload = payload(Location::new(group, object));
            // Taken once; what a dropped flush has not handed over goes out first with the next.
            subgroup.begin(&object_header(object, payload.len())).unwrap();
            subgroup.add(payload).unwrap();
            if chance.impatient(async || subgroup.flush().await).await.is_err() {
                return std::future::pending().await;
            }
        }
        subgroup.finish().unwrap();
    }
    let datagram = Datagram {
        track_alias: TrackAlias(0),
        group_id: 9,
        object_id: 0,
        publisher_priority: Some(1),
        extensions: Extensions::NONE,
        end_of_group: false,
        body: DatagramBody::Payload(Bytes::from_static(b"ping")),
    };
    let _ = publication.send_datagram(datagram).await;
}

fn object_header(object_id: u64, length: usize) -> ObjectHeader {
    ObjectHeader {
        object_id,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: length as u64,
    }
}

#[test]
fn a_fetch_and_its_answer() {
    by_every_chance(|client, server, chance| async move {
        let serves = async {
            loop {
                let request = chance.impatient(async || server.next_request().await).await;
                let Some(IncomingRequest::Fetch(request)) = request else { panic!("{request:?}") };
                let ok = FetchOk {
                    group_order: None,
                    end_of_track: false,
                    end: request.end(),
                    extensions: TrackExtensions::default(),
                };
                let Ok(mut sender) = request.accept(ok) else { continue };
                for object in 0..5 {
                    let location = Location::new(0, object);
                    let header = FetchObject {
                        location,
                        subgroup_id: Some(0),
                        publisher_priority: 1,
                        extensions: Extensions::NONE,
                        status: ObjectStatus::Normal,
                        payload_length: payload(location).len() as u64,
                    };
                    sender.begin(&header).unwrap();
                    sender.add(payload(location)).unwrap();
                    if chance.impatient(async || sender.flush().await).await.is_err() {
                        break;
                    }
                }
                // It may have been cancelled unseen, and another follow.
                let _ = sender.finish().await;
            }
        };
        let fetches = async {
            let range = FetchRange::Standalone {
                track: name(),
                start: Location::default(),
                end: EndLocation { group: 0, object: Some(4) },
            };
            let mut fetched =
                chance.impatient(async || client.fetch(Fetch::new(range.clone())).await).await.unwrap();
            chance.impatient(async || fetched.ok().await).await.unwrap();
            let mut number = 0;
            while let Some(delivery) = chance.impatient(async || fetched.next().await).await.unwrap() {
                let FetchDelivery::Object(object) = delivery else { panic!("{delivery:?}") };
                assert_eq!(object.header.location, Location::new(0, number));
                assert_eq!(object.payload, payload(object.header.location));
                number += 1;
            }
            assert_eq!(number, 5);
        };
        tokio::select! {
            biased;
            () = fetches => {}
            () = serves => {}
        }
    });
}

#[test]
fn namespaces_offers_and_questions() {
    by_every_chance(|client, server, chance| async move {
        let answers = async {
            let mut kept: Vec<Box<dyn std::any::Any>> = Vec::new();
            while let Some(request) = chance.impatient(async || server.next_request().await).await {
                match request {
                    IncomingRequest::PublishNamespace(request) => {
                        drop(request.accept().map(|it| kept.push(Box::new(it))));
                    }
                    IncomingRequest::SubscribeNamespace(request) => {
                        if let Ok(subscriber) = request.accept() {
                            let _ = subscriber.namespace(namespace());
                            kept.push(Box::new(subscriber));
                        }
                    }
                    IncomingRequest::Publish(request) => {
                        drop(request.accept(PublishOk::default()).map(|it| kept.push(Box::new(it))));
                    }
                    IncomingRequest::TrackStatus(request) => drop(request.accept(TrackInfo::default())),
                    other => panic!("{other:?}"),
                }
            }
        };
        let asks = async {
            chance.impatient(async || client.track_status(Subscribe::new(name())).await).await.unwrap();
            let announced = chance
                .impatient(async || client.publish_namespace(PublishNamespace::new(namespace())).await)
                .await
                .unwrap();
            announced.done();
            let prefix = TrackNamespace::from_path("live").unwrap();
            let mut heard = chance
                .impatient(async || client.subscribe_namespace(SubscribeNamespace::new(prefix.clone())).await)
                .await
                .unwrap();
            let event = chance.impatient(async || heard.next().await).await;
            assert_eq!(event, Some(NamespaceEvent::Namespace(namespace())));
            drop(heard);
            let publish = Publish {
                track: name(),
                track_alias: TrackAlias(0),
                largest: None,
                forward: true,
                expires: None,
                authorization_tokens: Vec::new(),
                extensions: TrackExtensions::default(),
            };
            let publication = chance.impatient(async || client.publish(publish.clone()).await).await.unwrap();
            publication.finish(PublishDoneCode::TrackEnded, "").await.unwrap();
        };
        tokio::select! {
            biased;
            () = asks => {}
            () = answers => {}
        }
    });
}

#[test]
fn a_track_read_through_origins() {
    by_every_chance(|client, server, chance| async move {
        let (publisher, subscriber) = (Origin::new(), Origin::new());
        let _attached = [publisher.attach(&server), subscriber.attach(&client)];
        let broadcast = publisher.create_broadcast(namespace()).unwrap();
        let writer = broadcast.create_track("video", TrackOptions::default()).unwrap();
        write(&writer, 0..2);
        chance.impatient(async || subscriber.wait_for(&namespace()).await).await;
        let mut announced = subscriber.announced(TrackNamespace::empty());
        chance.impatient(async || announced.next().await).await;
        let options = ReadOptions::default().start(Start::At(Location::default()));
        let mut reader = subscriber.subscribe(name(), options);
        chance.impatient(async || reader.granted().await).await.unwrap();
        chance.impatient(async || writer.used().await).await;
        write(&writer, 2..6);
        writer.ready().await;
        expect(&mut reader, &chance, 0..6).await;
        writer.complete();
        let end = chance.impatient(async || reader.next().await).await;
        assert_eq!(end.unwrap(), None);
    });
}

fn write(writer: &Writer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        writer.write_frame(number.to_string());
    }
}

async fn expect(reader: &mut TrackSubscription, chance: &Chance, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let object = chance.impatient(async || reader.next_object().await).await.unwrap().unwrap();
        assert_eq!(object.payload, number.to_string());
    }
    assert_eq!(reader.gaps(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits() {
    let url = "moqt://127.0.0.1:9".parse().unwrap();
    let mut client = Client::start(url, ClientOptions::default(), &Origin::new());
    let chance = Chance::new(1);
    for _ in 0..3 {
        let _ = tokio::time::timeout(
            Duration::from_millis(1),
            chance.impatient(async || client.connected().await.is_ok()),
        )
        .await;
    }
    let _ = tokio::time::timeout(Duration::from_secs(1), client.changed()).await;
    client.close(moqingbird_wire::model::SessionErrorCode::NoError, "").await;
}
