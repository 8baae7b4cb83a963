//! A client that stays connected.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use moqingbird_wire::model::SessionErrorCode;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::api::Session;
use crate::backoff::Backoff;
use crate::endpoint::{ClientOptions, SessionError, connect};
use crate::origin::{Attached, Origin, ServeOptions};
use crate::transport::ServerUrl;

/// A session that has lived this long was a success: the next wait is the shortest again.
const SETTLED: Duration = Duration::from_secs(5);
/// How long a session that its peer wants to end stays beside its successor.
const SEEING_OFF: Duration = Duration::from_secs(10);
/// How long a peer has to learn that we leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// An origin's way to a server, kept open: after a loss it connects again, after GOAWAY it moves to the new URI. What the
/// origin publishes is announced to each new session, and what is read by [`Origin::subscribe`] goes on there, what was
/// published meanwhile being fetched.
///
/// It works in the background as long as it is held. Dropped, the session ends when nothing else holds it.
#[derive(Debug)]
pub struct Client {
    state: watch::Receiver<ClientState>,
    stop: watch::Sender<Option<(SessionErrorCode, String)>>,
    task: Option<JoinHandle<()>>,
}

/// How a [`Client`] stands with its server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientState {
    /// It connects.
    Connecting {
        /// Where to: the server, or where that has sent us.
        url: Arc<ServerUrl>,
        /// How many attempts in a row have failed.
        failures: u32,
    },
    /// It is connected.
    Connected {
        /// Where.
        url: Arc<ServerUrl>,
        /// The session.
        session: Session,
    },
    /// It waits before the next attempt.
    Waiting {
        /// Why the last attempt, or the last session, failed.
        error: Arc<Lost>,
        /// How long it waits.
        delay: Duration,
        /// How many attempts in a row have failed.
        failures: u32,
    },
    /// It has given up, or was closed.
    Stopped {
        /// Why it has given up.
        error: Option<Arc<Lost>>,
    },
}

/// Why a [`Client`] has no session.
#[derive(Debug)]
#[non_exhaustive]
pub enum Lost {
    /// There was none.
    Connect(SessionError),
    /// It has ended.
    Session(crate::session::Closed),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Session(closed) => closed.fmt(f),
        }
    }
}

impl std::error::Error for Lost {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            Self::Session(closed) => Some(closed),
        }
    }
}

impl Client {
    /// Connects an origin to a server and keeps it connected, waiting between attempts as
    /// [`ClientOptions::backoff`] says. Must be called within a Tokio runtime.
    pub fn start(url: ServerUrl, options: ClientOptions, origin: &Origin) -> Self {
        Self::start_with(url, options, origin, ServeOptions::default())
    }

    /// As [`Client::start`], telling the server otherwise than by default of what the origin publishes.
    pub fn start_with(url: ServerUrl, options: ClientOptions, origin: &Origin, serve: ServeOptions) -> Self {
        Self::keep(url, options, Some((origin.clone(), serve)), None)
    }

    /// Keeps a session that [`connect`] has made: one that is lost is replaced, and GOAWAY is followed, as by
    /// [`Client::start`]. There is no origin: what is asked and answered on each session is left to the program, which
    /// hears of the next one by [`Client::changed`]. Must be called within a Tokio runtime.
    ///
    /// ```
    /// # use moqingbird::{Client, ClientOptions, ClientState, Server, ServerOptions, Trust, connect};
    /// # use moqingbird::wire::model::SessionErrorCode;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = Server::bind(&ServerOptions::default())?;
    /// # let url: moqingbird::ServerUrl = format!("moqt://{}", server.local_addrs()[0]).parse()?;
    /// # let mut options = ClientOptions::default();
    /// # options.connect.trust = Trust::Pinned(vec![server.certificate_sha256()]);
    /// # tokio::spawn(async move {
    /// #     let session = server.accept().await.unwrap().accept().await.unwrap();
    /// #     session.close(SessionErrorCode::NoError, "come again");
    /// #     let session = server.accept().await.unwrap().accept().await.unwrap();
    /// #     session.closed().await;
    /// # });
    /// let mut session = connect(&url, &options).await?;
    /// let mut client = Client::adopt(session.clone(), url, options);
    /// session.closed().await; // the server has closed it
    /// while session.close_reason().is_some() {
    ///     match client.changed().await {
    ///         ClientState::Connected { session: next, .. } => session = next,
    ///         state => println!("{state:?}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn adopt(session: Session, url: ServerUrl, options: ClientOptions) -> Self {
        Self::keep(url, options, None, Some(session))
    }

    fn keep(
        url: ServerUrl,
        options: ClientOptions,
        origin: Option<(Origin, ServeOptions)>,
        first: Option<Session>,
    ) -> Self {
        let home = Arc::new(url);
        let url = Arc::clone(&home);
        let (state_sender, state) = watch::channel(match &first {
            Some(session) => ClientState::Connected { url, session: session.clone() },
            None => ClientState::Connecting { url, failures: 0 },
        });
        let (stop, stopped) = watch::channel(None);
        let backoff = options.backoff;
        let keeper = Keeper {
            target: Arc::clone(&home),
            home,
            options,
            origin,
            state: state_sender,
            stopped,
            backoff,
            leaving: JoinSet::new(),
            left: Vec::new(),
        };
        Self { state, stop, task: Some(tokio::spawn(keeper.run(first))) }
    }

    /// How it stands.
    pub fn state(&self) -> ClientState {
        self.state.borrow().clone()
    }

    /// Waits until it stands otherwise than when this was last called, and says how. Cancel-safe.
    pub async fn changed(&mut self) -> ClientState {
        match self.state.changed().await {
            Ok(()) => self.state.borrow_and_update().clone(),
            Err(_) => ClientState::Stopped { error: None },
        }
    }

    /// The session, if there is one now.
    pub fn session(&self) -> Option<Session> {
        match &*self.state.borrow() {
            ClientState::Connected { session, .. } => Some(session.clone()),
            _ => None,
        }
    }

    /// Waits until there is a session.
    ///
    /// # Errors
    /// It has given up.
    pub async fn connected(&self) -> Result<Session, Arc<Lost>> {
        let mut state = self.state.clone();
        let settled = |state: &ClientState| {
            matches!(state, ClientState::Connected { .. } | ClientState::Stopped { .. })
        };
        match state.wait_for(settled).await.as_deref() {
            Ok(ClientState::Connected { session, .. }) => Ok(session.clone()),
            Ok(ClientState::Stopped { error: Some(error) }) => Err(Arc::clone(error)),
            _ => Err(Arc::new(Lost::Session(crate::session::Closed::Lost {
                reason: "the client was stopped".into(),
            }))),
        }
    }

    /// Closes the session, with one that it has just left for it, and connects no more. Waits until the servers know, for a
    /// second at most.
    pub async fn close(mut self, code: SessionErrorCode, reason: &str) {
        self.stop.send_replace(Some((code, reason.to_owned())));
        if let Some(task) = self.task.take() {
            // It fails if the runtime ends, which is as good.
            let _ = task.await;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The background task.
struct Keeper {
    home: Arc<ServerUrl>,
    target: Arc<ServerUrl>,
    options: ClientOptions,
    /// What is served on each session, if the program does not do so itself.
    origin: Option<(Origin, ServeOptions)>,
    state: watch::Sender<ClientState>,
    stopped: watch::Receiver<Option<(SessionErrorCode, String)>>,
    backoff: Backoff,
    leaving: JoinSet<()>,
    /// The sessions that are being left.
    left: Vec<Session>,
}

impl Keeper {
    async fn run(mut self, first: Option<Session>) {
        let mut stopped = self.stopped.clone();
        let told = async move {
            let why = stopped.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
            match why {
                Some(why) => why,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            why = told => Err(why),
            error = self.keep(first) => Ok(error),
        };
        let error = match ended {
            Ok(error) => Some(error),
            Err((code, reason)) => {
                self.close(code, &reason).await;
                None
            }
        };
        self.state.send_replace(ClientState::Stopped { error });
    }

    /// Closes every session that there is, and waits until their peers know.
    async fn close(&mut self, code: SessionErrorCode, reason: &str) {
        let mut sessions = std::mem::take(&mut self.left);
        if let ClientState::Connected { session, .. } = &*self.state.borrow() {
            sessions.push(session.clone());
        }
        sessions.iter().for_each(|session| session.close(code, reason));
        let _ = timeout(FAREWELL, join_all(sessions.iter().map(Session::drained))).await;
    }

    /// Connects again and again; returns when it gives up.
    async fn keep(&mut self, mut first: Option<Session>) -> Arc<Lost> {
        loop {
            let session = match first.take() {
                Some(session) => Ok(session),
                None => self.connect().await,
            };
            let lost = match session {
                Ok(session) => match self.connected(session).await {
                    // To the new place at once.
                    None => continue,
                    Some(lost) => lost,
                },
                Err(error) => Lost::Connect(error),
            };
            // Where the server has sent us need not be there for ever.
            self.target = Arc::clone(&self.home);
            let (error, delay) = (Arc::new(lost), self.backoff.next_delay());
            if self.backoff.is_exhausted() {
                return error;
            }
            let failures = self.backoff.attempts();
            tracing::warn!(url = %self.home, %error, ?delay, failures, "not connected: the next attempt follows");
            self.state.send_replace(ClientState::Waiting { error, delay, failures });
            sleep(delay).await;
        }
    }

    async fn connect(&mut self) -> Result<Session, SessionError> {
        let (url, failures) = (Arc::clone(&self.target), self.backoff.attempts());
        self.state.send_replace(ClientState::Connecting { url: Arc::clone(&url), failures });
        let session = connect(&self.target, &self.options).await?;
        tracing::info!(%url, version = %session.version(), transport = %session.transport(), "connected");
        Ok(session)
    }

    /// Serves a session until it ends, and tells how; or until its peer sends us elsewhere.
    async fn connected(&mut self, session: Session) -> Option<Lost> {
        let began = Instant::now();
        let attached = self.origin.as_ref().map(|(origin, serve)| origin.attach_with(&session, *serve));
        self.state.send_if_modified(|state| {
            // An adopted session is known from the beginning.
            let is_new = !matches!(state, ClientState::Connected { .. });
            if is_new {
                let url = Arc::clone(&self.target);
                *state = ClientState::Connected { url, session: session.clone() };
            }
            is_new
        });
        let uri = session.goaway().await;
        if began.elapsed() >= SETTLED {
            self.backoff.reset();
        }
        let Some(uri) = uri else { return Some(Lost::Session(session.closed().await)) };
        if !uri.is_empty() {
            match uri.parse() {
                Ok(url) => self.target = Arc::new(url),
                Err(error) => tracing::warn!(%uri, %error, "the peer sends us to no place we know"),
            }
        }
        // One that sends us away again and again is not followed at once.
        if began.elapsed() < SETTLED {
            let delay = self.backoff.next_delay();
            sleep(delay.min(Duration::from_millis(100) * self.backoff.attempts().min(100))).await;
        }
        self.left.retain(|left| left.close_reason().is_none());
        self.left.push(session.clone());
        self.leaving.spawn(see_off(session, attached));
        None
    }
}

/// Serves on what the session has until its peer closes it, for a while.
async fn see_off(session: Session, attached: Option<Attached>) {
    let _ = timeout(SEEING_OFF, session.closed()).await;
    session.close(SessionErrorCode::NoError, "left on request");
    drop(attached);
}
