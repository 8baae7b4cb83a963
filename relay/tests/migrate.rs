//! A relay that ends sends everybody to another, which it is linked to: nothing is lost, and nothing comes twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moqingbird::track::{ReadOptions, TrackEvent, TrackOptions, TrackSubscription};
use moqingbird::wire::model::{FullTrackName, Location, TrackNamespace};
use moqingbird::{
    Client, ClientOptions, Origin, Server, ServerOptions, ServerUrl, TransportKind, Trust, Version,
};
use moqingbird_relay::{LinkOptions, Relay, RelayOptions};

/// Objects a second, and of each group.
const RATE: u32 = 500;
const GROUP: u64 = 25;
/// How many groups are published before the relay is told to end, and in all.
const BEFORE: u64 = 20;
const GROUPS: u64 = 100;

/// A relay on loopback.
struct Running {
    relay: Relay,
    server: Arc<Server>,
}

impl Running {
    fn start() -> Self {
        let server = Arc::new(Server::bind(&ServerOptions::default()).unwrap());
        let relay = Relay::new(RelayOptions::default());
        let (running, served) = (relay.clone(), Arc::clone(&server));
        tokio::spawn(async move { running.run(&served).await });
        Self { relay, server }
    }

    fn url(&self, transport: TransportKind) -> ServerUrl {
        let scheme = if transport == TransportKind::Quic { "moqt" } else { "https" };
        format!("{scheme}://{}/", self.server.local_addrs()[0]).parse().unwrap()
    }
}

fn options(relays: &[&Running], version: Version) -> ClientOptions {
    let mut options = ClientOptions::default();
    options.connect.trust = Trust::Pinned(relays.iter().map(|it| it.server.certificate_sha256()).collect());
    options.connect.versions = vec![version];
    options
}

fn name() -> FullTrackName {
    FullTrackName::new(TrackNamespace::from_path("live").unwrap(), "numbers").unwrap()
}

async fn long<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(180), future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

/// How often each location has come, up to the track's end.
async fn locations(mut reader: TrackSubscription) -> BTreeMap<Location, usize> {
    let mut came = BTreeMap::new();
    while let Some(event) = reader.next().await.unwrap() {
        match event {
            TrackEvent::Object(object) => *came.entry(object.location).or_default() += 1,
            TrackEvent::Gap(gap) => panic!("{gap}"),
            other => panic!("{other:?}"),
        }
    }
    came
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_moves_with_a_publisher_in_draft_14_over_webtransport() {
    everybody_moves(Version::Draft14, TransportKind::WebTransport).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_moves_with_a_publisher_in_draft_16_over_quic() {
    everybody_moves(Version::Draft16, TransportKind::Quic).await;
}

/// Of five subscribers in both drafts over both transports every one ends with every location once.
async fn everybody_moves(version: Version, transport: TransportKind) {
    let (a, b) = (Running::start(), Running::start());
    let (linked, url) = (a.relay.clone(), b.url(TransportKind::Quic));
    let mut link = LinkOptions::upstream(0);
    link.announce = true;
    let client = options(&[&b], Version::Draft16);
    tokio::spawn(async move { linked.keep_link(&url, client, link).await });

    let publisher = Origin::new();
    let broadcast = publisher.create_broadcast(name().namespace).unwrap();
    let writer = broadcast.create_track("numbers", TrackOptions::default()).unwrap();
    let publishes = Client::start(a.url(transport), options(&[&a, &b], version), &publisher);

    let mut readers = Vec::new();
    let mut clients = Vec::new();
    for number in 0..5 {
        let transport = [TransportKind::Quic, TransportKind::WebTransport][number % 2];
        let origin = Origin::new();
        let version = Version::ALL[number / 2 % Version::ALL.len()];
        clients.push(Client::start(a.url(transport), options(&[&a, &b], version), &origin));
        long("the namespace is announced", origin.wait_for(&name().namespace)).await;
        let mut reader = origin.subscribe(name(), ReadOptions::default());
        long("the subscription is granted", reader.granted()).await.unwrap();
        readers.push(tokio::spawn(locations(reader)));
    }

    let writes = tokio::spawn(async move {
        let mut due = tokio::time::Instant::now();
        for _ in 0..GROUPS {
            let mut group = writer.append_group();
            for _ in 0..GROUP {
                due += Duration::from_secs(1) / RATE;
                tokio::time::sleep_until(due).await;
                group.write_frame(vec![7; 100]).unwrap();
            }
            group.finish().unwrap();
        }
        writer.complete();
    });
    tokio::time::sleep(Duration::from_secs(1) / RATE * u32::try_from(BEFORE * GROUP).unwrap()).await;
    let to = b.url(TransportKind::Quic).to_string();
    long("the relay takes leave", a.relay.drain(&to, Duration::from_secs(60))).await;

    long("everything is written", writes).await.unwrap();
    for reader in readers {
        let came = long("the track's end", reader).await.unwrap();
        let all = (0..GROUPS).flat_map(|group| (0..GROUP).map(move |object| Location::new(group, object)));
        let missing: Vec<_> = all.filter(|location| !came.contains_key(location)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(came.values().all(|times| *times == 1));
        assert_eq!(came.len() as u64, GROUPS * GROUP);
    }
    drop((publishes, clients));
}
