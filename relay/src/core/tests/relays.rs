//! Relays among themselves: nothing goes in a circle, nothing keeps itself alive.

use super::*;

const UP: Link = Link { relay: Some(RelayId(7)), upstream: Some(0), tells: false, announce: true };
const DOWN: Link = Link { relay: Some(EIGHT), upstream: None, tells: false, announce: false };
const SEVEN: RelayId = RelayId(7);
const EIGHT: RelayId = RelayId(8);

impl World {
    fn relay(&mut self, peer: PeerId, link: Link) {
        self.tell(Input::Relay { peer, link });
    }

    /// What is announced to relays now: to whom, and by which path.
    fn told(&self) -> Vec<(PeerId, Path)> {
        let told = self.actions.iter().filter_map(|action| match action {
            Action::Announce { peer, path, .. } => Some((*peer, path.clone())),
            _ => None,
        });
        told.collect()
    }

    fn withdrawn(&self) -> usize {
        self.actions.iter().filter(|action| matches!(action, Action::Withdraw(_))).count()
    }
}

#[test]
fn a_relay_is_told_of_all_namespaces_with_the_way_they_came() {
    let mut world = World::default();
    world.announce(ANNA, "live");
    world.relay(BERT, UP);
    assert_eq!(world.told(), [(BERT, vec![US])]);
    world.relay(CARL, DOWN);
    assert_eq!(world.told(), [], "it has not asked");
    let announced = world.announce_by(CARL, "other", &[RelayId(9), EIGHT]);
    assert_eq!(world.told(), [(BERT, vec![RelayId(9), EIGHT, US])]);
    world.tell(Input::Ended(announced));
    assert_eq!(world.withdrawn(), 1);
}

#[test]
fn a_relay_that_asks_for_namespaces_is_told_by_announcements() {
    let mut world = World::default();
    world.relay(BERT, Link { relay: Some(SEVEN), ..DOWN });
    world.announce(ANNA, "live");
    world.listen(BERT, "", SubscribeOptions::Namespace);
    assert_eq!(world.told(), [(BERT, vec![US])]);
}

#[test]
fn nothing_is_announced_to_where_it_has_been() {
    covers!("D14-6.2-09", "D16-6.2-10");
    let mut world = World::default();
    world.relay(BERT, UP);
    world.relay(CARL, DOWN);
    world.announce_by(CARL, "live", &[SEVEN, EIGHT]);
    assert_eq!(world.told(), [], "it came by that relay");
    let ours = world.announce_by(CARL, "live", &[US, EIGHT]);
    assert_eq!(world.rejected(ours), Some(RequestErrorCode::DoesNotExist));
}

#[test]
fn an_announcement_whose_way_has_changed_is_made_anew() {
    let mut world = World::default();
    world.relay(BERT, UP);
    world.relay(CARL, DOWN);
    let here = world.announce(ANNA, "live");
    world.announce_by(CARL, "live", &[EIGHT]);
    assert_eq!(world.told(), [], "the shorter way is known already");
    world.tell(Input::Ended(here));
    assert_eq!((world.withdrawn(), world.told()), (1, vec![(BERT, vec![EIGHT, US])]));
}

#[test]
fn a_relay_is_asked_for_what_no_publisher_has_the_nearest_first() {
    let mut world = World::default();
    world.relay(BERT, UP);
    let (near, far) = (PeerId(11), PeerId(12));
    world.relay(near, DOWN);
    world.relay(far, Link { relay: Some(RelayId(9)), ..DOWN });
    world.announce_by(far, "live/cam", &[RelayId(10), RelayId(9)]);
    world.announce_by(near, "live", &[EIGHT]);
    let request = world.subscribe(CARL, "live/cam");
    let mut asked = Vec::new();
    while let Some((source, peer)) = world.asked() {
        asked.push(peer);
        world.tell(Input::Rejected(source, RequestError::new(RequestErrorCode::Timeout, "no")));
    }
    assert_eq!(asked, [near, far, BERT]);
    assert_eq!(world.rejected(request), Some(RequestErrorCode::Timeout));
}

#[test]
fn no_relay_is_asked_where_there_is_a_publisher() {
    let mut world = World::default();
    world.relay(BERT, UP);
    world.announce_by(BERT, "live", &[SEVEN]);
    world.announce(ANNA, "live");
    world.subscribe(CARL, "live");
    let (source, peer) = world.asked().unwrap();
    assert_eq!(peer, ANNA);
    world.tell(Input::Accepted(source));
    world.tell(Input::PeerLeft(ANNA));
    assert_eq!(world.asked().map(|(_, peer)| peer), Some(BERT), "but when that is lost");
}

#[test]
fn a_subscription_at_a_relay_ends_with_its_announcement() {
    let mut world = World::default();
    world.relay(BERT, Link { upstream: None, ..UP });
    let announced = world.announce_by(BERT, "live", &[SEVEN]);
    world.subscribe(CARL, "live");
    let (source, _) = world.asked().unwrap();
    world.tell(Input::Accepted(source));
    world.tell(Input::Ended(announced));
    assert!(world.actions.contains(&Action::Unsubscribe(source)));
    assert!(world.ended());
}

#[test]
fn a_request_that_has_come_in_a_circle_is_declined() {
    let mut world = World::default();
    world.relay(BERT, UP);
    let request = world.input(|request| Input::Subscribe {
        peer: CARL,
        request,
        track: track("live"),
        forward: true,
        new_group: None,
        path: vec![US, SEVEN],
    });
    assert_eq!(world.rejected(request), Some(RequestErrorCode::DoesNotExist));
    assert_eq!(world.core.past(CARL, &track("live"), &vec![US]), None);
}

#[test]
fn a_relay_is_not_served_from_itself() {
    let mut world = World::default();
    world.relay(BERT, UP);
    let request = world.subscribe(BERT, "live");
    assert_eq!(world.asked(), None);
    assert!(world.rejected(request).is_some());

    // Nor when it asks later than somebody else for whom it was asked.
    world.subscribe(CARL, "live");
    let (source, peer) = world.asked().unwrap();
    assert_eq!(peer, BERT);
    world.tell(Input::Accepted(source));
    let request = world.subscribe(BERT, "live");
    assert!(world.rejected(request).is_some());
}

#[test]
fn a_relay_is_served_as_long_as_there_is_another_source_than_itself() {
    let mut world = World::default();
    world.relay(BERT, UP);
    world.announce(ANNA, "live");
    world.subscribe(CARL, "live");
    let (source, _) = world.asked().unwrap();
    world.tell(Input::Accepted(source));
    let request = world.subscribe(BERT, "live");
    assert!(world.attached(request));
    world.tell(Input::PeerLeft(ANNA));
    let (at_relay, _) = world.asked().unwrap();
    assert!(world.actions.contains(&Action::Leave(request)));
    world.tell(Input::Accepted(at_relay));
    assert!(!world.ended());
}

#[test]
fn a_published_track_is_offered_to_the_relay_that_is_told_of_all() {
    let mut world = World::default();
    world.relay(BERT, UP);
    world.publish(ANNA, "live");
    assert_eq!(world.offered().iter().map(|(_, peer)| *peer).collect::<Vec<_>>(), [BERT]);
    world.relay(CARL, Link { relay: Some(EIGHT), ..UP });
    assert_eq!(world.offered().iter().map(|(_, peer)| *peer).collect::<Vec<_>>(), [CARL]);
}

#[test]
fn an_upstream_that_comes_is_asked_for_what_is_waited_for() {
    let mut world = World::with(Policy { linger: false, hold: true });
    world.subscribe(CARL, "live");
    world.relay(BERT, UP);
    assert_eq!(world.asked().map(|(_, peer)| peer), Some(BERT));
}

#[test]
fn what_is_lost_is_not_looked_for_where_it_would_be_announced() {
    let mut world = World::default();
    world.relay(BERT, Link { tells: true, ..UP });
    let first = world.subscribe(CARL, "unheard-of");
    assert_eq!(world.asked().map(|(_, peer)| peer), Some(BERT));
    world.tell(Input::Ended(first));

    world.announce(ANNA, "live");
    world.subscribe(CARL, "live");
    let (source, _) = world.asked().unwrap();
    world.tell(Input::Accepted(source));
    world.tell(Input::PeerLeft(ANNA));
    assert_eq!(world.asked(), None);
    assert!(world.ended());
}
