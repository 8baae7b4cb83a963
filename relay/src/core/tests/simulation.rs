//! Random peers against a model that knows only what was asked and what the relay answered.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const PATHS: [&str; 6] = ["a", "a/b", "a/b/c", "b", "b/c", ""];
const OPTIONS: [SubscribeOptions; 3] =
    [SubscribeOptions::Publish, SubscribeOptions::Namespace, SubscribeOptions::Both];
const PEERS: u64 = 5;

/// SplitMix64: the same seed, the same run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    pub(crate) fn pick<T: Copy>(&mut self, items: impl IntoIterator<Item = T>) -> Option<T> {
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
    Held,
    Attached,
    Offered,
}

#[derive(Clone, Debug)]
struct Reader {
    peer: PeerId,
    name: FullTrackName,
    standing: Standing,
    forward: bool,
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
    readers: BTreeMap<RequestKey, Reader>,
    names: BTreeMap<TrackKey, FullTrackName>,
    /// The tracks whose sources are kept although nobody listens.
    lingering: BTreeMap<FullTrackName, u64>,
    /// Who has declined or left a track since it is routed.
    declined: BTreeSet<(FullTrackName, PeerId)>,
}

impl Model {
    fn apply(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Accept(_) | Action::Forget(_) => {}
                Action::Reject { request, error } => {
                    let reader = self.readers.remove(&request).unwrap();
                    assert!(matches!(reader.standing, Standing::Waiting | Standing::Held), "answered once");
                    let asked = self.announcers(&reader.name).any(|it| it != reader.peer);
                    assert!(error != unknown_track() || !asked || reader.standing == Standing::Held);
                }
                Action::AcceptPublish { request, track, forward } => {
                    let (_, name, state) = self.published.get_mut(&request).unwrap();
                    *state = forward;
                    self.names.insert(track, name.clone());
                }
                Action::Attach { request, track } => {
                    let reader = self.readers.get_mut(&request).unwrap();
                    assert!(matches!(reader.standing, Standing::Waiting | Standing::Held), "attached once");
                    assert_eq!(self.names[&track], reader.name);
                    reader.standing = Standing::Attached;
                }
                Action::Hold(request) => {
                    self.readers.get_mut(&request).unwrap().standing = Standing::Held;
                }
                Action::Linger { name, turn } => {
                    self.lingering.insert(name, turn);
                }
                Action::Namespace { request, namespace } => {
                    assert!(self.told.insert((request, namespace)), "told once");
                }
                Action::NamespaceDone { request, namespace } => {
                    assert!(self.told.remove(&(request, namespace)));
                }
                Action::Subscribe { request, peer, track, name, .. } => {
                    assert!(self.announcers(&name).any(|it| it == peer), "only announcers are asked");
                    for reader in self.readers.values_mut().filter(|it| it.name == name) {
                        if reader.standing == Standing::Held {
                            reader.standing = Standing::Waiting;
                        }
                    }
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
                Action::Offer { request, peer, name, forward, .. } => {
                    assert!(self.published.values().any(|it| it.1 == name));
                    self.readers.insert(request, Reader { peer, name, standing: Standing::Offered, forward });
                }
                Action::EndTrack(track) => {
                    // A track that was declined at once was never heard of.
                    if let Some(name) = self.names.remove(&track) {
                        self.readers.retain(|_, it| it.name != name || it.standing == Standing::Held);
                        self.lingering.remove(&name);
                        self.declined.retain(|(it, _)| *it != name);
                    }
                }
                Action::Leave(_) | Action::Announce { .. } | Action::Withdraw(_) => {
                    panic!("there is no relay here: {action:?}")
                }
            }
        }
    }

    fn announcers(&self, name: &FullTrackName) -> impl Iterator<Item = PeerId> {
        self.namespaces.values().filter(|it| name.namespace.starts_with(&it.1)).map(|it| it.0)
    }

    fn readers_of<'a>(&'a self, name: &'a FullTrackName) -> impl Iterator<Item = &'a Reader> {
        self.readers.values().filter(move |it| it.name == *name)
    }

    fn is_wanted(&self, name: &FullTrackName) -> bool {
        self.readers_of(name).any(|it| it.standing != Standing::Offered)
    }

    fn check(&mut self, core: &Core) {
        self.check_namespaces();
        let wanted: Vec<_> = self.lingering.keys().filter(|name| self.is_wanted(name)).cloned().collect();
        for name in wanted {
            self.lingering.remove(&name);
        }
        let mut sources = BTreeSet::new();
        for (peer, name, _) in self.upstream.values() {
            assert!(sources.insert((peer, name)), "one subscription a track and publisher");
            assert!(self.is_wanted(name) || self.lingering.contains_key(name), "none that nobody wants");
            assert!(
                !self.published.values().any(|it| it.0 == *peer && it.1 == *name),
                "its PUBLISH is enough"
            );
        }
        for (_, name, forwarding) in self.published.values() {
            let heard = self.readers_of(name).any(|it| it.standing != Standing::Offered && it.forward);
            assert!(
                *forwarding == heard || self.lingering.contains_key(name),
                "all forward while one listens"
            );
        }
        for reader in self.readers.values() {
            let Reader { name, standing, .. } = reader;
            let established = self.published.values().any(|it| it.1 == *name)
                || self.upstream.values().any(|it| it.1 == *name && it.2);
            let asked = self.upstream.values().any(|it| it.1 == *name);
            let waiting = matches!(standing, Standing::Waiting | Standing::Held);
            assert!(established || asked || *standing == Standing::Held, "{standing:?} without a source");
            assert!(!(established && waiting), "waiting although there is a source");
            assert!(*standing != Standing::Held || !asked, "held although one is asked");
            for peer in self.announcers(name).filter(|_| *standing != Standing::Offered) {
                let source = self.upstream.values().chain(self.published.values());
                assert!(
                    source.clone().any(|it| it.0 == peer && it.1 == *name)
                        || self.declined.contains(&(name.clone(), peer)),
                    "every announcer is asked"
                );
            }
        }
        assert!(core.routes.len() <= PATHS.len());
    }

    fn check_namespaces(&self) {
        for (request, (_, prefix, options)) in &self.prefixes {
            let expected: BTreeSet<_> = match options {
                SubscribeOptions::Publish => BTreeSet::new(),
                _ => self.namespaces.values().map(|it| &it.1).filter(|it| it.starts_with(prefix)).collect(),
            };
            let told = self.told.iter().filter(|it| it.0 == *request).map(|it| &it.1).collect();
            assert_eq!(expected, told);
        }
        assert!(self.told.iter().all(|it| self.prefixes.contains_key(&it.0)));
    }

    /// Where the past of a track is found: at every source that is granted, and every announcer, each once.
    fn check_past(&self, core: &Core, peer: PeerId, name: &FullTrackName) {
        let found = core.past(peer, name, &Path::new()).unwrap();
        let sources: BTreeSet<_> = self
            .published
            .values()
            .chain(self.upstream.values().filter(|it| it.2))
            .filter(|it| it.1 == *name)
            .map(|it| it.0)
            .collect();
        let announcers: BTreeSet<_> = self.announcers(name).collect();
        assert_eq!(found.peers.len(), found.peers.iter().collect::<BTreeSet<_>>().len(), "each once");
        assert_eq!(found.peers.iter().copied().collect::<BTreeSet<_>>(), &sources | &announcers);
        assert_eq!(
            found.peers[..sources.len()].iter().copied().collect::<BTreeSet<_>>(),
            sources,
            "sources first"
        );
        assert_eq!(found.track.is_some(), !sources.is_empty());
    }

    fn forget(&mut self, request: RequestKey) {
        self.namespaces.remove(&request);
        self.prefixes.remove(&request);
        self.told.retain(|it| it.0 != request);
        self.published.remove(&request);
        if let Some((peer, name, _)) = self.upstream.remove(&request) {
            self.declined.insert((name, peer));
        }
        self.readers.remove(&request);
    }
}

fn step(random: &mut Random, core: &mut Core, model: &mut Model) {
    let peer = PeerId(random.below(PEERS as usize) as u64);
    let path = namespace(PATHS[random.below(PATHS.len())]);
    let name = FullTrackName::new(path.clone(), "t").unwrap();
    let request = core.new_request();
    let input = match random.below(24) {
        0..3 => {
            model.declined.retain(|(it, who)| *who != peer || !it.namespace.starts_with(&path));
            model.namespaces.insert(request, (peer, path.clone()));
            Input::PublishNamespace { peer, request, namespace: path, path: Path::new() }
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
            Input::Publish { peer, request, track: name, path: Path::new() }
        }
        7..11 => {
            model.readers.retain(|_, it| it.peer != peer || it.name != name);
            let forward = random.below(4) > 0;
            let reader = Reader { peer, name: name.clone(), standing: Standing::Waiting, forward };
            model.readers.insert(request, reader);
            Input::Subscribe { peer, request, track: name, forward, new_group: None, path: Path::new() }
        }
        11..14 => {
            let pending = model.upstream.iter().filter(|it| !it.1.2).map(|it| *it.0);
            let Some(request) = random.pick(pending) else { return };
            if random.below(3) > 0 {
                model.upstream.get_mut(&request).unwrap().2 = true;
                Input::Accepted(request)
            } else {
                model.forget(request);
                Input::Rejected(request, RequestError::new(RequestErrorCode::Timeout, "no"))
            }
        }
        14..16 => {
            let served = |it: &Reader| matches!(it.standing, Standing::Offered | Standing::Attached);
            let served = model.readers.iter().filter(|it| served(it.1)).map(|it| *it.0);
            let Some(request) = random.pick(served) else { return };
            let reader = model.readers.get_mut(&request).unwrap();
            (reader.standing, reader.forward) = (Standing::Attached, random.below(4) > 0);
            Input::Forward { request, forward: reader.forward }
        }
        16..19 => {
            let all = model.namespaces.keys().chain(model.prefixes.keys()).chain(model.published.keys());
            let all = all.chain(model.upstream.keys()).chain(model.readers.keys()).copied();
            let Some(request) = random.pick(all) else { return };
            let published = model.published.get(&request).map(|it| (it.1.clone(), it.0));
            let source = published.is_some() || model.upstream.contains_key(&request);
            model.forget(request);
            if source && random.below(2) == 0 {
                model.declined.extend(published);
                Input::Complete(request)
            } else {
                Input::Ended(request)
            }
        }
        19 => {
            let names: Vec<_> = model.lingering.iter().collect();
            let Some((name, turn)) = random.pick(names) else { return };
            let (name, turn) = (name.clone(), *turn);
            model.lingering.remove(&name);
            Input::LingerOver { name, turn }
        }
        20 => {
            let Some(request) = random.pick(model.readers.keys().copied()) else { return };
            Input::HoldOver(request)
        }
        21 | 22 => return model.check_past(core, peer, &name),
        _ => leave(peer, model),
    };
    hand_in(core, model, input);
    model.check(core);
}

/// The relay may still write to a peer that is leaving, so what it had of that peer goes last.
fn hand_in(core: &mut Core, model: &mut Model, input: Input) {
    let leaving = match input {
        Input::PeerLeft(peer) => Some(peer),
        _ => None,
    };
    model.apply(core.handle(input));
    if let Some(peer) = leaving {
        model.published.retain(|_, it| it.0 != peer);
        model.upstream.retain(|_, it| it.0 != peer);
        model.declined.retain(|(_, it)| *it != peer);
    }
}

fn leave(peer: PeerId, model: &mut Model) -> Input {
    model.namespaces.retain(|_, it| it.0 != peer);
    model.prefixes.retain(|_, it| it.0 != peer);
    let prefixes = &model.prefixes;
    model.told.retain(|it| prefixes.contains_key(&it.0));
    model.readers.retain(|_, it| it.peer != peer);
    Input::PeerLeft(peer)
}

fn run(seeds: std::ops::Range<u64>, operations: usize) {
    for seed in seeds {
        let policy = Policy { linger: seed % 2 == 1, hold: seed % 4 > 1 };
        let (mut random, mut core, mut model) = (Random(seed), Core::new(US, policy), Model::default());
        for _ in 0..operations {
            step(&mut random, &mut core, &mut model);
        }
        for peer in 0..PEERS {
            let input = leave(PeerId(peer), &mut model);
            hand_in(&mut core, &mut model, input);
        }
        for (name, turn) in std::mem::take(&mut model.lingering) {
            hand_in(&mut core, &mut model, Input::LingerOver { name, turn });
        }
        assert!(core.is_empty(), "seed {seed}: {core:#?}");
    }
}

#[test]
fn random_peers_find_what_they_ask_for_and_leave_nothing_behind() {
    run(0..500, 150);
}

/// `cargo test --release -p moqingbird-relay --lib -- --ignored ten_thousand`
#[test]
#[ignore = "takes minutes; run in release"]
fn ten_thousand_operations_of_each_of_five_hundred_seeds() {
    run(0..500, 10_000);
}
