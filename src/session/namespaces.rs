//! Namespaces: who announced what, and who asked to hear of it (draft-14 §6, draft-16 §6).
//!
//! Drafts differ in how a namespace below a subscribed prefix is told: by NAMESPACE on the subscription's own stream, or
//! by a PUBLISH_NAMESPACE of its own. The application sees the same in both: [`Event::Namespace`] one way, and
//! [`Session::namespace`] the other.

use std::collections::BTreeMap;

use moqingbird_wire::Carriage;
use moqingbird_wire::model::{
    Message, PublishDone, PublishDoneCode, PublishNamespace, Request, RequestError, RequestErrorCode,
    RequestId, RequestKind, RequestOk, Response, SubscribeNamespace, SubscribeOptions, Target,
    TrackNamespace,
};

use super::requests::{Body, Open, Stage};
use super::{Checked, Event, Instant, Misuse, Session, StreamId, Violation};

/// PUBLISH_NAMESPACE.
#[derive(Debug)]
pub(super) struct Announcement {
    pub(super) namespace: TrackNamespace,
    /// The SUBSCRIBE_NAMESPACE on account of which it was made. The application does not know of it then.
    pub(super) prefix: Option<RequestId>,
}

/// SUBSCRIBE_NAMESPACE.
#[derive(Debug)]
pub(super) struct Prefix {
    prefix: TrackNamespace,
    options: SubscribeOptions,
    /// The namespaces that were told and are not done, with the PUBLISH_NAMESPACE that told them, if one did.
    known: BTreeMap<TrackNamespace, Option<RequestId>>,
}

impl Prefix {
    pub(super) fn new(subscribe: &SubscribeNamespace) -> Self {
        Self { prefix: subscribe.prefix.clone(), options: subscribe.options, known: BTreeMap::new() }
    }

    /// Whether a namespace could be below both (draft-14 §9.28, draft-16 §9.25: "common prefix" means that one is
    /// a prefix of the other).
    pub(super) fn overlaps(&self, other: &TrackNamespace) -> bool {
        self.prefix.starts_with(other) || other.starts_with(&self.prefix)
    }
}

impl Session {
    /// Whether a kind of request has a stream of its own.
    pub(super) fn needs_own_stream(&self, kind: RequestKind) -> bool {
        kind == RequestKind::SubscribeNamespace && self.rules.namespace_carriage == Carriage::OwnStream
    }

    fn prefix(&mut self, id: RequestId) -> Option<&mut Prefix> {
        match &mut self.requests.open.get_mut(&id)?.body {
            Body::Prefix(prefix) => Some(prefix),
            _ => None,
        }
    }

    fn prefixes(&self, ours: bool) -> impl Iterator<Item = (RequestId, &Prefix)> {
        self.requests.open.iter().filter_map(move |(id, open)| match &open.body {
            Body::Prefix(prefix) if self.requests.is_ours(*id) == ours => Some((*id, prefix)),
            _ => None,
        })
    }

    pub(super) fn overlapping(&self, ours: bool, prefix: &TrackNamespace) -> bool {
        self.prefixes(ours).any(|(_, open)| open.overlaps(prefix))
    }

    /// How this draft names a request in the messages that withdraw it.
    pub(super) fn target(&self, id: RequestId, namespace: &TrackNamespace) -> Target {
        if self.rules.withdraws_by_namespace { Target::Namespace(namespace.clone()) } else { Target::Id(id) }
    }

    /// The message that withdraws a request of ours. `None`: the end of its stream does.
    pub(super) fn withdrawal(&self, id: RequestId, open: &Open) -> Option<Message> {
        match &open.body {
            Body::Receiving(_) => Some(Message::Unsubscribe(id)),
            Body::Announcement(it) => Some(Message::PublishNamespaceDone(self.target(id, &it.namespace))),
            Body::Prefix(it) if !self.needs_own_stream(open.kind) => {
                Some(Message::UnsubscribeNamespace(self.target(id, &it.prefix)))
            }
            Body::Sending(it) => {
                let (code, reason) =
                    it.finishing.clone().unwrap_or((PublishDoneCode::InternalError, "".into()));
                Some(Message::PublishDone {
                    target: id,
                    done: PublishDone { code, stream_count: it.opened, reason },
                })
            }
            Body::Fetching(_) => Some(Message::FetchCancel(id)),
            Body::Prefix(_) | Body::Serving(_) | Body::Status | Body::Update { .. } => None,
        }
    }

    /// The requests of one side that a message names.
    fn named(&self, ours: bool, kind: RequestKind, target: &Target) -> Checked<Vec<RequestId>> {
        match target {
            &Target::Id(id) => match self.known(id)? {
                Some(open) if self.requests.is_ours(id) == ours && open.kind == kind => Ok(vec![id]),
                Some(_) => {
                    Err(Violation::protocol(format!("request {id} is no {kind} that this could be said of")))
                }
                None => Ok(Vec::new()),
            },
            Target::Namespace(namespace) => {
                let is_meant = |open: &Open| match &open.body {
                    Body::Announcement(it) => open.kind == kind && it.namespace == *namespace,
                    Body::Prefix(it) => open.kind == kind && it.prefix == *namespace,
                    _ => false,
                };
                let meant = |(id, open): (&RequestId, &Open)| {
                    (self.requests.is_ours(*id) == ours && open.stage != Stage::Waiting && is_meant(open))
                        .then_some(*id)
                };
                Ok(self.requests.open.iter().filter_map(meant).collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// What the peer publishes.
impl Session {
    /// PUBLISH_NAMESPACE. One that a SUBSCRIBE_NAMESPACE of ours asked for, in a draft that tells namespaces so, is
    /// accepted here and now.
    pub(super) fn announced(&mut self, id: RequestId, publish: PublishNamespace) -> Checked {
        let namespace = publish.namespace.clone();
        let asked = match self.rules.namespace_carriage {
            Carriage::Control => self
                .prefixes(true)
                .find(|(_, it)| namespace.starts_with(&it.prefix))
                .map(|(prefix, _)| prefix),
            _ => None,
        };
        let Some(prefix) = asked else {
            let body = Body::Announcement(Announcement { namespace, prefix: None });
            self.pending(None, id, Request::PublishNamespace(publish), body);
            return Ok(());
        };
        if self.namespaces_known() >= self.config.max_namespaces {
            let kind = RequestKind::PublishNamespace;
            return self.decline(None, id, kind, RequestErrorCode::InternalError, "too many namespaces");
        }
        let response = Response::Ok { kind: Some(RequestKind::PublishNamespace), ok: RequestOk::default() };
        self.send(None, &Message::Response { target: Target::Id(id), response })?;
        let body = Body::Announcement(Announcement { namespace: namespace.clone(), prefix: Some(prefix) });
        let kind = RequestKind::PublishNamespace;
        self.requests.insert(id, Open { kind, stage: Stage::Granted, lane: None, body });
        self.namespace_came(prefix, namespace, Some(id));
        Ok(())
    }

    pub(super) fn namespaces_known(&self) -> usize {
        self.prefixes(true).map(|(_, it)| it.known.len()).sum()
    }

    fn namespace_came(&mut self, id: RequestId, namespace: TrackNamespace, told_by: Option<RequestId>) {
        let Some(prefix) = self.prefix(id) else { return };
        if prefix.known.insert(namespace.clone(), told_by).is_none() {
            self.event(Event::Namespace { id, namespace });
        }
    }

    fn namespace_went(&mut self, id: RequestId, namespace: TrackNamespace) -> bool {
        let known = self.prefix(id).is_some_and(|prefix| prefix.known.remove(&namespace).is_some());
        if known {
            self.event(Event::NamespaceDone { id, namespace });
        }
        known
    }

    /// PUBLISH_NAMESPACE_DONE.
    pub(super) fn announcement_withdrawn(&mut self, target: &Target) -> Checked {
        for id in self.named(false, RequestKind::PublishNamespace, target)? {
            self.announcement_gone(id);
        }
        self.raise_limit()
    }

    /// A namespace that the peer published is over.
    pub(super) fn announcement_gone(&mut self, id: RequestId) {
        let Some(Open { body: Body::Announcement(announcement), .. }) = self.end(id) else { return };
        match announcement.prefix {
            Some(prefix) => {
                self.namespace_went(prefix, announcement.namespace);
            }
            None => self.event(Event::Cancelled { id }),
        }
    }

    /// The announcements of one side and namespace that have been said: where a draft withdraws them by their namespace, they
    /// end together.
    pub(super) fn announced_as(&self, ours: bool, namespace: &TrackNamespace) -> Vec<RequestId> {
        let target = Target::Namespace(namespace.clone());
        self.named(ours, RequestKind::PublishNamespace, &target).unwrap_or_default()
    }

    /// An announcement of ours has been withdrawn by its namespace: these end with it.
    pub(super) fn withdrawn_alike(&mut self, alike: Vec<RequestId>) {
        for id in alike {
            if self.requests.open.get(&id).is_some_and(|open| open.stage == Stage::Asked) {
                self.requests.remember_withdrawn(id);
            }
            if !self.announcement_ended(id) {
                let reason = "another announcement of the namespace was withdrawn";
                let error = RequestError::new(RequestErrorCode::Uninterested, reason);
                self.event(Event::Revoked { id, error });
            }
        }
    }

    /// What the peer says on the stream of our SUBSCRIBE_NAMESPACE: its answer, and then namespaces.
    pub(super) fn prefix_message(
        &mut self,
        now: Instant,
        stream: StreamId,
        id: RequestId,
        message: Message,
    ) -> Checked {
        let granted = self.requests.open.get(&id).is_some_and(|open| open.stage == Stage::Granted);
        match message {
            Message::Response { target, response } if target == Target::Id(id) => {
                self.answered(now, Some(stream), &target, response)
            }
            Message::RequestError { target, kind, error } if target == Target::Id(id) => {
                self.declined(now, Some(stream), &target, kind, error)
            }
            Message::Namespace(suffix) if granted => {
                let namespace = self.below(id, &suffix)?;
                if self.namespaces_known() < self.config.max_namespaces {
                    self.namespace_came(id, namespace, None);
                    return Ok(());
                }
                self.finish_lane(stream);
                self.stop_stream(stream);
                self.prefix_failed(now, id, "the peer has told of too many namespaces")
            }
            Message::NamespaceDone(suffix) if granted => {
                let namespace = self.below(id, &suffix)?;
                match self.namespace_went(id, namespace) {
                    true => Ok(()),
                    // draft-16 §9.23.
                    false => Err(Violation::protocol("NAMESPACE_DONE without its NAMESPACE")),
                }
            }
            _ => Err(Violation::protocol("a message that has no place on a namespace stream")),
        }
    }

    fn below(&mut self, id: RequestId, suffix: &TrackNamespace) -> Checked<TrackNamespace> {
        let prefix = self.prefix(id).map(|it| it.prefix.clone()).unwrap_or_default();
        let namespace = prefix.join(suffix).map_err(|error| Violation::protocol(error.to_string()))?;
        if namespace.fields().is_empty() {
            return Err(Violation::protocol("a namespace of no field"));
        }
        Ok(namespace)
    }

    /// The peer ended the stream of our SUBSCRIBE_NAMESPACE.
    pub(super) fn prefix_lost(&mut self, now: Instant, id: RequestId) -> Checked {
        self.prefix_failed(now, id, "the peer ended the stream")
    }

    fn prefix_failed(&mut self, now: Instant, id: RequestId, reason: &'static str) -> Checked {
        let known = self.prefix(id).map(|prefix| std::mem::take(&mut prefix.known)).unwrap_or_default();
        for namespace in known.into_keys() {
            self.event(Event::NamespaceDone { id, namespace });
        }
        self.unanswered(now, id, RequestError::new(RequestErrorCode::InternalError, reason))
    }

    /// Our SUBSCRIBE_NAMESPACE is over: the announcements that it brought are nobody's any more.
    pub(super) fn forget_announcements(&mut self, prefix: RequestId) {
        let brought = |open: &Open| matches!(&open.body, Body::Announcement(it) if it.prefix == Some(prefix));
        let ids: Vec<_> =
            self.requests.open.iter().filter(|(_, it)| brought(it)).map(|(id, _)| *id).collect();
        for id in ids {
            self.end(id);
        }
    }
}

/// What the peer subscribes to.
impl Session {
    /// SUBSCRIBE_NAMESPACE.
    pub(super) fn prefix_asked(
        &mut self,
        lane: Option<StreamId>,
        id: RequestId,
        subscribe: SubscribeNamespace,
    ) -> Checked {
        if self.overlapping(false, &subscribe.prefix) {
            let kind = RequestKind::SubscribeNamespace;
            let reason = "the prefix overlaps that of another subscription";
            return self.decline(lane, id, kind, RequestErrorCode::PrefixOverlap, reason);
        }
        let body = Body::Prefix(Prefix::new(&subscribe));
        self.pending(lane, id, Request::SubscribeNamespace(subscribe), body);
        Ok(())
    }

    /// UNSUBSCRIBE_NAMESPACE.
    pub(super) fn prefix_withdrawn_by(&mut self, now: Instant, target: &Target) -> Checked {
        for id in self.named(false, RequestKind::SubscribeNamespace, target)? {
            self.prefix_withdrawn(now, id)?;
        }
        Ok(())
    }

    /// The peer no longer wants to hear of namespaces. Announcements that were made for it are withdrawn with it.
    pub(super) fn prefix_withdrawn(&mut self, now: Instant, id: RequestId) -> Checked {
        let Some(prefix) = self.prefix(id) else { return Ok(()) };
        for told_by in std::mem::take(&mut prefix.known).into_values().flatten() {
            self.withdraw(now, told_by)?;
        }
        self.end(id);
        self.event(Event::Cancelled { id });
        self.raise_limit()
    }

    /// PUBLISH_NAMESPACE_CANCEL.
    pub(super) fn announcement_revoked(&mut self, target: &Target, error: RequestError) -> Checked {
        for id in self.named(true, RequestKind::PublishNamespace, target)? {
            // What was not accepted when this was said is not meant: both ends know alike, for the control stream has an order.
            if self.requests.open.get(&id).is_some_and(|open| open.stage != Stage::Granted) {
                continue;
            }
            let silent = self.announcement_ended(id);
            if !silent {
                self.event(Event::Revoked { id, error: error.clone() });
            }
        }
        Ok(())
    }

    /// An announcement of ours is over. Says whether the application does not know of it.
    pub(super) fn announcement_ended(&mut self, id: RequestId) -> bool {
        self.forget_told(id);
        match self.end(id).map(|open| open.body) {
            Some(Body::Announcement(announcement)) => announcement.prefix.is_some(),
            _ => true,
        }
    }

    /// The peer's subscription was told of a namespace by an announcement that is over.
    fn forget_told(&mut self, id: RequestId) {
        let Some(Open { body: Body::Announcement(it), .. }) = self.requests.open.get(&id) else { return };
        let Some(prefix) = it.prefix else { return };
        let namespace = it.namespace.clone();
        if let Some(told_by) = self.prefix(prefix).and_then(|prefix| prefix.known.get_mut(&namespace)) {
            *told_by = None;
        }
    }

    /// Tells the peer's SUBSCRIBE_NAMESPACE, which was accepted, of a namespace below its prefix. Twice is once.
    ///
    /// # Errors
    /// The request is no such subscription, the namespace is not below its prefix, or it asked for tracks only.
    pub fn namespace(
        &mut self,
        now: Instant,
        id: RequestId,
        namespace: TrackNamespace,
    ) -> Result<(), Misuse> {
        let (lane, suffix) = self.tellable(id, &namespace)?;
        if self.prefix(id).is_some_and(|prefix| prefix.known.contains_key(&namespace)) {
            return Ok(());
        }
        let told_by = match lane {
            Some(_) => {
                self.send(lane, &Message::Namespace(suffix))?;
                None
            }
            None => Some(self.announce_for(now, id, namespace.clone())?),
        };
        if let Some(prefix) = self.prefix(id) {
            prefix.known.insert(namespace, told_by);
        }
        Ok(())
    }

    /// Tells the peer's SUBSCRIBE_NAMESPACE that a namespace of which it was told has gone.
    ///
    /// # Errors
    /// The request is no such subscription, or was not told of the namespace.
    pub fn namespace_done(
        &mut self,
        now: Instant,
        id: RequestId,
        namespace: &TrackNamespace,
    ) -> Result<(), Misuse> {
        let open = self.requests.open.get(&id).ok_or(Misuse::UnknownRequest)?;
        let lane = open.lane;
        let Body::Prefix(prefix) = &open.body else { return Err(Misuse::WrongKind) };
        let Some(&told_by) = prefix.known.get(namespace) else {
            return Err(Misuse::WrongState("the subscription was not told of the namespace"));
        };
        if let (Some(_), Some(suffix)) = (lane, namespace.strip_prefix(&prefix.prefix)) {
            self.send(lane, &Message::NamespaceDone(suffix))?;
        }
        if let Some(told_by) = told_by {
            self.withdraw(now, told_by)?;
        }
        if let Some(prefix) = self.prefix(id) {
            prefix.known.remove(namespace);
        }
        Ok(())
    }

    /// Announces a namespace on account of the peer's subscription, in a draft that tells it so.
    fn announce_for(
        &mut self,
        now: Instant,
        prefix: RequestId,
        namespace: TrackNamespace,
    ) -> Result<RequestId, Misuse> {
        let request = Request::PublishNamespace(PublishNamespace::new(namespace.clone()));
        let body = Body::Announcement(Announcement { namespace, prefix: Some(prefix) });
        self.ask(now, request, body)
    }

    /// Where to tell a namespace, and by which suffix.
    fn tellable(
        &self,
        id: RequestId,
        namespace: &TrackNamespace,
    ) -> Result<(Option<StreamId>, TrackNamespace), Misuse> {
        let open = self.requests.open.get(&id).ok_or(Misuse::UnknownRequest)?;
        let Body::Prefix(prefix) = &open.body else { return Err(Misuse::WrongKind) };
        if self.requests.is_ours(id) {
            return Err(Misuse::WrongKind);
        }
        if open.stage != Stage::Granted {
            return Err(Misuse::WrongState("the subscription is not accepted"));
        }
        if prefix.options == SubscribeOptions::Publish {
            return Err(Misuse::WrongState("the subscription asks for tracks, not for namespaces"));
        }
        let suffix = namespace
            .strip_prefix(&prefix.prefix)
            .ok_or(Misuse::WrongState("the namespace is not below the prefix of the subscription"))?;
        Ok((open.lane, suffix))
    }
}
