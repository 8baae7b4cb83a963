//! The relay on real sockets: a bad network, and peers that mean no good.

#[expect(dead_code, unused_macros, reason = "shared with the other tests of the relay, which use more of it")]
mod support;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};
use moqingbird::wire::model::PublishDoneCode;
use moqingbird::{
    ClientOptions, CongestionControl, Delivery, Publication, Server, ServerOptions, Session, Subscription,
    TrackInfo, Trust, Version, connect,
};
use moqingbird_link::{Conditions, Link};
use moqingbird_relay::{Relay, RelayOptions};
use support::{announce, header, next_subscribe, options, soon, subscribe};
use tokio::task::JoinSet;

/// A relay that listens on loopback.
struct Listening {
    address: SocketAddr,
    trust: Trust,
    serving: tokio::task::JoinHandle<()>,
}

impl Listening {
    fn new(relay_options: RelayOptions) -> Self {
        Self::sending_by(CongestionControl::default(), relay_options)
    }

    fn sending_by(congestion: CongestionControl, relay_options: RelayOptions) -> Self {
        let mut options = ServerOptions::default();
        options.congestion = congestion;
        options.addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        let server = Server::bind(&options).unwrap();
        let (address, trust) = (server.local_addrs()[0], Trust::Pinned(vec![server.certificate_sha256()]));
        let relay = Relay::new(relay_options);
        let serving = tokio::spawn(async move { relay.run(&server).await });
        Self { address, trust, serving }
    }

    async fn connect(&self, scheme: &str, address: SocketAddr) -> Session {
        self.connect_as(scheme, address, ClientOptions::default()).await
    }

    async fn connect_in(&self, scheme: &str, version: Version) -> Session {
        let mut options = ClientOptions::default();
        options.connect.versions = vec![version];
        self.connect_as(scheme, self.address, options).await
    }

    async fn connect_as(&self, scheme: &str, address: SocketAddr, mut options: ClientOptions) -> Session {
        options.connect.trust = self.trust.clone();
        let url = format!("{scheme}://{address}").parse().unwrap();
        soon("a session", connect(&url, &options)).await.unwrap()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

const OBJECT: usize = 1_250;
const OBJECTS_A_GROUP: u64 = 10;
const GROUPS: u64 = 30;

fn since_epoch() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// 1 Mbit/s: a hundred objects a second, each with the time at which it was written.
async fn publish_for_a_while(publication: Publication) {
    let mut due = tokio::time::interval(Duration::from_millis(10));
    for group in 0..GROUPS {
        let mut sender = soon("a stream", publication.open_subgroup(options(group))).await.unwrap();
        for id in 0..OBJECTS_A_GROUP {
            due.tick().await;
            let mut payload = BytesMut::zeroed(OBJECT - 8);
            payload.put_u64(since_epoch());
            let payload = payload.freeze();
            soon("room", sender.write_object(&header(id, &payload), payload.clone())).await.unwrap();
        }
        sender.finish().unwrap();
    }
    publication.finish(PublishDoneCode::TrackEnded, "").await.unwrap();
}

/// How late each object came, in microseconds. Every object comes, those of a group in order.
async fn receive_all(mut subscription: Subscription) -> Vec<u64> {
    let mut groups = JoinSet::new();
    while let Some(delivery) = soon("a delivery", subscription.next()).await.unwrap() {
        let Delivery::Subgroup(mut subgroup) = delivery else { panic!("a datagram") };
        groups.spawn(async move {
            let mut late = Vec::new();
            while let Some(object) = soon("an object", subgroup.next_object()).await.unwrap() {
                assert_eq!(object.header.object_id, late.len() as u64);
                let written = u64::from_be_bytes(object.payload[OBJECT - 8..].try_into().unwrap());
                late.push(since_epoch().saturating_sub(written));
            }
            assert_eq!(late.len() as u64, OBJECTS_A_GROUP, "group {}", subgroup.group_id());
            late
        });
    }
    assert_eq!(subscription.done().unwrap().code, PublishDoneCode::TrackEnded);
    let late = groups.join_all().await;
    assert_eq!(late.len() as u64, GROUPS);
    late.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_bad_network_ten_subscribers_get_all_of_a_track_in_order() {
    const RTT: Duration = Duration::from_millis(50);
    let conditions = Conditions {
        delay: RTT / 2,
        jitter: Duration::ZERO,
        loss: 0.02,
        reorder: 0.0,
        rate_bits: Some(20_000_000),
        queue_packets: 64,
    };
    // One that takes loss for a sign of a full path has, at 1 Mbit/s, hardly room left for what is lost.
    let relay = Listening::sending_by(CongestionControl::Bbr, RelayOptions::default());
    let link = Link::between(relay.address, conditions, conditions, 7).expect("sockets on loopback");
    let publisher = relay.connect("moqt", relay.address).await;
    let _announced = announce(&publisher).await;
    let mut sessions = Vec::new();
    for number in 0..10 {
        let scheme = if number % 2 == 0 { "moqt" } else { "https" };
        sessions.push(relay.connect(scheme, link.address()).await);
    }
    let mut subscribing = JoinSet::new();
    for session in &sessions {
        let session = session.clone();
        subscribing.spawn(async move { soon("granted", session.subscribe(subscribe())).await.unwrap() });
    }
    let publication = next_subscribe(&publisher).await.accept(TrackInfo::default()).unwrap();
    let subscriptions = subscribing.join_all().await;
    let publishing = tokio::spawn(publish_for_a_while(publication));
    let mut receiving = JoinSet::new();
    for subscription in subscriptions {
        receiving.spawn(receive_all(subscription));
    }
    let mut late = receiving.join_all().await.concat();
    publishing.await.unwrap();
    late.sort_unstable();
    let percentile = |part: f64| late[(late.len() as f64 * part) as usize] / 1000;
    // A figure for people: what a loaded machine adds to it is no fault of the relay's.
    println!(
        "latency of {} objects over {} ms RTT: median {} ms, p99 {} ms ({:.1} RTT)",
        late.len(),
        RTT.as_millis(),
        percentile(0.5),
        percentile(0.99),
        percentile(0.99) as f64 / RTT.as_millis() as f64
    );
}

/// A catalog: one object, written before anybody else came, by a publisher that answers no FETCH.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_reaches_who_comes_late_in_every_draft_over_every_transport() {
    for publishers in [Version::Draft14, Version::Draft16] {
        for subscribers in [Version::Draft14, Version::Draft16] {
            for scheme in ["moqt", "https"] {
                let relay = Listening::new(RelayOptions::default());
                let publisher = relay.connect_in(scheme, publishers).await;
                let _announced = announce(&publisher).await;
                let first = relay.connect_in(scheme, subscribers).await;
                let (publication, mut subscription) = support::connected(&publisher, &first).await;
                support::write_group(&publication, 0, "catalog").await;
                let mut subgroup = support::next_subgroup(&mut subscription).await;
                assert!(support::next_object(&mut subgroup).await.is_some());

                let late = relay.connect_in(scheme, subscribers).await;
                let joined = soon("granted", late.subscribe(subscribe())).await.unwrap();
                let mut past = soon("an answer", joined.join(0)).await.unwrap();
                let object = soon("an object", past.next_object()).await.unwrap().unwrap();
                assert_eq!(object.payload, "catalog", "from {publishers} to {subscribers} over {scheme}");
            }
        }
    }
}

/// A publisher and a subscriber whose objects are counted on while others do what they like.
struct Good {
    publication: Publication,
    subscription: Subscription,
    _sessions: [Session; 2],
    _announced: moqingbird::PublishedNamespace,
    group: u64,
}

impl Good {
    async fn new(relay: &Listening) -> Self {
        let (publisher, subscriber) =
            (relay.connect("moqt", relay.address).await, relay.connect("https", relay.address).await);
        let announced = announce(&publisher).await;
        let (publication, subscription) = support::connected(&publisher, &subscriber).await;
        let sessions = [publisher, subscriber];
        Self { publication, subscription, _sessions: sessions, _announced: announced, group: 0 }
    }

    async fn goes_on(&mut self) {
        support::write_group(&self.publication, self.group, "on").await;
        let mut subgroup = support::next_subgroup(&mut self.subscription).await;
        assert_eq!(subgroup.group_id(), self.group);
        assert!(support::next_object(&mut subgroup).await.is_some());
        self.group += 1;
    }
}

/// The first bytes of an Initial of QUIC version 1 that is none: as much as it costs a stranger to send.
fn initial(number: u32) -> [u8; 1200] {
    let mut packet = [0; 1200];
    packet[0] = 0xc3;
    packet[1..5].copy_from_slice(&1_u32.to_be_bytes());
    packet[5] = 8;
    packet[6..10].copy_from_slice(&number.to_be_bytes());
    packet[14] = 8;
    packet[15..19].copy_from_slice(&number.to_be_bytes());
    // No token; the rest of the packet is its length.
    packet[24..26].copy_from_slice(&(0x4000_u16 | (1200 - 26)).to_be_bytes());
    packet
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_initials_holds_nobody_up() {
    let relay = Listening::new(RelayOptions::default());
    let mut good = Good::new(&relay).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for number in 0..10_000 {
        // A full buffer drops it, which is as good.
        let _ = socket.send_to(&initial(number), relay.address);
        if number % 1_000 == 0 {
            good.goes_on().await;
        }
    }
    good.goes_on().await;
    let late = relay.connect("moqt", relay.address).await;
    assert_eq!(late.close_reason(), None);
}
