//! What an object costs on its way through a session: allocations and copies, counted and not timed.

use allocation_counter::measure;
use bytes::Bytes;
use moqingbird::wire::model::{
    Extensions, FullTrackName, ObjectHeader, ObjectStatus, Subscribe, TrackNamespace,
};
use moqingbird::wire::stream::SubgroupItem;
use moqingbird::{
    Delivery, IncomingRequest, IncomingSubgroup, Publication, Session, SubgroupOptions, SubgroupSender,
    Subscription, TrackInfo, Version, memory_pair,
};
use tokio::runtime::{Builder, Runtime};

const OBJECTS: u64 = 1_000;
/// Less than a pipe in memory holds unread, in bytes.
const PIPE: usize = 32 << 10;

/// Both ends of a subgroup, and all that keeps it alive.
struct Ends {
    sender: SubgroupSender,
    subgroup: IncomingSubgroup,
    _rest: Box<dyn std::any::Any>,
}

async fn subscribed(version: Version) -> ([Session; 2], Publication, Subscription) {
    let (client, server) = memory_pair(version).await.unwrap();
    let track = FullTrackName::new(TrackNamespace::from_path("costs").unwrap(), "track").unwrap();
    let serves = async {
        let Some(IncomingRequest::Subscribe(request)) = server.next_request().await else { panic!() };
        request.accept(TrackInfo::default()).unwrap()
    };
    let (publication, subscription) = tokio::join!(serves, client.subscribe(Subscribe::new(track)));
    ([client, server], publication, subscription.unwrap())
}

async fn ends(version: Version) -> Ends {
    let (sessions, publication, mut subscription) = subscribed(version).await;
    let mut sender = publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap();
    sender.write(Bytes::from_static(b"the first")).await.unwrap();
    let Ok(Some(Delivery::Subgroup(mut subgroup))) = subscription.next().await else { panic!() };
    assert_eq!(&subgroup.next_object().await.unwrap().unwrap().payload[..], b"the first");
    Ends { sender, subgroup, _rest: Box::new((sessions, publication, subscription)) }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn header(object_id: u64, payload: &Bytes) -> ObjectHeader {
    ObjectHeader {
        object_id,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: payload.len() as u64,
    }
}

/// Sends objects in batches that the pipe holds, and reads them; says how many parts of payloads were those that were sent, and how many
/// objects came.
async fn carry(ends: &mut Ends, payload: &Bytes, first: u64) -> (u64, u64) {
    let (mut same, mut came) = (0, 0);
    let at_once = (PIPE / payload.len()).clamp(1, 50);
    let mut ids = first..first + OBJECTS;
    while !ids.is_empty() {
        let mut left = 0;
        for object_id in ids.by_ref().take(at_once) {
            ends.sender.begin(&header(object_id, payload)).unwrap();
            ends.sender.add(payload.clone()).unwrap();
            left += payload.len();
        }
        ends.sender.flush().await.unwrap();
        while left > 0 {
            match ends.subgroup.next_item().await.unwrap() {
                Some(SubgroupItem::Payload(part)) => {
                    left -= part.len();
                    same += u64::from(part.as_ptr() == payload.as_ptr());
                }
                Some(SubgroupItem::Object(_)) => came += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    (same, came)
}

/// Allocations for each object, once everything has been used before.
fn allocations(version: Version, payload: &Bytes) -> f64 {
    let runtime = runtime();
    let mut ends = runtime.block_on(ends(version));
    runtime.block_on(carry(&mut ends, payload, 1));
    let counted = measure(|| {
        runtime.block_on(carry(&mut ends, payload, 1 + OBJECTS));
    });
    println!("{version}, {} B: {} allocations of {OBJECTS} objects", payload.len(), counted.count_total);
    counted.count_total as f64 / OBJECTS as f64
}

#[test]
fn an_object_costs_no_allocation() {
    for version in Version::ALL {
        // A pipe in memory allocates once a read, which brings eight of these or more.
        for size in [100, 1_024, 4_096] {
            let payload = Bytes::from(vec![7; size]);
            let each = allocations(*version, &payload);
            assert!(each < 0.2, "{version}, {size} B: {each} allocations an object");
        }
    }
}

/// Opens, reads and ends so many subgroups of one small object each.
async fn carry_streams(
    publication: &Publication,
    subscription: &mut Subscription,
    groups: std::ops::Range<u64>,
) {
    for group in groups {
        let mut sender = publication.open_subgroup(SubgroupOptions::new(group)).await.unwrap();
        let payload = Bytes::from_static(b"x");
        sender.begin(&header(0, &payload)).unwrap();
        sender.add(payload).unwrap();
        sender.finish().unwrap();
        let Ok(Some(Delivery::Subgroup(mut subgroup))) = subscription.next().await else { panic!() };
        assert_eq!(&subgroup.next_object().await.unwrap().unwrap().payload[..], b"x");
        assert!(subgroup.next_object().await.unwrap().is_none());
    }
}

#[test]
fn a_stream_costs_few_allocations() {
    for version in Version::ALL {
        let runtime = runtime();
        let (_sessions, publication, mut subscription) = runtime.block_on(subscribed(*version));
        runtime.block_on(carry_streams(&publication, &mut subscription, 0..100));
        let counted = measure(|| {
            runtime.block_on(carry_streams(&publication, &mut subscription, 100..1_100));
        });
        let each = counted.count_total as f64 / 1_000.0;
        println!("{version}: {each} allocations a stream");
        assert!(each < 13.0, "{version}: {each} allocations a stream");
    }
}

#[test]
fn payload_is_handed_on_and_not_copied() {
    for version in Version::ALL {
        let runtime = runtime();
        let mut ends = runtime.block_on(ends(*version));
        let payload = Bytes::from(vec![7; 1_024]);
        assert_eq!(runtime.block_on(carry(&mut ends, &payload, 1)), (OBJECTS, OBJECTS), "{version}");
    }
}
