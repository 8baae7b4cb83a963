//! A track in memory, served to subscribers and to those who fetch: what of it arrives, and how.
#![cfg(feature = "net")]

#[expect(dead_code, unused_macros, reason = "the tests of whole sessions use the rest")]
#[path = "support/net.rs"]
mod net;

use std::collections::BTreeMap;

use bytes::Bytes;
use moqingbird::track::{SubgroupInfo, SubgroupWriter, Track, TrackOptions, Writer, serve, serve_fetch};
use moqingbird::wire::model::{
    Datagram, DatagramBody, EndLocation, Extensions, Fetch, FetchRange, GroupOrder, Location, ObjectStatus,
    PublishDoneCode, RangeStatus, ReasonPhrase, RequestError, RequestErrorCode, RequestUpdate, ResetCode,
    Subscribe, SubscriptionFilter, TrackAlias, TrackExtensions,
};
use moqingbird::{
    Delivery, FetchDelivery, Fetched, IncomingRequest, PublicationError, RequestFailed, Session,
    SubgroupError, Subscription, TrackInfo, Version, memory_pair,
};
use moqingbird_ledger::covers;
use net::{next_subgroup, object, options, soon, subscribed};
use tokio::sync::watch;

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
        an_object_has_one_payload_however_it_is_asked_for;
        a_fetch_brings_every_object_of_its_range_once;
        groups_are_fetched_in_the_order_asked_for_and_objects_ascending;
        a_fetch_ends_at_the_largest_object;
        the_end_of_the_track_is_told_with_its_last_object_only;
        a_fetch_of_what_is_no_longer_known_says_so;
        a_subscriber_hears_of_the_largest_object_that_has_begun;
        what_was_published_before_is_not_delivered;
        an_object_comes_once_whatever_is_updated;
        a_subgroup_that_a_pause_interrupts_is_reset;
        objects_before_the_start_are_no_reason_to_reset;
        a_subgroup_that_is_not_wanted_is_not_opened_again;
        nothing_is_published_behind_the_end_of_the_track;
        the_end_of_a_group_is_one_above_its_largest_object;
        the_end_of_a_track_is_one_above_its_last_object_or_a_group_of_its_own;
        a_track_is_sent_in_subgroups_or_in_datagrams_where_the_draft_says_so;
    }
}

/// A track whose sessions answer for it.
struct Origin {
    version: Version,
    writer: Writer,
    /// Whether the last subscriber wants objects.
    forwarding: watch::Sender<bool>,
}

impl Origin {
    fn new(version: Version) -> Self {
        Self::with(version, TrackOptions::default())
    }

    fn with(version: Version, options: TrackOptions) -> Self {
        Self { version, writer: Writer::new(options), forwarding: watch::channel(true).0 }
    }

    /// A client of the track.
    async fn client(&self) -> Session {
        let (client, server) = memory_pair(self.version).await.unwrap();
        tokio::spawn(answer(server, self.writer.track(), self.forwarding.clone()));
        client
    }

    /// Waits until the subscriber's wish has come.
    async fn comes_to(&self, forward: bool) {
        self.forwarding.subscribe().wait_for(|it| *it == forward).await.unwrap();
    }

    fn subgroup(&self, group_id: u64) -> SubgroupWriter {
        self.writer.open_subgroup(SubgroupInfo {
            group_id,
            subgroup_id: Some(0),
            publisher_priority: 7,
            extensions: false,
            end_of_group: false,
        })
    }

    /// Writes a group of these objects.
    fn group(&self, group: u64, ids: impl IntoIterator<Item = u64>) {
        let mut subgroup = self.subgroup(group);
        write(&mut subgroup, group, ids);
        subgroup.finish().unwrap();
    }
}

fn write(subgroup: &mut SubgroupWriter, group: u64, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        let payload = payload(group, id);
        subgroup.object(object(id, &payload)).unwrap();
        subgroup.chunk(payload).unwrap();
    }
}

fn payload(group: u64, id: u64) -> Bytes {
    Bytes::from(format!("{group}.{id} ").repeat(1 + id as usize))
}

async fn answer(session: Session, track: Track, forwarding: watch::Sender<bool>) {
    while let Some(request) = session.next_request().await {
        match request {
            IncomingRequest::Subscribe(request) => {
                let reader = track.reader(request.request().filter);
                let info = TrackInfo { largest: reader.largest(), ..TrackInfo::default() };
                let publication = request.accept(info).unwrap();
                let (track, forwarding) = (track.clone(), forwarding.clone());
                tokio::spawn(async move {
                    let tell = |forward| {
                        forwarding.send_replace(forward);
                    };
                    let _ = serve(publication, &track, reader, 16, tell).await;
                });
            }
            IncomingRequest::Fetch(request) => {
                let order = request.request().group_order.unwrap_or(GroupOrder::Ascending);
                match track.held(request.start(), request.end(), order) {
                    Some(held) => drop(tokio::spawn(serve_fetch(request, held, TrackExtensions::default()))),
                    None => request.reject(RequestError::new(RequestErrorCode::InvalidRange, "nothing")),
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

type Objects = BTreeMap<(u64, u64), Bytes>;

/// As many objects as are told, none of which comes twice.
async fn collect(subscription: &mut Subscription, count: usize) -> Objects {
    let mut objects = Objects::new();
    while objects.len() < count {
        let Some(Delivery::Subgroup(mut subgroup)) = subscription.next().await.unwrap() else {
            panic!("not a subgroup")
        };
        while let Some(object) = subgroup.next_object().await.unwrap() {
            let at = (object.location.group, object.location.object);
            assert_eq!(objects.insert(at, object.payload), None, "{at:?} came twice");
        }
    }
    objects
}

fn groups(start: (u64, u64), end: u64, last: Option<u64>, group_order: Option<GroupOrder>) -> Fetch {
    let range = FetchRange::Standalone {
        track: net::track(),
        start: Location::new(start.0, start.1),
        end: EndLocation { group: end, object: last },
    };
    Fetch { group_order, ..Fetch::new(range) }
}

/// Everything that a fetch brings, in its order.
async fn all(mut fetched: Fetched) -> Vec<((u64, u64), Bytes)> {
    let mut objects = Vec::new();
    while let Some(object) = fetched.next_object().await.unwrap() {
        let at = object.header.location;
        objects.push(((at.group, at.object), object.payload));
    }
    objects
}

fn places(objects: &[((u64, u64), Bytes)]) -> Vec<(u64, u64)> {
    objects.iter().map(|(at, _)| *at).collect()
}

async fn an_object_has_one_payload_however_it_is_asked_for(version: Version) {
    covers!("D14-2.5.1-02", "D14-5.1-19", "D16-2.1-01", "D16-9.2-08");
    let origin = Origin::new(version);
    let plain = Subscribe::new(net::track());
    let particular = Subscribe {
        subscriber_priority: 3,
        group_order: Some(GroupOrder::Descending),
        filter: Some(SubscriptionFilter::AbsoluteStart(Location::new(0, 0))),
        delivery_timeout: Some(std::time::Duration::from_secs(60)),
        ..plain.clone()
    };
    let clients = [origin.client().await, origin.client().await];
    let mut first = clients[0].subscribe(plain).await.unwrap();
    let mut second = clients[1].subscribe(particular).await.unwrap();
    for group in 0..3 {
        origin.group(group, 0..4);
    }
    let subscribed = collect(&mut first, 12).await;
    assert!(subscribed.iter().all(|(at, bytes)| *bytes == payload(at.0, at.1)));
    assert_eq!(collect(&mut second, 12).await, subscribed);
    for order in [None, None, Some(GroupOrder::Descending)] {
        let fetched = clients[0].fetch(groups((0, 0), 2, None, order)).await.unwrap();
        assert_eq!(all(fetched).await.into_iter().collect::<Objects>(), subscribed);
    }
}

async fn a_fetch_brings_every_object_of_its_range_once(version: Version) {
    covers!("D14-9.16.3-04");
    let origin = Origin::new(version);
    for group in 0..6 {
        origin.group(group, 0..3);
    }
    let client = origin.client().await;
    let fetched = client.fetch(groups((2, 1), 4, Some(0), None)).await.unwrap();
    assert_eq!(places(&all(fetched).await), [(2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (4, 0)]);
}

async fn groups_are_fetched_in_the_order_asked_for_and_objects_ascending(version: Version) {
    covers!("D14-9.16.3-11", "D16-9.16.3-07");
    let origin = Origin::new(version);
    for group in 0..6 {
        origin.group(group, 0..3);
    }
    let client = origin.client().await;
    let of = |group| (0..3).map(move |object| (group, object));
    for (order, expected) in [
        (GroupOrder::Descending, [4, 3, 2].into_iter().flat_map(of).collect::<Vec<_>>()),
        (GroupOrder::Ascending, [2, 3, 4].into_iter().flat_map(of).collect()),
    ] {
        let fetched = client.fetch(groups((2, 0), 4, None, Some(order))).await.unwrap();
        assert_eq!(places(&all(fetched).await), expected);
    }
}

async fn a_fetch_ends_at_the_largest_object(version: Version) {
    covers!("D16-9.16.3-08");
    let origin = Origin::new(version);
    origin.group(2, 0..3);
    let client = origin.client().await;
    for (end, last) in [(2, Some(9)), (9, None), (2, Some(2))] {
        let mut fetched = client.fetch(groups((2, 1), end, last, None)).await.unwrap();
        assert_eq!(fetched.ok().await.unwrap().end, EndLocation { group: 2, object: Some(2) });
        assert_eq!(places(&all(fetched).await), [(2, 1), (2, 2)]);
    }
}

async fn the_end_of_the_track_is_told_with_its_last_object_only(version: Version) {
    covers!("D14-9.17-08", "D16-9.17-05");
    let origin = Origin::new(version);
    origin.group(0, 0..3);
    origin.group(1, 0..3);
    let client = origin.client().await;
    let told = async |end, last| {
        let mut fetched = client.fetch(groups((0, 0), end, last, None)).await.unwrap();
        fetched.ok().await.unwrap().end_of_track
    };
    assert!(!told(1, None).await, "more may come");
    origin.writer.finish(PublishDoneCode::TrackEnded, ReasonPhrase::default());
    assert!(told(1, Some(2)).await && told(1, None).await && told(9, None).await);
    assert!(!told(1, Some(1)).await && !told(0, None).await, "not the last object");
}

async fn a_fetch_of_what_is_no_longer_known_says_so(version: Version) {
    covers!("D14-9.16.3-12", "D16-9.16.3-09");
    let mut options = TrackOptions::default();
    options.max_groups = 2;
    let origin = Origin::with(version, options);
    for group in 0..5 {
        origin.group(group, 0..2);
    }
    let client = origin.client().await;
    let answer = client.fetch(groups((0, 0), 4, None, None)).await;
    if version == Version::Draft14 {
        let Err(RequestFailed::Rejected(rejected)) = answer else { panic!("{answer:?}") };
        assert_eq!(rejected.error.code, RequestErrorCode::UnknownStatusInRange);
        assert_eq!(rejected.wire_code, Some(0x8));
        return;
    }
    // Draft-16 says it on the stream (§10.4.4.2).
    let mut fetched = answer.unwrap();
    let Some(FetchDelivery::EndOfRange { end, status }) = fetched.next().await.unwrap() else { panic!() };
    assert_eq!(status, RangeStatus::Unknown);
    let first = places(&all(fetched).await)[0];
    assert!((end.group, end.object) < first && first.0 > 0, "{end:?}, then {first:?}");
}

async fn a_subscriber_hears_of_the_largest_object_that_has_begun(version: Version) {
    covers!("D14-6.2-02", "D16-5.1.2-10", "D16-6.2-02", "D16-9.2.2.7-02");
    let origin = Origin::new(version);
    let early = origin.client().await;
    let subscription = early.subscribe(Subscribe::new(net::track())).await.unwrap();
    assert_eq!(subscription.largest(), None, "nothing has been published");
    let mut subgroup = origin.subgroup(4);
    write(&mut subgroup, 4, 0..2);
    // Of a thousand bytes one is there.
    subgroup.object(object(2, &[0; 1000])).unwrap();
    subgroup.chunk(Bytes::from_static(b"x")).unwrap();
    let late = origin.client().await;
    let subscription = late.subscribe(Subscribe::new(net::track())).await.unwrap();
    assert_eq!(subscription.largest(), Some(Location::new(4, 2)));
}

async fn what_was_published_before_is_not_delivered(version: Version) {
    covers!("D14-9.7-05", "D16-5.1.2-05", "D16-5.1.2-06", "D16-9.9-04");
    let origin = Origin::new(version);
    origin.group(0, 0..3);
    let client = origin.client().await;
    // Not even if the range reaches back to it.
    let filter = Some(SubscriptionFilter::AbsoluteStart(Location::new(0, 0)));
    let mut subscription =
        client.subscribe(Subscribe { filter, ..Subscribe::new(net::track()) }).await.unwrap();
    let start = Location::new(0, 0);
    let filter = Some(SubscriptionFilter::AbsoluteRange { start, end_group: 1 });
    let other = origin.client().await;
    let mut bounded = other.subscribe(Subscribe { filter, ..Subscribe::new(net::track()) }).await.unwrap();
    origin.group(1, 0..3);
    for subscription in [&mut subscription, &mut bounded] {
        let delivered = collect(subscription, 3).await;
        assert_eq!(delivered.into_keys().collect::<Vec<_>>(), [(1, 0), (1, 1), (1, 2)]);
    }
}

async fn an_object_comes_once_whatever_is_updated(version: Version) {
    covers!("D14-9.10-13");
    let origin = Origin::new(version);
    let client = origin.client().await;
    let filter = Some(SubscriptionFilter::AbsoluteStart(Location::new(0, 0)));
    let mut subscription =
        client.subscribe(Subscribe { filter, ..Subscribe::new(net::track()) }).await.unwrap();
    origin.group(0, 0..3);
    let mut objects = collect(&mut subscription, 3).await;
    for (group, start) in [(1, 0), (3, 1), (5, 3)] {
        for forward in [false, true] {
            let filter = Some(SubscriptionFilter::AbsoluteStart(Location::new(start, 0)));
            let update = RequestUpdate { forward: Some(forward), filter, ..RequestUpdate::default() };
            subscription.update(update).await.unwrap();
            origin.comes_to(forward).await;
            origin.group(group + u64::from(forward), 0..3);
        }
        for (at, payload) in collect(&mut subscription, 3).await {
            assert_eq!(objects.insert(at, payload), None, "{at:?} came twice");
        }
    }
    let groups: std::collections::BTreeSet<_> = objects.keys().map(|at| at.0).collect();
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), [0, 2, 4, 6], "what was wanted came");
}

async fn a_subgroup_that_a_pause_interrupts_is_reset(version: Version) {
    covers!("D16-10.4.3-03");
    let origin = Origin::new(version);
    let client = origin.client().await;
    let mut subscription = client.subscribe(Subscribe::new(net::track())).await.unwrap();
    let mut subgroup = origin.subgroup(0);
    write(&mut subgroup, 0, 0..2);
    let mut received = next_subgroup(&mut subscription).await;
    for id in 0..2 {
        assert_eq!(received.next_object().await.unwrap().unwrap().location, Location::new(0, id));
    }
    for forward in [false, true] {
        let update = RequestUpdate { forward: Some(forward), ..RequestUpdate::default() };
        subscription.update(update).await.unwrap();
        origin.comes_to(forward).await;
        write(&mut subgroup, 0, [2 + u64::from(forward)]);
    }
    subgroup.finish().unwrap();
    // Object 2 was left out, so the stream does not end as if it had brought all.
    let error = received.next_object().await.unwrap_err();
    assert!(matches!(error, SubgroupError::Reset(_)), "{error}");
    let resumed = collect(&mut subscription, 1).await;
    assert_eq!(resumed.into_keys().collect::<Vec<_>>(), [(0, 3)]);
}

async fn objects_before_the_start_are_no_reason_to_reset(version: Version) {
    covers!("D14-10.4.3-02");
    let origin = Origin::new(version);
    let client = origin.client().await;
    let filter = Some(SubscriptionFilter::AbsoluteStart(Location::new(5, 4)));
    let mut subscription =
        client.subscribe(Subscribe { filter, ..Subscribe::new(net::track()) }).await.unwrap();
    origin.group(5, 0..10);
    let mut received = next_subgroup(&mut subscription).await;
    let mut ids = Vec::new();
    // `None` is FIN; a reset would be an error.
    while let Some(object) = received.next_object().await.unwrap() {
        ids.push(object.location.object);
    }
    assert_eq!(ids, (4..10).collect::<Vec<_>>());
}

async fn a_subgroup_that_is_not_wanted_is_not_opened_again(version: Version) {
    covers!("D16-10.4.3-14");
    let origin = Origin::new(version);
    let client = origin.client().await;
    let mut subscription = client.subscribe(Subscribe::new(net::track())).await.unwrap();
    let mut subgroup = origin.subgroup(0);
    write(&mut subgroup, 0, [0]);
    let mut received = next_subgroup(&mut subscription).await;
    assert!(received.next_object().await.unwrap().is_some());
    received.stop(ResetCode::Cancelled);
    for id in 1..20 {
        write(&mut subgroup, 0, [id]);
        tokio::task::yield_now().await;
    }
    subgroup.finish().unwrap();
    origin.group(1, [0]);
    // The next that comes is of the next group.
    assert_eq!(next_subgroup(&mut subscription).await.group_id(), 1);
}

#[tokio::test]
async fn what_came_in_datagrams_is_fetched_as_such_whether_or_not_it_is_forwarded() {
    covers!("D16-9.16.3-11", "D16-10.4.4.1-04");
    let origin = Origin::new(Version::Draft16);
    let client = origin.client().await;
    let paused = Subscribe { forward: false, ..Subscribe::new(net::track()) };
    let _subscription = client.subscribe(paused).await.unwrap();
    origin.writer.datagram(datagram(0, 0, DatagramBody::Payload(payload(0, 0))));
    origin.group(0, [1]);
    origin.writer.datagram(datagram(0, 2, DatagramBody::Payload(payload(0, 2))));
    let mut fetched = client.fetch(groups((0, 0), 0, None, None)).await.unwrap();
    // Without a Subgroup ID, which only bit 0x40 of the flags can say.
    for (id, subgroup) in [(0, None), (1, Some(0)), (2, None)] {
        let object = fetched.next_object().await.unwrap().unwrap();
        assert_eq!((object.header.location.object, object.header.subgroup_id), (id, subgroup));
        assert_eq!(object.payload, payload(0, id));
    }
    assert_eq!(fetched.next_object().await.unwrap(), None);
}

fn datagram(group_id: u64, object_id: u64, body: DatagramBody) -> Datagram {
    Datagram {
        track_alias: TrackAlias(0),
        group_id,
        object_id,
        publisher_priority: Some(7),
        end_of_group: false,
        extensions: Extensions::NONE,
        body,
    }
}

/// A session that subscribes to another's track, and what each has of the subscription.
async fn direct(version: Version) -> (Session, Session, Subscription, moqingbird::Publication) {
    let (client, server) = memory_pair(version).await.unwrap();
    let (subscription, publication) = subscribed(&client, &server).await;
    (client, server, subscription, publication)
}

async fn nothing_is_published_behind_the_end_of_the_track(version: Version) {
    covers!("D14-10.2.1.1-04");
    let (_client, _server, _subscription, publication) = direct(version).await;
    let mut last = publication.open_subgroup(options(4)).await.unwrap();
    let mut other = publication.open_subgroup(options(5)).await.unwrap();
    let mut earlier = publication.open_subgroup(options(3)).await.unwrap();
    for _ in 0..2 {
        last.write(Bytes::from_static(b"x")).await.unwrap();
    }
    last.finish_track().unwrap();
    let refused = |result| matches!(result, Err(PublicationError::Misuse(_)));
    assert!(refused(other.write(Bytes::from_static(b"x")).await), "a later group");
    let mut same = publication.open_subgroup(options(4)).await.unwrap();
    assert!(refused(same.write_object(&object(2, b"x"), Bytes::from_static(b"x")).await), "a later object");
    assert!(same.write_object(&object(1, b"x"), Bytes::from_static(b"x")).await.is_ok(), "an earlier one");
    assert!(earlier.write(Bytes::from_static(b"x")).await.is_ok(), "an earlier group");
    let late = datagram(6, 0, DatagramBody::Payload(Bytes::from_static(b"x")));
    assert!(refused(publication.send_datagram(late).await), "a datagram");
}

/// The statuses of a group that has these objects, ended by `end`.
async fn ended(
    version: Version,
    objects: u64,
    group: u64,
    end: fn(moqingbird::SubgroupSender) -> Result<(), PublicationError>,
) -> (ObjectStatus, Location) {
    let (_client, _server, mut subscription, publication) = direct(version).await;
    let mut subgroup = publication.open_subgroup(options(group)).await.unwrap();
    for _ in 0..objects {
        subgroup.write(Bytes::from_static(b"x")).await.unwrap();
    }
    end(subgroup).unwrap();
    let mut received = next_subgroup(&mut subscription).await;
    for id in 0..objects {
        assert_eq!(received.next_object().await.unwrap().unwrap().location.object, id);
    }
    let last = received.next_object().await.unwrap().unwrap();
    assert_eq!((last.payload.len(), received.next_object().await.unwrap()), (0, None));
    (last.header.status, last.location)
}

async fn the_end_of_a_group_is_one_above_its_largest_object(version: Version) {
    covers!("D14-10.2.1.1-06");
    for (objects, at) in [(10, 10), (0, 0)] {
        let end = ended(version, objects, 5, moqingbird::SubgroupSender::finish_group).await;
        assert_eq!(end, (ObjectStatus::EndOfGroup, Location::new(5, at)));
    }
}

async fn the_end_of_a_track_is_one_above_its_last_object_or_a_group_of_its_own(version: Version) {
    covers!("D14-10.2.1.1-07");
    for (objects, group, at) in [(4, 9, 4), (0, 10, 0)] {
        let end = ended(version, objects, group, moqingbird::SubgroupSender::finish_track).await;
        assert_eq!(end, (ObjectStatus::EndOfTrack, Location::new(group, at)));
    }
}

async fn a_track_is_sent_in_subgroups_or_in_datagrams_where_the_draft_says_so(version: Version) {
    covers!("D14-10-03");
    let payload = || DatagramBody::Payload(Bytes::from_static(b"x"));
    let may_mix = version == Version::Draft16;

    let (_client, _server, _subscription, publication) = direct(version).await;
    publication.open_subgroup(options(0)).await.unwrap().finish().unwrap();
    assert_eq!(publication.send_datagram(datagram(0, 0, payload())).await.is_ok(), may_mix);

    let (_client, _server, _subscription, publication) = direct(version).await;
    publication.send_datagram(datagram(0, 0, payload())).await.unwrap();
    assert_eq!(publication.open_subgroup(options(0)).await.is_ok(), may_mix);
    publication.send_datagram(datagram(0, 1, payload())).await.unwrap();
}
