//! Who may do what: the relay with JSON Web Tokens, request by request.
#![cfg(feature = "jwt")]

#[expect(unused_macros, dead_code, reason = "a part of it is for tests of other things")]
mod support;

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moqingbird::session::Closed;
use moqingbird::wire::model::{
    AuthorizationToken, EndLocation, Extensions, Fetch, FetchObject, FetchOk, FetchRange, FullTrackName,
    Location, ObjectStatus, Publish, PublishDoneCode, PublishNamespace, RequestErrorCode, RequestUpdate,
    SessionErrorCode, Subscribe, SubscribeNamespace, TrackNamespace,
};
use moqingbird::{
    ClientOptions, FetchError, Fetched, IncomingRequest, NamespaceEvent, NamespaceSubscription, Publication,
    PublishedNamespace, RequestFailed, Server, ServerOptions, Session, Subscription, TrackInfo, Trust,
    Version, connect,
};
use moqingbird_ledger::covers;
use moqingbird_relay::auth::jwt::{Algorithm, Claims, JwtAuthorizer, SigningKey};
use moqingbird_relay::auth::{AuthRequest, Authorizer, Authorizing, Denied, Operation, Permit};
use moqingbird_relay::{Relay, RelayOptions};
use support::*;

/// What is asked of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Publish,
    PublishNamespace,
    Subscribe,
    Fetch,
    SubscribeNamespace,
    TrackStatus,
}

const KINDS: [Kind; 6] = [
    Kind::Publish,
    Kind::PublishNamespace,
    Kind::Subscribe,
    Kind::Fetch,
    Kind::SubscribeNamespace,
    Kind::TrackStatus,
];

impl Kind {
    fn publishes(self) -> bool {
        matches!(self, Self::Publish | Self::PublishNamespace)
    }
}

/// A relay that wants tokens, one who makes them, and a publisher who may do everything.
struct Guarded {
    relay: Relay,
    key: SigningKey,
    version: Version,
    publisher: Session,
    _announced: PublishedNamespace,
}

fn keys(name: &str) -> (PathBuf, SigningKey) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authorization").join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("key.jwk");
    std::fs::write(&file, SigningKey::generate(Algorithm::Hs256, "key").unwrap()).unwrap();
    let key = SigningKey::load(&file, None).unwrap();
    (file, key)
}

fn relay_with(authorizer: impl Authorizer) -> Relay {
    let mut options = RelayOptions::default();
    options.authorizer = Arc::new(authorizer);
    Relay::new(options)
}

impl Guarded {
    async fn new(name: &str, version: Version) -> Self {
        let (file, key) = keys(&format!("{name}-{version}"));
        let relay = relay_with(JwtAuthorizer::load(&file).unwrap());
        let publisher = peer(&relay, version).await;
        let all = sign(&key, &[""], &[""], 3600);
        let announce = PublishNamespace {
            authorization_tokens: vec![use_value(&all)],
            ..PublishNamespace::new(namespace())
        };
        let announced = soon("the namespace is taken", publisher.publish_namespace(announce)).await.unwrap();
        let answering = publisher.clone();
        tokio::spawn(async move { answer_everything(answering).await });
        Self { relay, key, version, publisher, _announced: announced }
    }

    fn token(&self, publish: &[&str], subscribe: &[&str], seconds: u64) -> String {
        sign(&self.key, publish, subscribe, seconds)
    }

    async fn peer(&self) -> Session {
        peer(&self.relay, self.version).await
    }

    /// What is to be told where PUBLISH_ERROR may have no codes of tokens (draft-14 §9.15).
    fn code(&self, kind: Kind, code: RequestErrorCode) -> RequestErrorCode {
        let lacks = self.version == Version::Draft14 && kind == Kind::Publish;
        if lacks { RequestErrorCode::Unauthorized } else { code }
    }
}

fn sign(key: &SigningKey, publish: &[&str], subscribe: &[&str], seconds: u64) -> String {
    let mut claims = Claims::lasting(Duration::from_secs(seconds));
    claims.publish = publish.iter().map(ToString::to_string).collect();
    claims.subscribe = subscribe.iter().map(ToString::to_string).collect();
    key.sign(&claims).unwrap()
}

fn use_value(token: &str) -> AuthorizationToken {
    AuthorizationToken::UseValue { token_type: 0, value: Bytes::copy_from_slice(token.as_bytes()) }
}

/// Grants subscriptions, fetches without an end, and questions.
async fn answer_everything(session: Session) {
    let mut kept: Vec<Box<dyn Any + Send>> = Vec::new();
    while let Some(request) = session.next_request().await {
        match request {
            IncomingRequest::Subscribe(request) => kept.push(Box::new(request.accept(TrackInfo::default()))),
            IncomingRequest::TrackStatus(request) => drop(request.accept(TrackInfo::default())),
            IncomingRequest::Fetch(request) => {
                let request_start = request.start();
                let ok = FetchOk {
                    group_order: None,
                    end_of_track: false,
                    end: request.end(),
                    extensions: Default::default(),
                };
                let mut sender = request.accept(ok).unwrap();
                let header = FetchObject {
                    location: request_start,
                    subgroup_id: Some(0),
                    publisher_priority: 128,
                    extensions: Extensions::NONE,
                    status: ObjectStatus::Normal,
                    payload_length: 1,
                };
                sender.write_object(&header, Bytes::from_static(b"1")).await.unwrap();
                kept.push(Box::new(sender));
            }
            other => drop(other),
        }
    }
}

/// One that nobody else announces.
fn own_namespace() -> TrackNamespace {
    TrackNamespace::from_path("live/cam/own").unwrap()
}

/// Asks with a token. What is granted is held by what is returned.
async fn ask(
    session: &Session,
    kind: Kind,
    token: Option<&str>,
) -> Result<Box<dyn Any + Send>, RequestFailed> {
    let authorization_tokens: Vec<_> = token.map(use_value).into_iter().collect();
    let answer = async {
        Ok(match kind {
            Kind::Publish => {
                let track = FullTrackName::new(namespace(), "mine").unwrap();
                let publish = Publish { track, authorization_tokens, ..publish(false) };
                Box::new(session.publish(publish).await?) as Box<dyn Any + Send>
            }
            Kind::PublishNamespace => {
                let announce =
                    PublishNamespace { authorization_tokens, ..PublishNamespace::new(own_namespace()) };
                Box::new(session.publish_namespace(announce).await?)
            }
            Kind::Subscribe => {
                Box::new(session.subscribe(Subscribe { authorization_tokens, ..subscribe() }).await?)
            }
            Kind::Fetch => {
                let end = EndLocation { group: 9, object: None };
                let range = FetchRange::Standalone { track: track(), start: Location::new(0, 0), end };
                Box::new(session.fetch(Fetch { authorization_tokens, ..Fetch::new(range) }).await?)
            }
            Kind::SubscribeNamespace => {
                let subscribe = SubscribeNamespace { authorization_tokens, ..subscribe_namespace() };
                Box::new(session.subscribe_namespace(subscribe).await?)
            }
            Kind::TrackStatus => {
                Box::new(session.track_status(Subscribe { authorization_tokens, ..subscribe() }).await?)
            }
        })
    };
    soon("an answer", answer).await
}

/// The code with which a request is declined; `None`: it is granted.
async fn outcome(session: &Session, kind: Kind, token: Option<&str>) -> Option<RequestErrorCode> {
    match ask(session, kind, token).await {
        Ok(_) => None,
        Err(RequestFailed::Rejected(rejected)) => Some(rejected.error.code),
        Err(other) => panic!("{kind:?}: {other}"),
    }
}

macro_rules! in_each_draft {
    ($($scenario:ident;)*) => {
        $(mod $scenario {
            #[tokio::test]
            async fn in_draft_14() {
                super::$scenario(moqingbird::Version::Draft14).await;
            }

            #[tokio::test]
            async fn in_draft_16() {
                super::$scenario(moqingbird::Version::Draft16).await;
            }
        })*
    };
}

in_each_draft! {
    each_request_needs_a_token_that_covers_it;
    a_token_that_expires_ends_what_it_allowed;
    a_token_that_comes_with_an_update_prolongs_what_the_first_allowed;
    a_token_that_is_none_is_called_malformed;
    a_scope_covers_what_is_below_its_prefix;
    every_token_of_a_request_is_heard;
    an_authorizer_hears_all_there_is_to_know;
    a_permit_of_a_session_that_ends_ends_the_session;
}

/// The matrix: what a token is for, against what is asked.
async fn each_request_needs_a_token_that_covers_it(version: Version) {
    covers!("D14-8.3-01", "D14-8.4-02", "D14-9.23-01", "D14-9.28-03");
    let guarded = Guarded::new("matrix", version).await;
    let here = ["live/cam"].as_slice();
    let tokens = [
        ("none", None, [false, false]),
        ("subscribe only", Some(guarded.token(&[], &["live"], 3600)), [false, true]),
        ("publish only", Some(guarded.token(here, &[], 3600)), [true, false]),
        ("both", Some(guarded.token(here, &["live"], 3600)), [true, true]),
        ("other prefix", Some(guarded.token(&["other"], &["liv", "live/cam/video"], 3600)), [false, false]),
    ];
    for (name, token, [may_publish, may_subscribe]) in &tokens {
        for kind in KINDS {
            let session = guarded.peer().await;
            let expected = if kind.publishes() { *may_publish } else { *may_subscribe };
            let expected = (!expected).then_some(RequestErrorCode::Unauthorized);
            assert_eq!(outcome(&session, kind, token.as_deref()).await, expected, "{kind:?} with {name}");
        }
    }
}

/// The sixth row of the matrix. The time is long enough to ask everything, and the test waits for it to be over.
async fn a_token_that_expires_ends_what_it_allowed(version: Version) {
    let guarded = Guarded::new("expiry", version).await;
    let session = guarded.peer().await;
    let token = guarded.token(&["live/cam"], &["live"], 8);
    let mut granted = Vec::new();
    for kind in KINDS {
        granted.push((
            kind,
            ask(&session, kind, Some(&token)).await.unwrap_or_else(|error| panic!("{kind:?}: {error}")),
        ));
    }
    let told = "it is ended";
    for (kind, granted) in granted {
        match kind {
            Kind::Publish => until_long(told, granted.downcast::<Publication>().unwrap().cancelled()).await,
            Kind::PublishNamespace => {
                let mut announced = granted.downcast::<PublishedNamespace>().unwrap();
                let error = until_long(told, announced.revoked()).await.expect("a code");
                assert_eq!(error.code, RequestErrorCode::ExpiredAuthToken);
            }
            Kind::Subscribe => {
                let mut subscription = granted.downcast::<Subscription>().unwrap();
                assert!(matches!(until_long(told, subscription.next()).await, Ok(None)));
                assert_eq!(subscription.done().expect("PUBLISH_DONE").code, PublishDoneCode::Unauthorized);
            }
            Kind::Fetch => {
                let mut fetched = granted.downcast::<Fetched>().unwrap();
                let ended = async {
                    loop {
                        match fetched.next_item().await {
                            Ok(Some(_)) => {}
                            Ok(None) => panic!("the FETCH is not complete"),
                            Err(error) => return error,
                        }
                    }
                };
                assert!(matches!(until_long(told, ended).await, FetchError::Reset(_)));
            }
            Kind::SubscribeNamespace => {
                let mut listener = granted.downcast::<NamespaceSubscription>().unwrap();
                match version {
                    // It has no message to tell it.
                    Version::Draft14 => {
                        while let Some(NamespaceEvent::Namespace(_)) = listener_event(&mut listener).await {}
                    }
                    _ => while until_long(told, listener.next()).await.is_some() {},
                }
                nothing_is_heard(&guarded, *listener).await;
            }
            Kind::TrackStatus => {}
        }
        let expected = guarded.code(kind, RequestErrorCode::ExpiredAuthToken);
        assert_eq!(outcome(&session, kind, Some(&token)).await, Some(expected), "{kind:?}");
        assert_eq!(session.close_reason(), None);
    }
}

/// Both subscriptions are allowed for the same time; one is prolonged before it is over.
async fn a_token_that_comes_with_an_update_prolongs_what_the_first_allowed(version: Version) {
    covers!("D14-9.2.1.1-01", "D16-9.2.2.1-01");
    let guarded = Guarded::new("renewal", version).await;
    let token = guarded.token(&[], &["live"], 8);
    let authorization_tokens = vec![use_value(&token)];
    let mut subscriptions = Vec::new();
    for _ in 0..2 {
        let asked = Subscribe { authorization_tokens: authorization_tokens.clone(), ..subscribe() };
        let session = guarded.peer().await;
        subscriptions.push((soon("an answer", session.subscribe(asked)).await.unwrap(), session));
    }
    let (mut lasting, _session) = subscriptions.pop().unwrap();
    let (mut ending, _other) = subscriptions.pop().unwrap();
    for token in ["nonsense", &guarded.token(&[], &["live"], 3600)] {
        let authorization_tokens = vec![use_value(token)];
        let update = RequestUpdate { authorization_tokens, ..RequestUpdate::default() };
        soon("the update is taken", lasting.update(update)).await.unwrap();
    }
    while until_long("it is ended", ending.next()).await.unwrap().is_some() {}
    assert_eq!(ending.done().expect("PUBLISH_DONE").code, PublishDoneCode::Unauthorized);
    // It was allowed first, so this one is past its first time as well.
    let goes_on = async { while lasting.next().await.unwrap().is_some() {} };
    let went_on = tokio::time::timeout(Duration::from_secs(1), goes_on).await;
    assert!(went_on.is_err(), "{:?}", lasting.done());
}

/// Without a bound that a loaded machine could miss.
async fn until_long<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

/// What waits to be read.
async fn listener_event(listener: &mut NamespaceSubscription) -> Option<NamespaceEvent> {
    tokio::time::timeout(Duration::from_millis(50), listener.next()).await.ok().flatten()
}

/// A namespace that another listener hears of is not told to this one.
async fn nothing_is_heard(guarded: &Guarded, mut listener: NamespaceSubscription) {
    let new = TrackNamespace::from_path("live/new").unwrap();
    let all = guarded.token(&[""], &[""], 3600);
    let other = guarded.peer().await;
    let subscribe =
        SubscribeNamespace { authorization_tokens: vec![use_value(&all)], ..subscribe_namespace() };
    let mut hears = soon("an answer", other.subscribe_namespace(subscribe)).await.unwrap();
    let announce = PublishNamespace {
        authorization_tokens: vec![use_value(&all)],
        ..PublishNamespace::new(new.clone())
    };
    let _announced = soon("an answer", guarded.publisher.publish_namespace(announce)).await.unwrap();
    let heard = async { while hears.next().await != Some(NamespaceEvent::Namespace(new.clone())) {} };
    soon("the namespace is heard of", heard).await;
    let event = listener_event(&mut listener).await;
    assert!(event != Some(NamespaceEvent::Namespace(new)), "it is told after its time");
}

async fn a_token_that_is_none_is_called_malformed(version: Version) {
    covers!("D14-9.2.1.1-09", "D16-9.2.2.1-10");
    let guarded = Guarded::new("malformed", version).await;
    let session = guarded.peer().await;
    let mut changed = guarded.token(&[""], &[""], 3600);
    changed.pop();
    changed.push('!');
    for kind in KINDS {
        for token in ["", "garbage", changed.as_str()] {
            let expected = guarded.code(kind, RequestErrorCode::MalformedAuthToken);
            assert_eq!(outcome(&session, kind, Some(token)).await, Some(expected), "{kind:?} {token:?}");
        }
    }
}

async fn a_scope_covers_what_is_below_its_prefix(version: Version) {
    covers!("D16-8.4-01", "D16-8.5-02", "D16-8.5-03", "D16-9.25-03");
    let guarded = Guarded::new("scopes", version).await;
    for (scope, covered) in
        [("live", true), ("live/cam", true), ("live/cam/1", false), ("li", false), ("", true)]
    {
        let token = guarded.token(&[scope], &[scope], 3600);
        for kind in [Kind::Publish, Kind::PublishNamespace, Kind::Subscribe, Kind::Fetch, Kind::TrackStatus] {
            let session = guarded.peer().await;
            let expected = (!covered).then_some(RequestErrorCode::Unauthorized);
            assert_eq!(outcome(&session, kind, Some(&token)).await, expected, "{kind:?} with {scope:?}");
        }
    }
    // Whoever may hear of one camera may not listen to all.
    let token = guarded.token(&[], &["live/cam"], 3600);
    let session = guarded.peer().await;
    let refused = outcome(&session, Kind::SubscribeNamespace, Some(&token)).await;
    assert_eq!(refused, Some(RequestErrorCode::Unauthorized));
}

async fn every_token_of_a_request_is_heard(version: Version) {
    covers!("D14-9.2.1.1-02", "D16-9.2.2.1-19");
    let guarded = Guarded::new("several", version).await;
    let session = guarded.peer().await;
    let tokens = [guarded.token(&[], &["other"], 3600), guarded.token(&[], &["live"], 3600)];
    let authorization_tokens = tokens.iter().map(|token| use_value(token)).collect();
    let asked = Subscribe { authorization_tokens, ..subscribe() };
    soon("an answer", session.subscribe(asked)).await.unwrap();
}

/// Writes down what it is asked.
#[derive(Clone, Debug, Default)]
struct Scribe(Arc<std::sync::Mutex<Vec<String>>>);

impl Authorizer for Scribe {
    fn authorize<'a>(&'a self, request: AuthRequest<'a>) -> Authorizing<'a> {
        let AuthRequest { operation, path, namespace, track, .. } = request;
        let tokens: Vec<_> = request.tokens().map(|token| String::from_utf8_lossy(&token.value)).collect();
        let namespace = namespace.map_or_else(|| "-".to_owned(), ToString::to_string);
        let track = track.map_or_else(|| "-".to_owned(), ToString::to_string);
        let line = format!("{operation:?} {path} {namespace} {track} {tokens:?}");
        self.0.lock().unwrap().push(line);
        Box::pin(async {
            // An answer may take its time.
            tokio::task::yield_now().await;
            Ok(Permit::forever())
        })
    }
}

async fn an_authorizer_hears_all_there_is_to_know(version: Version) {
    covers!("D14-9.2.1.1-01", "D16-9.2.2.1-01");
    let scribe = Scribe::default();
    let relay = relay_with(scribe.clone());
    let publisher = peer(&relay, version).await;
    let _announced = announce(&publisher).await;
    tokio::spawn(async move { answer_everything(publisher).await });
    let session = peer(&relay, version).await;
    for kind in KINDS {
        ask(&session, kind, Some("t")).await.unwrap();
    }
    let (space, video, mine) = (namespace(), track(), FullTrackName::new(namespace(), "mine").unwrap());
    let live = subscribe_namespace().prefix;
    let written = scribe.0.lock().unwrap().clone();
    let expected = [
        "Setup / - - []".to_owned(),
        format!("PublishNamespace / {space} - []"),
        "Setup / - - []".to_owned(),
        format!("Publish / {space} {mine} [\"t\"]"),
        format!("PublishNamespace / {} - [\"t\"]", own_namespace()),
        format!("Subscribe / {space} {video} [\"t\"]"),
        format!("Fetch / {space} {video} [\"t\"]"),
        format!("SubscribeNamespace / {live} - [\"t\"]"),
        format!("TrackStatus / {space} {video} [\"t\"]"),
    ];
    assert_eq!(written, expected);
}

/// Lets sessions in for two seconds.
#[derive(Debug)]
struct Briefly;

impl Authorizer for Briefly {
    fn authorize<'a>(&'a self, request: AuthRequest<'a>) -> Authorizing<'a> {
        let permit = match request.operation {
            Operation::Setup => Permit::until(std::time::SystemTime::now() + Duration::from_secs(2)),
            _ => Permit::forever(),
        };
        Box::pin(async move { Ok(permit) })
    }
}

async fn a_permit_of_a_session_that_ends_ends_the_session(version: Version) {
    let relay = relay_with(Briefly);
    let session = peer(&relay, version).await;
    match until_long("the session is closed", session.closed()).await {
        Closed::Peer { code, .. } => assert_eq!(code, SessionErrorCode::ExpiredAuthToken),
        other => panic!("{other}"),
    }
}

/// A relay on loopback, and how to reach it.
struct OnLoopback {
    url: String,
    options: ClientOptions,
    key: SigningKey,
}

impl OnLoopback {
    fn new(name: &str) -> Self {
        let (file, key) = keys(name);
        let relay = relay_with(JwtAuthorizer::load(&file).unwrap());
        let server = Server::bind(&ServerOptions::default()).unwrap();
        let url = server.local_addrs()[0].to_string();
        let mut options = ClientOptions::default();
        options.connect.trust = Trust::Pinned(vec![server.certificate_sha256()]);
        tokio::spawn(async move { relay.run(&server).await });
        Self { url, options, key }
    }

    /// In every draft over every transport.
    async fn sessions(&self, query: &str, setup: &[&str]) -> Vec<Session> {
        let mut sessions = Vec::new();
        for scheme in ["moqt", "https"] {
            for version in [Version::Draft14, Version::Draft16] {
                let mut options = self.options.clone();
                options.connect.versions = vec![version];
                options.session.authorization_tokens = setup.iter().map(|token| use_value(token)).collect();
                let url = format!("{scheme}://{}/live{query}", self.url).parse().unwrap();
                sessions.push(until_long("a session", connect(&url, &options)).await.unwrap());
            }
        }
        sessions
    }
}

#[tokio::test]
async fn tokens_of_the_url_and_of_setup_count_for_every_request() {
    covers!("D14-8.4-03");
    let relay = OnLoopback::new("places");
    let token = sign(&relay.key, &["live/cam"], &[], 3600);
    let by_query = relay.sessions(&format!("?token={token}"), &[]).await;
    let by_jwt = relay.sessions(&format!("?a=b&jwt={token}"), &[]).await;
    let by_setup = relay.sessions("", &[&token]).await;
    for session in by_query.iter().chain(&by_jwt).chain(&by_setup) {
        assert_eq!(outcome(session, Kind::PublishNamespace, None).await, None);
        assert_eq!(outcome(session, Kind::Publish, None).await, None);
        assert_eq!(outcome(session, Kind::Subscribe, None).await, Some(RequestErrorCode::Unauthorized));
    }
    for session in relay.sessions("", &[]).await {
        assert_eq!(outcome(&session, Kind::Publish, None).await, Some(RequestErrorCode::Unauthorized));
        assert_eq!(outcome(&session, Kind::Publish, Some(&token)).await, None);
    }
}

#[tokio::test]
async fn a_session_with_a_bad_token_is_closed_with_its_code() {
    let relay = OnLoopback::new("bad");
    let mut expired = Claims::lasting(Duration::ZERO);
    expired.exp -= 10;
    let expired = relay.key.sign(&expired).unwrap();
    for (token, expected) in
        [("garbage", SessionErrorCode::MalformedAuthToken), (&expired, SessionErrorCode::ExpiredAuthToken)]
    {
        let by_query = relay.sessions(&format!("?token={token}"), &[]).await;
        let by_setup = relay.sessions("", &[token]).await;
        for session in by_query.iter().chain(&by_setup) {
            match until_long("the session is closed", session.closed()).await {
                Closed::Peer { code, .. } => assert_eq!(code, expected),
                other => panic!("{other}"),
            }
        }
    }
}

/// Never answers.
#[derive(Debug)]
struct Silent;

impl Authorizer for Silent {
    fn authorize<'a>(&'a self, request: AuthRequest<'a>) -> Authorizing<'a> {
        Box::pin(async move {
            match request.operation {
                Operation::Setup => Ok(Permit::forever()),
                _ => std::future::pending().await,
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_authorizer_that_does_not_answer_is_not_waited_for_longer_than_a_peer_waits() {
    let relay = relay_with(Silent);
    let session = peer(&relay, Version::Draft16).await;
    let code = outcome(&session, Kind::PublishNamespace, None).await;
    assert_eq!(code, Some(RequestErrorCode::Timeout));
}

/// A reason must not be what the peer sent.
#[test]
fn refusals_have_codes_and_words() {
    let denied = Denied::unauthorized("no");
    assert_eq!(denied.to_string(), "UNAUTHORIZED: no");
}
