//! Where a subscription comes from, and where it goes on.

use std::time::Duration;

use moqingbird::wire::model::{Fetch, PublishOk, RequestError, RequestErrorCode, Subscribe};
use moqingbird::{Fetched, IncomingRequest, RequestFailed, Server, Session, Subscription};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::connection::Peers;
use crate::exit::Failure;
use crate::link::Link;

/// How long one who has connected may take to offer the track, before we ask for it.
const SILENCE: Duration = Duration::from_secs(1);

/// The other end of a subscription.
pub(crate) struct Upstream<'a> {
    from: From<'a>,
    /// Answers what the peer asks besides.
    polite: JoinSet<()>,
}

enum From<'a> {
    Server(&'a mut Link),
    /// One who has connected to us, and is not to be found again. The server lives for as long as its session.
    Client(Session, #[expect(dead_code, reason = "held")] Box<Server>),
}

impl<'a> Upstream<'a> {
    /// The peer: the server, or the first who connects.
    pub(crate) async fn find(peers: Peers<'a>) -> Result<Self, Failure> {
        let from = match peers {
            Peers::Server(link) => From::Server(link),
            Peers::Clients(server) => From::Client(first(&server).await?, server),
        };
        Ok(Self { from, polite: JoinSet::new() })
    }

    fn session(&self) -> &Session {
        match &self.from {
            From::Server(link) => link.session(),
            From::Client(session, _) => session,
        }
    }

    pub(crate) async fn subscribe(&mut self, subscribe: &Subscribe) -> Result<Subscription, RequestFailed> {
        if let From::Client(session, _) = &self.from {
            let subscription = offered(session, subscribe, &mut self.polite).await;
            self.polite.spawn(answer(session.clone()));
            return subscription;
        }
        self.polite.spawn(answer(self.session().clone()));
        self.session().subscribe(subscribe.clone()).await
    }

    pub(crate) async fn fetch(&self, fetch: Fetch) -> Result<Fetched, RequestFailed> {
        self.session().fetch(fetch).await
    }

    /// Whether a subscription that is lost goes on.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(&self.from, From::Server(link) if link.reconnects())
    }

    /// Waits until a subscription is better made anew, on another session. Cancel-safe.
    pub(crate) async fn moved(&mut self) -> Result<(), Failure> {
        let From::Server(link) = &mut self.from else { return std::future::pending().await };
        link.moved().await?;
        self.polite.spawn(answer(link.session().clone()));
        Ok(())
    }

    /// Subscribes once more, as soon as it is possible.
    pub(crate) async fn subscribe_again(&mut self, subscribe: &Subscribe) -> Result<Subscription, Failure> {
        let From::Server(link) = &mut self.from else { return std::future::pending().await };
        let polite = &mut self.polite;
        link.again(&subscribe.track.to_string(), async |session, is_new| {
            if is_new {
                polite.spawn(answer(session.clone()));
            }
            session.subscribe(subscribe.clone()).await
        })
        .await
    }
}

/// The first who connects.
async fn first(server: &Server) -> Result<Session, Failure> {
    while let Some(incoming) = server.accept().await {
        match incoming.accept().await {
            Ok(session) => {
                tracing::info!("a client has come: {} over {}", session.version(), session.transport());
                return Ok(session);
            }
            Err(error) => tracing::info!("{error}"),
        }
    }
    Err(Failure::failed("the server was closed before anybody came"))
}

/// The track from one who has connected: when it offers it, or its namespace; or when it has said nothing for a while.
async fn offered(
    session: &Session,
    subscribe: &Subscribe,
    polite: &mut JoinSet<()>,
) -> Result<Subscription, RequestFailed> {
    loop {
        let request = tokio::select! {
            request = session.next_request() => request,
            () = sleep(SILENCE) => None,
        };
        match request {
            Some(IncomingRequest::Publish(publish)) if publish.request().track == subscribe.track => {
                return Ok(publish.accept(PublishOk {
                    forward: subscribe.forward,
                    subscriber_priority: subscribe.subscriber_priority,
                    group_order: subscribe.group_order,
                    filter: subscribe.filter,
                    delivery_timeout: subscribe.delivery_timeout,
                    ..PublishOk::default()
                })?);
            }
            Some(IncomingRequest::PublishNamespace(publish))
                if subscribe.track.namespace.starts_with(&publish.request().namespace) =>
            {
                let held = publish.accept()?;
                polite.spawn(async move { held.withdrawn().await });
                return session.subscribe(subscribe.clone()).await;
            }
            Some(other) => decline(other),
            None => return session.subscribe(subscribe.clone()).await,
        }
    }
}

/// Answers what the peer asks besides.
async fn answer(session: Session) {
    while let Some(request) = session.next_request().await {
        decline(request);
    }
}

fn decline(request: IncomingRequest) {
    let code = match request {
        IncomingRequest::Publish(_) | IncomingRequest::PublishNamespace(_) => RequestErrorCode::Uninterested,
        _ => RequestErrorCode::NotSupported,
    };
    request.reject(RequestError::new(code, "this end only subscribes, to one track"));
}
