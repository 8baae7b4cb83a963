//! What a publisher puts on the wire: streams, datagrams, codes and their order, seen by bare QUIC.
#![cfg(feature = "net")]

#[path = "support/bare.rs"]
mod bare;
#[expect(dead_code, unused_macros, reason = "the tests of whole sessions use the rest")]
#[path = "support/net.rs"]
mod net;

use std::collections::BTreeMap;
use std::time::Duration;

use bare::{Bare, Captured, subscribed};
use bytes::Bytes;
use moqingbird::wire::buf::integer;
use moqingbird::wire::model::{
    Datagram, DatagramBody, Extensions, Message, ObjectHeader, PublishDoneCode, ResetCode, SessionErrorCode,
    SubgroupId, TrackAlias,
};
use moqingbird::{Publication, PublicationError, SubgroupOptions, Version};
use moqingbird_ledger::covers;
use moqingbird_link::{Conditions, Link};
use net::{object, options, soon};
use quinn::{ConnectionError, ReadError, ReadToEndError, TransportConfig};

/// Makes a test of each scenario for every draft.
macro_rules! in_every_draft {
    ($($scenario:ident;)*) => {
        $(mod $scenario {
            #[tokio::test]
            async fn draft_14() {
                crate::soon(stringify!($scenario), crate::$scenario(crate::Version::Draft14)).await;
            }
            #[tokio::test]
            async fn draft_16() {
                crate::soon(stringify!($scenario), crate::$scenario(crate::Version::Draft16)).await;
            }
        })*
    };
}

mod each {
    in_every_draft! {
        a_subgroup_is_one_stream_and_a_stream_one_subgroup;
        open_streams_differ_in_their_headers;
        a_finished_subgroup_ends_with_fin_behind_rising_object_ids;
        a_subgroup_given_up_midway_is_reset;
        objects_travel_as_they_are_published;
        an_object_too_large_for_a_datagram_is_dropped_silently;
        publish_done_comes_behind_every_stream;
        an_object_leaves_before_it_is_complete;
        a_stream_that_flow_control_blocks_holds_up_no_other;
        control_messages_overtake_queued_objects;
        control_messages_get_through_a_small_connection_window;
        stop_sending_is_answered_with_a_reset;
        the_control_stream_stays_open_until_the_session_closes;
        a_publisher_waits_for_stream_credit;
        sessions_work_where_no_end_offers_reset_stream_at;
    }
}

const GROUPS: u64 = 3;
const SUBGROUPS: u64 = 2;
const OBJECTS: u64 = 10;

async fn served(version: Version) -> (Bare, moqingbird::Session, Publication) {
    subscribed(version, TransportConfig::default(), |server| server).await
}

/// Writes every group by subgroups that take turns object by object, none ended before all are written.
async fn publish_groups(publication: &Publication) {
    for group in 0..GROUPS {
        let mut senders = Vec::new();
        for subgroup in 0..SUBGROUPS {
            let options = SubgroupOptions { subgroup_id: SubgroupId::Id(subgroup), ..options(group) };
            senders.push(publication.open_subgroup(options).await.unwrap());
        }
        for id in 0..OBJECTS {
            let sender = &mut senders[(id % SUBGROUPS) as usize];
            sender.write_object(&object(id, &payload(group, id)), payload(group, id)).await.unwrap();
        }
        for sender in senders {
            sender.finish().unwrap();
        }
    }
}

fn payload(group: u64, id: u64) -> Bytes {
    Bytes::from(format!("{group}.{id} ").repeat(100))
}

/// Every stream of a subscription without loss, read to its end.
async fn captured(version: Version) -> Vec<Captured> {
    let (mut bare, _session, publication) = served(version).await;
    let publishes = async {
        publish_groups(&publication).await;
        publication.finish(PublishDoneCode::TrackEnded, "").await.unwrap();
    };
    let captures = async {
        let mut streams = Vec::new();
        for _ in 0..GROUPS * SUBGROUPS {
            streams.push(bare.capture().await);
        }
        let Message::PublishDone { done, .. } = bare.control.hear().await else { panic!("not PUBLISH_DONE") };
        assert_eq!(done.stream_count, GROUPS * SUBGROUPS);
        streams
    };
    tokio::join!(publishes, captures).1
}

async fn a_subgroup_is_one_stream_and_a_stream_one_subgroup(version: Version) {
    covers!("D14-2.2-01", "D14-2.2-02", "D16-2.2-01", "D16-2.2-02");
    let mut subgroups = BTreeMap::new();
    for Captured { header, objects, .. } in captured(version).await {
        let SubgroupId::Id(subgroup) = header.subgroup_id else { panic!("{header:?}") };
        let before = subgroups.insert((header.group_id, subgroup), objects);
        assert!(before.is_none(), "a second stream: {header:?}");
    }
    assert_eq!(subgroups.len() as u64, GROUPS * SUBGROUPS);
    for ((group, subgroup), objects) in subgroups {
        let of_subgroup = (0..OBJECTS).filter(|id| id % SUBGROUPS == subgroup);
        assert!(objects.into_iter().eq(of_subgroup.map(|id| (id, payload(group, id)))));
    }
}

async fn open_streams_differ_in_their_headers(version: Version) {
    covers!("D14-10.4-02", "D16-10.4-02");
    let (bare, _session, publication) = served(version).await;
    let mut senders = Vec::new();
    let mut headers = Vec::new();
    for (group, subgroup) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let options = SubgroupOptions { subgroup_id: SubgroupId::Id(subgroup), ..options(group) };
        let mut sender = publication.open_subgroup(options).await.unwrap();
        sender.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
        senders.push(sender);
    }
    // All are open at once; only then do they end.
    let mut open = Vec::new();
    for _ in 0..senders.len() {
        open.push(bare.connection.accept_uni().await.unwrap());
    }
    for sender in senders {
        sender.finish().unwrap();
    }
    for recv in open {
        headers.push(bare.capture_rest(recv, Bytes::new()).await.header);
    }
    for (at, header) in headers.iter().enumerate() {
        assert!(!headers[..at].contains(header), "two open streams of {header:?}");
    }
}

async fn a_finished_subgroup_ends_with_fin_behind_rising_object_ids(version: Version) {
    covers!("D14-10.4.3-01", "D16-10.4.3-01", "D16-2.2-05");
    for Captured { objects, reset, .. } in captured(version).await {
        assert_eq!(reset, None);
        assert!(objects.is_sorted_by(|(one, _), (next, _)| one < next), "{objects:?}");
    }
}

async fn a_subgroup_given_up_midway_is_reset(version: Version) {
    covers!("D14-10.4.3-08", "D16-10.4.3-09");
    let (bare, _session, publication) = served(version).await;
    let mut handed_off = publication.open_subgroup(options(0)).await.unwrap();
    handed_off.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    let mut recv = bare.connection.accept_uni().await.unwrap();
    let begun = recv.read_chunk(usize::MAX, true).await.unwrap().unwrap().bytes;
    drop(handed_off);
    let captured = bare.capture_rest(recv, begun).await;
    assert_eq!(captured.objects, [(0, Bytes::from_static(b"x"))]);
    assert_eq!(captured.reset, version.draft().reset_code(ResetCode::Cancelled));
}

fn datagram(object_id: u64, payload: Bytes) -> Datagram {
    Datagram {
        track_alias: TrackAlias(0),
        group_id: 7,
        object_id,
        publisher_priority: None,
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(payload),
    }
}

async fn objects_travel_as_they_are_published(version: Version) {
    covers!("D14-10.2.1-01", "D16-10.2.1-01", "D16-3.3-05");
    for in_datagrams in [true, false] {
        let (mut bare, session, publication) = served(version).await;
        let payload = Bytes::from_static(b"an object");
        if in_datagrams {
            publication.send_datagram(datagram(4, payload.clone())).await.unwrap();
            let arrived = bare.connection.read_datagram().await.unwrap();
            let mut r = moqingbird::wire::buf::Reader::new(&arrived);
            let arrived = version.draft().decode_datagram(&mut r).unwrap();
            assert_eq!(arrived.body, DatagramBody::Payload(payload));
        } else {
            let mut sender = publication.open_subgroup(options(8)).await.unwrap();
            sender.write_object(&object(0, &payload), payload.clone()).await.unwrap();
            sender.finish().unwrap();
            assert_eq!(bare.capture().await.objects, [(0, payload)]);
        }
        let finish = publication.finish(PublishDoneCode::TrackEnded, "");
        let (finished, said) = tokio::join!(finish, bare.control.hear());
        finished.unwrap();
        assert!(matches!(said, Message::PublishDone { .. }), "{said:?}");

        // That was all: no other stream of either kind, and no other datagram.
        session.close(SessionErrorCode::NoError, "");
        assert!(bare.connection.accept_uni().await.is_err());
        assert!(bare.connection.accept_bi().await.is_err());
        assert!(bare.connection.read_datagram().await.is_err());
    }
}

async fn an_object_too_large_for_a_datagram_is_dropped_silently(version: Version) {
    covers!("D14-10.3-02", "D16-10.3-02");
    let (bare, session, publication) = served(version).await;
    publication.send_datagram(datagram(0, vec![0; 65_536].into())).await.unwrap();
    publication.send_datagram(datagram(1, Bytes::from_static(b"small"))).await.unwrap();
    // Only the next one comes, and what comes is neither in parts nor on a stream.
    let arrived = bare.connection.read_datagram().await.unwrap();
    let arrived = version.draft().decode_datagram(&mut moqingbird::wire::buf::Reader::new(&arrived)).unwrap();
    assert_eq!((arrived.object_id, arrived.body), (1, DatagramBody::Payload(Bytes::from_static(b"small"))));
    assert_eq!(session.close_reason(), None);
    session.close(SessionErrorCode::NoError, "");
    assert!(bare.connection.accept_uni().await.is_err());
}

async fn publish_done_comes_behind_every_stream(version: Version) {
    covers!("D14-9.12-01", "D16-5.1.1-02");
    // The stream is longer than the subscriber's window, and so it cannot be closed before it is read.
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(10_000u32.into());
    let (mut bare, _session, publication) = subscribed(version, transport, |server| server).await;
    let may_mix = version.draft().rules().mixed_forwarding;
    if may_mix {
        publication.send_datagram(datagram(0, Bytes::from_static(b"first"))).await.unwrap();
    }
    let payload = Bytes::from(vec![7; 100_000]);
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.begin(&object(0, &payload)).unwrap();
    sender.add(payload.clone()).unwrap();
    sender.finish().unwrap();
    let watches = async {
        let early = tokio::time::timeout(Duration::from_millis(200), bare.control.hear()).await;
        assert!(early.is_err(), "while a stream is open came {early:?}");
        if may_mix {
            assert!(bare.connection.read_datagram().await.unwrap().ends_with(b"first"));
        }
        assert_eq!(bare.capture().await.objects, [(0, payload.clone())]);
        let said = bare.control.hear().await;
        assert!(matches!(&said, Message::PublishDone { done, .. } if done.stream_count == 1), "{said:?}");
    };
    let (finished, ()) = tokio::join!(publication.finish(PublishDoneCode::TrackEnded, ""), watches);
    finished.unwrap();
}

async fn an_object_leaves_before_it_is_complete(version: Version) {
    covers!("D16-5.1-13");
    let (bare, _session, publication) = served(version).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    let header = ObjectHeader { payload_length: 10, ..object(0, b"") };
    sender.write_header(&header).await.unwrap();
    sender.write_payload(Bytes::from_static(b"first")).await.unwrap();
    let mut recv = bare.connection.accept_uni().await.unwrap();
    let mut begun = Vec::new();
    while !begun.ends_with(b"first") {
        begun.extend_from_slice(&recv.read_chunk(usize::MAX, true).await.unwrap().unwrap().bytes);
    }
    sender.write_payload(Bytes::from_static(b" last")).await.unwrap();
    sender.finish().unwrap();
    let whole = bare.capture_rest(recv, begun.into()).await;
    assert_eq!(whole.objects, [(0, Bytes::from_static(b"first last"))]);
}

async fn a_stream_that_flow_control_blocks_holds_up_no_other(version: Version) {
    covers!("D14-7.2-06", "D16-7.1-04");
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(10_000u32.into());
    let (bare, _session, publication) = subscribed(version, transport, |server| server).await;
    let urgent = SubgroupOptions { publisher_priority: 0, ..options(0) };
    let mut urgent = publication.open_subgroup(urgent).await.unwrap();
    let payload = Bytes::from(vec![7; 100_000]);
    let header = object(0, &payload);
    let blocked = urgent.write_object(&header, payload);
    let passes = async {
        let _unread = bare.connection.accept_uni().await.unwrap();
        let patient = SubgroupOptions { publisher_priority: 255, ..options(1) };
        let mut patient = publication.open_subgroup(patient).await.unwrap();
        patient.write_object(&object(0, b"next"), Bytes::from_static(b"next")).await.unwrap();
        patient.finish().unwrap();
        assert_eq!(bare.capture().await.objects, [(0, Bytes::from_static(b"next"))]);
    };
    tokio::select! {
        written = blocked => panic!("nobody reads it, and yet: {written:?}"),
        () = passes => {}
    }
}

async fn control_messages_overtake_queued_objects(version: Version) {
    covers!("D14-7.2-07", "D16-7.2-02");
    const QUEUED: usize = 2_000_000;
    // At 16 Mbit/s the queue takes a second to leave; on the way there is room for a tenth of it at most.
    let conditions = Conditions {
        delay: Duration::from_millis(5),
        jitter: Duration::ZERO,
        loss: 0.0,
        reorder: 0.0,
        rate_bits: Some(16_000_000),
        queue_packets: 100,
    };
    let mut link = None;
    let mut transport = TransportConfig::default();
    transport.stream_receive_window((2 * QUEUED as u32).into());
    let (mut bare, session, publication) = subscribed(version, transport, |server| {
        link.insert(Link::between(server, conditions, conditions, 1).expect("sockets on loopback")).address()
    })
    .await;
    let payload = Bytes::from(vec![7; QUEUED]);
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    // It is with the transport, all of it, before the message is said.
    sender.write_object(&object(0, &payload), payload).await.unwrap();
    session.go_away("").unwrap();
    let message = bare.control.hear().await;
    assert!(matches!(message, Message::GoAway(_)), "{message:?}");
    let arrived = bare.connection.stats().udp_rx.bytes;
    assert!(arrived < QUEUED as u64 / 2, "behind {arrived} bytes");
}

async fn control_messages_get_through_a_small_connection_window(version: Version) {
    const WINDOW: u32 = 10_000;
    let mut transport = TransportConfig::default();
    transport.receive_window(WINDOW.into());
    let (mut bare, session, publication) = subscribed(version, transport, |server| server).await;
    let payload = Bytes::from(vec![7; 100 * WINDOW as usize]);
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    let header = object(0, &payload);
    let writes = sender.write_object(&header, payload);
    let hears = async {
        let mut recv = bare.connection.accept_uni().await.unwrap();
        session.go_away("").unwrap();
        let mut read = 0;
        let reads = async {
            loop {
                let mut part = [0; 1000];
                read += recv.read(&mut part).await.unwrap().unwrap();
            }
        };
        tokio::select! {
            biased;
            message = bare.control.hear() => assert!(matches!(message, Message::GoAway(_)), "{message:?}"),
            () = reads => {}
        }
        // The window was full before; of the credit that came then, objects had none.
        assert!(read <= WINDOW as usize, "behind {read} bytes");
    };
    tokio::select! {
        written = writes => panic!("the window is small, and yet: {written:?}"),
        () = hears => {}
    }
}

async fn stop_sending_is_answered_with_a_reset(version: Version) {
    covers!("D14-10.4.3-12");
    let (bare, _session, publication) = served(version).await;
    let mut sender = publication.open_subgroup(options(0)).await.unwrap();
    sender.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
    let mut recv = bare.connection.accept_uni().await.unwrap();
    recv.stop(1u32.into()).unwrap();
    let mut id = 1;
    let error = loop {
        match sender.write_object(&object(id, b"y"), Bytes::from_static(b"y")).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
        id += 1;
    };
    assert_eq!(error, PublicationError::Cancelled);
    drop(sender);
    // quinn keeps a reset of what was stopped to itself, but counts the frame.
    while bare.connection.stats().frame_rx.reset_stream == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn the_control_stream_stays_open_until_the_session_closes(version: Version) {
    covers!("D16-3.3-08");
    let (mut bare, session, publication) = served(version).await;
    let (finished, said) =
        tokio::join!(publication.finish(PublishDoneCode::TrackEnded, ""), bare.control.hear());
    finished.unwrap();
    assert!(matches!(said, Message::PublishDone { .. }), "{said:?}");
    session.go_away("").unwrap();
    assert!(matches!(bare.control.hear().await, Message::GoAway(_)));
    session.close(SessionErrorCode::NoError, "over");
    // Neither FIN nor RESET_STREAM nor STOP_SENDING: it ends with the connection.
    let end = bare.control.try_hear().await;
    assert!(matches!(&end, Err(ReadError::ConnectionLost(ConnectionError::ApplicationClosed(_)))), "{end:?}");
    let frames = bare.connection.stats().frame_rx;
    assert_eq!((frames.reset_stream, frames.stop_sending), (0, 0));
}

async fn a_publisher_waits_for_stream_credit(version: Version) {
    covers!("D14-12.1-02");
    let mut transport = TransportConfig::default();
    transport.max_concurrent_uni_streams(2u32.into());
    let (bare, session, publication) = subscribed(version, transport, |server| server).await;
    let publishes = async {
        for group in 0..6 {
            let mut sender = publication.open_subgroup(options(group)).await.unwrap();
            sender.write_object(&object(0, b"x"), Bytes::from_static(b"x")).await.unwrap();
            sender.finish().unwrap();
        }
    };
    tokio::pin!(publishes);
    // Beyond the limit the publisher waits: the limit's streams are there, and nobody reads them.
    let early = tokio::time::timeout(Duration::from_millis(200), &mut publishes).await;
    assert!(early.is_err(), "six streams where two are allowed");
    let captures = async {
        let mut groups = Vec::new();
        for _ in 0..6 {
            groups.push(bare.capture().await.header.group_id);
        }
        groups.sort_unstable();
        groups
    };
    let ((), groups) = tokio::join!(publishes, captures);
    assert_eq!(groups, [0, 1, 2, 3, 4, 5]);
    assert_eq!(session.close_reason(), None);
}

/// The transport parameter of draft-ietf-quic-reliable-stream-reset.
const RESET_STREAM_AT: u64 = 0x17_f758_6d2c_b571;

/// Which transport parameters these are (RFC 9000 §18).
fn parameters(mut bytes: &[u8]) -> Vec<u64> {
    let mut ids = Vec::new();
    while let Some((id, at)) = integer::decode(bytes) {
        let (length, behind) = integer::decode(&bytes[at..]).unwrap();
        ids.push(id);
        bytes = &bytes[at + behind + length as usize..];
    }
    ids
}

async fn sessions_work_where_no_end_offers_reset_stream_at(version: Version) {
    covers!("D14-3.1-02", "D16-3.1-04");
    let (mut bare, _session, publication) = served(version).await;
    // An extension that one end does not offer is in use at neither.
    let offered = parameters(&bare.offered.lock().unwrap());
    assert!(offered.contains(&0x04) && !offered.contains(&RESET_STREAM_AT), "{offered:x?}");

    // Whatever of a stream that is reset gets through, its header or nothing: all else does.
    let mut given_up = publication.open_subgroup(options(0)).await.unwrap();
    given_up.write(Bytes::from_static(b"lost")).await.unwrap();
    given_up.reset(ResetCode::Cancelled);
    let mut sender = publication.open_subgroup(options(1)).await.unwrap();
    sender.write(Bytes::from_static(b"kept")).await.unwrap();
    sender.finish().unwrap();
    let receives = async {
        let (mut resets, mut kept) = (0, Vec::new());
        for _ in 0..2 {
            let mut recv = bare.connection.accept_uni().await.unwrap();
            match recv.read_to_end(1000).await {
                Ok(bytes) => kept.push(bytes),
                Err(ReadToEndError::Read(ReadError::Reset(_))) => resets += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((resets, kept.len()), (1, 1));
        assert!(kept[0].ends_with(b"kept"));
        let said = bare.control.hear().await;
        assert!(matches!(&said, Message::PublishDone { done, .. } if done.stream_count == 2), "{said:?}");
    };
    let (finished, ()) = tokio::join!(publication.finish(PublishDoneCode::TrackEnded, ""), receives);
    finished.unwrap();
}
