//! Origins and clients: announcements that come and go, sessions that are lost and found again.
#![cfg(feature = "net")]

#[path = "support/net.rs"]
#[expect(dead_code, reason = "each test file uses its part")]
#[macro_use]
mod net;

use std::collections::BTreeMap;
use std::time::Duration;

use moqingbird::track::{Order, ReadOptions, Start, TrackEvent, TrackOptions, TrackSubscription, Writer};
use moqingbird::wire::model::{FullTrackName, PublishDoneCode, SessionErrorCode, TrackNamespace};
use moqingbird::{
    Client, ClientOptions, ClientState, NamespaceEvent, Origin, ServeOptions, Server, ServerOptions, Session,
    TransportKind, Trust, Version, memory_pair,
};
use moqingbird_ledger::covers;
use net::{Ends, soon};

mod in_each {
    everywhere! {
        broadcasts_come_and_go;
        a_namespace_can_be_waited_for;
        a_blind_subscribe_needs_no_announcement;
        several_prefixes_may_overlap;
        the_later_of_two_wishes_may_be_the_wider;
    }
}

fn namespace(path: &str) -> TrackNamespace {
    TrackNamespace::from_path(path).unwrap()
}

fn name(path: &str, track: &str) -> FullTrackName {
    FullTrackName::new(namespace(path), track.to_owned()).unwrap()
}

fn came(path: &str) -> NamespaceEvent {
    NamespaceEvent::Namespace(namespace(path))
}

fn went(path: &str) -> NamespaceEvent {
    NamespaceEvent::NamespaceDone(namespace(path))
}

async fn broadcasts_come_and_go(ends: Ends) {
    let (publisher, subscriber) = (Origin::new(), Origin::new());
    let before = publisher.create_broadcast(namespace("live/one")).unwrap();
    let _elsewhere = publisher.create_broadcast(namespace("other")).unwrap();
    let mut announced = subscriber.announced(namespace("live"));
    let (_server, _client) = (publisher.attach(&ends.server), subscriber.attach(&ends.client));
    assert_eq!(announced.next().await, came("live/one"));
    let after = publisher.create_broadcast(namespace("live/two")).unwrap();
    assert_eq!(announced.next().await, came("live/two"));
    drop(before);
    assert_eq!(announced.next().await, went("live/one"));
    // Of its own broadcasts an origin hears too.
    let _own = subscriber.create_broadcast(namespace("live/own")).unwrap();
    assert_eq!(announced.next().await, came("live/own"));
    drop(after);
    assert_eq!(announced.next().await, went("live/two"));
}

async fn a_namespace_can_be_waited_for(ends: Ends) {
    let (publisher, subscriber) = (Origin::new(), Origin::new());
    let (_server, _client) = (publisher.attach(&ends.server), subscriber.attach(&ends.client));
    let space = namespace("live/late");
    let waits = subscriber.wait_for(&space);
    let comes = async {
        tokio::task::yield_now().await;
        let _other = publisher.create_broadcast(namespace("live/late/below")).unwrap();
        publisher.create_broadcast(space.clone()).unwrap()
    };
    let ((), _broadcast) = tokio::join!(waits, comes);
}

async fn a_blind_subscribe_needs_no_announcement(ends: Ends) {
    let (publisher, subscriber) = (Origin::new(), Origin::new());
    let broadcast = publisher.create_broadcast(namespace("live/silent")).unwrap();
    let writer = broadcast.create_track("track", TrackOptions::default()).unwrap();
    writer.write_frame("heard all the same");
    let mut reader = subscriber.subscribe(name("live/silent", "track"), ReadOptions::default());
    let _server = publisher.attach_with(&ends.server, ServeOptions::default().announce(false));
    let _client = subscriber.attach(&ends.client);
    assert_eq!(&reader.next_object().await.unwrap().unwrap().payload[..], b"heard all the same");
}

async fn several_prefixes_may_overlap(ends: Ends) {
    let (publisher, subscriber) = (Origin::new(), Origin::new());
    let mut wide = subscriber.announced(namespace("live"));
    let mut narrow = subscriber.announced(namespace("live/cam"));
    let (_server, _client) = (publisher.attach(&ends.server), subscriber.attach(&ends.client));
    let _broadcast = publisher.create_broadcast(namespace("live/cam/1")).unwrap();
    assert_eq!(wide.next().await, came("live/cam/1"));
    assert_eq!(narrow.next().await, came("live/cam/1"));
}

async fn the_later_of_two_wishes_may_be_the_wider(ends: Ends) {
    let (publisher, subscriber) = (Origin::new(), Origin::new());
    let _before = publisher.create_broadcast(namespace("live/cam/1")).unwrap();
    let mut narrow = subscriber.announced(namespace("live/cam"));
    let (_server, _client) = (publisher.attach(&ends.server), subscriber.attach(&ends.client));
    assert_eq!(narrow.next().await, came("live/cam/1"));
    let mut wide = subscriber.announced(namespace("live"));
    let _after = publisher.create_broadcast(namespace("live/mic")).unwrap();
    let mut told = BTreeMap::new();
    while told.len() < 2 {
        match wide.next().await {
            NamespaceEvent::Namespace(namespace) => told.insert(namespace, ()),
            NamespaceEvent::NamespaceDone(namespace) => told.remove(&namespace),
        };
    }
}

#[tokio::test]
async fn one_origin_is_shared_by_several_sessions() {
    let origin = Origin::new();
    let broadcast = origin.create_broadcast(namespace("live")).unwrap();
    let writer = broadcast.create_track("track", TrackOptions::default()).unwrap();
    writer.write_frame("to all");
    let mut sessions = Vec::new();
    for version in [Version::Draft14, Version::Draft16, Version::Draft16] {
        let (client, server) = memory_pair(version).await.unwrap();
        sessions.push((client.clone(), origin.attach(&server)));
        let mut reader =
            TrackSubscription::open(&client, name("live", "track"), ReadOptions::default()).await.unwrap();
        let object = soon("an object", reader.next_object()).await.unwrap().unwrap();
        assert_eq!(&object.payload[..], b"to all");
    }
    // A reader asks the peer that has the track, whichever it is.
    let reader_origin = Origin::new();
    let (empty_client, empty_server) = memory_pair(Version::Draft16).await.unwrap();
    let nobody = Origin::new();
    let _attached = [
        reader_origin.attach(&sessions[0].0),
        reader_origin.attach(&empty_client),
        nobody.attach(&empty_server),
    ];
    let mut reader = reader_origin.subscribe(name("live", "track"), ReadOptions::default());
    let object = soon("an object", reader.next_object()).await.unwrap().unwrap();
    assert_eq!(&object.payload[..], b"to all");
}

#[tokio::test]
async fn a_peer_that_wants_tracks_is_offered_them() {
    use moqingbird::IncomingRequest;
    use moqingbird::wire::model::PublishOk;
    for version in Version::ALL {
        let (client, server) = memory_pair(*version).await.unwrap();
        let origin = Origin::new();
        let broadcast = origin.create_broadcast(namespace("live")).unwrap();
        let writer = broadcast.create_track("early", TrackOptions::default()).unwrap();
        let options = ServeOptions::default().announce(false).publish(true);
        let _attached = origin.attach_with(&client, options);
        for (track, frame) in [("early", "one"), ("late", "two")] {
            let late =
                (track == "late").then(|| broadcast.create_track(track, TrackOptions::default()).unwrap());
            let offered = soon("an offer", server.next_request()).await;
            let Some(IncomingRequest::Publish(offer)) = offered else { panic!("{offered:?}") };
            assert_eq!(offer.request().track, name("live", track));
            let mut subscription = offer.accept(PublishOk::default()).unwrap();
            late.as_ref().unwrap_or(&writer).write_frame(frame);
            let mut subgroup = soon("a subgroup", net::next_subgroup(&mut subscription)).await;
            let object = soon("an object", subgroup.next_object()).await.unwrap().unwrap();
            assert_eq!(object.payload, frame);
        }
    }
}

#[tokio::test]
async fn a_broadcast_is_of_one_writer() {
    let origin = Origin::new();
    assert!(origin.create_broadcast(TrackNamespace::empty()).is_err());
    let broadcast = origin.create_broadcast(namespace("live")).unwrap();
    assert!(origin.create_broadcast(namespace("live")).is_err());
    let writer = broadcast.create_track("track", TrackOptions::default()).unwrap();
    assert!(broadcast.create_track("track", TrackOptions::default()).is_err());
    writer.complete();
    assert!(broadcast.create_track("track", TrackOptions::default()).is_ok());
    drop(broadcast);
    assert!(origin.create_broadcast(namespace("live")).is_ok());
}

/// A server that serves an origin to whoever comes.
struct Serving {
    origin: Origin,
    server: Server,
}

impl Serving {
    fn new(origin: &Origin, options: &ServerOptions) -> Self {
        Self { origin: origin.clone(), server: Server::bind(options).unwrap() }
    }

    async fn accept(&self) -> (Session, moqingbird::Attached) {
        let session = self.server.accept().await.unwrap().accept().await.unwrap();
        let attached = self.origin.attach(&session);
        (session, attached)
    }

    fn url(&self, transport: TransportKind) -> moqingbird::ServerUrl {
        let scheme = if transport == TransportKind::Quic { "moqt" } else { "https" };
        format!("{scheme}://{}/", self.server.local_addrs()[0]).parse().unwrap()
    }
}

/// In every draft over both networks.
async fn in_each_network<F: Future<Output = ()>>(scenario: impl Fn(TransportKind, Version) -> F) {
    for transport in [TransportKind::Quic, TransportKind::WebTransport] {
        for version in Version::ALL {
            soon("the scenario", scenario(transport, *version)).await;
        }
    }
}

fn quick(version: Version) -> ClientOptions {
    let mut options = ClientOptions::default();
    options.connect.versions = vec![version];
    options.connect.trust = Trust::Insecure;
    options.backoff.initial = Duration::from_millis(20);
    options
}

async fn numbers(reader: &mut TrackSubscription, expected: std::ops::Range<u64>) {
    for number in expected {
        match reader.next().await.unwrap() {
            Some(TrackEvent::Object(object)) => assert_eq!(object.payload, number.to_string()),
            other => panic!("{other:?} instead of {number}"),
        }
    }
}

fn write(writer: &Writer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        writer.write_frame(number.to_string());
    }
}

#[tokio::test]
async fn a_subscription_goes_on_after_its_session_is_lost_without_gap_or_duplicate() {
    in_each_network(|transport, version| async move {
        for order in [Order::Sequence, Order::Arrival] {
            let origin = Origin::new();
            let broadcast = origin.create_broadcast(namespace("live")).unwrap();
            let writer = broadcast.create_track("numbers", TrackOptions::default()).unwrap();
            let serving = Serving::new(&origin, &ServerOptions::default());
            write(&writer, 0..3);

            let reader_origin = Origin::new();
            let client = Client::start(serving.url(transport), quick(version), &reader_origin);
            let options = ReadOptions::default().start(Start::GroupsBefore(1)).order(order);
            let mut reader = reader_origin.subscribe(name("live", "numbers"), options);
            let (session, _attached) = serving.accept().await;
            numbers(&mut reader, 1..3).await;
            write(&writer, 3..5);
            numbers(&mut reader, 3..4).await;

            session.close(SessionErrorCode::InternalError, "a crash");
            session.closed().await;
            write(&writer, 5..8);
            let ((_session, _attached), ()) = tokio::join!(serving.accept(), numbers(&mut reader, 4..8));
            write(&writer, 8..9);
            numbers(&mut reader, 8..9).await;
            writer.complete();
            assert_eq!(reader.next().await.unwrap(), None);
            assert_eq!((reader.gaps(), reader.done().unwrap().code), (0, PublishDoneCode::TrackEnded));
            client.close(SessionErrorCode::NoError, "").await;
        }
    })
    .await;
}

#[tokio::test]
async fn goaway_is_followed_to_the_new_uri_without_gap_or_duplicate() {
    covers!("D14-9.4-05", "D16-8.4.1-01", "D16-9.4-08");
    in_each_network(|transport, version| async move {
        let origin = Origin::new();
        let broadcast = origin.create_broadcast(namespace("live")).unwrap();
        let writer = broadcast.create_track("numbers", TrackOptions::default()).unwrap();
        let [old, new] = [0, 1].map(|_| Serving::new(&origin, &ServerOptions::default()));

        let reader_origin = Origin::new();
        let client = Client::start(old.url(transport), quick(version), &reader_origin);
        let mut reader = reader_origin.subscribe(name("live", "numbers"), ReadOptions::default());
        let ((session, _attached), granted) = tokio::join!(old.accept(), reader.granted());
        granted.unwrap();
        write(&writer, 0..2);
        numbers(&mut reader, 0..2).await;

        session.go_away(&new.url(transport).to_string()).unwrap();
        write(&writer, 2..5);
        let ((session, _attached), ()) = tokio::join!(new.accept(), numbers(&mut reader, 2..5));
        write(&writer, 5..7);
        numbers(&mut reader, 5..7).await;
        // The server has its session before the client does.
        let is_at_new = async || {
            client.connected().await.unwrap();
            match client.state() {
                ClientState::Connected { url, .. } => assert_eq!(*url, new.url(transport)),
                other => panic!("{other:?}"),
            }
        };
        is_at_new().await;

        // No URI is the one that it is at, not the one that it began with.
        session.go_away("").unwrap();
        write(&writer, 7..9);
        let ((_session, _attached), ()) = tokio::join!(new.accept(), numbers(&mut reader, 7..9));
        is_at_new().await;
        assert_eq!(reader.gaps(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_ends_on_its_way_to_another_server_takes_leave_of_the_first() {
    in_each_network(|transport, version| async move {
        let origin = Origin::new();
        let [first, nowhere] = [0, 1].map(|_| Serving::new(&origin, &ServerOptions::default()));
        let elsewhere = nowhere.url(transport);
        drop(nowhere);
        let mut client = Client::start(first.url(transport), quick(version), &Origin::new());
        let (session, _attached) = first.accept().await;
        session.go_away(&elsewhere.to_string()).unwrap();
        while !matches!(client.changed().await, ClientState::Connecting { url, .. } if *url == elsewhere) {}
        client.close(SessionErrorCode::NoError, "done").await;
        assert!(session.closed().await.to_string().contains("done"));
    })
    .await;
}

#[tokio::test]
async fn what_is_published_is_announced_again_in_the_next_session() {
    in_each_network(|transport, version| async move {
        let publisher = Origin::new();
        let broadcast = publisher.create_broadcast(namespace("live")).unwrap();
        let writer = broadcast.create_track("numbers", TrackOptions::default()).unwrap();
        let receiver = Origin::new();
        let serving = Serving::new(&receiver, &ServerOptions::default());
        let _client = Client::start(serving.url(transport), quick(version), &publisher);
        let mut announced = receiver.announced(TrackNamespace::from_path("live").unwrap());
        let mut reader = receiver.subscribe(name("live", "numbers"), ReadOptions::default());

        let (session, _attached) = serving.accept().await;
        assert_eq!(announced.next().await, came("live"));
        reader.granted().await.unwrap();
        write(&writer, 0..2);
        numbers(&mut reader, 0..2).await;
        session.close(SessionErrorCode::InternalError, "a crash");
        assert_eq!(announced.next().await, went("live"));
        write(&writer, 2..4);
        let ((_session, _attached), event) = tokio::join!(serving.accept(), announced.next());
        assert_eq!(event, came("live"));
        numbers(&mut reader, 2..4).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_tells_how_it_stands_and_may_give_up() {
    let server = Server::bind(&ServerOptions::default()).unwrap();
    let url: moqingbird::ServerUrl = format!("moqt://{}", server.local_addrs()[0]).parse().unwrap();
    drop(server);
    let mut options = quick(Version::Draft16);
    options.connect.timeout = Duration::from_millis(200);
    options.backoff.max_attempts = Some(2);
    let mut client = Client::start(url, options, &Origin::new());
    let mut failures = Vec::new();
    let error = loop {
        match soon("a change", client.changed()).await {
            ClientState::Waiting { failures: count, .. } => failures.push(count),
            ClientState::Stopped { error } => break error,
            _ => {}
        }
    };
    assert!(error.is_some());
    assert_eq!(failures, [1]);
    assert!(client.connected().await.is_err());
}

/// What is logged while a future runs.
async fn logged<T>(future: impl Future<Output = T>) -> String {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    future.await;
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_ends_that_say_nothing_for_two_seconds_are_given_a_hint() {
    let (client, server) = memory_pair(Version::Draft16).await.unwrap();
    let (publisher, silent) = (Origin::new(), Origin::new());
    let log = logged(async {
        let _attached = [publisher.attach(&server), silent.attach(&client)];
        tokio::time::sleep(Duration::from_millis(1900)).await;
        tracing::info!("almost");
        tokio::time::sleep(Duration::from_millis(200)).await;
    })
    .await;
    let hints: Vec<_> =
        log.split("almost").map(|part| part.matches("neither end has asked").count()).collect();
    assert_eq!(hints, [0, 2], "{log}");
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_nobody_follows_is_given_a_hint() {
    let (client, server) = memory_pair(Version::Draft16).await.unwrap();
    let (publisher, silent) = (Origin::new(), Origin::new());
    let _broadcast = publisher.create_broadcast(namespace("live")).unwrap();
    let log = logged(async {
        let _attached = [publisher.attach(&server), silent.attach(&client)];
        tokio::time::sleep(Duration::from_millis(2100)).await;
    })
    .await;
    assert_eq!(log.matches("the peer has asked for nothing").count(), 1, "{log}");
}
