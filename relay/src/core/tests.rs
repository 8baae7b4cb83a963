//! Routing, one behaviour a test, and a random simulation against a simple model.

mod network;
mod relays;
mod simulation;

pub(crate) use simulation::Random;

use moqingbird_ledger::covers;

use super::*;

const ANNA: PeerId = PeerId(1);
const BERT: PeerId = PeerId(2);
const CARL: PeerId = PeerId(3);

fn namespace(path: &str) -> TrackNamespace {
    TrackNamespace::from_path(path).unwrap()
}

fn track(path: &str) -> FullTrackName {
    FullTrackName::new(namespace(path), "track").unwrap()
}

/// The relay itself.
const US: RelayId = RelayId(1000);

/// A core with the verbs of its peers.
struct World {
    core: Core,
    actions: Vec<Action>,
}

impl Default for World {
    fn default() -> Self {
        Self::with(Policy::default())
    }
}

impl World {
    fn with(policy: Policy) -> Self {
        Self { core: Core::new(US, policy), actions: Vec::new() }
    }

    fn input(&mut self, input: impl FnOnce(RequestKey) -> Input) -> RequestKey {
        let request = self.core.new_request();
        self.tell(input(request));
        request
    }

    fn announce(&mut self, peer: PeerId, path: &str) -> RequestKey {
        self.announce_by(peer, path, &[])
    }

    fn announce_by(&mut self, peer: PeerId, path: &str, by: &[RelayId]) -> RequestKey {
        let path_of_relays = by.to_vec();
        self.input(|request| Input::PublishNamespace {
            peer,
            request,
            namespace: namespace(path),
            path: path_of_relays,
        })
    }

    fn listen(&mut self, peer: PeerId, path: &str, options: SubscribeOptions) -> RequestKey {
        self.input(|request| Input::SubscribeNamespace {
            peer,
            request,
            prefix: namespace(path),
            options,
            forward: true,
        })
    }

    fn publish(&mut self, peer: PeerId, path: &str) -> RequestKey {
        self.input(|request| Input::Publish { peer, request, track: track(path), path: Path::new() })
    }

    fn subscribe(&mut self, peer: PeerId, path: &str) -> RequestKey {
        self.input(|request| Input::Subscribe {
            peer,
            request,
            track: track(path),
            forward: true,
            new_group: None,
            path: Path::new(),
        })
    }

    fn tell(&mut self, input: Input) {
        self.actions = self.core.handle(input);
        self.actions.retain(|action| !matches!(action, Action::Forget(_)));
    }

    /// At whom we subscribe now.
    fn all_asked(&self) -> Vec<(RequestKey, PeerId)> {
        let asked = self.actions.iter().filter_map(|action| match action {
            Action::Subscribe { request, peer, .. } => Some((*request, *peer)),
            _ => None,
        });
        asked.collect()
    }

    /// The same, where it is one at most.
    fn asked(&self) -> Option<(RequestKey, PeerId)> {
        let asked = self.all_asked();
        assert!(asked.len() < 2, "{asked:?}");
        asked.first().copied()
    }

    /// What is offered now, and to whom.
    fn offered(&self) -> Vec<(RequestKey, PeerId)> {
        let offers = self.actions.iter().filter_map(|action| match action {
            Action::Offer { request, peer, .. } => Some((*request, *peer)),
            _ => None,
        });
        offers.collect()
    }

    fn rejected(&self, request: RequestKey) -> Option<RequestErrorCode> {
        self.actions.iter().find_map(|action| match action {
            Action::Reject { request: it, error } if *it == request => Some(error.code),
            _ => None,
        })
    }

    fn attached(&self, request: RequestKey) -> bool {
        self.actions
            .iter()
            .any(|action| matches!(action, Action::Attach { request: it, .. } if *it == request))
    }

    fn ended(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::EndTrack(_)))
    }
}

#[test]
fn an_unknown_track_is_declined_at_once() {
    let mut world = World::default();
    world.announce(ANNA, "other");
    let request = world.subscribe(BERT, "live");
    assert_eq!(world.rejected(request), Some(RequestErrorCode::DoesNotExist));
}

#[test]
fn a_subscription_goes_to_the_peer_that_announces_a_prefix() {
    let mut world = World::default();
    world.announce(ANNA, "live");
    let request = world.subscribe(BERT, "live/cam/1");
    let (source, peer) = world.asked().unwrap();
    assert_eq!(peer, ANNA);
    assert!(!world.attached(request));
    world.tell(Input::Accepted(source));
    assert!(world.attached(request));
}

#[test]
fn a_track_has_one_source_however_many_subscribers() {
    covers!("D14-8.4-09", "D16-8.4-05", "D16-8.5-09");
    let mut world = World::default();
    world.announce(ANNA, "live");
    world.subscribe(BERT, "live");
    let (source, _) = world.asked().unwrap();
    let waiting = world.subscribe(CARL, "live");
    assert_eq!(world.actions, []);
    world.tell(Input::Accepted(source));
    assert!(world.attached(waiting));
    let late = world.subscribe(PeerId(4), "live");
    assert_eq!(world.asked(), None);
    assert!(world.attached(late));
}

#[test]
fn the_source_is_left_when_the_last_subscriber_has_left() {
    let mut world = World::default();
    world.announce(ANNA, "live");
    let first = world.subscribe(BERT, "live");
    let (source, _) = world.asked().unwrap();
    let second = world.subscribe(CARL, "live");
    world.tell(Input::Accepted(source));
    world.tell(Input::Ended(first));
    assert_eq!(world.actions, []);
    world.tell(Input::Ended(second));
    assert_eq!(world.actions[0], Action::Unsubscribe(source));
    assert!(world.ended());
}

#[test]
fn every_publisher_that_announces_a_prefix_is_asked_and_the_first_that_grants_is_enough() {
    covers!("D14-8.4-05", "D14-8.4-11", "D16-8.5-06", "D16-8.5-11");
    let mut world = World::default();
    world.announce(ANNA, "live");
    world.announce(BERT, "live/cam");
    world.announce(CARL, "live/camera");
    let request = world.subscribe(PeerId(9), "live/cam");
    let asked = world.all_asked();
    assert_eq!(asked.iter().map(|(_, peer)| *peer).collect::<BTreeSet<_>>(), BTreeSet::from([ANNA, BERT]));
    world.tell(Input::Rejected(asked[0].0, RequestError::new(RequestErrorCode::Timeout, "no")));
    assert_eq!(world.actions, []);
    world.tell(Input::Accepted(asked[1].0));
    assert!(world.attached(request));
}

#[test]
fn a_track_that_every_publisher_declines_is_declined_as_the_last_did() {
    let mut world = World::default();
    world.announce(ANNA, "live");
    world.announce(BERT, "live");
    let request = world.subscribe(CARL, "live");
    let codes = [RequestErrorCode::Unauthorized, RequestErrorCode::Timeout];
    for ((source, _), code) in world.all_asked().into_iter().zip(codes) {
        assert_eq!(world.rejected(request), None);
        world.tell(Input::Rejected(source, RequestError::new(code, "no")));
    }
    assert_eq!(world.rejected(request), Some(RequestErrorCode::Timeout));
}

#[test]
fn a_newcomer_is_asked_for_the_tracks_that_are_wanted() {
    covers!("D14-8.4-13", "D16-8.5-14");
    let mut world = World::default();
    world.announce(ANNA, "live");
    world.subscribe(CARL, "live/cam");
    let (source, _) = world.asked().unwrap();
    world.tell(Input::Accepted(source));
    world.announce(BERT, "live/cam");
    assert_eq!(world.asked().map(|(_, peer)| peer), Some(BERT));
    world.announce(BERT, "other");
    assert_eq!(world.asked(), None);
    world.announce(ANNA, "live/cam");
    assert_eq!(world.asked(), None, "it is asked already");
}

#[test]
fn a_lost_source_is_not_missed_as_long_as_there_is_another() {
    covers!("D14-8.2-01", "D16-8.3-01");
    let mut world = World::default();
    world.announce(ANNA, "live");
    world.announce(BERT, "live");
    world.subscribe(CARL, "live");
    for (source, _) in world.all_asked() {
        world.tell(Input::Accepted(source));
    }
    world.tell(Input::PeerLeft(BERT));
    assert_eq!(world.actions, []);
    world.tell(Input::PeerLeft(ANNA));
    assert!(world.ended());
}

#[test]
fn who_has_declined_is_asked_again_when_it_announces_again() {
    let mut world = World::default();
    world.announce(ANNA, "live");
    let announced = world.announce(BERT, "live");
    world.subscribe(CARL, "live");
    let asked = world.all_asked();
    let of = |peer| asked.iter().find(|it| it.1 == peer).unwrap().0;
    world.tell(Input::Accepted(of(ANNA)));
    world.tell(Input::Rejected(of(BERT), RequestError::new(RequestErrorCode::Timeout, "no")));
    world.tell(Input::Ended(announced));
    world.announce(BERT, "live");
    assert_eq!(world.asked().map(|(_, peer)| peer), Some(BERT));
}

#[test]
fn a_track_that_is_complete_ends_without_another_try() {
    let mut world = World::default();
    world.announce(ANNA, "live");
    world.announce(BERT, "live");
    world.subscribe(CARL, "live");
    let asked = world.all_asked();
    world.tell(Input::Accepted(asked[0].0));
    world.tell(Input::Complete(asked[0].0));
    assert_eq!(world.actions[0], Action::Unsubscribe(asked[1].0));
    assert!(world.ended());
}

#[test]
fn of_two_sources_the_end_of_the_second_ends_the_track() {
    let mut world = World::default();
    world.announce(ANNA, "live");
    world.announce(BERT, "live");
    world.subscribe(CARL, "live");
    let asked = world.all_asked();
    for (source, _) in &asked {
        world.tell(Input::Accepted(*source));
    }
    world.tell(Input::Complete(asked[0].0));
    assert!(!world.ended());
    world.tell(Input::Complete(asked[1].0));
    assert!(world.ended());
}

#[test]
fn a_source_is_kept_for_a_while_when_the_last_subscriber_has_left() {
    let mut world = World::with(Policy { linger: true, hold: false });
    world.announce(ANNA, "live");
    let first = world.subscribe(BERT, "live");
    let (source, _) = world.asked().unwrap();
    world.tell(Input::Accepted(source));
    world.tell(Input::Ended(first));
    let [Action::Linger { name, turn }] = &world.actions[..] else { panic!("{:?}", world.actions) };
    let (name, turn) = (name.clone(), *turn);

    let second = world.subscribe(BERT, "live");
    assert!(world.attached(second));
    world.tell(Input::LingerOver { name: name.clone(), turn });
    assert_eq!(world.actions, [], "somebody listens again");

    world.tell(Input::Ended(second));
    let [Action::Linger { turn, .. }] = world.actions[..] else { panic!("{:?}", world.actions) };
    world.tell(Input::LingerOver { name, turn });
    assert_eq!(world.actions[0], Action::Unsubscribe(source));
    assert!(world.ended());
}

#[test]
fn a_subscription_that_is_held_waits_for_its_publisher() {
    let mut world = World::with(Policy { linger: false, hold: true });
    let request = world.subscribe(BERT, "live");
    assert_eq!(world.actions, [Action::Hold(request)]);
    world.announce(ANNA, "live");
    let (source, _) = world.asked().unwrap();
    world.tell(Input::HoldOver(request));
    assert_eq!(world.actions, [], "the publisher has the word");
    world.tell(Input::Accepted(source));
    assert!(world.attached(request));
}

#[test]
fn a_subscription_is_held_until_a_publish_or_its_time() {
    let mut world = World::with(Policy { linger: false, hold: true });
    let first = world.subscribe(BERT, "live");
    world.publish(ANNA, "live");
    assert!(world.attached(first));
    let second = world.subscribe(BERT, "other");
    world.tell(Input::HoldOver(second));
    assert_eq!(world.rejected(second), Some(RequestErrorCode::DoesNotExist));
    assert!(world.ended());
}

#[test]
fn a_published_track_is_served_by_its_full_name_only() {
    let mut world = World::default();
    world.publish(ANNA, "live");
    let below = world.subscribe(BERT, "live/cam");
    assert_eq!(world.rejected(below), Some(RequestErrorCode::DoesNotExist));
    let exact = world.subscribe(BERT, "live");
    assert!(world.attached(exact));
    assert_eq!(world.asked(), None);
}

#[test]
fn a_publish_forwards_only_while_somebody_listens() {
    covers!("D16-8.5-01");
    let mut world = World::default();
    let request = world.publish(ANNA, "live");
    assert!(matches!(world.actions[..], [Action::AcceptPublish { forward: false, .. }]));
    let subscriber = world.subscribe(BERT, "live");
    assert_eq!(world.actions.last(), Some(&Action::SetForward { request, forward: true }));
    world.tell(Input::Ended(subscriber));
    assert_eq!(world.actions, [Action::SetForward { request, forward: false }]);
}

#[test]
fn a_publish_of_a_track_that_is_wanted_forwards_at_once() {
    covers!("D14-8.4-14", "D14-8.4-15", "D16-8.5-15", "D16-8.5-16");
    let mut world = World::default();
    world.announce(ANNA, "live");
    let subscriber = world.subscribe(BERT, "live");
    world.publish(CARL, "live");
    assert!(matches!(world.actions[0], Action::AcceptPublish { forward: true, .. }));
    assert!(world.attached(subscriber));
}

#[test]
fn a_publish_takes_the_place_of_our_subscription_at_the_same_peer() {
    let mut world = World::default();
    world.announce(ANNA, "live");
    let subscriber = world.subscribe(BERT, "live");
    let (source, _) = world.asked().unwrap();
    world.publish(ANNA, "live");
    assert_eq!(world.actions[0], Action::Unsubscribe(source));
    assert!(world.attached(subscriber));
}

#[test]
fn several_publishes_of_a_track_all_forward() {
    covers!("D16-8.5-10");
    let mut world = World::default();
    let first = world.publish(ANNA, "live");
    let second = world.publish(BERT, "live");
    let subscriber = world.subscribe(CARL, "live");
    let set = |forward| [first, second].map(|request| Action::SetForward { request, forward });
    assert_eq!(world.actions[1..], set(true));
    world.tell(Input::Ended(first));
    assert_eq!(world.actions, []);
    world.tell(Input::Ended(subscriber));
    assert_eq!(world.actions, [Action::SetForward { request: second, forward: false }]);
}

#[test]
fn a_publish_reaches_those_who_subscribed_to_the_namespace_before_and_after() {
    covers!("D16-8.5-13");
    let mut world = World::default();
    world.listen(BERT, "live", SubscribeOptions::Both);
    world.listen(CARL, "other", SubscribeOptions::Both);
    let request = world.publish(ANNA, "live/cam");
    let offers = world.offered();
    assert_eq!(offers.iter().map(|(_, peer)| *peer).collect::<Vec<_>>(), [BERT]);
    world.tell(Input::Forward { request: offers[0].0, forward: true });
    assert_eq!(world.actions, [Action::SetForward { request, forward: true }]);

    world.listen(PeerId(4), "", SubscribeOptions::Publish);
    assert_eq!(world.offered().len(), 1);
    world.listen(PeerId(5), "live", SubscribeOptions::Namespace);
    assert_eq!(world.offered(), []);
}

#[test]
fn nobody_is_offered_a_track_without_asking() {
    covers!("D16-5.1-07", "D16-6.1-05", "D14-5.1-01", "D14-6.1-03");
    let mut world = World::default();
    let listener = world.listen(BERT, "live", SubscribeOptions::Both);
    world.announce(CARL, "live");
    world.tell(Input::Ended(listener));
    world.publish(ANNA, "live");
    assert_eq!(world.offered(), []);
}

#[test]
fn a_track_that_is_subscribed_to_is_not_offered() {
    let mut world = World::default();
    world.publish(ANNA, "live");
    world.subscribe(BERT, "live");
    world.listen(BERT, "live", SubscribeOptions::Both);
    assert_eq!(world.offered(), []);
}

#[test]
fn namespaces_are_told_to_all_who_subscribed_to_a_prefix() {
    covers!("D16-8.5-07", "D16-6.2-03");
    let mut world = World::default();
    let first = world.listen(BERT, "live", SubscribeOptions::Both);
    let second = world.listen(CARL, "live/cam", SubscribeOptions::Namespace);
    world.listen(PeerId(4), "live", SubscribeOptions::Publish);
    let announcement = world.announce(ANNA, "live/cam");
    let told = |request| Action::Namespace { request, namespace: namespace("live/cam") };
    assert_eq!(world.actions, [Action::Accept(announcement), told(second), told(first)]);
    world.tell(Input::Ended(announcement));
    let told = |request| Action::NamespaceDone { request, namespace: namespace("live/cam") };
    assert_eq!(world.actions, [told(second), told(first)]);
}

#[test]
fn a_namespace_of_two_publishers_comes_and_goes_once() {
    let mut world = World::default();
    world.listen(CARL, "live", SubscribeOptions::Namespace);
    world.announce(ANNA, "live");
    let second = world.announce(BERT, "live");
    assert_eq!(world.actions, [Action::Accept(second)]);
    world.tell(Input::PeerLeft(ANNA));
    assert_eq!(world.actions, []);
    world.tell(Input::PeerLeft(BERT));
    assert_eq!(world.actions.len(), 1);
}

#[test]
fn an_own_namespace_and_an_own_track_are_echoed() {
    covers!("D16-5.1-08", "D14-6.1-04");
    let mut world = World::default();
    world.listen(ANNA, "live", SubscribeOptions::Both);
    world.announce(ANNA, "live");
    assert_eq!(world.actions.len(), 2);
    world.publish(ANNA, "live");
    assert_eq!(world.offered().len(), 1);
}

#[test]
fn a_prefix_that_comes_again_replaces_the_one_before() {
    let mut world = World::default();
    let old = world.listen(ANNA, "live", SubscribeOptions::Both);
    let new = world.listen(ANNA, "live", SubscribeOptions::Both);
    world.tell(Input::Ended(old));
    let announcement = world.announce(BERT, "live");
    let told = Action::Namespace { request: new, namespace: namespace("live") };
    assert_eq!(world.actions, [Action::Accept(announcement), told]);
}

#[test]
fn a_subscription_that_comes_again_replaces_the_one_before() {
    let mut world = World::default();
    world.announce(ANNA, "live");
    let old = world.subscribe(BERT, "live");
    let (source, _) = world.asked().unwrap();
    world.tell(Input::Accepted(source));
    let new = world.subscribe(BERT, "live");
    assert!(world.attached(new));
    world.tell(Input::Ended(old));
    assert_eq!(world.actions, []);
    world.tell(Input::Ended(new));
    assert_eq!(world.actions[0], Action::Unsubscribe(source));
}

#[test]
fn a_publish_that_comes_again_replaces_the_one_before() {
    let mut world = World::default();
    let old = world.publish(ANNA, "live");
    world.subscribe(BERT, "live");
    world.publish(ANNA, "live");
    assert!(matches!(world.actions[0], Action::AcceptPublish { forward: true, .. }));
    world.tell(Input::Ended(old));
    assert_eq!(world.actions, []);
}
