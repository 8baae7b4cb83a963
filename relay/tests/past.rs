//! FETCH and TRACK_STATUS through the relay, for every pair of drafts.

#[macro_use]
#[expect(dead_code, reason = "shared with the other tests of the relay, which use more of it")]
mod support;

use bytes::Bytes;
use moqingbird::wire::model::{
    EndLocation, Extensions, Fetch, FetchObject, FetchOk, FetchRange, GroupOrder, Location, ObjectHeader,
    ObjectStatus, RequestErrorCode, ResetCode, TrackExtensions,
};
use moqingbird::wire::model::{RangeStatus, RequestError};
use moqingbird::{
    FetchError, FetchSender, Fetched, IncomingFetch, IncomingRequest, Publication, RequestFailed, Session,
    Subscription, TrackInfo,
};
use moqingbird_ledger::covers;
use support::*;

in_every_pair! {
    what_the_relay_holds_is_fetched_from_it;
    groups_come_in_the_order_that_was_asked_for;
    a_range_beyond_the_largest_object_ends_there;
    what_the_relay_does_not_hold_is_fetched_from_the_publisher;
    what_the_relay_holds_in_part_is_fetched_from_the_publisher;
    what_one_publisher_does_not_have_yet_is_fetched_from_the_other;
    what_one_publisher_breaks_off_is_fetched_on_from_the_other;
    a_hole_halts_the_answer_until_the_publisher_has_filled_it;
    a_hole_that_the_publisher_does_not_fill_resets_the_answer;
    fetches_of_one_range_at_a_time_are_one_upstream;
    a_fetch_is_granted_when_it_is_known_what_it_holds;
    what_was_written_once_is_fetched_an_hour_later;
    what_is_kept_is_as_it_was_published;
    an_object_that_is_published_in_a_datagram_is_kept_too;
    what_is_lost_is_told_as_unknown;
    an_object_is_passed_on_while_it_is_fetched;
    a_fetch_of_an_unknown_track_is_declined_at_once;
    a_fetch_that_the_publisher_declines_is_declined;
    a_fetch_that_the_publisher_breaks_off_is_reset;
    a_fetch_whose_publisher_dies_is_reset;
    a_fetch_of_nothing_is_told_in_the_fetchers_draft;
    what_the_publisher_says_of_ranges_and_statuses_is_passed_on;
    a_cancelled_fetch_is_cancelled_upstream;
    a_joiner_gets_what_precedes_its_subscription_and_no_more;
    a_joiner_of_a_track_that_the_relay_did_not_know_gets_it_from_the_publisher;
    the_status_of_a_track_is_that_of_the_relay;
    the_status_of_a_track_that_the_relay_does_not_have_is_asked_for;
    the_status_of_an_unknown_track_is_declined_at_once;
}

fn range(start: Location, end: EndLocation) -> Fetch {
    Fetch::new(FetchRange::Standalone { track: track(), start, end })
}

/// Groups, whole.
fn groups(start: u64, end: u64) -> Fetch {
    range(Location::new(start, 0), EndLocation { group: end, object: None })
}

fn fetch_ok(group: u64, object: Option<u64>) -> FetchOk {
    let end = EndLocation { group, object };
    FetchOk { group_order: None, end_of_track: false, end, extensions: TrackExtensions::default() }
}

fn fetched_object(group: u64, object: u64, payload: &[u8]) -> FetchObject {
    FetchObject {
        location: Location::new(group, object),
        subgroup_id: Some(0),
        publisher_priority: 77,
        extensions: Extensions::NONE,
        status: ObjectStatus::Normal,
        payload_length: payload.len() as u64,
    }
}

async fn write(sender: &mut FetchSender, group: u64, object: u64, payload: &'static [u8]) {
    let header = fetched_object(group, object, payload);
    soon("room", sender.write_object(&header, Bytes::from_static(payload))).await.unwrap();
}

async fn next_fetch(session: &Session) -> IncomingFetch {
    match soon("a FETCH", session.next_request()).await {
        Some(IncomingRequest::Fetch(request)) => request,
        other => panic!("not a FETCH: {other:?}"),
    }
}

async fn fetch(session: &Session, fetch: Fetch) -> Fetched {
    soon("the FETCH is answered", session.fetch(fetch)).await.unwrap()
}

/// Locations and payloads until the end.
async fn all(fetched: &mut Fetched) -> Vec<(u64, u64, Bytes)> {
    let mut objects = Vec::new();
    while let Some(object) = soon("an object", fetched.next_object()).await.unwrap() {
        let Location { group, object: id } = object.header.location;
        objects.push((group, id, object.payload));
    }
    objects
}

fn expected(locations: &[(u64, u64)]) -> Vec<(u64, u64, Bytes)> {
    let payload = |group: u64, object: u64| Bytes::from(format!("{group}/{object}"));
    locations.iter().map(|&(group, object)| (group, object, payload(group, object))).collect()
}

/// Publishes groups of two objects, and waits until the relay has forwarded them.
async fn history(
    publication: &Publication,
    subscription: &mut Subscription,
    groups: std::ops::RangeInclusive<u64>,
) {
    for group in groups {
        let mut sender = soon("a stream", publication.open_subgroup(options(group))).await.unwrap();
        for object in 0..2 {
            let payload = format!("{group}/{object}");
            let header = header(object, payload.as_bytes());
            soon("room", sender.write_object(&header, payload.into())).await.unwrap();
        }
        sender.finish().unwrap();
        let mut subgroup = next_subgroup(subscription).await;
        while next_object(&mut subgroup).await.is_some() {}
    }
}

async fn what_the_relay_holds_is_fetched_from_it(world: World) {
    covers!("D14-8.5-01", "D16-8.7-01");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    history(&publication, &mut subscription, 0..=3).await;
    let other = world.subscriber().await;
    let mut fetched = fetch(&other, groups(1, 2)).await;
    assert_eq!(all(&mut fetched).await, expected(&[(1, 0), (1, 1), (2, 0), (2, 1)]));
    let ok = fetched.ok().await.unwrap();
    assert_eq!((ok.end, ok.end_of_track), (EndLocation { group: 2, object: None }, false));
    let within = range(Location::new(1, 1), EndLocation { group: 2, object: Some(0) });
    assert_eq!(all(&mut fetch(&other, within).await).await, expected(&[(1, 1), (2, 0)]));
}

async fn groups_come_in_the_order_that_was_asked_for(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    history(&publication, &mut subscription, 0..=3).await;
    let descending = Fetch { group_order: Some(GroupOrder::Descending), ..groups(1, 2) };
    let objects = all(&mut fetch(&subscriber, descending).await).await;
    assert_eq!(objects, expected(&[(2, 0), (2, 1), (1, 0), (1, 1)]));
}

async fn a_range_beyond_the_largest_object_ends_there(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    history(&publication, &mut subscription, 0..=1).await;
    let mut fetched = fetch(&subscriber, groups(1, 9)).await;
    assert_eq!(all(&mut fetched).await, expected(&[(1, 0), (1, 1)]));
    assert_eq!(fetched.ok().await.unwrap().end, EndLocation { group: 1, object: Some(1) });
}

async fn what_the_relay_does_not_hold_is_fetched_from_the_publisher(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let answers = async {
        let request = next_fetch(&publisher).await;
        assert_eq!((request.track(), request.start()), (&track(), Location::new(4, 0)));
        assert_eq!(request.end(), EndLocation { group: 6, object: None });
        assert_eq!(request.request().group_order, Some(GroupOrder::Descending));
        let mut sender = request.accept(fetch_ok(5, Some(0))).unwrap();
        write(&mut sender, 5, 0, b"5/0").await;
        write(&mut sender, 4, 3, b"4/3").await;
        sender.finish().await.unwrap();
    };
    let asks = async {
        let asked = Fetch { group_order: Some(GroupOrder::Descending), ..groups(4, 6) };
        let mut fetched = fetch(&subscriber, asked).await;
        assert_eq!(all(&mut fetched).await, expected(&[(5, 0), (4, 3)]));
        assert_eq!(fetched.ok().await.unwrap().end, EndLocation { group: 5, object: Some(0) });
    };
    tokio::join!(answers, asks);
}

async fn what_the_relay_holds_in_part_is_fetched_from_the_publisher(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    history(&publication, &mut subscription, 3..=5).await;
    let answers = async {
        let request = next_fetch(&publisher).await;
        assert_eq!(
            (request.start(), request.end()),
            (Location::new(2, 0), EndLocation { group: 2, object: None })
        );
        let mut sender = request.accept(fetch_ok(2, None)).unwrap();
        write(&mut sender, 2, 0, b"2/0").await;
        sender.finish().await.unwrap();
    };
    let asks = async { all(&mut fetch(&subscriber, groups(2, 4)).await).await };
    let whole = expected(&[(2, 0), (3, 0), (3, 1), (4, 0), (4, 1)]);
    assert_eq!(tokio::join!(answers, asks).1, whole);
    // Now the relay has all of it.
    assert_eq!(all(&mut fetch(&world.subscriber().await, groups(2, 4)).await).await, whole);
}

/// Two publishers, of which the first has published nothing yet and the second up to 3/3, and a third peer.
async fn two_publishers(world: &World) -> (Session, Session, Session) {
    let (first, subscriber) = (world.publisher().await, world.subscriber().await);
    let announced = announce(&first).await;
    let subscribed = connected(&first, &subscriber).await;
    let second = world.publisher().await;
    let also_announced = announce(&second).await;
    let info = TrackInfo { largest: Some(Location::new(3, 3)), ..TrackInfo::default() };
    let publication = next_subscribe(&second).await.accept(info).unwrap();
    let other = world.subscriber().await;
    while soon("TRACK_STATUS", other.track_status(subscribe())).await.unwrap().largest.is_none() {}
    // For as long as the sessions last.
    std::mem::forget((announced, subscribed, also_announced, publication, subscriber));
    (first, second, other)
}

async fn what_one_publisher_breaks_off_is_fetched_on_from_the_other(world: World) {
    let (first, second, other) = two_publishers(&world).await;
    let serves = async {
        let mut sender = next_fetch(&first).await.accept(fetch_ok(3, Some(3))).unwrap();
        write(&mut sender, 3, 0, b"3/0").await;
        write(&mut sender, 3, 1, b"3/1").await;
        soon("room", sender.flush()).await.unwrap();
        // What was sent has arrived.
        let rest = async {
            let request = next_fetch(&second).await;
            assert_eq!(request.start(), Location::new(3, 2));
            let mut sender = request.accept(fetch_ok(3, Some(3))).unwrap();
            write(&mut sender, 3, 2, b"3/2").await;
            write(&mut sender, 3, 3, b"3/3").await;
            soon("the end", sender.finish()).await.unwrap();
        };
        (sender, rest)
    };
    let fetches = async {
        let ((sender, rest), mut fetched) = tokio::join!(serves, fetch(&other, groups(3, 3)));
        let mut objects = Vec::new();
        for _ in 0..2 {
            objects.push(soon("an object", fetched.next_object()).await.unwrap().unwrap().payload);
        }
        sender.reset(ResetCode::InternalError);
        let ((), rest) = tokio::join!(rest, all(&mut fetched));
        objects.extend(rest.into_iter().map(|(.., payload)| payload));
        objects
    };
    assert_eq!(fetches.await, ["3/0", "3/1", "3/2", "3/3"]);
}

async fn what_one_publisher_does_not_have_yet_is_fetched_from_the_other(world: World) {
    let (first, second, other) = two_publishers(&world).await;
    let serves = async {
        let mut sender = next_fetch(&first).await.accept(fetch_ok(3, Some(1))).unwrap();
        write(&mut sender, 3, 0, b"3/0").await;
        write(&mut sender, 3, 1, b"3/1").await;
        soon("the end", sender.finish()).await.unwrap();
        let again = next_fetch(&first).await;
        assert_eq!(again.start(), Location::new(3, 2));
        let reason = "nothing has been published there yet";
        again.reject(RequestError::new(RequestErrorCode::InvalidRange, reason));
        let mut sender = next_fetch(&second).await.accept(fetch_ok(3, Some(3))).unwrap();
        write(&mut sender, 3, 2, b"3/2").await;
        write(&mut sender, 3, 3, b"3/3").await;
        soon("the end", sender.finish()).await.unwrap();
    };
    let fetches = async { all(&mut fetch(&other, groups(3, 3)).await).await };
    let ((), objects) = tokio::join!(serves, fetches);
    assert_eq!(objects, expected(&[(3, 0), (3, 1), (3, 2), (3, 3)]));
}

async fn a_hole_halts_the_answer_until_the_publisher_has_filled_it(world: World) {
    covers!("D14-9.16.3-07", "D16-9.16.3-04");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    history(&publication, &mut subscription, 0..=0).await;
    history(&publication, &mut subscription, 2..=2).await;
    let mut fetched = fetch(&subscriber, groups(0, 2)).await;
    for id in 0..2 {
        assert_eq!(
            soon("an object", fetched.next_object()).await.unwrap().unwrap().header.location,
            Location::new(0, id)
        );
    }
    let request = next_fetch(&publisher).await;
    assert_eq!((request.start().group, request.end().group), (1, 1));
    let mut sender = request.accept(fetch_ok(1, None)).unwrap();
    write(&mut sender, 1, 0, b"1/0").await;
    sender.finish().await.unwrap();
    assert_eq!(all(&mut fetched).await, expected(&[(1, 0), (2, 0), (2, 1)]));
}

async fn a_hole_that_the_publisher_does_not_fill_resets_the_answer(world: World) {
    covers!("D14-9.16.3-08");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    history(&publication, &mut subscription, 0..=0).await;
    history(&publication, &mut subscription, 2..=2).await;
    let mut fetched = fetch(&subscriber, groups(0, 2)).await;
    let declines = async {
        let error = RequestError::new(RequestErrorCode::NotSupported, "no FETCH here");
        next_fetch(&publisher).await.reject(error);
    };
    let end = async {
        loop {
            match soon("an object", fetched.next_object()).await {
                Ok(Some(_)) => {}
                end => break end,
            }
        }
    };
    let (end, ()) = tokio::join!(end, declines);
    assert!(matches!(end, Err(FetchError::Reset(_))), "{end:?}");
}

async fn fetches_of_one_range_at_a_time_are_one_upstream(world: World) {
    covers!("D16-8.5-08");
    let publisher = world.publisher().await;
    let _announced = announce(&publisher).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let subscriber = world.subscriber().await;
        asking.spawn(async move { all(&mut fetch(&subscriber, groups(0, 1)).await).await });
    }
    let request = next_fetch(&publisher).await;
    // A round trip of each asker later there is still one.
    for _ in 0..5 {
        let error = code(soon("an answer", world.subscriber().await.fetch(other_track())).await);
        assert_eq!(error, RequestErrorCode::DoesNotExist);
    }
    let mut sender = request.accept(fetch_ok(1, Some(0))).unwrap();
    for (group, object, payload) in [(0, 0, b"0/0"), (0, 4, b"0/4"), (1, 0, b"1/0")] {
        write(&mut sender, group, object, payload).await;
    }
    sender.finish().await.unwrap();
    let fetched = soon("each has its own", asking.join_all()).await;
    assert_eq!(fetched, vec![expected(&[(0, 0), (0, 4), (1, 0)]); 5]);
    tokio::select! {
        biased;
        request = publisher.next_request() => panic!("asked again: {request:?}"),
        () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
    }
}

fn other_track() -> Fetch {
    let track = moqingbird::wire::model::FullTrackName::new(
        moqingbird::wire::model::TrackNamespace::from_path("nowhere").unwrap(),
        "x",
    );
    let (start, end) = (Location::default(), EndLocation { group: 0, object: None });
    Fetch::new(FetchRange::Standalone { track: track.unwrap(), start, end })
}

async fn a_fetch_is_granted_when_it_is_known_what_it_holds(world: World) {
    covers!("D14-8.3-03", "D16-8.4-03");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let mut asking = std::pin::pin!(subscriber.fetch(groups(0, 1)));
    let request = tokio::select! {
        request = next_fetch(&publisher) => request,
        answer = &mut asking => panic!("granted before the publisher has answered: {answer:?}"),
    };
    let other = subscriber.fetch(other_track());
    tokio::select! {
        other = other => assert_eq!(code(other), RequestErrorCode::DoesNotExist),
        answer = &mut asking => panic!("granted before the publisher has answered: {answer:?}"),
    }
    let mut sender = request.accept(fetch_ok(1, None)).unwrap();
    write(&mut sender, 1, 0, b"1/0").await;
    let (finished, fetched) = tokio::join!(sender.finish(), asking);
    finished.unwrap();
    assert_eq!(fetched.unwrap().ok().await.unwrap().end, EndLocation { group: 1, object: None });
}

/// A catalog: one object, written at the start, of a publisher that has no FETCH.
async fn what_was_written_once_is_fetched_an_hour_later(world: World) {
    let (publisher, first) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &first).await;
    write_group(&publication, 0, "catalog").await;
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert!(next_object(&mut subgroup).await.is_some());
    drop((subscription, subgroup));
    soon("UNSUBSCRIBE", publication.cancelled()).await;
    drop(publication);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(3600)).await;
    tokio::time::resume();

    let late = world.subscriber().await;
    let serves = async {
        let info = TrackInfo { largest: Some(Location::new(0, 0)), ..TrackInfo::default() };
        let publication = next_subscribe(&publisher).await.accept(info).unwrap();
        tokio::select! {
            () = publication.cancelled() => {}
            request = publisher.next_request() => panic!("the relay has it: {request:?}"),
        }
    };
    let joins = async {
        let subscription = soon("granted", late.subscribe(subscribe())).await.unwrap();
        let mut joined = soon("answered", subscription.join(0)).await.unwrap();
        let object = soon("an object", joined.next_object()).await.unwrap().unwrap();
        assert_eq!(object.payload, "catalog");
        let standalone = range(Location::new(0, 0), EndLocation { group: 0, object: Some(0) });
        let object = soon("an object", fetch(&late, standalone).await.next_object()).await.unwrap().unwrap();
        assert_eq!(object.payload, "catalog");
    };
    tokio::join!(serves, joins);
}

async fn what_is_kept_is_as_it_was_published(world: World) {
    covers!("D14-8.1-07", "D16-8.1-06", "D16-2.5-02", "D14-11.2-03");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let options = moqingbird::SubgroupOptions {
        subgroup_id: moqingbird::wire::model::SubgroupId::Id(3),
        extensions: true,
        ..options(6)
    };
    let mut sender = soon("a stream", publication.open_subgroup(options)).await.unwrap();
    let header = ObjectHeader { extensions: rich_extensions(), ..header(5, b"kept") };
    sender.write_object(&header, Bytes::from_static(b"kept")).await.unwrap();
    let mut subgroup = next_subgroup(&mut subscription).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().header, header);

    let one = range(Location::new(6, 5), EndLocation { group: 6, object: Some(5) });
    let object = soon("an object", fetch(&subscriber, one).await.next_object()).await.unwrap().unwrap();
    let expected =
        FetchObject { subgroup_id: Some(3), extensions: rich_extensions(), ..fetched_object(6, 5, b"kept") };
    assert_eq!((object.header, object.payload), (expected, Bytes::from_static(b"kept")));
}

async fn an_object_that_is_published_in_a_datagram_is_kept_too(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let datagram = moqingbird::wire::model::Datagram {
        track_alias: moqingbird::wire::model::TrackAlias(0),
        group_id: 3,
        object_id: 0,
        publisher_priority: Some(9),
        end_of_group: false,
        extensions: rich_extensions(),
        body: moqingbird::wire::model::DatagramBody::Payload(Bytes::from_static(b"ping")),
    };
    publication.send_datagram(datagram).await.unwrap();
    assert!(soon("a datagram", subscription.next()).await.unwrap().is_some());
    let one = range(Location::new(3, 0), EndLocation { group: 3, object: Some(0) });
    let object = soon("an object", fetch(&subscriber, one).await.next_object()).await.unwrap().unwrap();
    assert_eq!((object.header.publisher_priority, &object.payload[..]), (9, &b"ping"[..]));
    assert_eq!(object.header.extensions, rich_extensions());
}

/// A relay that keeps little: of a group that is larger, the oldest objects are lost.
async fn what_is_lost_is_told_as_unknown(mut world: World) {
    let mut options = moqingbird_relay::RelayOptions::default();
    options.cache.max_bytes = 64 << 10;
    world.relay = moqingbird_relay::Relay::new(options);
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    let mut sender = soon("a stream", publication.open_subgroup(self::options(0))).await.unwrap();
    let payload = Bytes::from(vec![1; 4096]);
    for id in 0..50 {
        soon("room", sender.write_object(&header(id, &payload), payload.clone())).await.unwrap();
    }
    let mut subgroup = next_subgroup(&mut subscription).await;
    for _ in 0..50 {
        assert!(next_object(&mut subgroup).await.is_some());
    }
    let declines = async {
        let error = RequestError::new(RequestErrorCode::NotSupported, "no FETCH here");
        next_fetch(&publisher).await.reject(error);
    };
    let asked = range(Location::new(0, 0), EndLocation { group: 0, object: Some(49) });
    let (answer, ()) = tokio::join!(subscriber.fetch(asked), declines);
    if world.subscriber == moqingbird::Version::Draft14 {
        assert_eq!(code(answer), RequestErrorCode::UnknownStatusInRange);
        return;
    }
    let mut fetched = answer.unwrap();
    let first = soon("a delivery", fetched.next()).await.unwrap().unwrap();
    let moqingbird::FetchDelivery::EndOfRange { end, status: RangeStatus::Unknown } = first else {
        panic!("not unknown: {first:?}")
    };
    let objects = all(&mut fetched).await;
    assert!(objects.len() >= 8 && objects.len() < 16, "{}", objects.len());
    assert_eq!((objects[0].1, objects.last().unwrap().1), (end.object + 1, 49));
}

async fn an_object_is_passed_on_while_it_is_fetched(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let answers = async {
        let mut sender = next_fetch(&publisher).await.accept(fetch_ok(1, None)).unwrap();
        sender.begin(&fetched_object(1, 0, &[0; 8])).unwrap();
        sender.add(Bytes::from_static(b"half")).unwrap();
        sender.flush().await.unwrap();
        sender
    };
    let (mut sender, mut fetched) = tokio::join!(answers, fetch(&subscriber, groups(1, 1)));
    let mut items = Vec::new();
    while items.len() < 2 {
        items.push(format!("{:?}", soon("a part", fetched.next_item()).await.unwrap().unwrap()));
    }
    assert!(items[1].contains("half"), "{items:?}");
    sender.add(Bytes::from_static(b"rest")).unwrap();
    sender.finish().await.unwrap();
    assert!(format!("{:?}", soon("the rest", fetched.next_item()).await.unwrap()).contains("rest"));
    assert_eq!(soon("the end", fetched.next_object()).await.unwrap(), None);
}

fn code<T: std::fmt::Debug>(result: Result<T, RequestFailed>) -> RequestErrorCode {
    match result {
        Err(RequestFailed::Rejected(rejected)) => rejected.error.code,
        other => panic!("not declined: {other:?}"),
    }
}

async fn a_fetch_of_an_unknown_track_is_declined_at_once(world: World) {
    let subscriber = world.subscriber().await;
    let answer = soon("an answer", subscriber.fetch(groups(0, 1))).await;
    assert_eq!(code(answer), RequestErrorCode::DoesNotExist);
}

async fn a_fetch_that_the_publisher_declines_is_declined(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let declines = async {
        let error = RequestError::new(RequestErrorCode::InvalidRange, "nothing there");
        next_fetch(&publisher).await.reject(error);
    };
    let (answer, ()) = tokio::join!(subscriber.fetch(groups(0, 1)), declines);
    assert_eq!(code(answer), RequestErrorCode::InvalidRange);
}

/// A fetch through the relay that has brought one object.
async fn begun(publisher: &Session, subscriber: &Session) -> (FetchSender, Fetched) {
    let answers = async {
        let mut sender = next_fetch(publisher).await.accept(fetch_ok(1, None)).unwrap();
        write(&mut sender, 1, 0, b"1/0").await;
        sender
    };
    let (sender, mut fetched) = tokio::join!(answers, fetch(subscriber, groups(1, 1)));
    assert!(soon("an object", fetched.next_object()).await.unwrap().is_some());
    (sender, fetched)
}

async fn a_fetch_that_the_publisher_breaks_off_is_reset(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (sender, mut fetched) = begun(&publisher, &subscriber).await;
    sender.reset(ResetCode::Cancelled);
    let end = soon("an end", fetched.next_object()).await;
    assert_eq!(end, Err(FetchError::Reset(ResetCode::Cancelled)));
}

async fn a_fetch_whose_publisher_dies_is_reset(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (_sender, mut fetched) = begun(&publisher, &subscriber).await;
    publisher.close(moqingbird::wire::model::SessionErrorCode::NoError, "");
    let end = soon("an end", fetched.next_object()).await;
    assert!(matches!(end, Err(FetchError::Reset(_))), "{end:?}");
}

async fn a_fetch_of_nothing_is_told_in_the_fetchers_draft(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let answers = async { next_fetch(&publisher).await.accept_empty(fetch_ok(1, None)).await.unwrap() };
    let rules = world.subscriber.draft();
    let kind = moqingbird::wire::model::RequestKind::Fetch;
    let context = moqingbird::wire::model::ErrorContext::Request(kind);
    let has_code = rules.request_code(context, RequestErrorCode::NoObjects).is_some();
    match soon("an answer", async { tokio::join!(subscriber.fetch(groups(0, 1)), answers).0 }).await {
        Ok(mut fetched) if !has_code => assert_eq!(all(&mut fetched).await, []),
        other => assert_eq!(code(other), RequestErrorCode::NoObjects),
    }
}

async fn what_the_publisher_says_of_ranges_and_statuses_is_passed_on(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let answers = async {
        let mut sender = next_fetch(&publisher).await.accept(fetch_ok(5, None)).unwrap();
        // Each draft has one of the two ways to say that there is no object.
        let none = FetchObject { status: ObjectStatus::DoesNotExist, ..fetched_object(1, 0, b"") };
        let with_status = sender.begin(&none).is_ok();
        let range = sender.end_of_range(Location::new(2, 7), RangeStatus::NonExistent);
        assert_eq!(range.is_ok(), !with_status);
        write(&mut sender, 3, 0, b"3/0").await;
        sender.finish().await.unwrap();
    };
    let asks = async {
        let mut fetched = fetch(&subscriber, groups(1, 5)).await;
        let mut said = Vec::new();
        while let Some(delivery) = soon("a delivery", fetched.next()).await.unwrap() {
            said.push(format!("{delivery:?}"));
        }
        said
    };
    let said = tokio::join!(answers, asks).1;
    assert!(said.last().is_some_and(|last| last.contains("3/0")), "{said:?}");
    use moqingbird::Version::{Draft14, Draft16};
    let first = match (world.publisher, world.subscriber) {
        (Draft14, Draft14) => Some("DoesNotExist"),
        (_, Draft16) => Some("NonExistent"),
        // Draft-14 leaves out what does not exist.
        _ => None,
    };
    match first {
        Some(first) => assert!(said.len() == 2 && said[0].contains(first), "{said:?}"),
        None => assert_eq!(said.len(), 1, "{said:?}"),
    }
}

async fn a_cancelled_fetch_is_cancelled_upstream(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (sender, fetched) = begun(&publisher, &subscriber).await;
    fetched.cancel();
    soon("the FETCH is cancelled", sender.cancelled()).await;
    // So is one that nobody has answered.
    let asking = tokio::spawn({
        let subscriber = subscriber.clone();
        async move { subscriber.fetch(groups(8, 9)).await.map(drop) }
    });
    let request = next_fetch(&publisher).await;
    asking.abort();
    soon("the FETCH is cancelled", request.cancelled()).await;
}

async fn a_joiner_gets_what_precedes_its_subscription_and_no_more(world: World) {
    covers!("D14-9.16.2.1-01", "D16-9.16.2.1-01");
    let (publisher, first) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &first).await;
    history(&publication, &mut subscription, 3..=7).await;
    let joiner = world.subscriber().await;
    let mut joined = soon("SUBSCRIBE is granted", joiner.subscribe(subscribe())).await.unwrap();
    assert_eq!(joined.largest(), Some(Location::new(7, 1)));
    let mut fetched = soon("the FETCH is answered", joined.join(2)).await.unwrap();
    let before = expected(&[(5, 0), (5, 1), (6, 0), (6, 1), (7, 0), (7, 1)]);
    assert_eq!(all(&mut fetched).await, before);
    history(&publication, &mut subscription, 8..=8).await;
    let mut subgroup = next_subgroup(&mut joined).await;
    assert_eq!(next_object(&mut subgroup).await.unwrap().location, Location::new(8, 0));
}

async fn a_joiner_of_a_track_that_the_relay_did_not_know_gets_it_from_the_publisher(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let largest = Location::new(7, 0);
    let accepts = async {
        let info = TrackInfo { largest: Some(largest), ..TrackInfo::default() };
        let publication = next_subscribe(&publisher).await.accept(info).unwrap();
        let request = next_fetch(&publisher).await;
        assert_eq!(request.start(), Location::new(6, 0));
        assert_eq!(request.end(), EndLocation { group: 7, object: Some(0) });
        let mut sender = request.accept(fetch_ok(7, Some(0))).unwrap();
        write(&mut sender, 7, 0, b"7/0").await;
        sender.finish().await.unwrap();
        publication
    };
    let joins = async {
        let subscription = soon("granted", subscriber.subscribe(subscribe())).await.unwrap();
        all(&mut soon("answered", subscription.join(1)).await.unwrap()).await
    };
    assert_eq!(tokio::join!(accepts, joins).1, expected(&[(7, 0)]));
}

async fn the_status_of_a_track_is_that_of_the_relay(world: World) {
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let (publication, mut subscription) = connected(&publisher, &subscriber).await;
    history(&publication, &mut subscription, 0..=4).await;
    let status = soon("an answer", world.subscriber().await.track_status(subscribe())).await.unwrap();
    assert_eq!(status.largest, Some(Location::new(4, 1)));
}

async fn the_status_of_a_track_that_the_relay_does_not_have_is_asked_for(world: World) {
    covers!("D14-9.20-03", "D16-9.19-02");
    let (publisher, subscriber) = (world.publisher().await, world.subscriber().await);
    let _announced = announce(&publisher).await;
    let largest = Some(Location::new(12, 5));
    let answers = async {
        match soon("a TRACK_STATUS", publisher.next_request()).await {
            Some(IncomingRequest::TrackStatus(request)) => {
                assert_eq!(request.request().track, track());
                request.accept(TrackInfo { largest, ..TrackInfo::default() }).unwrap();
            }
            other => panic!("not a TRACK_STATUS: {other:?}"),
        }
    };
    let (status, ()) = tokio::join!(subscriber.track_status(subscribe()), answers);
    assert_eq!(status.unwrap().largest, largest);
}

async fn the_status_of_an_unknown_track_is_declined_at_once(world: World) {
    let subscriber = world.subscriber().await;
    let answer = soon("an answer", subscriber.track_status(subscribe())).await;
    assert_eq!(code(answer), RequestErrorCode::DoesNotExist);
}
