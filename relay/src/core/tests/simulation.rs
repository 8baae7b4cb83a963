//! Random peers against a model that knows only what was asked and what the relay answered.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const PATHS: [&str; 6] = ["a", "a/b", "a/b/c", "b", "b/c", ""];
const OPTIONS: [SubscribeOptions; 3] =
    [SubscribeOptions::Publish, SubscribeOptions::Namespace, SubscribeOptions::Both];

/// SplitMix64: the same seed, the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, items: impl IntoIterator<Item = T>) -> Option<T> {
        let items: Vec<T> = items.into_iter().collect();
        match items.len() {
            0 => None,
            count => Some(items[self.below(count)]),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Standing {
    Waiting,
    Attached,
    Offered,
}

/// What every peer may believe, from requests and actions alone.
#[derive(Default)]
struct Model {
    namespaces: BTreeMap<RequestKey, (PeerId, TrackNamespace)>,
    prefixes: BTreeMap<RequestKey, (PeerId, TrackNamespace, SubscribeOptions)>,
    told: BTreeSet<(RequestKey, TrackNamespace)>,
    /// Each granted PUBLISH with its Forward State.
    published: BTreeMap<RequestKey, (PeerId, FullTrackName, bool)>,
    /// Each subscription of the relay, and whether it was granted.
    upstream: BTreeMap<RequestKey, (PeerId, FullTrackName, bool)>,
    subscribers: BTreeMap<RequestKey, (PeerId, FullTrackName, Standing)>,
    names: BTreeMap<TrackKey, FullTrackName>,
}

impl Model {
    fn apply(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Accept(_) => {}
                Action::Reject { request, error } => {
                    let (_, name, standing) = self.subscribers.remove(&request).unwrap();
                    assert_eq!(standing, Standing::Waiting, "answered once");
                    let announced = self.namespaces.values().any(|it| name.namespace.starts_with(&it.1));
                    assert!(error != unknown_track() || !announced);
                }
                Action::AcceptPublish { request, track, forward } => {
                    let (_, name, state) = self.published.get_mut(&request).unwrap();
                    *state = forward;
                    self.names.insert(track, name.clone());
                }
                Action::Attach { request, track } => {
                    let subscriber = self.subscribers.get_mut(&request).unwrap();
                    assert_eq!(subscriber.2, Standing::Waiting);
                    assert_eq!(self.names[&track], subscriber.1);
                    subscriber.2 = Standing::Attached;
                }
                Action::Namespace { request, namespace } => {
                    assert!(self.told.insert((request, namespace)), "told once");
                }
                Action::NamespaceDone { request, namespace } => {
                    assert!(self.told.remove(&(request, namespace)));
                }
                Action::Subscribe { request, peer, track, name } => {
                    assert!(
                        self.namespaces
                            .values()
                            .any(|(it, ns)| *it == peer && name.namespace.starts_with(ns))
                    );
                    self.names.insert(track, name.clone());
                    self.upstream.insert(request, (peer, name, false));
                }
                Action::Unsubscribe(request) => {
                    self.upstream.remove(&request).unwrap();
                }
                Action::SetForward { request, forward } => {
                    let state = &mut self.published.get_mut(&request).unwrap().2;
                    assert_ne!(std::mem::replace(state, forward), forward);
                }
                Action::Offer { request, peer, name, .. } => {
                    assert!(self.published.values().any(|it| it.1 == name));
                    self.subscribers.insert(request, (peer, name, Standing::Offered));
                }
                Action::EndTrack(track) => {
                    let name = self.names.remove(&track).unwrap();
                    self.subscribers.retain(|_, it| it.1 != name);
                }
            }
        }
    }

    fn check(&self) {
        for (request, (_, prefix, options)) in &self.prefixes {
            let expected: BTreeSet<_> = match options {
                SubscribeOptions::Publish => BTreeSet::new(),
                _ => self.namespaces.values().map(|it| &it.1).filter(|it| it.starts_with(prefix)).collect(),
            };
            let told = self.told.iter().filter(|it| it.0 == *request).map(|it| &it.1).collect();
            assert_eq!(expected, told);
        }
        assert!(self.told.iter().all(|it| self.prefixes.contains_key(&it.0)));
        let mut sources = BTreeSet::new();
        for (_, name, _) in self.upstream.values() {
            assert!(sources.insert(name), "one subscription a track");
            assert!(self.subscribers.values().any(|it| it.1 == *name), "none without subscribers");
        }
        for (_, name, _) in self.published.values() {
            assert!(!self.upstream.values().any(|it| it.1 == *name), "a PUBLISH is enough");
            let heard = self.subscribers.values().any(|it| it.1 == *name && it.2 == Standing::Attached);
            let forwarding = self.published.values().filter(|it| it.1 == *name && it.2).count();
            assert_eq!(forwarding, usize::from(heard), "one PUBLISH forwards as long as somebody listens");
        }
        for (_, name, standing) in self.subscribers.values() {
            let established = self.published.values().any(|it| it.1 == *name)
                || self.upstream.values().any(|it| it.1 == *name && it.2);
            let asked = self.upstream.values().any(|it| it.1 == *name);
            assert!(established || asked, "{standing:?} without a source");
            assert!(!(established && *standing == Standing::Waiting), "waiting although there is a source");
        }
    }

    fn forget(&mut self, request: RequestKey) {
        self.namespaces.remove(&request);
        self.prefixes.remove(&request);
        self.told.retain(|it| it.0 != request);
        self.published.remove(&request);
        self.upstream.remove(&request);
        self.subscribers.remove(&request);
    }
}

fn step(random: &mut Random, core: &mut Core, model: &mut Model) {
    let peer = PeerId(random.below(5) as u64);
    let path = namespace(PATHS[random.below(PATHS.len())]);
    let name = FullTrackName::new(path.clone(), "t").unwrap();
    let request = core.new_request();
    let input = match random.below(20) {
        0..3 => {
            model.namespaces.insert(request, (peer, path.clone()));
            Input::PublishNamespace { peer, request, namespace: path }
        }
        3..5 => {
            let options = OPTIONS[random.below(3)];
            let over: Vec<_> = model
                .prefixes
                .iter()
                .filter(|(_, it)| it.0 == peer && (it.1.starts_with(&path) || path.starts_with(&it.1)))
                .map(|(request, _)| *request)
                .collect();
            over.into_iter().for_each(|old| model.forget(old));
            model.prefixes.insert(request, (peer, path.clone(), options));
            Input::SubscribeNamespace { peer, request, prefix: path, options, forward: true }
        }
        5..7 => {
            model.published.insert(request, (peer, name.clone(), false));
            Input::Publish { peer, request, track: name }
        }
        7..11 => {
            model.subscribers.retain(|_, it| it.0 != peer || it.1 != name);
            model.subscribers.insert(request, (peer, name.clone(), Standing::Waiting));
            Input::Subscribe { peer, request, track: name, forward: true }
        }
        11..14 => {
            let pending = model.upstream.iter().filter(|it| !it.1.2).map(|it| *it.0);
            let Some(request) = random.pick(pending) else { return };
            if random.below(3) > 0 {
                model.upstream.get_mut(&request).unwrap().2 = true;
                Input::Accepted(request)
            } else {
                model.upstream.remove(&request);
                Input::Rejected(request, RequestError::new(RequestErrorCode::Timeout, "no"))
            }
        }
        14..16 => {
            let offered = model.subscribers.iter().filter(|it| it.1.2 == Standing::Offered);
            let Some(request) = random.pick(offered.map(|it| *it.0)) else { return };
            model.subscribers.get_mut(&request).unwrap().2 = Standing::Attached;
            Input::Forward { request, forward: true }
        }
        16..19 => {
            let all = model.namespaces.keys().chain(model.prefixes.keys()).chain(model.published.keys());
            let all = all.chain(model.upstream.keys()).chain(model.subscribers.keys()).copied();
            let Some(request) = random.pick(all) else { return };
            let source = model.published.contains_key(&request) || model.upstream.contains_key(&request);
            model.forget(request);
            if source && random.below(2) == 0 { Input::Complete(request) } else { Input::Ended(request) }
        }
        _ => leave(peer, model),
    };
    hand_in(core, model, input);
    model.check();
}

/// The relay may still write to a peer that is leaving, so what it had of that peer goes last.
fn hand_in(core: &mut Core, model: &mut Model, input: Input) {
    let leaving = match input {
        Input::PeerLeft(peer) => Some(peer),
        _ => None,
    };
    model.apply(core.handle(input));
    model.published.retain(|_, it| Some(it.0) != leaving);
    model.upstream.retain(|_, it| Some(it.0) != leaving);
}

fn leave(peer: PeerId, model: &mut Model) -> Input {
    model.namespaces.retain(|_, it| it.0 != peer);
    model.prefixes.retain(|_, it| it.0 != peer);
    let prefixes = &model.prefixes;
    model.told.retain(|it| prefixes.contains_key(&it.0));
    model.subscribers.retain(|_, it| it.0 != peer);
    Input::PeerLeft(peer)
}

#[test]
fn random_peers_find_what_they_ask_for_and_leave_nothing_behind() {
    for seed in 0..200 {
        let (mut random, mut core, mut model) = (Random(seed), Core::default(), Model::default());
        for _ in 0..300 {
            step(&mut random, &mut core, &mut model);
        }
        for peer in 0..5 {
            let input = leave(PeerId(peer), &mut model);
            hand_in(&mut core, &mut model, input);
        }
        assert!(core.is_empty(), "seed {seed}: {core:#?}");
    }
}
