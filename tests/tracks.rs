//! Tracks over sessions: what a reader gets, whatever it begins with and whatever carries it, in every draft, in memory,
//! over raw QUIC and over WebTransport.
#![cfg(feature = "net")]

#[path = "support/net.rs"]
#[expect(dead_code, reason = "each test file uses its part")]
#[macro_use]
mod net;

use std::time::Duration;

use moqingbird::track::{
    Gap, GapCause, Order, ReadError, ReadOptions, Start, TrackEvent, TrackOptions, TrackSubscription, Writer,
};
use moqingbird::wire::model::{
    EndLocation, Location, PublishDoneCode, RequestError, RequestErrorCode, ResetCode,
};
use moqingbird::{Broadcast, CertificateHash, IncomingRequest, Origin, TrackInfo};
use net::{Ends, namespace, track};

mod in_each {
    everywhere! {
        a_joiner_in_group_7_with_offset_2_gets_5_6_7_and_what_follows;
        a_joiner_gets_the_current_group_from_its_beginning_by_default;
        a_reader_may_begin_with_what_comes_next;
        a_reader_may_begin_with_the_next_group;
        a_reader_may_begin_anywhere_in_the_past;
        a_joiner_of_an_empty_track_gets_all_of_it;
        a_fetch_that_is_declined_is_a_gap_and_the_live_part_follows;
        a_subgroup_that_is_given_up_is_a_gap_and_the_rest_follows;
        a_stale_group_is_skipped_and_the_gap_is_told;
        subgroups_of_a_group_come_in_the_order_of_their_objects;
        datagrams_come_through_the_same_reader;
        a_track_that_is_dropped_is_broken_off_and_not_complete;
        a_track_that_nobody_has_is_declined;
        a_reader_by_arrival_is_not_held_up_by_an_open_group;
        a_writer_knows_whether_anybody_listens;
        a_track_that_is_complete_is_read_from_its_beginning;
    }
}

/// The library's promise in one: every byte, in order.
mod hundred_groups {
    everywhere! {
        a_hundred_groups_of_ten_random_frames_arrive_equal_and_in_order;
    }
}

/// A track of the server's, written before there is any subscriber.
fn served(ends: &Ends) -> (Origin, Broadcast, Writer, moqingbird::Attached) {
    let origin = Origin::new();
    let broadcast = origin.create_broadcast(namespace()).unwrap();
    let writer = broadcast.create_track("video", TrackOptions::default()).unwrap();
    let attached = origin.attach(&ends.server);
    (origin, broadcast, writer, attached)
}

async fn open(ends: &Ends, options: ReadOptions) -> TrackSubscription {
    TrackSubscription::open(&ends.client, track(), options).await.unwrap()
}

/// Groups of two objects, whose payload says where they are.
fn write_groups(writer: &Writer, count: u64) {
    for _ in 0..count {
        let mut group = writer.append_group();
        for object in 0..2 {
            group.write_frame(format!("{}/{object}", group.group_id())).unwrap();
        }
        group.finish().unwrap();
    }
}

/// The next objects, in their order, nothing else between them.
async fn expect(reader: &mut TrackSubscription, locations: impl IntoIterator<Item = (u64, u64)>) {
    for (group, object) in locations {
        match reader.next().await.unwrap() {
            Some(TrackEvent::Object(it)) => {
                assert_eq!((it.location.group, it.location.object), (group, object));
            }
            other => panic!("{other:?} instead of {group}/{object}"),
        }
    }
}

async fn expect_groups(reader: &mut TrackSubscription, groups: impl IntoIterator<Item = u64>) {
    expect(reader, groups.into_iter().flat_map(|group| [(group, 0), (group, 1)])).await;
}

async fn expect_end(reader: &mut TrackSubscription) {
    assert_eq!(reader.next().await.unwrap(), None);
    assert_eq!(reader.done().unwrap().code, PublishDoneCode::TrackEnded);
}

async fn expect_gap(reader: &mut TrackSubscription) -> Gap {
    match reader.next().await.unwrap() {
        Some(TrackEvent::Gap(gap)) => gap,
        other => panic!("{other:?} is not a gap"),
    }
}

async fn a_joiner_in_group_7_with_offset_2_gets_5_6_7_and_what_follows(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    write_groups(&writer, 7);
    let mut seventh = writer.append_group();
    seventh.write_frame("7/0").unwrap();
    let mut reader = open(&ends, ReadOptions::default().start(Start::GroupsBefore(2))).await;
    assert_eq!(reader.largest(), Some(Location::new(7, 0)));
    seventh.write_frame("7/1").unwrap();
    seventh.finish().unwrap();
    write_groups(&writer, 2);
    expect_groups(&mut reader, 5..10).await;
    writer.complete();
    expect_end(&mut reader).await;
    assert_eq!(reader.gaps(), 0);
}

async fn a_joiner_gets_the_current_group_from_its_beginning_by_default(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    write_groups(&writer, 3);
    let mut reader = open(&ends, ReadOptions::default()).await;
    expect_groups(&mut reader, 2..3).await;
    write_groups(&writer, 1);
    expect_groups(&mut reader, 3..4).await;
}

async fn a_reader_may_begin_with_what_comes_next(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let mut group = writer.append_group();
    group.write_frame("past").unwrap();
    let mut reader = open(&ends, ReadOptions::default().start(Start::NextObject)).await;
    group.write_frame("next").unwrap();
    expect(&mut reader, [(0, 1)]).await;
}

async fn a_reader_may_begin_with_the_next_group(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let mut group = writer.append_group();
    group.write_frame("past").unwrap();
    let mut reader = open(&ends, ReadOptions::default().start(Start::NextGroup)).await;
    group.write_frame("of the current group").unwrap();
    group.finish().unwrap();
    write_groups(&writer, 1);
    expect_groups(&mut reader, 1..2).await;
}

async fn a_reader_may_begin_anywhere_in_the_past(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    write_groups(&writer, 4);
    let mut reader = open(&ends, ReadOptions::default().start(Start::At(Location::new(1, 1)))).await;
    write_groups(&writer, 1);
    expect(&mut reader, [(1, 1)]).await;
    expect_groups(&mut reader, 2..5).await;
}

async fn a_joiner_of_an_empty_track_gets_all_of_it(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let mut reader = open(&ends, ReadOptions::default()).await;
    assert_eq!(reader.largest(), None);
    write_groups(&writer, 3);
    writer.complete();
    expect_groups(&mut reader, 0..3).await;
    expect_end(&mut reader).await;
}

async fn a_fetch_that_is_declined_is_a_gap_and_the_live_part_follows(ends: Ends) {
    let writer = Writer::new(TrackOptions::default());
    write_groups(&writer, 3);
    let serves = async {
        while let Some(request) = ends.server.next_request().await {
            match request {
                IncomingRequest::Subscribe(request) => {
                    let reader = writer.reader(request.request().filter);
                    let info = TrackInfo { largest: reader.largest(), ..TrackInfo::default() };
                    let (publication, track) = (request.accept(info).unwrap(), writer.track());
                    tokio::spawn(async move {
                        let _ = moqingbird::track::serve(publication, &track, reader, 8, |_| ()).await;
                    });
                }
                other => other.reject(RequestError::new(RequestErrorCode::NotSupported, "no past here")),
            }
        }
    };
    let reads = async {
        let mut reader = open(&ends, ReadOptions::default()).await;
        let gap = expect_gap(&mut reader).await;
        let end = EndLocation { group: 2, object: Some(1) };
        assert_eq!(gap, Gap { start: Location::new(2, 0), end, cause: GapCause::Declined });
        write_groups(&writer, 1);
        expect_groups(&mut reader, 3..4).await;
    };
    tokio::select! {
        () = serves => panic!("the session has ended"),
        () = reads => {}
    }
}

async fn a_subgroup_that_is_given_up_is_a_gap_and_the_rest_follows(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let mut reader = open(&ends, ReadOptions::default()).await;
    let mut group = writer.append_group();
    group.write_frame("whole").unwrap();
    expect(&mut reader, [(0, 0)]).await;
    group.reset(ResetCode::InternalError);
    write_groups(&writer, 1);
    let end = EndLocation { group: 0, object: None };
    let gap = Gap { start: Location::new(0, 1), end, cause: GapCause::Incomplete };
    assert_eq!(expect_gap(&mut reader).await, gap);
    expect_groups(&mut reader, 1..2).await;
}

async fn a_stale_group_is_skipped_and_the_gap_is_told(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let options = ReadOptions::default().max_latency(Duration::from_millis(100));
    let mut reader = open(&ends, options).await;
    let mut slow = writer.append_group();
    slow.write_frame("in time").unwrap();
    expect(&mut reader, [(0, 0)]).await;
    write_groups(&writer, 1);
    let end = EndLocation { group: 0, object: None };
    let gap = Gap { start: Location::new(0, 1), end, cause: GapCause::TooLate };
    assert_eq!(expect_gap(&mut reader).await, gap);
    expect_groups(&mut reader, 1..2).await;
    let _ = slow.write_frame("too late");
    let _ = slow.finish();
    write_groups(&writer, 1);
    expect_groups(&mut reader, 2..3).await;
    assert_eq!(reader.gaps(), 1);
}

async fn subgroups_of_a_group_come_in_the_order_of_their_objects(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let mut reader = open(&ends, ReadOptions::default()).await;
    let mut group = writer.append_group();
    let mut subgroups = [group.append_subgroup().unwrap(), group.append_subgroup().unwrap()];
    for object in 0..10 {
        let location = subgroups[object % 2].write_frame(object.to_string()).unwrap();
        assert_eq!(location, Location::new(0, object as u64));
    }
    for subgroup in subgroups {
        subgroup.finish().unwrap();
    }
    group.finish().unwrap();
    expect(&mut reader, (0..10).map(|object| (0, object))).await;
    write_groups(&writer, 1);
    expect_groups(&mut reader, 1..2).await;
}

async fn datagrams_come_through_the_same_reader(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let mut reader = open(&ends, ReadOptions::default()).await;
    for number in 0..3 {
        assert_eq!(writer.write_datagram(format!("reading {number}")), Location::new(number, 0));
        match reader.next_object().await.unwrap() {
            Some(object) => {
                assert_eq!((object.location, object.subgroup_id), (Location::new(number, 0), None));
                assert_eq!(object.payload, format!("reading {number}"));
            }
            None => panic!("the track has ended"),
        }
    }
}

async fn a_track_that_is_dropped_is_broken_off_and_not_complete(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let mut reader = open(&ends, ReadOptions::default()).await;
    write_groups(&writer, 1);
    writer.abort();
    expect_groups(&mut reader, 0..1).await;
    match reader.next().await {
        Err(ReadError::Ended(done)) => assert_eq!(done.code, PublishDoneCode::InternalError),
        other => panic!("{other:?}"),
    }
    assert!(reader.next().await.is_err(), "it stays ended");
}

async fn a_track_that_nobody_has_is_declined(ends: Ends) {
    let origin = Origin::new();
    let _attached = origin.attach(&ends.server);
    match TrackSubscription::open(&ends.client, track(), ReadOptions::default()).await {
        Err(ReadError::Rejected(rejected)) => {
            assert_eq!(rejected.error.code, RequestErrorCode::DoesNotExist);
        }
        other => panic!("{other:?}"),
    }
}

async fn a_reader_by_arrival_is_not_held_up_by_an_open_group(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let mut reader = open(&ends, ReadOptions::default().order(Order::Arrival)).await;
    let mut open = writer.append_group();
    open.write_frame("first").unwrap();
    expect(&mut reader, [(0, 0)]).await;
    write_groups(&writer, 1);
    expect_groups(&mut reader, 1..2).await;
    open.write_frame("last").unwrap();
    open.finish().unwrap();
    writer.complete();
    expect(&mut reader, [(0, 1)]).await;
    expect_end(&mut reader).await;
}

async fn a_track_that_is_complete_is_read_from_its_beginning(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    write_groups(&writer, 3);
    writer.complete();
    let mut reader = open(&ends, ReadOptions::default().start(Start::At(Location::new(0, 0)))).await;
    expect_groups(&mut reader, 0..3).await;
    expect_end(&mut reader).await;
    assert_eq!(reader.gaps(), 0);
}

/// Frames of 1 to 4,000 bytes, by a generator that any run repeats.
fn random_frames(count: usize) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|_| {
            let length = usize::try_from(random() % 4000).unwrap() + 1;
            (0..length).map(|_| random().to_le_bytes()[0]).collect()
        })
        .collect()
}

async fn a_hundred_groups_of_ten_random_frames_arrive_equal_and_in_order(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    let mut reader = open(&ends, ReadOptions::default()).await;
    let frames = random_frames(1000);
    let sent = CertificateHash::of(&frames.concat());
    let writes = async {
        for group in frames.chunks(10) {
            let mut out = writer.append_group();
            for frame in group {
                out.ready().await;
                out.write_frame(frame.clone()).unwrap();
            }
            out.finish().unwrap();
        }
        writer.complete();
    };
    let reads = async {
        let mut received = Vec::new();
        for number in 0..1000 {
            let object = reader.next_object().await.unwrap().expect("the track goes on");
            assert_eq!(object.location, Location::new(number / 10, number % 10));
            received.extend_from_slice(&object.payload);
        }
        expect_end(&mut reader).await;
        received
    };
    let ((), received) = tokio::join!(writes, reads);
    // A hash of certificates is SHA-256 like any other.
    assert_eq!(CertificateHash::of(&received), sent);
    assert_eq!(reader.gaps(), 0);
}

/// One of a hundred readers, and the first location that its start promises it.
struct Promised {
    reader: TrackSubscription,
    first: Location,
    order: Order,
    _session: Option<(moqingbird::Session, moqingbird::Attached)>,
}

/// Groups of two objects: where a reader begins that starts when `written` groups are there.
fn promise(start: Start, written: u64) -> Location {
    match start {
        Start::GroupsBefore(back) => Location::new(written.saturating_sub(1 + back), 0),
        Start::At(location) => location,
        _ => Location::new(written, 0),
    }
}

#[tokio::test]
async fn a_hundred_readers_made_before_during_and_after_the_writes_get_what_their_start_promises() {
    let origin = Origin::new();
    let broadcast = origin.create_broadcast(namespace()).unwrap();
    let writer = broadcast.create_track("video", TrackOptions::default()).unwrap();
    let mut readers = Vec::new();
    let starts = [
        Start::GroupsBefore(0),
        Start::GroupsBefore(3),
        Start::At(Location::new(1, 1)),
        Start::NextObject,
        Start::NextGroup,
    ];
    for number in 0..100_usize {
        // The first third before anything is written, the last third when all is.
        let written = u64::try_from(number.saturating_sub(33).min(34)).unwrap();
        if writer.track().largest().map_or(0, |largest| largest.group + 1) < written {
            write_groups(&writer, 1);
        }
        let start = starts[number % starts.len()];
        let order = if number % 2 == 0 { Order::Sequence } else { Order::Arrival };
        let options = ReadOptions::default().start(start).order(order);
        let first = promise(start, written);
        // Half of them here, half over sessions.
        let (reader, session) = if number % 4 < 2 {
            (writer.track().read(options), None)
        } else {
            let version = moqingbird::Version::ALL[number % moqingbird::Version::ALL.len()];
            let (client, server) = moqingbird::memory_pair(version).await.unwrap();
            let attached = origin.attach(&server);
            let reader = TrackSubscription::open(&client, track(), options).await.unwrap();
            (reader, Some((client, attached)))
        };
        readers.push(Promised { reader, first, order, _session: session });
    }
    writer.complete();
    for (number, Promised { mut reader, first, order, .. }) in readers.into_iter().enumerate() {
        let all = (0..34).flat_map(|group| [(group, 0), (group, 1)]);
        let promised: Vec<_> =
            all.map(|(group, object)| Location::new(group, object)).filter(|it| *it >= first).collect();
        let reads = async {
            let mut got = Vec::new();
            while let Some(object) = reader.next_object().await.unwrap() {
                got.push(object.location);
            }
            if order == Order::Arrival {
                got.sort_unstable();
            }
            assert_eq!(got, promised);
            assert_eq!(reader.gaps(), 0);
        };
        net::soon(&format!("reader {number} from {first}"), reads).await;
    }
}

async fn a_writer_knows_whether_anybody_listens(ends: Ends) {
    let (_origin, _broadcast, writer, _attached) = served(&ends);
    writer.unused().await;
    let reader = open(&ends, ReadOptions::default()).await;
    writer.used().await;
    assert!(writer.is_used());
    drop(reader);
    writer.unused().await;
}
