//! Several relays: what is announced and asked travels, nothing goes in a circle, and what is left heals.

#[expect(dead_code, unused_macros, reason = "shared with the other tests of the relay, which use more of it")]
mod support;

use std::time::Duration;

use moqingbird::session::Config;
use moqingbird::wire::model::{
    EndLocation, Fetch, FetchRange, Location, PublishDoneCode, RequestErrorCode, SessionErrorCode,
    SubscribeNamespace, SubscribeOptions, TrackNamespace,
};
use moqingbird::{
    Delivery, NamespaceEvent, RequestFailed, Session, Subscription, TrackInfo, Version, memory_pair_with,
};
use moqingbird_ledger::covers;
use moqingbird_relay::{LinkOptions, Relay, RelayOptions};
use support::*;
use tokio::task::JoinSet;

const DRAFTS: [Version; 2] = [Version::Draft14, Version::Draft16];

/// Asked and told.
fn both(rank: u32) -> LinkOptions {
    let mut options = LinkOptions::upstream(rank);
    options.announce = true;
    options
}

struct Net {
    relays: Vec<Relay>,
    links: JoinSet<()>,
}

impl Net {
    fn new(count: usize) -> Self {
        let relays = (0..count).map(|_| Relay::new(RelayOptions::default())).collect();
        Self { relays, links: JoinSet::new() }
    }

    /// Links one relay to another. Gives the other's end of their session.
    async fn link(&mut self, from: usize, to: usize, options: LinkOptions) -> Session {
        let config = |relay: &Relay| {
            let mut config = Config::default();
            config.implementation = Some(relay.implementation());
            config
        };
        let (from, to) = (self.relays[from].clone(), self.relays[to].clone());
        let pair = memory_pair_with(Version::Draft16, config(&from), config(&to)).await;
        let (client, server) = pair.expect("SETUP in memory");
        let other = server.clone();
        self.links.spawn(async move { to.serve(server).await });
        self.links.spawn(async move { from.serve_link(client, options).await });
        other
    }

    async fn peer(&self, relay: usize, version: Version) -> Session {
        peer(&self.relays[relay], version).await
    }

    /// Waits until no relay knows of anything, their links being gone.
    async fn idle(mut self) {
        self.links.shutdown().await;
        let idle = async {
            while !self.relays.iter().all(Relay::is_idle) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon("the relays forget everything", idle).await;
    }
}

/// Subscribes as soon as it is possible: an announcement may be on its way.
async fn found(subscriber: &Session) -> Subscription {
    let asking = async {
        loop {
            match subscriber.subscribe(subscribe()).await {
                Ok(subscription) => return subscription,
                Err(RequestFailed::Rejected(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    soon("the track is found", asking).await
}

/// The namespaces below the one of the tests, as they come.
async fn told(session: &Session) -> moqingbird::NamespaceSubscription {
    let prefix = TrackNamespace::from_path("live").unwrap();
    let mut request = SubscribeNamespace::new(prefix);
    if session.version() == Version::Draft16 {
        request.options = SubscribeOptions::Namespace;
    }
    soon("SUBSCRIBE_NAMESPACE is granted", session.subscribe_namespace(request)).await.unwrap()
}

async fn accepting(publisher: &Session) -> moqingbird::Publication {
    next_subscribe(publisher).await.accept(TrackInfo::default()).unwrap()
}

async fn receives(subscription: &mut Subscription, group: u64, payload: &str) {
    let mut subgroup = next_subgroup(subscription).await;
    assert_eq!(subgroup.group_id(), group);
    assert_eq!(next_object(&mut subgroup).await.unwrap().payload, payload.as_bytes());
}

#[tokio::test]
async fn announcements_travel_up_a_chain_and_subscriptions_down() {
    for version in DRAFTS {
        let mut net = Net::new(3);
        net.link(0, 1, LinkOptions::announce()).await;
        net.link(1, 2, LinkOptions::announce()).await;
        let (publisher, subscriber) = (net.peer(0, version).await, net.peer(2, version).await);
        let mut events = told(&subscriber).await;
        let announced = announce(&publisher).await;
        let came = NamespaceEvent::Namespace(namespace());
        assert_eq!(soon("the namespace comes", events.next()).await, Some(came));
        let (publication, mut subscription) = tokio::join!(accepting(&publisher), found(&subscriber));
        write_group(&publication, 0, "up and down").await;
        receives(&mut subscription, 0, "up and down").await;
        announced.done();
        let gone = NamespaceEvent::NamespaceDone(namespace());
        assert_eq!(soon("the namespace goes", events.next()).await, Some(gone));
        publisher.close(SessionErrorCode::NoError, "");
        subscriber.close(SessionErrorCode::NoError, "");
        net.idle().await;
    }
}

#[tokio::test]
async fn what_nobody_here_has_is_asked_for_up_a_chain() {
    for version in DRAFTS {
        let mut net = Net::new(3);
        net.link(0, 1, LinkOptions::upstream(0)).await;
        net.link(1, 2, LinkOptions::upstream(0)).await;
        let (publisher, subscriber) = (net.peer(2, version).await, net.peer(0, version).await);
        let _announced = announce(&publisher).await;
        let mut events = told(&subscriber).await;
        let came = NamespaceEvent::Namespace(namespace());
        assert_eq!(soon("the namespace is heard of", events.next()).await, Some(came));
        let (publication, mut subscription) = tokio::join!(accepting(&publisher), found(&subscriber));
        write_group(&publication, 0, "down").await;
        receives(&mut subscription, 0, "down").await;
        let range = FetchRange::Standalone {
            track: track(),
            start: Location::new(0, 0),
            end: EndLocation { group: 0, object: Some(0) },
        };
        let other = net.peer(0, version).await;
        let mut fetched = soon("an answer", other.fetch(Fetch::new(range))).await.unwrap();
        assert_eq!(soon("an object", fetched.next_object()).await.unwrap().unwrap().payload, "down");
        let status = soon("an answer", other.track_status(subscribe())).await.unwrap();
        assert_eq!(status.largest, Some(Location::new(0, 0)));
    }
}

#[tokio::test]
async fn a_published_track_is_found_from_below() {
    let mut net = Net::new(2);
    net.link(0, 1, LinkOptions::upstream(0)).await;
    let (publisher, subscriber) = (net.peer(1, Version::Draft16).await, net.peer(0, Version::Draft14).await);
    let publication = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
    let mut subscription = found(&subscriber).await;
    soon("Forward State 1", publication.forwarding()).await;
    write_group(&publication, 3, "published").await;
    receives(&mut subscription, 3, "published").await;
}

#[tokio::test]
async fn a_published_track_is_found_from_above() {
    let mut net = Net::new(2);
    net.link(0, 1, LinkOptions::announce()).await;
    let (publisher, subscriber) = (net.peer(0, Version::Draft14).await, net.peer(1, Version::Draft16).await);
    let publication = soon("PUBLISH_OK", publisher.publish(publish(false))).await.unwrap();
    let mut subscription = found(&subscriber).await;
    soon("Forward State 1", publication.forwarding()).await;
    write_group(&publication, 3, "published").await;
    receives(&mut subscription, 3, "published").await;
}

/// Three relays, each linked to both others in both ways.
async fn triangle() -> (Net, Vec<(usize, usize, Session)>) {
    let mut net = Net::new(3);
    let mut ends = Vec::new();
    for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
        let end = net.link(from, to, both(u32::try_from(to).unwrap())).await;
        ends.push((from, to, end));
    }
    (net, ends)
}

#[tokio::test]
async fn in_a_triangle_each_object_comes_once_and_nothing_keeps_itself_alive() {
    covers!("D14-6.2-09", "D16-6.2-10");
    for version in DRAFTS {
        let (net, _) = triangle().await;
        let publisher = net.peer(0, version).await;
        let _announced = announce(&publisher).await;
        let subscribers =
            [net.peer(0, version).await, net.peer(1, version).await, net.peer(2, version).await];
        let accepting = async {
            let publication = accepting(&publisher).await;
            tokio::select! {
                biased;
                other = publisher.next_request() => panic!("asked twice: {other:?}"),
                () = tokio::time::sleep(Duration::from_millis(100)) => publication,
            }
        };
        let subscribing = async {
            let mut subscriptions = Vec::new();
            for subscriber in &subscribers {
                subscriptions.push(found(subscriber).await);
            }
            subscriptions
        };
        let (publication, mut subscriptions) = tokio::join!(accepting, subscribing);
        for group in 0..20 {
            write_group(&publication, group, "once").await;
        }
        for subscription in &mut subscriptions {
            let mut seen = Vec::new();
            while seen.len() < 20 {
                let mut subgroup = next_subgroup(subscription).await;
                assert_eq!(next_object(&mut subgroup).await.unwrap().payload, "once");
                seen.push(subgroup.group_id());
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..20).collect::<Vec<_>>());
        }
        publisher.close(SessionErrorCode::NoError, "");
        for subscription in &mut subscriptions {
            while soon("the end", subscription.next()).await.unwrap().is_some() {}
            assert_ne!(subscription.done().unwrap().code, PublishDoneCode::TrackEnded);
        }
        for subscriber in subscribers {
            let late = soon("an answer", subscriber.subscribe(subscribe())).await;
            assert!(matches!(late, Err(RequestFailed::Rejected(_))), "{late:?}");
            subscriber.close(SessionErrorCode::NoError, "");
        }
        net.idle().await;
    }
}

#[tokio::test]
async fn in_a_ring_an_unknown_track_is_declined() {
    let mut net = Net::new(3);
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        net.link(from, to, LinkOptions::upstream(0)).await;
    }
    for relay in 0..3 {
        let subscriber = net.peer(relay, Version::Draft16).await;
        match soon("an answer", subscriber.subscribe(subscribe())).await {
            Err(RequestFailed::Rejected(rejected)) => {
                assert_eq!(rejected.error.code, RequestErrorCode::DoesNotExist);
            }
            other => panic!("not declined: {other:?}"),
        }
        let status = soon("an answer", subscriber.track_status(subscribe())).await;
        assert!(matches!(status, Err(RequestFailed::Rejected(_))), "{status:?}");
    }
}

#[tokio::test]
async fn when_one_relay_dies_the_rest_heals() {
    for version in DRAFTS {
        let (mut net, ends) = triangle().await;
        let (publisher, subscriber) = (net.peer(0, version).await, net.peer(2, version).await);
        let _announced = announce(&publisher).await;
        // Through whom the track comes at first is the relays' affair. Both ways are cut, one after the other.
        let serving = async {
            let mut publications = Vec::new();
            let mut group = 0;
            loop {
                tokio::select! {
                    publication = accepting(&publisher) => publications.push(publication),
                    () = tokio::time::sleep(Duration::from_millis(5)) => {}
                }
                for publication in publications.iter().filter(|it: &&moqingbird::Publication| it.forward()) {
                    write_if_wanted(publication, group).await;
                }
                group += 1;
            }
        };
        let reading = async {
            let mut subscription = found(&subscriber).await;
            let mut last = next_group(&mut subscription).await;
            net.relays[1].close(SessionErrorCode::InternalError, "it dies");
            for (from, to, end) in &ends {
                if *from == 1 || *to == 1 {
                    end.close(SessionErrorCode::InternalError, "it dies");
                }
            }
            // Well behind what may have been on its way.
            let far = last + 50;
            while last < far {
                last = next_group(&mut subscription).await;
            }
            let another = net.peer(2, version).await;
            next_group(&mut found(&another).await).await;
        };
        tokio::select! {
            () = serving => {}
            () = reading => {}
        }
        net.links.shutdown().await;
    }
}

async fn write_if_wanted(publication: &moqingbird::Publication, group: u64) {
    if let Ok(mut sender) = publication.open_subgroup(options(group)).await {
        let _ = sender.write_object(&header(0, b"on"), bytes::Bytes::from_static(b"on")).await;
        let _ = sender.finish();
    }
}

async fn next_group(subscription: &mut Subscription) -> u64 {
    match soon("a subgroup", subscription.next()).await {
        Ok(Some(Delivery::Subgroup(subgroup))) => subgroup.group_id(),
        other => panic!("not a subgroup: {other:?}"),
    }
}

#[tokio::test]
async fn the_next_upstream_is_asked_when_the_first_is_lost() {
    let mut net = Net::new(3);
    let first = net.link(0, 1, LinkOptions::upstream(0)).await;
    net.link(0, 2, LinkOptions::upstream(1)).await;
    let (one, two) = (net.peer(1, Version::Draft16).await, net.peer(2, Version::Draft16).await);
    let _announced = (announce(&one).await, announce(&two).await);
    let subscriber = net.peer(0, Version::Draft14).await;
    let (publication, mut subscription) = tokio::join!(accepting(&one), found(&subscriber));
    write_group(&publication, 0, "first").await;
    receives(&mut subscription, 0, "first").await;
    let (publication, ()) = tokio::join!(accepting(&two), async {
        first.close(SessionErrorCode::InternalError, "it dies");
    });
    write_group(&publication, 1, "second").await;
    receives(&mut subscription, 1, "second").await;
}
