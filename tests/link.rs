//! Sessions through a bad network, in every draft, over raw QUIC and over WebTransport.
#![cfg(feature = "net")]

#[macro_use]
#[path = "support/net.rs"]
mod net;

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use moqingbird::wire::model::{FullTrackName, Location, PublishDoneCode, SubgroupId, Subscribe};
use moqingbird::wire::stream::SubgroupItem;
use moqingbird::{
    Delivery, IncomingRequest, Publication, Session, SubgroupOptions, Subscription, TrackInfo, TransportKind,
    Version,
};
use moqingbird_link::{Conditions, Direction, Link};
use net::{Ends, next_subgroup, object, options, subscribed};

/// A round trip of 50 ms that loses every fiftieth packet each way.
const CONDITIONS: Conditions = Conditions {
    delay: Duration::from_millis(25),
    jitter: Duration::ZERO,
    loss: 0.02,
    reorder: 0.0,
    rate_bits: Some(20_000_000),
    queue_packets: 100,
};
/// With this seed, four of the first 150 packets to the client are lost, and there are more than 150.
const SEED: u64 = 4;

const GROUPS: u64 = 5;
const SUBGROUPS: u64 = 2;
const OBJECTS: u64 = 20;

mod in_each {
    everywhere! {
        by crate::ends:
        all_objects_arrive_unchanged_and_in_order;
        a_partition_heals;
        priority_0_overtakes_priority_255_under_congestion;
    }
}

async fn ends(transport: TransportKind, version: Version) -> (Ends, Link) {
    let mut link = None;
    let ends = net::ends(transport, version, |server| {
        link.insert(Link::between(server, CONDITIONS, CONDITIONS, SEED).expect("sockets on loopback"))
            .address()
    });
    (ends.await, link.expect("the client goes through the link"))
}

async fn all_objects_arrive_unchanged_and_in_order((Ends { client, server, .. }, link): (Ends, Link)) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let writes = async {
        for (group, subgroup) in subgroups() {
            let options = SubgroupOptions { subgroup_id: SubgroupId::Id(subgroup), ..options(group) };
            let mut sender = publication.open_subgroup(options).await.unwrap();
            for id in objects(subgroup) {
                let payload = payload(group, id);
                sender.write_object(&object(id, &payload), payload).await.unwrap();
            }
            sender.finish().unwrap();
        }
        publication.finish(PublishDoneCode::TrackEnded, "").await.unwrap();
    };
    let reads = async {
        let mut read = Vec::new();
        while let Some(delivery) = subscription.next().await.unwrap() {
            let Delivery::Subgroup(mut stream) = delivery else { panic!("a datagram") };
            let (group, subgroup) = (stream.group_id(), stream.subgroup_id().expect("a stated Subgroup ID"));
            for id in objects(subgroup) {
                let object = stream.next_object().await.unwrap().expect("every object");
                assert_eq!(object.location, Location::new(group, id));
                assert!(object.payload == payload(group, id), "object {id} of group {group} arrived changed");
            }
            assert_eq!(stream.next_object().await.unwrap(), None);
            read.push((group, subgroup));
        }
        read.sort_unstable();
        read
    };
    let ((), read) = tokio::join!(writes, reads);
    assert!(read.into_iter().eq(subgroups()));
    assert!(link.counters(Direction::ToClient).lost > 0, "nothing was lost, so nothing was tested");
}

async fn a_partition_heals((Ends { client, server, .. }, link): (Ends, Link)) {
    let (mut subscription, publication) = subscribed(&client, &server).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_object(&object(0, b"before"), Bytes::from_static(b"before")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(&subgroup.next_object().await.unwrap().unwrap().payload[..], b"before");

    let lost = link.counters(Direction::ToClient).lost;
    link.set_both(CONDITIONS.partitioned());
    sender.write_object(&object(1, b"during"), Bytes::from_static(b"during")).await.unwrap();
    let during = tokio::time::timeout(Duration::from_millis(500), subgroup.next_object()).await;
    assert!(during.is_err(), "through a partition came {during:?}");
    assert!(link.counters(Direction::ToClient).lost > lost, "nothing was sent into the partition");

    link.set_both(CONDITIONS);
    sender.write_object(&object(2, b"after"), Bytes::from_static(b"after")).await.unwrap();
    sender.finish().unwrap();
    for payload in [&b"during"[..], b"after"] {
        assert_eq!(&subgroup.next_object().await.unwrap().unwrap().payload[..], payload);
    }
    assert_eq!(subgroup.next_object().await.unwrap(), None);
}

async fn priority_0_overtakes_priority_255_under_congestion(
    (Ends { client, server, .. }, link): (Ends, Link),
) {
    moqingbird_ledger::covers!("D14-7.1-02", "D16-7.1-02");
    const SIZE: usize = 400_000;
    link.set_both(Conditions { loss: 0.0, rate_bits: Some(8_000_000), ..CONDITIONS });
    let (mut idle, low) = subscribed_as(&client, &server, "idle", 255).await;
    let (mut urgent, high) = subscribed_as(&client, &server, "urgent", 0).await;
    // What is to be overtaken is opened and written first; a stream of the same rank would stay ahead.
    for publication in [low, high] {
        let mut sender = publication.open_subgroup(options(0)).await.unwrap();
        let payload = Bytes::from(vec![0; SIZE]);
        sender.write_object(&object(0, &payload), payload).await.unwrap();
        sender.finish().unwrap();
        tokio::spawn(publication.finish(PublishDoneCode::TrackEnded, ""));
    }
    let (behind, ahead) = (Cell::new(0), Cell::new(0));
    let mut idle = pin!(read_subgroup(&mut idle, &behind));
    tokio::select! {
        () = &mut idle => panic!("priority 255 was whole first"),
        () = read_subgroup(&mut urgent, &ahead) => {}
    }
    assert_eq!(ahead.get(), SIZE);
    assert!(behind.get() < SIZE / 2, "{} bytes of priority 255 came before all of priority 0", behind.get());
    idle.await;
    assert_eq!(behind.get(), SIZE);
}

/// The client subscribes to a track of the server's with a priority.
async fn subscribed_as(
    client: &Session,
    server: &Session,
    name: &'static str,
    subscriber_priority: u8,
) -> (Subscription, Publication) {
    let track = FullTrackName::new(net::namespace(), name).unwrap();
    let accepts = async {
        let Some(IncomingRequest::Subscribe(request)) = server.next_request().await else {
            panic!("no SUBSCRIBE")
        };
        request.accept(TrackInfo::default()).unwrap()
    };
    let subscribe = Subscribe { subscriber_priority, ..Subscribe::new(track) };
    let (subscription, publication) = tokio::join!(client.subscribe(subscribe), accepts);
    (subscription.unwrap(), publication)
}

/// Reads the next subgroup to its end, counting the bytes of payload.
async fn read_subgroup(subscription: &mut Subscription, bytes: &Cell<usize>) {
    let mut subgroup = next_subgroup(subscription).await;
    while let Some(item) = subgroup.next_item().await.unwrap() {
        if let SubgroupItem::Payload(part) = item {
            bytes.set(bytes.get() + part.len());
        }
    }
}

/// Every group and subgroup.
fn subgroups() -> impl Iterator<Item = (u64, u64)> {
    (0..GROUPS).flat_map(|group| (0..SUBGROUPS).map(move |subgroup| (group, subgroup)))
}

/// The Object IDs of a subgroup; a group's subgroups take turns.
fn objects(subgroup: u64) -> impl Iterator<Item = u64> {
    (0..OBJECTS).map(move |number| number * SUBGROUPS + subgroup)
}

/// About a kilobyte that differs from object to object.
fn payload(group: u64, id: u64) -> Bytes {
    let length = 500 + (group * 97 + id * 31) % 1000;
    Bytes::from((0..length).map(|at| (at * 31 + group * 7 + id) as u8).collect::<Vec<_>>())
}
