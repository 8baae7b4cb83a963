//! Sessions through a bad network, in every draft, over raw QUIC and over WebTransport.
#![cfg(feature = "net")]

#[macro_use]
#[path = "support/net.rs"]
mod net;

use std::time::Duration;

use bytes::Bytes;
use moqingbird::wire::model::{Location, PublishDoneCode, SubgroupId};
use moqingbird::{Delivery, SubgroupOptions, TransportKind, Version};
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
