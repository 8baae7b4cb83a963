//! What a subscriber knows of a track from what it has received: of every location that it exists, that it does not, or
//! neither. An object where there can be none makes the track malformed; so what is known shows.

use moqingbird_ledger::covers;
use moqingbird_wire::buf::Writer;
use moqingbird_wire::list::{KeyValue, Value};
use moqingbird_wire::model::{
    FetchItem, FetchObject, Location, Opening, RangeStatus, SubgroupHeader, SubgroupId, extension,
};
use moqingbird_wire::stream::{FetchCursor, SubgroupCursor};

use super::publisher::Publisher;
use super::*;
use crate::{Fetched, SubgroupError, TransportKind};

in_every_draft! {
    an_end_of_group_is_the_end_of_its_group_only;
    an_end_of_track_is_the_end_of_everything;
    a_datagram_may_be_the_last_of_its_group;
    a_group_ends_with_a_stream_that_says_so_and_is_finished;
    ids_that_a_stream_leaves_out_are_unknown;
    a_finished_subgroup_is_complete;
    what_a_whole_fetch_leaves_out_does_not_exist;
    a_gap_in_objects_is_as_long_as_it_says;
    a_gap_in_groups_is_as_long_as_it_says;
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fin,
    Reset,
}

/// A track of which something is known.
struct Known(Publisher);

impl Known {
    async fn nothing(version: Version) -> Self {
        Self(Publisher::in_memory(version).await)
    }

    /// Objects without payload come on a stream of a subgroup, and are read to its end.
    async fn stream(&mut self, header: SubgroupHeader, objects: &[ObjectHeader], end: End) {
        let mut w = Writer::new();
        let draft = self.0.raw.draft;
        draft.encode_opening(&Opening::Subgroup(header), &mut w).unwrap();
        let mut cursor = SubgroupCursor::new(&header);
        for object in objects {
            draft.encode_object(&cursor, object, &mut w).unwrap();
            cursor.advance(object.object_id);
        }
        let mut stream = self.0.raw.open_stream(w.take()).await;
        let mut subgroup = self.0.next_subgroup().await;
        for object in objects {
            assert_eq!(subgroup.next_object().await.unwrap().unwrap().header, *object);
        }
        match end {
            End::Fin => {
                stream.finish();
                assert_eq!(subgroup.next_object().await.unwrap(), None);
            }
            End::Reset => {
                stream.reset(1);
                let error = subgroup.next_object().await.unwrap_err();
                assert!(matches!(error, SubgroupError::Reset(_)), "{error}");
            }
        }
    }

    /// An object comes, alone in a subgroup of its own.
    async fn object(&mut self, group: u64, id: u64) {
        self.stream(header(group, 1000 + id), &[normal(id)], End::Fin).await;
    }

    /// Objects that do not contradict what is known come.
    async fn may_have(&mut self, objects: &[(u64, u64)]) {
        for (group, id) in objects {
            self.object(*group, *id).await;
        }
        self.0.goes_on().await;
    }

    /// An object comes of which it is known that it does not exist.
    async fn cannot_have(mut self, group: u64, id: u64) {
        self.object(group, id).await;
        self.0.is_left().await;
    }
}

fn header(group_id: u64, subgroup: u64) -> SubgroupHeader {
    SubgroupHeader {
        track_alias: TrackAlias(7),
        group_id,
        subgroup_id: SubgroupId::Id(subgroup),
        publisher_priority: Some(128),
        extensions: true,
        end_of_group: false,
    }
}

fn normal(object_id: u64) -> ObjectHeader {
    object(object_id, &Bytes::new())
}

fn status(object_id: u64, status: ObjectStatus) -> ObjectHeader {
    ObjectHeader { status, ..normal(object_id) }
}

fn with_gap(version: Version, object_id: u64, key: u64, length: u64) -> ObjectHeader {
    let pair = KeyValue { key, value: Value::Integer(length) };
    let extensions = Extensions::from_pairs([pair], version.draft().rules().extension_keys).unwrap();
    ObjectHeader { extensions, ..normal(object_id) }
}

async fn an_end_of_group_is_the_end_of_its_group_only(version: Version) {
    covers!("D14-10.2.1.1-03", "D16-10.2.1.1-03");
    // On whichever subgroup's stream it stands.
    for (subgroup, beyond) in [(0, 5), (0, 6), (2, 5)] {
        let mut track = Known::nothing(version).await;
        let objects = [normal(0), status(5, ObjectStatus::EndOfGroup)];
        track.stream(header(3, subgroup), &objects, End::Fin).await;
        track.may_have(&[(3, 4), (3, 1), (4, 5)]).await;
        track.cannot_have(3, beyond).await;
    }
}

async fn an_end_of_track_is_the_end_of_everything(version: Version) {
    covers!("D16-10.2.1.1-04");
    for beyond in [(4, 2), (4, 3), (5, 0)] {
        let mut track = Known::nothing(version).await;
        track.stream(header(4, 0), &[status(2, ObjectStatus::EndOfTrack)], End::Fin).await;
        for (group, id) in [(4, 1), (3, 9)] {
            track.object(group, id).await;
        }
        assert_eq!(track.0.session.close_reason(), None);
        track.cannot_have(beyond.0, beyond.1).await;
    }
}

async fn a_datagram_may_be_the_last_of_its_group(version: Version) {
    covers!("D16-10.3.1-04");
    let mut track = Publisher::in_memory(version).await;
    track.say_datagram(5, 4, true).await;
    for (group, id) in [(5, 3), (5, 4), (6, 5)] {
        track.say_datagram(group, id, false).await;
    }
    for _ in 0..4 {
        track.next_datagram().await;
    }
    track.say_datagram(5, 5, false).await;
    track.is_left().await;
}

async fn a_group_ends_with_a_stream_that_says_so_and_is_finished(version: Version) {
    covers!("D14-10.4.2-10", "D16-10.4.2-07", "D16-10.4.2-08");
    for end in [End::Fin, End::Reset] {
        let mut track = Known::nothing(version).await;
        let last = SubgroupHeader { end_of_group: true, ..header(5, 0) };
        track.stream(last, &[normal(0), normal(1), normal(2), normal(4)], end).await;
        track.may_have(&[(5, 3), (6, 9)]).await;
        match end {
            End::Fin => track.cannot_have(5, 5).await,
            End::Reset => track.may_have(&[(5, 5)]).await,
        }
    }
}

async fn ids_that_a_stream_leaves_out_are_unknown(version: Version) {
    covers!("D14-10.4.2-13", "D16-10.4.2-11");
    let mut track = Known::nothing(version).await;
    track.stream(header(5, 0), &[normal(0), normal(5)], End::Fin).await;
    track.may_have(&[(5, 1), (5, 4), (5, 3)]).await;
}

async fn a_finished_subgroup_is_complete(version: Version) {
    covers!("D16-10.4.3-17", "D16-10.4.3-18");
    for end in [End::Fin, End::Reset] {
        let mut track = Known::nothing(version).await;
        track.stream(header(5, 2), &[normal(0), normal(1)], end).await;
        track.stream(header(5, 2), &[normal(3)], End::Reset).await;
        match end {
            End::Fin => track.0.is_left().await,
            End::Reset => track.0.goes_on().await,
        }
    }
}

#[tokio::test]
async fn a_subgroup_that_is_finished_and_then_reset_is_complete() {
    covers!("D14-10.4.3-14");
    for version in [Version::Draft14, Version::Draft16] {
        for kind in [TransportKind::Quic, TransportKind::WebTransport] {
            within(async {
                let mut publisher = Publisher::of(kind, version).await;
                let bytes = [&publisher.header(5, 2, 128)[..], &[0, 1, b'x']].concat();
                let mut stream = publisher.raw.open_stream(bytes.into()).await;
                stream.finish();
                let mut subgroup = publisher.next_subgroup().await;
                assert_eq!(subgroup.next_object().await.unwrap().unwrap().payload, "x");
                // The end has been read, or is still to be.
                stream.reset(1);
                assert_eq!(subgroup.next_object().await.unwrap(), None);
                publisher.goes_on().await;
                publisher.send(publisher.header(5, 2, 128), &[1, 1, b'y']).await;
                while publisher.next_subgroup().await.next_object().await.unwrap().is_none() {}
                publisher.is_left().await;
            })
            .await;
        }
    }
}

fn fetched(group: u64, object: u64) -> FetchItem {
    FetchItem::Object(FetchObject {
        location: Location::new(group, object),
        subgroup_id: Some(0),
        publisher_priority: 128,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: 0,
    })
}

/// Items are fetched and read. The fetch stays open for its reader's end to be told.
async fn fetch(track: &mut Known, items: &[FetchItem], end: End) -> Fetched {
    let mut w = Writer::new();
    let mut cursor = FetchCursor::default();
    for item in items {
        track.0.raw.draft.encode_fetch_item(&cursor, item, &mut w).unwrap();
        cursor.advance(item);
    }
    let (_, mut fetched, mut stream) = track.0.fetched(None, w.take()).await;
    for _ in items {
        fetched.next().await.unwrap().unwrap();
    }
    match end {
        End::Fin => {
            stream.finish();
            assert_eq!(fetched.next().await.unwrap(), None);
        }
        End::Reset => {
            stream.reset(1);
            fetched.next().await.unwrap_err();
        }
    }
    fetched
}

async fn what_a_whole_fetch_leaves_out_does_not_exist(version: Version) {
    covers!("D14-9.16.3-13", "D16-9.16.3-10");
    for end in [End::Fin, End::Reset] {
        let mut track = Known::nothing(version).await;
        let _fetched = fetch(&mut track, &[fetched(5, 0), fetched(5, 2)], end).await;
        track.may_have(&[(6, 1)]).await;
        track.object(5, 1).await;
        match end {
            End::Fin => left(&mut track.0).await,
            End::Reset => track.0.goes_on().await,
        }
    }
}

/// The subscription is left, be the fetch left as well or over.
async fn left(publisher: &mut Publisher) {
    let said = publisher.hear().await;
    assert_eq!(said, moqingbird_wire::model::Message::Unsubscribe(publisher.id));
    assert_eq!(publisher.session.close_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn an_end_of_range_tells_that_there_is_nothing_or_that_nothing_is_known() {
    covers!("D16-10.4.4.2-02");
    within(async {
        for status in [RangeStatus::NonExistent, RangeStatus::Unknown] {
            let mut track = Known::nothing(Version::Draft16).await;
            let marker = FetchItem::EndOfRange { end: Location::new(5, 7), status };
            let _fetched = fetch(&mut track, &[fetched(5, 0), marker, fetched(5, 9)], End::Reset).await;
            track.may_have(&[(5, 8)]).await;
            track.object(5, 7).await;
            match status {
                RangeStatus::NonExistent => left(&mut track.0).await,
                RangeStatus::Unknown => track.0.goes_on().await,
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_may_begin_with_an_end_of_range() {
    covers!("D16-10.4.4.2-04");
    within(async {
        let mut track = Known::nothing(Version::Draft16).await;
        let marker = FetchItem::EndOfRange { end: Location::new(5, 7), status: RangeStatus::Unknown };
        // Behind it nothing can be told as the prior object's: it is written and read as stated.
        let _fetched = fetch(&mut track, &[marker, fetched(5, 8)], End::Fin).await;
        track.0.goes_on().await;
        // An object that refers to a prior one's subgroup and priority is a violation, marker or not.
        let items = Bytes::from_static(&[0x41, 0x0c, 5, 7, 0x01, 0]);
        let (_, mut fetched, _stream) = track.0.fetched(None, items).await;
        assert!(fetched.next().await.unwrap().is_some());
        fetched.next().await.unwrap_err();
        let (code, reason) = track.0.raw.closed().await;
        assert_eq!(code, moqingbird_wire::model::SessionErrorCode::ProtocolViolation, "{reason}");
    })
    .await;
}

async fn a_gap_in_objects_is_as_long_as_it_says(version: Version) {
    covers!("D16-11.4-08");
    for absent in [3, 4] {
        let mut track = Known::nothing(version).await;
        let gap = with_gap(version, 5, extension::PRIOR_OBJECT_ID_GAP, 2);
        track.stream(header(5, 0), &[gap], End::Fin).await;
        // Without the extension nothing is said of what precedes.
        track.stream(header(6, 0), &[normal(5)], End::Fin).await;
        track.may_have(&[(5, 2), (5, 6), (6, 4), (6, 3)]).await;
        track.cannot_have(5, absent).await;
    }
}

async fn a_gap_in_groups_is_as_long_as_it_says(version: Version) {
    covers!("D16-11.3-08");
    for absent in [8, 9] {
        let mut track = Known::nothing(version).await;
        let gap = with_gap(version, 0, extension::PRIOR_GROUP_ID_GAP, 2);
        track.stream(header(10, 0), &[gap], End::Fin).await;
        track.stream(header(20, 0), &[normal(0)], End::Fin).await;
        track.may_have(&[(7, 0), (11, 0), (19, 0)]).await;
        track.cannot_have(absent, 0).await;
    }
}
