//! The session with a server, for programs that stay: one that is lost is replaced.

use moqingbird::session::Misuse;
use moqingbird::wire::model::SessionErrorCode;
use moqingbird::{Backoff, Client, ClientState, RequestFailed, Session};
use tokio::time::{sleep, timeout};

use crate::connection::FAREWELL;
use crate::exit::Failure;

/// The session that there is, and the way to the next.
#[derive(Debug)]
pub(crate) struct Link {
    session: Session,
    /// `None`: without its session the program ends.
    client: Option<Client>,
}

impl Link {
    pub(crate) const fn new(session: Session, client: Option<Client>) -> Self {
        Self { session, client }
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    /// Waits until another session takes this one's place: after a loss, or where GOAWAY leads; then the old one is still
    /// there for a while. Cancel-safe.
    ///
    /// # Errors
    /// The session was lost, and no other is wanted or to be had.
    pub(crate) async fn next(&mut self) -> Result<(), Failure> {
        let Some(client) = &mut self.client else {
            let closed = self.session.closed().await;
            return Err(Failure::Failed(format!("the session has ended: {closed}")));
        };
        loop {
            match client.changed().await {
                ClientState::Connected { session, url, .. } => {
                    let (version, transport) = (session.version(), session.transport());
                    tracing::info!("connected again, to {url}: {version} over {transport}");
                    self.session = session;
                    return Ok(());
                }
                ClientState::Stopped { error: Some(error) } => return Err(Failure::failed(error)),
                ClientState::Stopped { error: None } => {
                    return Err(Failure::failed("the client was stopped"));
                }
                ClientState::Connecting { url, failures: 0 } => {
                    tracing::info!("the session is over: connecting to {url}");
                }
                _ => {}
            }
        }
    }

    /// As [`Link::next`], but a loss after which nobody else comes is not told here.
    pub(crate) async fn moved(&mut self) -> Result<(), Failure> {
        match self.client {
            Some(_) => self.next().await,
            None => std::future::pending().await,
        }
    }

    /// Asks for something once more, as soon as it is possible: with growing pauses, and of each new session at once. `ask`
    /// is told whether the session is a new one.
    ///
    /// # Errors
    /// It cannot be asked for, or no other session is to be had.
    pub(crate) async fn again<T>(
        &mut self,
        what: &str,
        mut ask: impl AsyncFnMut(&Session, bool) -> Result<T, RequestFailed>,
    ) -> Result<T, Failure> {
        let mut backoff = Backoff::default();
        let mut is_new = false;
        loop {
            match ask(&self.session, std::mem::take(&mut is_new)).await {
                Ok(granted) => return Ok(granted),
                Err(RequestFailed::Closed(_) | RequestFailed::Misuse(Misuse::Closed)) => {}
                Err(RequestFailed::Misuse(misuse)) => return Err(Failure::failed(misuse)),
                Err(error) => tracing::warn!("{what} is not to be had yet: {error}"),
            }
            tokio::select! {
                () = sleep(backoff.next_delay()) => {}
                moved = self.moved() => {
                    moved?;
                    backoff.reset();
                    is_new = true;
                }
            }
        }
    }

    /// Whether a session that is lost is replaced.
    pub(crate) const fn reconnects(&self) -> bool {
        self.client.is_some()
    }

    /// Takes leave. A server that does not take the farewell finds out by itself.
    pub(crate) async fn close(self) {
        match self.client {
            Some(client) => client.close(SessionErrorCode::NoError, "").await,
            None => {
                self.session.close(SessionErrorCode::NoError, "");
                let _ = timeout(FAREWELL, self.session.drained()).await;
            }
        }
    }
}
