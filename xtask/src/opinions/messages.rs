//! Random control messages of every kind, whatever a draft can say in them.

use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::list::{KeyValue, Keys, Value};
use moqingbird_wire::model::{
    AuthorizationToken, EndLocation, Extensions, Fetch, FetchOk, FetchRange, FullTrackName, GoAway,
    GroupOrder, Location, Message, Publish, PublishDone, PublishDoneCode, PublishNamespace, PublishOk,
    ReasonPhrase, Request, RequestError, RequestErrorCode, RequestId, RequestKind, RequestOk, RequestUpdate,
    Response, STREAM_COUNT_UNKNOWN, Setup, Subscribe, SubscribeNamespace, SubscribeOk, SubscribeOptions,
    SubscriptionFilter, Target, TrackAlias, TrackExtensions, TrackNamespace, extension,
};

use super::sample::Sample;

/// Makes messages of one draft.
pub(super) struct Maker<'a> {
    pub(super) version: Version,
    pub(super) s: &'a mut Sample,
}

impl Maker<'_> {
    /// A message of the kind that the draft calls by this name.
    pub(super) fn message(&mut self, kind: &str) -> Result<Message, String> {
        use RequestKind as Kind;
        Ok(match kind {
            "CLIENT_SETUP" => Message::ClientSetup(self.setup(3)),
            "SERVER_SETUP" => Message::ServerSetup(self.setup(1)),
            "GOAWAY" => Message::GoAway(GoAway { new_session_uri: Bytes::from(self.s.text()) }),
            "MAX_REQUEST_ID" => Message::MaxRequestId(self.s.number()),
            "REQUESTS_BLOCKED" => Message::RequestsBlocked(self.s.number()),
            "SUBSCRIBE" => self.request(|m| Request::Subscribe(m.subscribe())),
            "PUBLISH" => self.request(|m| Request::Publish(m.publish())),
            "FETCH" => self.request(|m| Request::Fetch(m.fetch())),
            "TRACK_STATUS" => self.request(|m| Request::TrackStatus(m.track_status())),
            "PUBLISH_NAMESPACE" => self.request(|m| Request::PublishNamespace(m.publish_namespace())),
            "SUBSCRIBE_NAMESPACE" => self.request(|m| Request::SubscribeNamespace(m.subscribe_namespace())),
            "SUBSCRIBE_UPDATE" | "REQUEST_UPDATE" => {
                Message::RequestUpdate { id: self.id(), target: self.id(), update: self.update() }
            }
            "SUBSCRIBE_OK" => self.response(|m| Response::Subscribe(m.subscribe_ok())),
            "PUBLISH_OK" => self.response(|m| Response::Publish(m.publish_ok())),
            "FETCH_OK" => self.response(|m| Response::Fetch(m.fetch_ok())),
            "REQUEST_OK" => self.granted(None),
            "TRACK_STATUS_OK" => self.granted(Some(Kind::TrackStatus)),
            "PUBLISH_NAMESPACE_OK" => self.granted(Some(Kind::PublishNamespace)),
            "SUBSCRIBE_NAMESPACE_OK" => self.granted(Some(Kind::SubscribeNamespace)),
            "REQUEST_ERROR" => self.declined(None),
            "SUBSCRIBE_ERROR" => self.declined(Some(Kind::Subscribe)),
            "PUBLISH_ERROR" => self.declined(Some(Kind::Publish)),
            "FETCH_ERROR" => self.declined(Some(Kind::Fetch)),
            "TRACK_STATUS_ERROR" => self.declined(Some(Kind::TrackStatus)),
            "PUBLISH_NAMESPACE_ERROR" => self.declined(Some(Kind::PublishNamespace)),
            "SUBSCRIBE_NAMESPACE_ERROR" => self.declined(Some(Kind::SubscribeNamespace)),
            "UNSUBSCRIBE" => Message::Unsubscribe(self.id()),
            "FETCH_CANCEL" => Message::FetchCancel(self.id()),
            "PUBLISH_DONE" => Message::PublishDone { target: self.id(), done: self.publish_done() },
            "PUBLISH_NAMESPACE_DONE" => Message::PublishNamespaceDone(self.withdrawn()),
            "PUBLISH_NAMESPACE_CANCEL" => {
                Message::PublishNamespaceCancel { target: self.withdrawn(), error: self.error(false) }
            }
            "UNSUBSCRIBE_NAMESPACE" => Message::UnsubscribeNamespace(Target::Namespace(self.namespace(1))),
            "NAMESPACE" => Message::Namespace(self.namespace(0)),
            "NAMESPACE_DONE" => Message::NamespaceDone(self.namespace(0)),
            other => return Err(format!("aiomoqt has a message {other}, which is unknown here")),
        })
    }

    fn is_14(&self) -> bool {
        self.version == Version::Draft14
    }

    fn newer<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.is_14() && self.s.coin()).then(|| make(self))
    }

    // --- the frames of messages ---

    fn id(&mut self) -> RequestId {
        RequestId(self.s.number())
    }

    fn request(&mut self, make: impl FnOnce(&mut Self) -> Request) -> Message {
        Message::Request { id: self.id(), request: make(self) }
    }

    fn response(&mut self, make: impl FnOnce(&mut Self) -> Response) -> Message {
        Message::Response { target: Target::Id(self.id()), response: make(self) }
    }

    fn granted(&mut self, kind: Option<RequestKind>) -> Message {
        self.response(|m| Response::Ok { kind, ok: m.request_ok(kind) })
    }

    fn declined(&mut self, kind: Option<RequestKind>) -> Message {
        Message::RequestError { target: Target::Id(self.id()), kind, error: self.error(!self.is_14()) }
    }

    fn withdrawn(&mut self) -> Target {
        match self.is_14() {
            true => Target::Namespace(self.namespace(1)),
            false => Target::Id(self.id()),
        }
    }

    // --- their bodies ---

    fn setup(&mut self, versions: u64) -> Setup {
        let versions = match (self.is_14(), versions) {
            (false, _) => Vec::new(),
            (true, 1) => vec![self.s.number()],
            (true, most) => self.s.list(most, Sample::number),
        };
        let text = |s: &mut Sample| Bytes::from(s.text());
        Setup {
            versions,
            path: self.s.maybe(text),
            authority: self.s.maybe(text),
            max_request_id: self.s.number(),
            max_auth_token_cache_size: self.s.number(),
            authorization_tokens: self.tokens(),
            implementation: self.s.maybe(text),
            unknown: distinct(self.s.list(4, pair)),
        }
    }

    fn subscribe(&mut self) -> Subscribe {
        Subscribe {
            track: self.track(),
            subscriber_priority: self.s.byte(),
            group_order: self.s.maybe(order),
            forward: self.s.coin(),
            filter: match self.is_14() {
                true => Some(self.filter(1)),
                false => self.newer(|m| m.filter(1)),
            },
            delivery_timeout: self.delivery_timeout(),
            new_group_request: self.newer(|m| m.s.number()),
            authorization_tokens: self.tokens(),
        }
    }

    /// Draft-16's carries track and tokens only (§9.19).
    fn track_status(&mut self) -> Subscribe {
        match self.is_14() {
            true => self.subscribe(),
            false => Subscribe {
                filter: None,
                authorization_tokens: self.tokens(),
                ..Subscribe::new(self.track())
            },
        }
    }

    fn update(&mut self) -> RequestUpdate {
        let stated = self.is_14();
        RequestUpdate {
            filter: (stated || self.s.coin()).then(|| self.filter(if stated { 3 } else { 1 })),
            subscriber_priority: (stated || self.s.coin()).then(|| self.s.byte()),
            forward: (stated || self.s.coin()).then(|| self.s.coin()),
            delivery_timeout: self.delivery_timeout(),
            new_group_request: self.newer(|m| m.s.number()),
            authorization_tokens: self.tokens(),
        }
    }

    fn subscribe_ok(&mut self) -> SubscribeOk {
        SubscribeOk {
            track_alias: TrackAlias(self.s.number()),
            expires: self.expires(),
            largest: self.s.maybe(location),
            extensions: self.track_extensions(),
        }
    }

    fn request_ok(&mut self, kind: Option<RequestKind>) -> RequestOk {
        match kind {
            Some(RequestKind::TrackStatus) => RequestOk {
                expires: self.expires(),
                largest: self.s.maybe(location),
                extensions: self.track_extensions(),
            },
            Some(_) => RequestOk::default(),
            None => RequestOk {
                expires: self.expires(),
                largest: self.s.maybe(location),
                extensions: TrackExtensions::default(),
            },
        }
    }

    fn publish(&mut self) -> Publish {
        Publish {
            track: self.track(),
            track_alias: TrackAlias(self.s.number()),
            largest: self.s.maybe(location),
            forward: self.s.coin(),
            expires: self.newer(Self::expires).flatten(),
            authorization_tokens: self.tokens(),
            extensions: self.track_extensions(),
        }
    }

    fn publish_ok(&mut self) -> PublishOk {
        let stated = self.is_14();
        PublishOk {
            forward: self.s.coin(),
            subscriber_priority: self.s.byte(),
            group_order: (stated || self.s.coin()).then(|| order(self.s)),
            filter: (stated || self.s.coin()).then(|| self.filter(1)),
            delivery_timeout: self.delivery_timeout(),
            expires: self.newer(Self::expires).flatten(),
            new_group_request: self.newer(|m| m.s.number()),
        }
    }

    fn publish_done(&mut self) -> PublishDone {
        PublishDone {
            code: PublishDoneCode::Unknown(self.unnamed_code()),
            stream_count: match self.s.one_in(4) {
                true => STREAM_COUNT_UNKNOWN,
                false => self.s.number(),
            },
            reason: self.reason(),
        }
    }

    fn fetch(&mut self) -> Fetch {
        let subscription = self.id();
        let range = match self.s.below(3) {
            0 => FetchRange::Standalone { track: self.track(), start: location(self.s), end: end(self.s) },
            1 => FetchRange::RelativeJoining { subscription, groups_before: self.s.number() },
            _ => FetchRange::AbsoluteJoining { subscription, start_group: self.s.number() },
        };
        Fetch {
            range,
            subscriber_priority: self.s.byte(),
            group_order: self.s.maybe(order),
            authorization_tokens: self.tokens(),
        }
    }

    fn fetch_ok(&mut self) -> FetchOk {
        let extensions = match self.is_14() {
            true => TrackExtensions {
                max_cache_duration: self.s.maybe(milliseconds),
                ..TrackExtensions::default()
            },
            false => self.track_extensions(),
        };
        FetchOk {
            group_order: self.is_14().then(|| order(self.s)),
            end_of_track: self.s.coin(),
            end: end(self.s),
            extensions,
        }
    }

    fn publish_namespace(&mut self) -> PublishNamespace {
        PublishNamespace { namespace: self.namespace(1), authorization_tokens: self.tokens() }
    }

    fn subscribe_namespace(&mut self) -> SubscribeNamespace {
        let prefix = self.namespace(u64::from(self.is_14()));
        let authorization_tokens = self.tokens();
        let options = [SubscribeOptions::Publish, SubscribeOptions::Namespace, SubscribeOptions::Both];
        match self.is_14() {
            true => SubscribeNamespace { authorization_tokens, ..SubscribeNamespace::new(prefix) },
            false => SubscribeNamespace {
                prefix,
                options: self.s.choice(&options),
                forward: self.s.coin(),
                authorization_tokens,
            },
        }
    }

    // --- their fields ---

    fn namespace(&mut self, least: u64) -> TrackNamespace {
        let shortest = u64::from(!self.is_14());
        let count = match self.s.one_in(10) {
            true => TrackNamespace::MAX_FIELDS as u64,
            false => least + self.s.below(4),
        };
        TrackNamespace::new((0..count).map(|_| self.s.bytes(shortest, 24))).unwrap_or_default()
    }

    fn track(&mut self) -> FullTrackName {
        let name = match self.s.one_in(10) {
            true => self.s.bytes(1000, 3000),
            false => self.s.bytes(0, 24),
        };
        FullTrackName { namespace: self.namespace(1), name }
    }

    /// A filter of type `least` to 4.
    fn filter(&mut self, least: u64) -> SubscriptionFilter {
        let (group, end_group) = self.s.ascending();
        let start = Location { group, object: self.s.number() };
        match least + self.s.below(5 - least) {
            1 => SubscriptionFilter::NextGroupStart,
            2 => SubscriptionFilter::LargestObject,
            3 => SubscriptionFilter::AbsoluteStart(start),
            _ => SubscriptionFilter::AbsoluteRange { start, end_group },
        }
    }

    fn delivery_timeout(&mut self) -> Option<Duration> {
        let least = Duration::from_millis(u64::from(!self.is_14()));
        self.s.maybe(|s| milliseconds(s).max(least))
    }

    /// On the wire 0 is none.
    fn expires(&mut self) -> Option<Duration> {
        self.s.maybe(milliseconds).filter(|expires| !expires.is_zero())
    }

    fn error(&mut self, may_retry: bool) -> RequestError {
        RequestError {
            code: RequestErrorCode::Unknown(self.unnamed_code()),
            retry_after: (may_retry && self.s.coin()).then(|| milliseconds(self.s)),
            reason: self.reason(),
        }
    }

    /// A code above those to which a table of any draft gives a name: that names map to numbers is what wire's tests hold.
    fn unnamed_code(&mut self) -> u64 {
        self.s.number().max(0x40)
    }

    fn reason(&mut self) -> ReasonPhrase {
        ReasonPhrase::from(self.s.text())
    }

    fn tokens(&mut self) -> Vec<AuthorizationToken> {
        self.s.list(2, |s| match s.below(4) {
            0 => AuthorizationToken::Delete { alias: s.number() },
            1 => AuthorizationToken::Register {
                alias: s.number(),
                token_type: s.number(),
                value: s.bytes(0, 24),
            },
            2 => AuthorizationToken::UseAlias { alias: s.number() },
            _ => AuthorizationToken::UseValue { token_type: s.number(), value: s.bytes(0, 24) },
        })
    }

    fn track_extensions(&mut self) -> TrackExtensions {
        let common = TrackExtensions {
            delivery_timeout: self.delivery_timeout(),
            max_cache_duration: self.s.maybe(milliseconds),
            group_order: order(self.s),
            ..TrackExtensions::default()
        };
        match self.is_14() {
            true => common,
            false => TrackExtensions {
                default_publisher_priority: self.s.byte(),
                dynamic_groups: self.s.coin(),
                other: extensions(self.s, Keys::Delta),
                ..common
            },
        }
    }
}

fn location(s: &mut Sample) -> Location {
    Location { group: s.number(), object: s.number() }
}

fn end(s: &mut Sample) -> EndLocation {
    EndLocation { group: s.number(), object: s.maybe(Sample::number) }
}

fn order(s: &mut Sample) -> GroupOrder {
    s.choice(&[GroupOrder::Ascending, GroupOrder::Descending])
}

fn milliseconds(s: &mut Sample) -> Duration {
    Duration::from_millis(s.number())
}

/// Extension headers of an object, now and then longer than those of a track can be.
pub(super) fn object_extensions(s: &mut Sample, keys: Keys) -> Extensions {
    if s.one_in(20) {
        let length = s.choice(&[20_000, 65_535]);
        let long = KeyValue { key: 0x41, value: Value::Bytes(s.bytes(length, length)) };
        return Extensions::from_pairs([long], keys).unwrap_or_default();
    }
    extensions(s, keys)
}

/// Extension headers, now and then of one type twice.
fn extensions(s: &mut Sample, keys: Keys) -> Extensions {
    let mut pairs = s.list(3, pair);
    if let (true, Some(repeated)) = (s.one_in(8), pairs.first()) {
        pairs.push(KeyValue { key: repeated.key, value: value(s, repeated.key) });
    }
    for key in [extension::PRIOR_GROUP_ID_GAP, extension::PRIOR_OBJECT_ID_GAP] {
        if s.one_in(6) {
            pairs.push(KeyValue { key, value: value(s, key) });
        }
    }
    if s.one_in(4) {
        let list = block(s.list(3, pair), keys);
        pairs.push(KeyValue { key: extension::IMMUTABLE_EXTENSIONS, value: Value::Bytes(list) });
    }
    Extensions::from_pairs(pairs, keys).unwrap_or_default()
}

/// The bytes of a list, as the value of immutable extensions.
fn block(mut pairs: Vec<KeyValue>, keys: Keys) -> Bytes {
    let mut w = moqingbird_wire::buf::Writer::new();
    match moqingbird_wire::list::write_pairs(&mut w, keys, &mut pairs, "immutable extensions") {
        Ok(()) => w.take(),
        Err(_) => Bytes::new(),
    }
}

/// A pair of a type that no draft defines.
fn pair(s: &mut Sample) -> KeyValue {
    let key = s.number().max(0x40);
    KeyValue { key, value: value(s, key) }
}

fn value(s: &mut Sample, key: u64) -> Value {
    match key % 2 {
        0 => Value::Integer(s.number()),
        _ => Value::Bytes(s.bytes(0, 24)),
    }
}

/// The first pair of each type, in ascending order.
fn distinct(mut pairs: Vec<KeyValue>) -> Vec<KeyValue> {
    pairs.sort_by_key(|pair| pair.key);
    pairs.dedup_by_key(|pair| pair.key);
    pairs
}
