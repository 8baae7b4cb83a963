//! A run: who takes part, over what, until when; and what must hold at every step and at the end.

use std::panic::{self, AssertUnwindSafe};

use moqingbird::session::Config;
use moqingbird::wire::model::SessionErrorCode;
use moqingbird::wire::planted::{self, Fault};
use moqingbird::wire::{Draft, Version};

use crate::adversary;
use crate::host::{Host, Item, Scene};
use crate::net::{Happening, MILLI, Net, Quality, SECOND, Time};
use crate::oracle::Oracle;
use crate::peer::Peer;
use crate::relay::Relay;
use crate::rng::Rng;

/// How long everything may take to end once nobody begins anything.
const PATIENCE: Time = 90 * SECOND;

/// What a run has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The same for the same seed.
    pub(crate) hash: u64,
    pub(crate) steps: u64,
    pub(crate) objects: u64,
    pub(crate) failure: Option<String>,
}

#[derive(Debug)]
enum App {
    Peer(Box<Peer>),
    Relay(Box<Relay>),
}

#[derive(Debug)]
struct World {
    rng: Rng,
    scene: Scene,
    hosts: Vec<Host>,
    apps: Vec<App>,
    /// The deadline for which each engine will be woken.
    woken: Vec<Option<Time>>,
    /// The host that breaks rules.
    adversary: Option<usize>,
}

/// Runs a seed in a draft; one end of a chain may speak another.
pub(crate) fn run(seed: u64, version: Version, fault: Option<Fault>) -> Report {
    planted::plant(fault);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, version.draft());
        world.play();
        world.report()
    }));
    planted::plant(None);
    outcome.unwrap_or_else(|_| Report { hash: 0, steps: 0, objects: 0, failure: Some("it panics".into()) })
}

impl World {
    fn new(seed: u64, draft: &'static dyn Draft) -> Self {
        let mut rng = Rng::new(seed);
        let scene = Scene { net: Net::new(Rng::new(rng.draw())), oracle: Oracle::default() };
        let mut world =
            Self { rng, scene, hosts: Vec::new(), apps: Vec::new(), woken: Vec::new(), adversary: None };
        match world.rng.below(10) {
            0..=5 => world.pair(draft),
            6..=7 => world.chain(draft),
            _ => {
                world.pair(draft);
                let host = world.rng.below(2) as usize;
                world.adversary = Some(host);
                world.scene.oracle.lawless.insert(world.hosts[host].conn);
            }
        }
        for app in 0..world.apps.len() {
            world.tick_later(app, 1);
        }
        world
    }

    fn config(&mut self) -> Config {
        let mut config = Config::default();
        config.tap = true;
        config.max_request_id = [2, 8, 20, 100][self.rng.below(4) as usize];
        config.max_held_streams = if self.rng.once_in(5) { 2 } else { 1_000 };
        config.max_held_datagrams = if self.rng.once_in(5) { 2 } else { 64 };
        config.max_auth_token_cache_size = [0, 60, 4_096][self.rng.below(3) as usize];
        config.max_unsent_control_bytes = if self.rng.once_in(4) { 100 } else { 1 << 20 };
        config
    }

    /// A client and a server.
    fn connect(&mut self, draft: &'static dyn Draft) -> [usize; 2] {
        let quality = Quality::random(&mut self.rng);
        let conn = self.scene.net.connect(quality);
        [0, 1].map(|end| {
            let config = self.config();
            self.hosts.push(Host::new(draft, conn, end, config, &mut self.scene));
            self.woken.push(None);
            self.hosts.len() - 1
        })
    }

    fn peer(&mut self, host: usize, own: u64, wanted: u64) {
        let rng = Rng::new(self.rng.draw());
        self.apps.push(App::Peer(Box::new(Peer::new(host, rng, own, wanted))));
    }

    fn pair(&mut self, draft: &'static dyn Draft) {
        let [client, server] = self.connect(draft);
        self.peer(client, 0, 10);
        self.peer(server, 10, 0);
    }

    /// A publisher, a relay and a subscriber; one of the two sessions may be of another draft.
    fn chain(&mut self, draft: &'static dyn Draft) {
        let other = Version::ALL[self.rng.below(Version::ALL.len() as u64) as usize].draft();
        let (above, below) = if self.rng.once_in(2) { (draft, other) } else { (other, draft) };
        let mut ends = [self.connect(above), self.connect(below)];
        for ends in &mut ends {
            if self.rng.once_in(2) {
                ends.reverse();
            }
        }
        let [[publisher, up], [down, subscriber]] = ends;
        self.peer(publisher, 0, 10);
        self.apps.push(App::Relay(Box::new(Relay::new(up, down))));
        self.peer(subscriber, 10, 0);
    }

    fn tick_later(&mut self, app: usize, most: Time) {
        let at = self.scene.net.now + (1 + self.rng.below(40 * most)) * MILLI;
        self.scene.net.at(at, Happening::Tick(app));
    }

    fn play(&mut self) {
        for host in 0..self.hosts.len() {
            self.settle(host);
        }
        let active = self.scene.net.now + self.rng.within(SECOND / 2, 3 * SECOND);
        if self.rng.once_in(10) {
            let breaks = self.scene.net.now + self.rng.below(3 * SECOND);
            self.go_on(breaks.min(active), 1);
            let conn = self.rng.below(self.hosts.len() as u64 / 2) as usize;
            self.scene.net.lose(conn);
        }
        self.go_on(active, 1);
        self.adversary = None;
        for app in &mut self.apps {
            if let App::Peer(peer) = app {
                peer.closing = true;
            }
        }
        // The last words are many, and then there is a long silence.
        self.go_on(active + 3 * SECOND, 2);
        self.go_on(active + PATIENCE, 100);
        self.check_end();
        if self.scene.oracle.failure.is_some() {
            return;
        }
        for host in 0..self.hosts.len() {
            if self.hosts[host].closed.is_none() {
                self.hosts[host]
                    .run(&mut self.scene, |session, _| session.close(SessionErrorCode::NoError, "over"));
                self.settle(host);
            }
        }
        self.go_on(active + PATIENCE + 20 * SECOND, 100);
        for host in &self.hosts {
            let is_empty = host.session.is_closed() && host.session.footprint() == Default::default();
            self.scene
                .oracle
                .require(is_empty, || format!("a closed session keeps {:?}", host.session.footprint()));
        }
    }

    /// Lets everything happen up to a moment, or the first failure.
    fn go_on(&mut self, until: Time, pace: Time) {
        while self.scene.oracle.failure.is_none()
            && let Some(happening) = self.scene.net.next(until)
        {
            self.scene.oracle.steps += 1;
            self.scene.oracle.note(self.scene.net.now);
            match happening {
                Happening::Arrives { conn, at, what } => {
                    let host = conn * 2 + at;
                    self.hosts[host].arrives(&mut self.scene, what);
                    self.settle(host);
                }
                Happening::Deadline(host) => {
                    self.woken[host] = None;
                    self.hosts[host].handle(&mut self.scene, moqingbird::session::Input::Timeout);
                    self.settle(host);
                }
                Happening::Tick(app) => {
                    self.tick(app);
                    self.tick_later(app, pace);
                }
            }
        }
        self.scene.net.now = self.scene.net.now.max(until);
    }

    fn tick(&mut self, app: usize) {
        let touched = match &mut self.apps[app] {
            App::Peer(peer) => {
                let host = peer.host;
                peer.tick(&mut self.hosts[host], &mut self.scene);
                if self.adversary == Some(host) && self.hosts[host].closed.is_none() && self.rng.once_in(3) {
                    adversary::act(&mut self.rng, &mut self.hosts[host], &mut self.scene);
                }
                [host, host]
            }
            App::Relay(relay) => {
                let (up, down) = two(&mut self.hosts, relay.up, relay.down);
                relay.tick(up, down, &mut self.scene);
                [relay.up, relay.down]
            }
        };
        for host in touched {
            self.settle(host);
        }
    }

    /// Gives applications what has come for them, and looks at the engines.
    fn settle(&mut self, host: usize) {
        let mut touched = vec![host];
        while let Some((at, item)) = self.next_item(&touched) {
            for app in &mut self.apps {
                match app {
                    App::Peer(peer) if peer.host == at => {
                        peer.item(&mut self.hosts[at], &mut self.scene, item);
                        break;
                    }
                    App::Relay(relay) if relay.up == at || relay.down == at => {
                        touched = vec![relay.up, relay.down];
                        let (up, down) = two(&mut self.hosts, relay.up, relay.down);
                        match relay.up == at {
                            true => relay.item_above(up, down, &mut self.scene, item),
                            false => relay.item_below(up, down, &mut self.scene, item),
                        }
                        break;
                    }
                    _ => {}
                }
            }
        }
        for host in touched {
            self.look_at(host);
        }
    }

    fn next_item(&mut self, touched: &[usize]) -> Option<(usize, Item)> {
        touched.iter().find_map(|host| Some((*host, self.hosts[*host].inbox.pop_front()?)))
    }

    fn look_at(&mut self, index: usize) {
        let host = &self.hosts[index];
        let footprint = host.session.footprint();
        self.scene.oracle.bounded(&footprint, &host.config);
        if let Some(stream) = host.forgotten(self.scene.net.now) {
            self.scene.oracle.fail(format!("{stream:?} was neither delivered nor refused in its time"));
        }
        if let Some(deadline) = host.session.poll_timeout().map(moqingbird::session::Instant::as_micros)
            && self.woken[index].is_none_or(|woken| deadline < woken)
        {
            self.woken[index] = Some(deadline);
            self.scene.net.at(deadline, Happening::Deadline(index));
        }
    }

    /// Everything has had its time: nothing is left.
    fn check_end(&mut self) {
        if self.scene.oracle.failure.is_some() {
            return;
        }
        for app in &self.apps {
            let (leftovers, hosts) = match app {
                App::Peer(peer) => (peer.leftovers(), vec![peer.host]),
                App::Relay(relay) => (relay.leftovers(), vec![relay.up, relay.down]),
            };
            let lawless =
                hosts.iter().any(|host| self.scene.oracle.lawless.contains(&self.hosts[*host].conn));
            if lawless {
                continue;
            }
            if let Some(leftovers) = leftovers {
                self.scene.oracle.fail(format!("not everything has ended: {leftovers}"));
            }
            for host in hosts {
                if self.hosts[host].closed.is_none()
                    && let Some(leftovers) = self.hosts[host].leftovers()
                {
                    self.scene.oracle.fail(format!("host {host}: {leftovers}"));
                }
            }
        }
    }

    fn report(self) -> Report {
        let Oracle { failure, steps, objects, .. } = &self.scene.oracle;
        Report { hash: self.scene.oracle.hash(), steps: *steps, objects: *objects, failure: failure.clone() }
    }
}

fn two(hosts: &mut [Host], one: usize, other: usize) -> (&mut Host, &mut Host) {
    match hosts.get_disjoint_mut([one, other]) {
        Ok([one, other]) => (one, other),
        Err(_) => panic!("a relay has two hosts"),
    }
}
