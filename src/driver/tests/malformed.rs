//! What makes a track malformed is noticed wherever it shows: its subscriptions and fetches are left, the session goes on.

use moqingbird_ledger::covers;
use moqingbird_wire::EncodeError;
use moqingbird_wire::buf::Writer;
use moqingbird_wire::list::{KeyValue, Value};
use moqingbird_wire::model::{
    FetchItem, FetchObject, GroupOrder, Location, Message, Opening, SubgroupHeader, SubgroupId, extension,
};
use moqingbird_wire::stream::{FetchCursor, SubgroupCursor, SubgroupWriter};

use super::publisher::Publisher;
use super::*;
use crate::{FetchError, SubgroupError};

in_every_draft! {
    a_fetched_object_id_that_does_not_rise;
    fetched_groups_against_their_order;
    a_subgroup_that_is_fetched_with_two_priorities;
    a_gap_that_is_stated_twice;
    immutable_extensions_that_are_nested_or_unreadable;
    an_object_with_two_priorities;
    an_object_in_two_subgroups;
}

fn fetched(group: u64, object: u64) -> FetchObject {
    FetchObject {
        location: Location::new(group, object),
        subgroup_id: Some(2),
        publisher_priority: 10,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: 0,
    }
}

/// A fetch stream of these objects, each written as if it were the first: no writer would put them behind each other.
fn items(version: Version, objects: &[FetchObject]) -> Bytes {
    let mut w = Writer::new();
    for object in objects {
        let item = FetchItem::Object(object.clone());
        version.draft().encode_fetch_item(&FetchCursor::default(), &item, &mut w).unwrap();
    }
    w.take()
}

/// The last of these objects makes the track malformed: the fetch and the subscription are left.
async fn fetch_is_left(version: Version, order: Option<GroupOrder>, objects: &[FetchObject]) {
    let mut publisher = Publisher::in_memory(version).await;
    let (id, mut fetched, _stream) = publisher.fetched(order, items(version, objects)).await;
    for object in &objects[..objects.len() - 1] {
        assert_eq!(fetched.next_object().await.unwrap().unwrap().header, *object);
    }
    let error = fetched.next_object().await.unwrap_err();
    assert!(matches!(error, FetchError::Malformed(_)), "{error}");
    let said = publisher.hear().await;
    match said {
        Message::Unsubscribe(it) => {
            assert_eq!(it, publisher.id);
            assert_eq!(publisher.hear().await, Message::FetchCancel(id));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(publisher.session.close_reason(), None);
}

/// None of these objects is amiss.
async fn fetch_goes_on(version: Version, order: Option<GroupOrder>, objects: &[FetchObject]) {
    let mut publisher = Publisher::in_memory(version).await;
    let (_, mut fetched, mut stream) = publisher.fetched(order, items(version, objects)).await;
    stream.finish();
    for object in objects {
        assert_eq!(fetched.next_object().await.unwrap().unwrap().header, *object);
    }
    assert_eq!(fetched.next_object().await.unwrap(), None);
    publisher.goes_on().await;
}

async fn a_fetched_object_id_that_does_not_rise(version: Version) {
    covers!("D14-2.5-05", "D16-2.4.2-07");
    for second in [5, 4] {
        fetch_is_left(version, None, &[fetched(1, 5), fetched(1, second)]).await;
    }
    fetch_goes_on(version, None, &[fetched(1, 5), fetched(1, 6), fetched(2, 0)]).await;
}

async fn fetched_groups_against_their_order(version: Version) {
    covers!("D14-2.5-06", "D14-2.5-07", "D16-2.4.2-09", "D16-2.4.2-10");
    let [low, high] = [fetched(4, 0), fetched(5, 0)];
    let (up, down) = ([low.clone(), high.clone()], [high, low]);
    fetch_is_left(version, Some(GroupOrder::Ascending), &down).await;
    fetch_is_left(version, Some(GroupOrder::Descending), &up).await;
    fetch_goes_on(version, Some(GroupOrder::Ascending), &up).await;
    fetch_goes_on(version, Some(GroupOrder::Descending), &down).await;
}

async fn a_subgroup_that_is_fetched_with_two_priorities(version: Version) {
    covers!("D16-2.4.2-08");
    let other = |object| FetchObject { publisher_priority: 11, ..fetched(1, object) };
    let objects = [fetched(1, 0), other(1)];
    // Draft-14 does not count it among what makes a track malformed.
    match version {
        Version::Draft14 => fetch_goes_on(version, None, &objects).await,
        _ => fetch_is_left(version, None, &objects).await,
    }
    let elsewhere = FetchObject { subgroup_id: Some(3), ..other(1) };
    fetch_goes_on(version, None, &[fetched(1, 0), elsewhere, fetched(1, 2)]).await;
}

const HEADER: SubgroupHeader = SubgroupHeader {
    track_alias: TrackAlias(7),
    group_id: 9,
    subgroup_id: SubgroupId::Zero,
    publisher_priority: Some(128),
    extensions: true,
    end_of_group: false,
};

fn with(version: Version, pairs: &[(u64, Value)]) -> ObjectHeader {
    let pairs = pairs.iter().map(|(key, value)| KeyValue { key: *key, value: value.clone() });
    let extensions = Extensions::from_pairs(pairs, version.draft().rules().extension_keys).unwrap();
    ObjectHeader { extensions, ..object(9, &Bytes::new()) }
}

/// A stream that begins with this object shows that its track is malformed, and no writer of ours sends it.
async fn object_is_malformed(version: Version, object: &ObjectHeader) {
    let mut writer = SubgroupWriter::new(version.draft(), HEADER);
    assert!(matches!(writer.object(object), Err(EncodeError::Inexpressible(_))), "{object:?}");
    let mut publisher = Publisher::in_memory(version).await;
    let mut w = Writer::new();
    version.draft().encode_opening(&Opening::Subgroup(HEADER), &mut w).unwrap();
    version.draft().encode_object(&SubgroupCursor::new(&HEADER), object, &mut w).unwrap();
    let _stream = publisher.raw.open_stream(w.take()).await;
    let error = publisher.next_subgroup().await.next_object().await.unwrap_err();
    assert!(matches!(error, SubgroupError::Malformed(_)), "{object:?}: {error}");
    publisher.is_left().await;
}

async fn a_gap_that_is_stated_twice(version: Version) {
    covers!("D14-11.1-03", "D14-11.3-03", "D16-11.3-04", "D16-11.4-04");
    for key in [extension::PRIOR_GROUP_ID_GAP, extension::PRIOR_OBJECT_ID_GAP] {
        let gap = (key, Value::Integer(1));
        object_is_malformed(version, &with(version, &[gap.clone(), gap])).await;
    }
}

async fn immutable_extensions_that_are_nested_or_unreadable(version: Version) {
    covers!("D14-11.2-05", "D14-11.2-06", "D16-11.2-06", "D16-2.4.2-03");
    // Immutable Extensions of no byte within them, and a type without its value.
    for content in [&[extension::IMMUTABLE_EXTENSIONS as u8, 0][..], &[0x3e]] {
        let block = Value::Bytes(Bytes::copy_from_slice(content));
        object_is_malformed(version, &with(version, &[(extension::IMMUTABLE_EXTENSIONS, block)])).await;
    }
}

/// Brings object 1 of group 5 on a stream of a subgroup and a priority, and reads it.
async fn bring(publisher: &mut Publisher, subgroup: u64, priority: u8) {
    publisher.send(publisher.header(5, subgroup, priority), &[1, 1, b'x']).await;
    let mut subgroup = publisher.next_subgroup().await;
    assert_eq!(subgroup.next_object().await.unwrap().unwrap().payload, "x");
    assert_eq!(subgroup.next_object().await.unwrap(), None);
}

async fn an_object_with_two_priorities(version: Version) {
    covers!("D16-8.1-03");
    let mut publisher = Publisher::in_memory(version).await;
    bring(&mut publisher, 0, 10).await;
    bring(&mut publisher, 0, 10).await;
    publisher.goes_on().await;
    bring(&mut publisher, 0, 11).await;
    publisher.is_left().await;
}

async fn an_object_in_two_subgroups(version: Version) {
    let mut publisher = Publisher::in_memory(version).await;
    bring(&mut publisher, 0, 10).await;
    bring(&mut publisher, 1, 10).await;
    publisher.is_left().await;
}

/// Draft-16 has no objection to both in one track, but to both of one object.
#[tokio::test(start_paused = true)]
async fn an_object_in_a_datagram_and_on_a_stream() {
    covers!("D16-2.4.2-16", "D16-10-03");
    within(async {
        let mut publisher = Publisher::in_memory(Version::Draft16).await;
        publisher.say_datagram(5, 0, false).await;
        publisher.next_datagram().await;
        bring(&mut publisher, 0, 10).await;
        publisher.goes_on().await;
        publisher.say_datagram(5, 1, false).await;
        publisher.is_left().await;

        let mut publisher = Publisher::in_memory(Version::Draft16).await;
        publisher.say_datagram(5, 1, false).await;
        publisher.next_datagram().await;
        bring(&mut publisher, 0, 10).await;
        publisher.is_left().await;
    })
    .await;
}
