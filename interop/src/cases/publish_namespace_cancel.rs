//! A subscriber to namespaces that takes one no more (PUBLISH_NAMESPACE_CANCEL) harms neither its session nor the
//! publisher.

use bytes::Bytes;
use moqingbird::wire::model::{
    Message, Request, RequestError, RequestErrorCode, RequestId, RequestKind, RequestOk, Response, Setup,
    Subscribe, SubscribeNamespace, Target, TrackNamespace,
};
use moqingbird::{TransportKind, Version};

use super::origin::Origin as Publisher;
use super::{Case, steps};
use crate::Context;
use crate::context::{ANSWER_LIMIT, mismatch};
use crate::raw::{Client, Hearer, Refused, Sayer};
use crate::report::{Failure, NotPassed, Origin, Role, Verdict};

pub(super) const CASE: Case =
    Case::new("publish-namespace-cancel", Origin::Moqingbird, |cx| Box::pin(run(cx)));

async fn run(cx: &Context) -> Verdict {
    let track = steps::fresh_track("moqingbird/publish-namespace-cancel")?;
    let publisher = Publisher::announce(cx, &track).await?;
    let version = publisher.session().version();
    if !version.draft().rules().withdraws_by_namespace {
        publisher.close(cx).await?;
        return Err(NotPassed::Skipped(format!(
            "in {version} a relay tells of namespaces by NAMESPACE, which cannot be cancelled"
        )));
    }
    let mut subscriber = Bare::connect(cx, &publisher, version).await?;
    subscriber.subscribe_namespace(cx, &track.namespace).await?;
    subscriber.cancel(&track.namespace).await?;
    let answer = subscriber.ping(cx).await?;

    // The namespace is still the publisher's, and is reached by those who want it.
    let other = cx.connect(Role::Subscriber).await?;
    let subscription = steps::subscribe(cx, &other, Subscribe::new(track)).await?;
    cx.close(other).await?;
    publisher.close(cx).await?;
    subscriber.client.close();
    drop(subscription);
    Ok(format!("PUBLISH_NAMESPACE, then {answer} behind PUBLISH_NAMESPACE_CANCEL"))
}

/// The subscriber, message by message: the library would accept the namespace and never cancel it.
struct Bare {
    client: Client,
    sayer: Sayer,
    hearer: Hearer,
    version: Version,
}

impl Bare {
    /// Connects where the publisher is, and exchanges SETUP.
    async fn connect(cx: &Context, publisher: &Publisher, version: Version) -> Result<Self, Failure> {
        let url = cx.url(Role::Subscriber);
        let raw = url.transport() == TransportKind::Quic;
        let address = publisher
            .session()
            .remote_address()
            .ok_or_else(|| mismatch("an address", "nothing", "the publisher's session has no address"))?;
        let offer = if raw { vec![version.protocol()] } else { vec![] };
        let expected = "SERVER_SETUP";
        let client = cx.within(expected, ANSWER_LIMIT, Client::connect(address, url, &offer)).await?;
        let client = client.map_err(|refused| match refused {
            Refused::Protocol(how) | Refused::Other(how) => mismatch(expected, "connection failed", how),
        })?;
        cx.note(client.facts(Role::Subscriber, version));
        let control = client.open_control(version.draft()).await;
        let (sayer, hearer) = control.map_err(|error| mismatch(expected, "connection failed", error))?;
        let mut bare = Self { client, sayer, hearer, version };
        let setup = Setup {
            versions: version.draft().rules().setup_version.into_iter().collect(),
            max_request_id: 100,
            path: raw.then(|| Bytes::from(url.path())),
            authority: raw.then(|| Bytes::from(url.authority().to_owned())),
            ..Setup::default()
        };
        bare.say(&Message::ClientSetup(setup)).await?;
        bare.hear(cx, expected, |message| matches!(message, Message::ServerSetup(_)).then_some(())).await?;
        Ok(bare)
    }

    /// SUBSCRIBE_NAMESPACE, its OK, and the PUBLISH_NAMESPACE that it brings, which is accepted.
    async fn subscribe_namespace(&mut self, cx: &Context, namespace: &TrackNamespace) -> Result<(), Failure> {
        let request = Request::SubscribeNamespace(SubscribeNamespace::new(namespace.clone()));
        self.say(&Message::Request { id: RequestId(0), request }).await?;
        let mut granted = false;
        let mut told = None;
        while !granted || told.is_none() {
            let expected = if granted { "PUBLISH_NAMESPACE" } else { "SUBSCRIBE_NAMESPACE_OK" };
            let heard = self.hear(cx, expected, |message| match message {
                Message::Response { target: Target::Id(RequestId(0)), .. } => Some(None),
                Message::Request { id, request: Request::PublishNamespace(publish) }
                    if publish.namespace == *namespace =>
                {
                    Some(Some(*id))
                }
                _ => None,
            });
            match heard.await? {
                None => granted = true,
                Some(id) => told = Some(id),
            }
        }
        let response = Response::Ok { kind: Some(RequestKind::PublishNamespace), ok: RequestOk::default() };
        match told {
            Some(id) => self.say(&Message::Response { target: Target::Id(id), response }).await,
            None => Ok(()),
        }
    }

    async fn cancel(&mut self, namespace: &TrackNamespace) -> Result<(), Failure> {
        let error = RequestError::new(RequestErrorCode::Uninterested, "the case cancels it");
        let target = Target::Namespace(namespace.clone());
        self.say(&Message::PublishNamespaceCancel { target, error }).await
    }

    /// The answer to a SUBSCRIBE that comes behind all that was said before.
    async fn ping(&mut self, cx: &Context) -> Result<String, Failure> {
        let track = steps::fresh_track("nonexistent/namespace")?;
        let id = RequestId(2);
        self.say(&Message::Request { id, request: Request::Subscribe(Subscribe::new(track)) }).await?;
        self.hear(cx, "SUBSCRIBE_ERROR", |message| match message {
            Message::Response { target, .. } if *target == Target::Id(id) => Some("SUBSCRIBE_OK".to_owned()),
            Message::RequestError { target, .. } if *target == Target::Id(id) => {
                Some("SUBSCRIBE_ERROR".to_owned())
            }
            _ => None,
        })
        .await
    }

    async fn say(&mut self, message: &Message) -> Result<(), Failure> {
        let said = self.sayer.say(message).await;
        said.map_err(|error| mismatch("open session", "session closed", error.to_string()))
    }

    /// The next message of which `what` makes something.
    async fn hear<T>(
        &mut self,
        cx: &Context,
        expected: &str,
        what: impl Fn(&Message) -> Option<T>,
    ) -> Result<T, Failure> {
        let hearing = async {
            loop {
                match self.hearer.hear().await {
                    Ok(Some(message)) => {
                        if let Message::RequestError { target: Target::Id(RequestId(0)), error, .. } =
                            &message
                        {
                            let received = format!("SUBSCRIBE_NAMESPACE_ERROR {}", error.code);
                            return Err(mismatch(expected, received, error.reason.to_string()));
                        }
                        if let Some(it) = what(&message) {
                            return Ok(it);
                        }
                    }
                    Ok(None) | Err(_) => {
                        let (code, reason) = self.client.closed().await;
                        let code = code.map_or_else(
                            || "no code".to_owned(),
                            |code| self.version.draft().session_error(code).to_string(),
                        );
                        return Err(mismatch(expected, "session closed", format!("{code}: {reason}")));
                    }
                }
            }
        };
        cx.within(expected, ANSWER_LIMIT, hearing).await?
    }
}
