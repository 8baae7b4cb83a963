//! What one session has been allowed, and until when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use moqingbird::wire::model::{
    AuthorizationToken, FullTrackName, PublishDoneCode, RequestError, TrackNamespace,
};
use moqingbird::{IncomingRequest, Publication, Renewals, Session};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{AuthRequest, Authorizer, Denied, DeniedCode, Operation, Permit, Token};

/// How long an authorizer may think: less than peers wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A permit for longer than this needs no clock.
const EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The time up to which something is allowed, which the peer may have prolonged meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Until(Option<watch::Receiver<Instant>>);

impl Until {
    const EVER: Self = Self(None);

    pub(crate) const fn is_ever(&self) -> bool {
        self.0.is_none()
    }

    fn time(&self) -> Option<Instant> {
        self.0.as_ref().map(|time| *time.borrow())
    }

    /// Waits until the time is over.
    pub(crate) async fn over(&self) {
        let Some(mut until) = self.0.clone() else { return std::future::pending().await };
        loop {
            let time = *until.borrow_and_update();
            tokio::select! {
                () = sleep_until(time) => return,
                Ok(()) = until.changed() => {}
            }
        }
    }

    /// A subscription that is dropped when the time is over says so.
    pub(crate) fn tell(&self, mut publication: Publication) -> Publication {
        if !self.is_ever() {
            publication
                .done_when_dropped(PublishDoneCode::Unauthorized, "the token that allowed this has expired");
        }
        publication
    }

    /// Does the work, or drops it when the time is over. It is kept apart: whoever waits for this is small.
    pub(crate) fn limit<'a>(
        self,
        work: impl Future<Output = ()> + Send + 'a,
    ) -> impl Future<Output = ()> + Send + 'a {
        let work = Box::pin(work);
        async move {
            if self.is_ever() {
                return work.await;
            }
            // The clock is only there where there is a time.
            Box::pin(async move {
                tokio::select! {
                    () = work => {}
                    () = self.over() => {}
                }
            })
            .await;
        }
    }
}

/// When a permit ends; `None`: never.
fn end(permit: Permit) -> Option<Instant> {
    let left = permit.until?.duration_since(SystemTime::now()).unwrap_or_default();
    (left < EVER).then(|| Instant::now() + left)
}

/// Up to when a request is allowed, and how that is prolonged.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) until: Until,
    pub(crate) renewal: Option<Renewal>,
}

/// Prolongs what a request was allowed when its peer updates it with another token.
#[derive(Debug)]
pub(crate) struct Renewal {
    access: Arc<Access>,
    renewals: Renewals,
    operation: Operation,
    namespace: TrackNamespace,
    track: Option<FullTrackName>,
    until: watch::Sender<Instant>,
}

impl Renewal {
    /// Prolongs the time of a request while it is served.
    pub(crate) async fn beside(self, serving: impl Future<Output = ()>) {
        tokio::select! {
            () = serving => {}
            () = self.run() => {}
        }
    }

    /// Does not end.
    async fn run(mut self) {
        while let Some(tokens) = self.renewals.next().await {
            let tokens = Token::of_message(&tokens);
            let track = self.track.as_ref();
            match self.access.ask(self.operation, &tokens, Some(&self.namespace), track).await {
                Ok(permit) => {
                    let later = end(permit).unwrap_or_else(|| Instant::now() + EVER);
                    self.until.send_modify(|until| *until = later.max(*until));
                }
                // What was allowed before lasts as long as it would have.
                Err(denied) => {
                    tracing::info!(operation = ?self.operation, namespace = %self.namespace, %denied, "nothing is prolonged");
                }
            }
        }
        std::future::pending::<()>().await;
    }
}

/// What a request is told whose time is over.
pub(crate) fn expired() -> RequestError {
    let denied = Denied::new(DeniedCode::ExpiredAuthToken, "the token that allowed this has expired");
    RequestError::new(denied.request_code(), denied.reason)
}

/// A session before its authorizer.
#[derive(Debug)]
pub(crate) struct Access {
    authorizer: Arc<dyn Authorizer>,
    path: String,
    tokens: Vec<Token>,
    allowed: Mutex<Allowed>,
}

/// The namespaces that the peer has been allowed, one way or the other, for as long as it uses them.
#[derive(Debug, Default)]
struct Allowed {
    last: u64,
    entries: Vec<(u64, Operation, TrackNamespace, Until)>,
}

/// A namespace in use.
#[derive(Debug)]
pub(crate) struct InUse {
    access: Arc<Access>,
    number: u64,
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.access.allowed().entries.retain(|(number, ..)| *number != self.number);
    }
}

impl Access {
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>, session: &Session) -> Arc<Self> {
        let path = session.path().unwrap_or_else(|| "/".to_owned());
        let mut tokens = Token::of_path(&path);
        tokens.extend(Token::of_message(&session.peer_setup().authorization_tokens));
        Arc::new(Self { authorizer, path, tokens, allowed: Mutex::default() })
    }

    /// Whether the session may begin.
    pub(crate) async fn setup(&self) -> Result<Until, Denied> {
        let permit = self.ask(Operation::Setup, &[], None, None).await?;
        // Nothing prolongs it.
        Ok(Until(end(permit).map(|time| watch::channel(time).1)))
    }

    /// Whether a request may be served.
    pub(crate) async fn request(
        self: &Arc<Self>,
        request: &IncomingRequest,
    ) -> Result<Allowance, RequestError> {
        let ever = Allowance { until: Until::EVER, renewal: None };
        let Some((operation, tokens, namespace, track)) = parts(request) else { return Ok(ever) };
        let tokens = Token::of_message(tokens);
        let asked = self.ask(operation, &tokens, Some(namespace), track).await;
        let permit = asked.map_err(|denied| {
            tracing::info!(?operation, %namespace, %denied, "a request is refused");
            RequestError::new(denied.request_code(), denied.reason)
        })?;
        let Some(end) = end(permit) else { return Ok(ever) };
        let (until, receiver) = watch::channel(end);
        let (access, renewals) = (Arc::clone(self), request.renewals());
        let (namespace, track) = (namespace.clone(), track.cloned());
        let renewal = Renewal { access, renewals, operation, namespace, track, until };
        Ok(Allowance { until: Until(Some(receiver)), renewal: Some(renewal) })
    }

    async fn ask(
        &self,
        operation: Operation,
        request_tokens: &[Token],
        namespace: Option<&TrackNamespace>,
        track: Option<&FullTrackName>,
    ) -> Result<Permit, Denied> {
        let (session_tokens, path) = (self.tokens.as_slice(), self.path.as_str());
        let question = AuthRequest { operation, session_tokens, request_tokens, path, namespace, track };
        match timeout(PATIENCE, self.authorizer.authorize(question)).await {
            Ok(answer) => answer,
            Err(_) => Err(Denied::new(DeniedCode::Timeout, "authorization took too long")),
        }
    }

    /// Remembers a namespace that the peer announces or listens to.
    pub(crate) fn uses(self: &Arc<Self>, by: Operation, namespace: TrackNamespace, until: Until) -> InUse {
        let mut allowed = self.allowed();
        allowed.last += 1;
        let number = allowed.last;
        allowed.entries.push((number, by, namespace, until));
        InUse { access: Arc::clone(self), number }
    }

    /// How many namespaces the peer uses in this way.
    pub(crate) fn count(&self, by: Operation) -> usize {
        self.allowed().entries.iter().filter(|(_, operation, ..)| *operation == by).count()
    }

    /// Until when the peer may do what follows from a namespace that it uses: be subscribed to below one that it announces,
    /// be offered tracks below one that it listens to.
    pub(crate) fn below(&self, by: Operation, namespace: &TrackNamespace) -> Until {
        let allowed = self.allowed();
        let untils = allowed
            .entries
            .iter()
            .filter(|(_, operation, prefix, _)| *operation == by && namespace.starts_with(prefix))
            .map(|(.., until)| until);
        // The longest of them; for ever if one has no end, or there is none.
        untils.max_by_key(|until| (until.is_ever(), until.time())).cloned().unwrap_or(Until::EVER)
    }

    fn allowed(&self) -> MutexGuard<'_, Allowed> {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Parts<'a> = (Operation, &'a [AuthorizationToken], &'a TrackNamespace, Option<&'a FullTrackName>);

/// What there is to judge by; `None` for a kind of request that the relay declines anyway.
fn parts(request: &IncomingRequest) -> Option<Parts<'_>> {
    Some(match request {
        IncomingRequest::Subscribe(it) => {
            track(Operation::Subscribe, &it.request().authorization_tokens, &it.request().track)
        }
        IncomingRequest::Publish(it) => {
            track(Operation::Publish, &it.request().authorization_tokens, &it.request().track)
        }
        IncomingRequest::Fetch(it) => track(Operation::Fetch, &it.request().authorization_tokens, it.track()),
        IncomingRequest::TrackStatus(it) => {
            track(Operation::TrackStatus, &it.request().authorization_tokens, &it.request().track)
        }
        IncomingRequest::PublishNamespace(it) => {
            (Operation::PublishNamespace, &it.request().authorization_tokens, &it.request().namespace, None)
        }
        IncomingRequest::SubscribeNamespace(it) => {
            (Operation::SubscribeNamespace, &it.request().authorization_tokens, &it.request().prefix, None)
        }
        _ => return None,
    })
}

fn track<'a>(operation: Operation, tokens: &'a [AuthorizationToken], track: &'a FullTrackName) -> Parts<'a> {
    (operation, tokens, &track.namespace, Some(track))
}
