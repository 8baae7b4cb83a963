//! Several cores, linked at random, with publishers and subscribers that come and go: messages between them take their time,
//! links break with what is on its way. When everything has been said, whoever subscribes is served by a publisher if there is
//! one to be reached, never in a circle; and nothing is left when all have gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;

const PATHS: [&str; 3] = ["a", "a/b", "c"];

/// A relay, by its place among them.
type Node = usize;
/// A session, by its number.
type Wire = usize;

/// What one end of a session tells the other. A number is that of the request where it was made.
#[derive(Clone, Debug)]
enum Told {
    Announce(RequestKey, TrackNamespace, Path),
    Subscribe(RequestKey, FullTrackName, Path),
    Publish(RequestKey, FullTrackName, Path),
    Listen,
    Granted(RequestKey),
    Forward(RequestKey, bool),
    Declined(RequestKey, RequestError),
    /// By whoever made the request.
    Withdrawn(RequestKey),
    /// By the other.
    Over(RequestKey),
}

/// One end of a session: a relay, or a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Relay(Node, PeerId),
    Peer(usize),
}

#[derive(Debug)]
struct Session {
    ends: [End; 2],
    /// What is on its way to each end.
    towards: [VecDeque<Told>; 2],
}

/// A publisher or subscriber of one thing.
#[derive(Debug)]
struct Client {
    wire: Wire,
    publishes: bool,
    /// Its namespace, and not only the track.
    announces: bool,
    name: FullTrackName,
    /// Its SUBSCRIBE is under way, or granted.
    asks: bool,
    granted: bool,
}

#[derive(Debug)]
struct Relay {
    core: Core,
    peers: BTreeMap<PeerId, Wire>,
    /// Requests that came, by their session and their number there; and back.
    theirs: BTreeMap<(Wire, RequestKey), RequestKey>,
    came: BTreeMap<RequestKey, (Wire, RequestKey)>,
    /// Our own requests.
    ours: BTreeMap<RequestKey, Wire>,
    attached: BTreeMap<TrackKey, BTreeSet<RequestKey>>,
    timers: VecDeque<Input>,
}

struct Net {
    relays: Vec<Relay>,
    sessions: BTreeMap<Wire, Session>,
    clients: BTreeMap<usize, Client>,
    /// The links that there may be, and that which there is.
    links: Vec<(Node, Node, Option<Wire>)>,
    last: usize,
}

impl Net {
    fn new(count: usize, links: &[(Node, Node)], policy: Policy) -> Self {
        let relay = |node| Relay {
            core: Core::new(RelayId(100 + node as u64), policy),
            peers: BTreeMap::new(),
            theirs: BTreeMap::new(),
            came: BTreeMap::new(),
            ours: BTreeMap::new(),
            attached: BTreeMap::new(),
            timers: VecDeque::new(),
        };
        let links = links.iter().map(|&(from, to)| (from, to, None)).collect();
        Self {
            relays: (0..count).map(relay).collect(),
            sessions: BTreeMap::new(),
            clients: BTreeMap::new(),
            links,
            last: 0,
        }
    }

    fn number(&mut self) -> usize {
        self.last += 1;
        self.last
    }

    // --- sessions ---

    fn join(&mut self, node: Node, wire: Wire) -> End {
        let peer = PeerId(self.number() as u64);
        self.relays[node].peers.insert(peer, wire);
        End::Relay(node, peer)
    }

    /// One relay connects to another, to ask it and to tell it.
    fn link(&mut self, at: usize) {
        let (from, to, None) = self.links[at] else { return };
        let wire = self.number();
        let ends = [self.join(from, wire), self.join(to, wire)];
        self.sessions.insert(wire, Session { ends, towards: Default::default() });
        self.links[at].2 = Some(wire);
        let id = |node: Node| Some(RelayId(100 + node as u64));
        let [End::Relay(_, there), End::Relay(_, here)] = ends else { unreachable!() };
        self.input(
            to,
            Input::Relay {
                peer: here,
                link: Link { relay: id(from), upstream: None, tells: false, announce: false },
            },
        );
        self.say(wire, 0, Told::Listen);
        self.input(
            from,
            Input::Relay {
                peer: there,
                link: Link { relay: id(to), upstream: Some(0), tells: true, announce: true },
            },
        );
    }

    /// A session ends, with all that is on its way.
    fn cut(&mut self, wire: Wire) {
        let Some(session) = self.sessions.remove(&wire) else { return };
        for link in &mut self.links {
            link.2.take_if(|it| *it == wire);
        }
        for end in session.ends {
            match end {
                End::Relay(node, peer) => {
                    let relay = &mut self.relays[node];
                    relay.peers.remove(&peer);
                    self.input(node, Input::PeerLeft(peer));
                    let relay = &mut self.relays[node];
                    relay.theirs.retain(|(it, _), _| *it != wire);
                    relay.came.retain(|_, (it, _)| *it != wire);
                    relay.ours.retain(|_, it| *it != wire);
                }
                End::Peer(client) => drop(self.clients.remove(&client)),
            }
        }
    }

    fn come(&mut self, node: Node, publishes: bool, name: FullTrackName, announces: bool) {
        let (wire, client) = (self.number(), self.number());
        let ends = [End::Peer(client), self.join(node, wire)];
        self.sessions.insert(wire, Session { ends, towards: Default::default() });
        let new = Client { wire, publishes, announces, name: name.clone(), asks: false, granted: false };
        self.clients.insert(client, new);
        if publishes && announces {
            self.say(wire, 0, Told::Announce(RequestKey(1), name.namespace, Path::new()));
        } else if publishes {
            self.say(wire, 0, Told::Publish(RequestKey(1), name, Path::new()));
        } else {
            self.ask(client);
        }
    }

    fn ask(&mut self, client: usize) {
        let number = self.number();
        let Some(it) = self.clients.get_mut(&client).filter(|it| !it.publishes && !it.asks) else { return };
        it.asks = true;
        let (wire, told) =
            (it.wire, Told::Subscribe(RequestKey(number as u64), it.name.clone(), Path::new()));
        self.say(wire, 0, told);
    }

    // --- messages ---

    /// One end of a session says something.
    fn say(&mut self, wire: Wire, from: usize, told: Told) {
        if let Some(session) = self.sessions.get_mut(&wire) {
            session.towards[1 - from].push_back(told);
        }
    }

    fn say_from(&mut self, node: Node, wire: Wire, told: Told) {
        let Some(session) = self.sessions.get(&wire) else { return };
        let at = session.ends.iter().position(|end| matches!(end, End::Relay(it, _) if *it == node));
        self.say(wire, at.unwrap(), told);
    }

    /// What is on its way somewhere.
    fn waiting(&self) -> Vec<(Wire, usize)> {
        let all = self.sessions.iter().flat_map(|(wire, session)| {
            (0..2).filter(|end| !session.towards[*end].is_empty()).map(|end| (*wire, end))
        });
        all.collect()
    }

    fn deliver(&mut self, wire: Wire, to: usize) {
        let Some(session) = self.sessions.get_mut(&wire) else { return };
        let Some(told) = session.towards[to].pop_front() else { return };
        match session.ends[to] {
            End::Relay(node, peer) => self.relay_hears(node, peer, wire, told),
            End::Peer(client) => self.client_hears(client, wire, told),
        }
    }

    fn client_hears(&mut self, client: usize, wire: Wire, told: Told) {
        let Some(it) = self.clients.get_mut(&client) else { return };
        match told {
            Told::Subscribe(request, ..) => self.say(wire, 0, Told::Granted(request)),
            Told::Granted(_) if !it.publishes => it.granted = true,
            Told::Declined(..) | Told::Over(_) if !it.publishes => (it.asks, it.granted) = (false, false),
            _ => {}
        }
    }

    fn relay_hears(&mut self, node: Node, peer: PeerId, wire: Wire, told: Told) {
        let relay = &mut self.relays[node];
        let new = |relay: &mut Relay, theirs: RequestKey| {
            let request = relay.core.new_request();
            relay.theirs.insert((wire, theirs), request);
            relay.came.insert(request, (wire, theirs));
            request
        };
        let input = match told {
            Told::Announce(it, namespace, path) => {
                Input::PublishNamespace { peer, request: new(relay, it), namespace, path }
            }
            Told::Subscribe(it, track, path) => Input::Subscribe {
                peer,
                request: new(relay, it),
                track,
                forward: true,
                new_group: None,
                path,
            },
            Told::Publish(it, track, path) => Input::Publish { peer, request: new(relay, it), track, path },
            Told::Listen => Input::SubscribeNamespace {
                peer,
                request: relay.core.new_request(),
                prefix: TrackNamespace::empty(),
                options: SubscribeOptions::Namespace,
                forward: true,
            },
            // What is said of a request that is over means nothing.
            Told::Granted(it) if relay.ours.contains_key(&it) => Input::Accepted(it),
            Told::Forward(request, forward) if relay.ours.contains_key(&request) => {
                Input::Forward { request, forward }
            }
            Told::Declined(it, error) if relay.ours.remove(&it).is_some() => Input::Rejected(it, error),
            Told::Over(it) if relay.ours.remove(&it).is_some() => Input::Ended(it),
            Told::Withdrawn(it) => match relay.theirs.remove(&(wire, it)) {
                Some(request) => {
                    relay.came.remove(&request);
                    Input::Ended(request)
                }
                None => return,
            },
            _ => return,
        };
        self.input(node, input);
    }

    // --- what cores want ---

    fn input(&mut self, node: Node, input: Input) {
        for action in self.relays[node].core.handle(input) {
            self.act(node, action);
        }
    }

    fn act(&mut self, node: Node, action: Action) {
        let relay = &mut self.relays[node];
        let mut answers = Vec::new();
        match action {
            Action::Announce { request, peer, namespace, path } => {
                let wire = relay.peers[&peer];
                relay.ours.insert(request, wire);
                return self.say_from(node, wire, Told::Announce(request, namespace, path));
            }
            Action::Subscribe { request, peer, name, path, .. } => {
                let wire = relay.peers[&peer];
                relay.ours.insert(request, wire);
                return self.say_from(node, wire, Told::Subscribe(request, name, path));
            }
            Action::Offer { request, peer, track, name, path, .. } => {
                let wire = relay.peers[&peer];
                relay.ours.insert(request, wire);
                relay.attached.entry(track).or_default().insert(request);
                return self.say_from(node, wire, Told::Publish(request, name, path));
            }
            Action::Withdraw(request) | Action::Unsubscribe(request) => {
                if let Some(wire) = relay.ours.remove(&request) {
                    return self.say_from(node, wire, Told::Withdrawn(request));
                }
                answers.push((request, None));
            }
            Action::Attach { request, track } => {
                relay.attached.entry(track).or_default().insert(request);
                if let Some(&(wire, theirs)) = relay.came.get(&request) {
                    self.say_from(node, wire, Told::Granted(theirs));
                }
            }
            Action::AcceptPublish { request, forward, .. } | Action::SetForward { request, forward } => {
                if let Some(&(wire, theirs)) = relay.came.get(&request) {
                    self.say_from(node, wire, Told::Forward(theirs, forward));
                }
            }
            Action::Reject { request, error } => answers.push((request, Some(error))),
            Action::Leave(request) => answers.push((request, None)),
            Action::EndTrack(track) => {
                let attached = relay.attached.remove(&track).unwrap_or_default();
                answers.extend(attached.into_iter().map(|request| (request, None)));
            }
            Action::Linger { name, turn } => relay.timers.push_back(Input::LingerOver { name, turn }),
            Action::Hold(request) => relay.timers.push_back(Input::HoldOver(request)),
            Action::Accept(_)
            | Action::Namespace { .. }
            | Action::NamespaceDone { .. }
            | Action::Forget(_) => {}
        }
        for (request, error) in answers {
            let relay = &mut self.relays[node];
            for requests in relay.attached.values_mut() {
                requests.remove(&request);
            }
            if let Some((wire, theirs)) = relay.came.remove(&request) {
                relay.theirs.remove(&(wire, theirs));
                let told = error.map_or(Told::Over(theirs), |error| Told::Declined(theirs, error));
                self.say_from(node, wire, told);
            } else if let Some(wire) = relay.ours.remove(&request) {
                // A track that was offered.
                self.say_from(node, wire, Told::Withdrawn(request));
            }
        }
    }

    fn fire(&mut self, node: Node) -> bool {
        let Some(timer) = self.relays[node].timers.pop_front() else { return false };
        self.input(node, timer);
        true
    }

    // --- the end of a run ---

    /// Everything on its way arrives, all times are over, and subscribers ask again, as often as that changes something.
    fn settle(&mut self, random: &mut Random) {
        for _ in 0..8 {
            self.calm(random);
            let idle: Vec<_> = self.clients.iter().filter(|it| !it.1.asks).map(|it| *it.0).collect();
            idle.into_iter().for_each(|client| self.ask(client));
        }
        self.calm(random);
    }

    fn calm(&mut self, random: &mut Random) {
        for _ in 0..20_000 {
            match random.pick(self.waiting()) {
                Some((wire, to)) => self.deliver(wire, to),
                None if (0..self.relays.len()).any(|node| self.fire(node)) => {}
                None => return,
            }
        }
        panic!("it does not come to rest");
    }

    /// The relays that can be reached from one, itself included.
    fn reach(&self, node: Node) -> BTreeSet<Node> {
        let mut reached = BTreeSet::from([node]);
        for _ in &self.relays {
            for (from, to, wire) in &self.links {
                if wire.is_some() && (reached.contains(from) || reached.contains(to)) {
                    reached.extend([*from, *to]);
                }
            }
        }
        reached
    }

    fn node_of(&self, client: &Client) -> Node {
        let [_, End::Relay(node, _)] = self.sessions[&client.wire].ends else { unreachable!() };
        node
    }

    /// Whether a track comes to a relay from a publisher; never in a circle.
    fn is_served(&self, node: Node, name: &FullTrackName, way: &mut Vec<Node>) -> bool {
        assert!(!way.contains(&node), "in a circle: {way:?} and {node}: {}", self.describe(name));
        way.push(node);
        let core = &self.relays[node].core;
        let Some(route) = core.routes.get(name) else { return false };
        let served = core.sources_of(route).filter(|it| it.is_established()).any(|source| {
            let session = &self.sessions[&self.relays[node].peers[&source.peer]];
            let other = session.ends.iter().find(|end| !matches!(end, End::Relay(it, _) if *it == node));
            match other.unwrap() {
                End::Relay(next, _) => self.is_served(*next, name, way),
                End::Peer(client) => self.clients[client].publishes,
            }
        });
        way.pop();
        served
    }

    /// Where a track comes from, at each relay.
    fn describe(&self, name: &FullTrackName) -> String {
        let at = |(node, relay): (usize, &Relay)| {
            let core = &relay.core;
            let sources = core.routes.get(name).into_iter().flat_map(|route| core.sources_of(route));
            let sources: Vec<_> = sources
                .map(|it| {
                    format!(
                        "{:?} by {:?}, {:?}",
                        self.sessions[&relay.peers[&it.peer]].ends, it.path, it.kind
                    )
                })
                .collect();
            let announced: Vec<_> = core.announcers(&name.namespace).map(|it| (it.peer, &it.path)).collect();
            format!("\nat {node}: {sources:#?}, announced {announced:?}")
        };
        self.relays.iter().enumerate().map(at).collect()
    }

    /// The relays that one asks and tells, and those that these do, itself included.
    fn above(&self, node: Node) -> BTreeSet<Node> {
        let mut above = BTreeSet::from([node]);
        for _ in &self.relays {
            let linked = self.links.iter().filter(|(from, _, wire)| wire.is_some() && above.contains(from));
            let more: Vec<_> = linked.map(|(_, to, _)| *to).collect();
            above.extend(more);
        }
        above
    }

    /// Whether a subscriber is to be served by a publisher: announcements go everywhere, a track that is only published is
    /// offered, and asked for, towards the root.
    fn is_for(&self, publisher: &Client, client: &Client) -> bool {
        let (from, to) = (self.node_of(publisher), self.node_of(client));
        let covers = publisher.announces && client.name.namespace.starts_with(&publisher.name.namespace);
        let meets = || !self.above(from).is_disjoint(&self.above(to));
        covers && self.reach(from).contains(&to) || publisher.name == client.name && meets()
    }

    fn check(&self) {
        let publishers = || self.clients.values().filter(|it| it.publishes);
        for client in self.clients.values().filter(|it| !it.publishes) {
            let node = self.node_of(client);
            let at = || format!("at {node}: {client:?} {}", self.describe(&client.name));
            let served = self.is_served(node, &client.name, &mut Vec::new());
            assert!(client.granted || !client.asks, "it is left without an answer {}", at());
            assert_eq!(client.granted, served, "{}", at());
            assert!(served || !publishers().any(|publisher| self.is_for(publisher, client)), "{}", at());
        }
    }
}

const SHAPES: [(usize, &[(Node, Node)]); 4] = [
    (3, &[(0, 1), (1, 2)]),
    (3, &[(0, 1), (1, 2), (2, 0)]),
    (3, &[(0, 1), (1, 2), (0, 2)]),
    (4, &[(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]),
];

fn run(seed: u64, operations: usize) {
    let mut random = Random(seed);
    let (count, links) = SHAPES[random.below(SHAPES.len())];
    let mut net = Net::new(count, links, Policy { linger: seed % 2 == 1, hold: seed % 4 > 1 });
    (0..links.len()).for_each(|at| net.link(at));
    for _ in 0..operations {
        match random.below(30) {
            0 => net.link(random.below(links.len())),
            1 => {
                let up = net.links.iter().filter_map(|link| link.2).collect::<Vec<_>>();
                if let Some(wire) = random.pick(up) {
                    net.cut(wire);
                }
            }
            2 | 3 => {
                let name = track(PATHS[random.below(PATHS.len())]);
                let publishes = random.below(3) == 0;
                if net.clients.len() < 12 {
                    let announces = random.below(2) == 0;
                    net.come(random.below(count), publishes, name, announces);
                }
            }
            4 => {
                let wires = net.clients.values().map(|it| it.wire).collect::<Vec<_>>();
                if let Some(wire) = random.pick(wires) {
                    net.cut(wire);
                }
            }
            5 => {
                let idle = net.clients.iter().filter(|it| !it.1.asks).map(|it| *it.0).collect::<Vec<_>>();
                if let Some(client) = random.pick(idle) {
                    net.ask(client);
                }
            }
            6 => drop(net.fire(random.below(count))),
            _ => {
                if let Some((wire, to)) = random.pick(net.waiting()) {
                    net.deliver(wire, to);
                }
            }
        }
    }
    net.settle(&mut random);
    net.check();
    for wire in net.sessions.keys().copied().collect::<Vec<_>>() {
        net.cut(wire);
    }
    net.calm(&mut random);
    for relay in &net.relays {
        assert!(relay.core.is_empty(), "{:#?}", relay.core);
    }
}

#[test]
fn relays_that_lose_and_regain_each_other_serve_whom_they_can() {
    for seed in 0..400 {
        let failed = std::panic::catch_unwind(|| run(seed, 300)).is_err();
        assert!(!failed, "seed {seed}");
    }
}
