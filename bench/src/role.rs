//! Who plays in a scene, in this process or in one of its own.
//!
//! A player tells its scene [`Event`]s: that it is ready, that it has begun to send, and at the end what it has done.
//! One in a process of its own gets its [`Role`] as JSON on its command line, writes its events to stdout, an object a
//! line, and stops when its stdin is closed.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moqingbird::session::Config;
use moqingbird::{ClientOptions, Server, ServerOptions, Session, Trust};
use moqingbird_relay::{Relay, RelayOptions};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::bare::{self, Connection, Listener, Side, Streams};
use crate::publish::Sent;
use crate::receive::Counter;
use crate::tally::Seens;
use crate::usage::Usage;
use crate::workload::Transport;
use crate::{Error, Workload, ours};

/// What is played.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Sends the workload: to the first who connects, or through `via`.
    Publish { workload: Workload, namespace: String, via: Option<Place> },
    /// Subscribes, `sessions` times; the first is the `first`-th of the scene.
    Subscribe { workload: Workload, namespace: String, from: Place, first: u32, sessions: u32 },
    /// Relays.
    Relay { workload: Workload },
    /// As `Publish`, over the bare transport.
    BarePublish { workload: Workload, via: Option<Place> },
    /// As `Subscribe`, over the bare transport.
    BareSubscribe { workload: Workload, from: Place, first: u32, sessions: u32 },
    /// Forwards, over the bare transport.
    BareForward { workload: Workload },
    /// Keeps the connections of the bare transport that come, and does nothing with them.
    BareKeep { workload: Workload },
}

/// Where somebody listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    /// A URL, or over a bare transport an address.
    pub(crate) at: String,
    pub(crate) trust: Recognised,
}

/// By what a server is recognised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Recognised {
    /// By the system's roots.
    System,
    /// By nothing.
    Insecure,
    /// By the SHA-256 of its certificate, in hexadecimal; over a bare transport by the certificate itself.
    Certificate(String),
}

/// What a player tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// Others may come: where to, if it listens.
    Ready(Option<Place>),
    /// The first object goes out.
    Started,
    /// It has done its part.
    Done(Part),
    /// It cannot.
    Failed(String),
}

/// What a player has done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) sent: u64,
    pub(crate) streams: u64,
    pub(crate) seen: Seens,
    /// Memory at its most; the scene measures CPU time itself, from the moment of sending.
    pub(crate) peak_rss_bytes: u64,
}

impl Role {
    /// What it is called in a report.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Publish { .. } | Self::BarePublish { .. } => "publisher",
            Self::Subscribe { .. } | Self::BareSubscribe { .. } => "subscriber",
            Self::Relay { .. } => "relay",
            Self::BareForward { .. } => "forwarder",
            Self::BareKeep { .. } => "listener",
        }
    }

    /// Plays in this process.
    pub(crate) fn start(self) -> Player {
        let (events, heard) = mpsc::unbounded_channel();
        let name = self.name();
        let task = tokio::spawn(async move {
            let told = match self.play(&events).await {
                Ok(part) => Event::Done(part),
                Err(error) => Event::Failed(error.to_string()),
            };
            let _ = events.send(told);
        });
        Player { name, pid: std::process::id(), heard, stage: Stage::Here(task) }
    }

    /// Plays in a process of its own.
    pub(crate) fn start_child(self) -> Result<Player, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "role"])
            .arg(serde_json::to_string(&self)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().unwrap_or(0);
        let stdout = child.stdout.take().ok_or("the process has no stdout")?;
        let (events, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let event = serde_json::from_str(&line)
                    .unwrap_or_else(|error| Event::Failed(format!("it said {line:?}: {error}")));
                let _ = events.send(event);
            }
        });
        Ok(Player { name: self.name(), pid, heard, stage: Stage::Child(child) })
    }

    async fn play(self, events: &mpsc::UnboundedSender<Event>) -> Result<Part, Error> {
        let tell = |event| {
            let _ = events.send(event);
        };
        match self {
            Self::Publish { workload, namespace, via } => {
                let sent = Arc::<Sent>::default();
                let started = || tell(Event::Started);
                match via {
                    None => {
                        let server = server(&workload)?;
                        tell(Event::Ready(Some(place(&server, workload.transport))));
                        let session = accept(&server).await?;
                        ours::publish(&session, &workload, &sent, started).await?;
                        session.closed().await;
                    }
                    Some(place) => {
                        let session = connect(&place, &workload).await?;
                        let _announced = ours::announce(&session, &namespace).await?;
                        tell(Event::Ready(None));
                        ours::publish(&session, &workload, &sent, started).await?;
                    }
                }
                Ok(Part::sent(&sent))
            }
            Self::Subscribe { workload, namespace, from, first, sessions } => {
                let counter = Counter::new();
                let mut subscribers = JoinSet::new();
                for number in first..first + sessions {
                    let session = connect(&from, &workload).await?;
                    let (workload, namespace, counter) =
                        (workload.clone(), namespace.clone(), counter.clone());
                    subscribers.spawn(async move {
                        ours::subscribe(&session, &namespace, &workload, number, &counter).await
                    });
                }
                tell(Event::Ready(None));
                all(subscribers).await?;
                Ok(Part::seen(&counter))
            }
            Self::Relay { workload } => {
                let server = server(&workload)?;
                tell(Event::Ready(Some(place(&server, workload.transport))));
                Relay::new(RelayOptions::default()).run(&server).await;
                Ok(Part::default())
            }
            Self::BarePublish { workload, via } => {
                let sent = Arc::<Sent>::default();
                let connection = match via {
                    None => {
                        let listener =
                            Listener::bind(workload.transport, workload.congestion, Streams::BUSY)?;
                        tell(Event::Ready(Some(bare_place(&listener)?)));
                        listener.accept().await?.1
                    }
                    Some(place) => {
                        let connection = bare_connect(&place, Side::Publisher, &workload).await?;
                        tell(Event::Ready(None));
                        connection
                    }
                };
                bare::publish(connection, &workload, &sent, || tell(Event::Started)).await?;
                Ok(Part::sent(&sent))
            }
            Self::BareSubscribe { workload, from, first, sessions } => {
                let counter = Counter::new();
                let mut subscribers = JoinSet::new();
                for number in first..first + sessions {
                    let connection = bare_connect(&from, Side::Subscriber, &workload).await?;
                    let (workload, counter) = (workload.clone(), counter.clone());
                    subscribers
                        .spawn(async move { bare::subscribe(connection, &workload, number, &counter).await });
                }
                tell(Event::Ready(None));
                all(subscribers).await?;
                Ok(Part::seen(&counter))
            }
            Self::BareForward { workload } => {
                let listener = Listener::bind(workload.transport, workload.congestion, Streams::BUSY)?;
                tell(Event::Ready(Some(bare_place(&listener)?)));
                bare::forward(&listener, workload.subscribers).await?;
                Ok(Part::default())
            }
            Self::BareKeep { workload } => {
                let listener = Listener::bind(workload.transport, workload.congestion, Streams::IDLE)?;
                tell(Event::Ready(Some(bare_place(&listener)?)));
                let mut kept = Vec::new();
                loop {
                    kept.push(listener.accept().await?);
                }
            }
        }
    }
}

impl Part {
    fn sent(sent: &Sent) -> Self {
        let (objects, streams) = (sent.objects.load(Ordering::Relaxed), sent.streams.load(Ordering::Relaxed));
        Self { sent: objects, streams, ..Self::ended() }
    }

    fn seen(counter: &Counter) -> Self {
        Self { seen: counter.tally().seen(), ..Self::ended() }
    }

    fn ended() -> Self {
        let peak_rss_bytes = Usage::of(std::process::id()).peak_rss_bytes;
        Self { peak_rss_bytes, ..Self::default() }
    }
}

async fn all(mut tasks: JoinSet<Result<(), Error>>) -> Result<(), Error> {
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

fn server(workload: &Workload) -> Result<Server, Error> {
    let mut options = ServerOptions::default();
    options.versions = vec![workload.version()];
    options.congestion = workload.congestion.into();
    Ok(Server::bind(&options)?.with_session(config()))
}

/// So many requests that their credit is never what is measured.
fn config() -> Config {
    let mut config = Config::default();
    config.max_request_id = 1 << 24;
    config
}

fn place(server: &Server, transport: Transport) -> Place {
    let address = server.local_addrs()[0];
    let at = match transport {
        Transport::Quic => format!("moqt://{address}"),
        Transport::WebTransport => format!("https://{address}/"),
    };
    Place { at, trust: Recognised::Certificate(server.certificate_sha256().to_string()) }
}

async fn accept(server: &Server) -> Result<Session, Error> {
    Ok(server.accept().await.ok_or("the port was closed")?.accept().await?)
}

pub(crate) async fn connect(place: &Place, workload: &Workload) -> Result<Session, Error> {
    let mut options = ClientOptions::default();
    options.session = config();
    options.connect.versions = vec![workload.version()];
    options.connect.congestion = workload.congestion.into();
    options.connect.trust = match &place.trust {
        Recognised::System => Trust::default(),
        Recognised::Insecure => Trust::Insecure,
        Recognised::Certificate(hash) => Trust::Pinned(vec![hash.parse()?]),
    };
    Ok(moqingbird::connect(&place.at.parse()?, &options).await?)
}

fn bare_place(listener: &Listener) -> Result<Place, Error> {
    let trust = Recognised::Certificate(listener.certificate());
    Ok(Place { at: listener.address()?.to_string(), trust })
}

pub(crate) async fn bare_connect(
    place: &Place,
    side: Side,
    workload: &Workload,
) -> Result<Connection, Error> {
    let Recognised::Certificate(certificate) = &place.trust else {
        return Err("a bare server is recognised by its certificate".into());
    };
    let address: SocketAddr = place.at.parse()?;
    Connection::open(address, certificate, side, workload.transport, workload.congestion).await
}

/// One who plays.
#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    heard: mpsc::UnboundedReceiver<Event>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Here(JoinHandle<()>),
    Child(Child),
}

impl Player {
    /// What it tells next.
    ///
    /// # Errors
    /// It failed, or went away.
    pub(crate) async fn event(&mut self) -> Result<Event, Error> {
        match self.heard.recv().await {
            Some(Event::Failed(why)) => Err(format!("the {} failed: {why}", self.name).into()),
            Some(event) => Ok(event),
            None => Err(format!("the {} went away without a word", self.name).into()),
        }
    }

    /// Waits until others may come, and tells where to.
    pub(crate) async fn ready(&mut self) -> Result<Option<Place>, Error> {
        loop {
            if let Event::Ready(place) = self.event().await? {
                return Ok(place);
            }
        }
    }

    /// Waits until it begins to send.
    pub(crate) async fn started(&mut self) -> Result<(), Error> {
        while !matches!(self.event().await?, Event::Started) {}
        Ok(())
    }

    /// Waits until it has done its part.
    pub(crate) async fn done(&mut self) -> Result<Part, Error> {
        loop {
            if let Event::Done(part) = self.event().await? {
                return Ok(part);
            }
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        match &mut self.stage {
            Stage::Here(task) => task.abort(),
            // Closing its stdin would do, but a process that hangs does not look there.
            Stage::Child(child) => drop(child.start_kill()),
        }
    }
}

/// Plays the role of the command line. Stays when it is done, so that the scene can see what it has cost, until stdin is
/// closed.
pub(crate) async fn play_as_child(role: &str) -> Result<(), Error> {
    let role: Role = serde_json::from_str(role)?;
    let mut player = role.start();
    let mut stdin = tokio::io::stdin();
    let mut byte = [0];
    loop {
        tokio::select! {
            event = player.heard.recv() => match event {
                Some(event) => println!("{}", serde_json::to_string(&event)?),
                None => break,
            },
            _ = stdin.read(&mut byte) => return Ok(()),
        }
    }
    // Whatever comes, the scene is over.
    let _ = stdin.read(&mut byte).await;
    Ok(())
}
