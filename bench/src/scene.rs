//! A publisher, subscribers, and what stands between them.

use std::time::Duration;

use tokio::time::timeout;

use crate::args::{BareArgs, EndArgs, FanoutArgs, LoopbackArgs, RelayArgs};
use crate::progress::Progress;
use crate::report::{Cost, Report};
use crate::role::{Part, Place, Player, Role};
use crate::usage::Usage;
use crate::{Error, Workload};

/// How long players may take to get ready, and to come to an end once everything is sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who plays, and where.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) workload: Workload,
    pub(crate) bare: bool,
    pub(crate) between: Between,
    /// Whether publisher and subscribers play in processes of their own.
    pub(crate) apart: bool,
    /// Among how many processes the subscribers are divided.
    pub(crate) subscriber_processes: u32,
}

/// What stands between publisher and subscribers.
#[derive(Clone, Debug)]
pub(crate) enum Between {
    Nothing,
    /// A relay of our own, or a bare forwarder.
    Ours,
    Theirs(Place),
}

pub(crate) async fn loopback(args: &LoopbackArgs) -> Result<Report, Error> {
    let workload = Workload { subscribers: 1, ..args.workload.clone() };
    Scene {
        name: "loopback",
        workload,
        bare: false,
        between: Between::Nothing,
        apart: args.processes > 1,
        subscriber_processes: 1,
    }
    .run()
    .await
}

pub(crate) async fn bare(args: &BareArgs) -> Result<Report, Error> {
    let (between, apart) = match args.forwarder {
        Some(_) => (Between::Ours, true),
        None => (Between::Nothing, args.processes > 1),
    };
    let workload = Workload { subscribers: args.forwarder.unwrap_or(1), ..args.workload.clone() };
    Scene { name: "bare", workload, bare: true, between, apart, subscriber_processes: 1 }.run().await
}

pub(crate) async fn relay(args: &RelayArgs) -> Result<Report, Error> {
    let between = args.server.place().map_or(Between::Ours, Between::Theirs);
    let workload = args.workload.clone();
    Scene { name: "relay", workload, bare: false, between, apart: true, subscriber_processes: 1 }.run().await
}

pub(crate) async fn fanout(args: &FanoutArgs) -> Result<Report, Error> {
    let between = args.server.place().map_or(Between::Ours, Between::Theirs);
    let workload = args.workload.clone();
    let subscriber_processes = args.processes.min(workload.subscribers);
    Scene { name: "fanout", workload, bare: false, between, apart: true, subscriber_processes }.run().await
}

/// The publisher alone.
pub(crate) async fn publisher(args: &EndArgs) -> Result<Report, Error> {
    let workload = args.workload.clone();
    let (namespace, via) = (args.namespace.clone(), Some(args.server.place()));
    let mut publisher = Role::Publish { workload: workload.clone(), namespace, via }.start();
    publisher.ready().await?;
    let waiting = Progress::waiting("announced; waiting for a subscriber");
    publisher.started().await?;
    drop(waiting);
    let mut costs = Costs::begin([&publisher]);
    let progress = Progress::of("sending", workload.duration());
    let part = publisher.done().await?;
    drop(progress);
    costs.end();
    // A publisher's own figures are of what it sent.
    let mut sent = Report::new("pub", &workload, &part, &[], costs.all(&[&part]));
    sent.count_what_was_sent();
    Ok(sent)
}

/// The subscriber alone.
pub(crate) async fn subscriber(args: &EndArgs) -> Result<Report, Error> {
    let workload = args.workload.clone();
    let (namespace, from, sessions) = (args.namespace.clone(), args.server.place(), workload.subscribers);
    let role = Role::Subscribe { workload: workload.clone(), namespace, from, first: 0, sessions };
    let mut subscriber = role.start();
    subscriber.ready().await?;
    let mut costs = Costs::begin([&subscriber]);
    let progress = Progress::waiting("counting until the publisher ends");
    let part = subscriber.done().await?;
    drop(progress);
    costs.end();
    let costs = costs.all(&[&part]);
    Ok(Report::new("sub", &workload, &Part::default(), &[part], costs))
}

impl Scene {
    /// Plays it once.
    pub(crate) async fn run(&self) -> Result<Report, Error> {
        let namespace = format!("moqt/bench/{:x}-{:x}", std::process::id(), crate::stamp::now());
        let mut between = match self.between {
            Between::Ours => Some(self.between_role().start_child()?),
            _ => None,
        };
        let through = match (&mut between, &self.between) {
            (Some(player), _) => soon("get ready", player.ready()).await?,
            (None, Between::Theirs(place)) => Some(place.clone()),
            (None, _) => None,
        };
        let mut publisher = self.start(self.publish_role(&namespace, through.clone()))?;
        let at = soon("get ready", publisher.ready()).await?;
        let place = through.or(at).ok_or("nobody listens")?;

        let mut subscribers = Vec::new();
        for role in self.subscribe_roles(&namespace, &place) {
            subscribers.push(self.start(role)?);
        }
        soon("get ready", async {
            for subscriber in &mut subscribers {
                subscriber.ready().await?;
            }
            publisher.started().await
        })
        .await?;

        let mut costs = Costs::begin(std::iter::once(&publisher).chain(&subscribers).chain(between.as_ref()));
        let progress = Progress::of(self.name, self.workload.duration());
        let (sent, seen) =
            timeout(self.workload.duration() + PATIENCE, self.played(&mut publisher, &mut subscribers))
                .await
                .map_err(|_| format!("not everything arrived within {PATIENCE:?} of the end of sending"))??;
        drop(progress);
        costs.end();
        let parts: Vec<_> = std::iter::once(&sent).chain(&seen).collect();
        Ok(Report::new(self.name, &self.workload, &sent, &seen, costs.all(&parts)))
    }

    async fn played(
        &self,
        publisher: &mut Player,
        subscribers: &mut [Player],
    ) -> Result<(Part, Vec<Part>), Error> {
        let seen = async {
            let mut seen = Vec::new();
            for subscriber in subscribers {
                seen.push(subscriber.done().await?);
            }
            Ok(seen)
        };
        tokio::try_join!(publisher.done(), seen)
    }

    fn start(&self, role: Role) -> Result<Player, Error> {
        if self.apart { role.start_child() } else { Ok(role.start()) }
    }

    fn between_role(&self) -> Role {
        let workload = self.workload.clone();
        if self.bare { Role::BareForward { workload } } else { Role::Relay { workload } }
    }

    fn publish_role(&self, namespace: &str, via: Option<Place>) -> Role {
        let workload = self.workload.clone();
        match self.bare {
            true => Role::BarePublish { workload, via },
            false => Role::Publish { workload, namespace: namespace.to_owned(), via },
        }
    }

    fn subscribe_roles(&self, namespace: &str, from: &Place) -> Vec<Role> {
        let (all, processes) = (self.workload.subscribers, self.subscriber_processes);
        let role = |process: u32| {
            let (first, next) = (all * process / processes, all * (process + 1) / processes);
            let (workload, from, sessions) = (self.workload.clone(), from.clone(), next - first);
            match self.bare {
                true => Role::BareSubscribe { workload, from, first, sessions },
                false => Role::Subscribe { workload, namespace: namespace.to_owned(), from, first, sessions },
            }
        };
        (0..processes).map(role).collect()
    }
}

async fn soon<T>(what: &str, players: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(PATIENCE, players).await.map_err(|_| format!("the players did not {what} within {PATIENCE:?}"))?
}

/// What each process costs from the beginning of sending to the end.
struct Costs {
    processes: Vec<(String, u32, Usage, Usage)>,
}

impl Costs {
    fn begin<'a>(players: impl IntoIterator<Item = &'a Player>) -> Self {
        let mut processes: Vec<(String, u32, Usage, Usage)> = Vec::new();
        for player in players {
            match processes.iter_mut().find(|(_, pid, ..)| *pid == player.pid) {
                Some((name, ..)) => *name = format!("{name} and {}", player.name),
                None => {
                    let usage = Usage::of(player.pid);
                    processes.push((player.name.to_owned(), player.pid, usage, usage));
                }
            }
        }
        Self { processes }
    }

    fn end(&mut self) {
        for (_, pid, _, end) in &mut self.processes {
            *end = Usage::of(*pid);
        }
    }

    /// A process that has ended is known by what it said of itself.
    fn all(&self, parts: &[&Part]) -> Vec<Cost> {
        let cost = |(at, (name, _, begin, end)): (usize, &(String, u32, Usage, Usage))| Cost {
            process: name.clone(),
            cpu_s: (end.cpu_s - begin.cpu_s).max(0.0),
            peak_rss_bytes: end.peak_rss_bytes.max(parts.get(at).map_or(0, |part| part.peak_rss_bytes)),
        };
        self.processes.iter().enumerate().map(cost).collect()
    }
}
