//! The parts of which control messages are made: names, parameters, tokens, extension headers.

use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::list::{KeyValue, Value as PairValue};
use moqingbird_wire::model::{
    AuthorizationToken, DEFAULT_PRIORITY, Extensions, GroupOrder, Location, Setup, SubscriptionFilter,
    TrackExtensions, TrackNamespace, extension,
};
use serde_json::{Map, Value, json};

use super::record::{object, optional};

/// Parameters in the order in which they are added.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<Value>);

impl Parameters {
    pub(super) fn add(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.push(json!({ "name": name, "value": value.into() }));
        }
        self
    }

    pub(super) fn millis(self, name: &str, value: Option<Duration>) -> Self {
        self.add(name, value.map(millis))
    }

    pub(super) fn forward(self, forward: Option<bool>) -> Self {
        self.add("forward", forward.map(u64::from))
    }

    pub(super) fn filter(self, value: Option<SubscriptionFilter>) -> Self {
        self.add("subscription_filter", value.map(filter))
    }

    pub(super) fn group_order(self, order: Option<GroupOrder>) -> Self {
        self.add("group_order", order.map(group_order))
    }

    pub(super) fn largest(self, largest: Option<Location>) -> Self {
        self.add("largest_object", largest.map(location))
    }

    /// With the number of its kind, as the drafts write it (draft-14 §9.2.1.1, draft-16 §9.2.2.1).
    pub(super) fn tokens(mut self, tokens: &[AuthorizationToken]) -> Self {
        self.0.extend(tokens.iter().map(|token| {
            let number: u64 = match token {
                AuthorizationToken::Delete { .. } => 0x0,
                AuthorizationToken::Register { .. } => 0x1,
                AuthorizationToken::UseAlias { .. } => 0x2,
                AuthorizationToken::UseValue { .. } => 0x3,
            };
            redacted(token, number)
        }));
        self
    }

    /// Adds them to a message.
    pub(super) fn into_fields(self, fields: &mut Map<String, Value>) {
        fields.insert("number_of_parameters".into(), self.0.len().into());
        if !self.0.is_empty() {
            fields.insert("parameters".into(), self.0.into());
        }
    }
}

/// What a SETUP says besides its versions.
pub(super) fn setup_options(setup: &Setup) -> Vec<Value> {
    let mut options = Parameters::default()
        .add("path", setup.path.as_ref().map(without_query))
        .add("authority", setup.authority.as_ref().map(without_user))
        .add("max_request_id", Some(setup.max_request_id))
        .add("max_auth_token_cache_size", Some(setup.max_auth_token_cache_size))
        .add(
            "implementation",
            setup.implementation.as_ref().map(|name| String::from_utf8_lossy(name).into_owned()),
        )
        .0;
    options.extend(setup.authorization_tokens.iter().map(|token| {
        let word = match token {
            AuthorizationToken::Delete { .. } => "delete",
            AuthorizationToken::Register { .. } => "register",
            AuthorizationToken::UseAlias { .. } => "use_alias",
            AuthorizationToken::UseValue { .. } => "use_value",
        };
        redacted(token, word)
    }));
    options.extend(setup.unknown.iter().map(|pair| {
        let mut option = pair_value(pair);
        option.insert("name".into(), "unknown".into());
        option.insert("name_bytes".into(), pair.key.into());
        Value::Object(option)
    }));
    options
}

/// A token without its value.
fn redacted(token: &AuthorizationToken, alias_type: impl Into<Value>) -> Value {
    let (alias, kind, value) = match token {
        AuthorizationToken::Delete { alias } | AuthorizationToken::UseAlias { alias } => {
            (Some(*alias), None, None)
        }
        AuthorizationToken::Register { alias, token_type, value } => {
            (Some(*alias), Some(*token_type), Some(value))
        }
        AuthorizationToken::UseValue { token_type, value } => (None, Some(*token_type), Some(value)),
    };
    let mut fields = object(json!({ "name": "authorization_token", "alias_type": alias_type.into() }));
    optional(&mut fields, "token_alias", alias);
    optional(&mut fields, "token_type", kind);
    optional(&mut fields, "token_value", value.map(|value| json!({ "length": value.len() })));
    Value::Object(fields)
}

/// A path whose query, which often holds a token, is not shown.
fn without_query(path: &Bytes) -> String {
    let path = String::from_utf8_lossy(path);
    match path.split_once('?') {
        Some((path, _)) => format!("{path}?redacted"),
        None => path.into_owned(),
    }
}

/// An authority whose user, and password, is not shown.
fn without_user(authority: &Bytes) -> String {
    let authority = String::from_utf8_lossy(authority);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("redacted@{host}"),
        None => authority.into_owned(),
    }
}

/// What holds for a whole track, as extension headers: those that are not at their default.
pub(super) fn track_properties(track: &TrackExtensions) -> Vec<Value> {
    let priority = track.default_publisher_priority;
    let known = [
        (extension::DELIVERY_TIMEOUT, track.delivery_timeout.map(millis)),
        (extension::MAX_CACHE_DURATION, track.max_cache_duration.map(millis)),
        (extension::DEFAULT_PUBLISHER_PRIORITY, (priority != DEFAULT_PRIORITY).then(|| priority.into())),
        (
            extension::DEFAULT_PUBLISHER_GROUP_ORDER,
            (track.group_order != GroupOrder::Ascending).then(|| group_order(track.group_order)),
        ),
        (extension::DYNAMIC_GROUPS, track.dynamic_groups.then_some(1)),
    ];
    let known = known.into_iter().filter_map(|(key, value)| Some(json!({ "type": key, "value": value? })));
    known.chain(properties(&track.other)).collect()
}

/// Extension headers: integers as they are, of byte strings the length.
pub(super) fn properties(extensions: &Extensions) -> Vec<Value> {
    let pairs = extensions.iter().map(|pair| {
        let mut property = pair_value(&pair);
        property.insert("type".into(), pair.key.into());
        Value::Object(property)
    });
    pairs.collect()
}

fn pair_value(pair: &KeyValue) -> Map<String, Value> {
    object(match &pair.value {
        PairValue::Integer(value) => json!({ "value": value }),
        PairValue::Bytes(bytes) => json!({ "length": bytes.len() }),
    })
}

pub(super) fn namespace(namespace: &TrackNamespace) -> Value {
    namespace.fields().iter().map(byte_string).collect()
}

/// As text if it is text, otherwise in hexadecimal.
pub(super) fn byte_string(bytes: &Bytes) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "value": text }),
        Err(_) => json!({ "value_bytes": hex(bytes) }),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn location(location: Location) -> Value {
    json!({ "group": location.group, "object": location.object })
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The numbers of Group Order (draft-14 §9.7, draft-16 §9.2.2.4).
const fn group_order(order: GroupOrder) -> u64 {
    match order {
        GroupOrder::Ascending => 0x1,
        GroupOrder::Descending => 0x2,
    }
}

/// With the numbers of the Filter Types (draft-14 §5.1, draft-16 §5.1.2).
fn filter(filter: SubscriptionFilter) -> Value {
    match filter {
        SubscriptionFilter::NextGroupStart => json!({ "filter_type": 0x1 }),
        SubscriptionFilter::AbsoluteStart(start) => {
            json!({ "filter_type": 0x3, "start_location": location(start) })
        }
        SubscriptionFilter::AbsoluteRange { start, end_group } => json!({
            "filter_type": 0x4,
            "start_location": location(start),
            "end_group_delta": end_group.saturating_sub(start.group),
        }),
        _ => json!({ "filter_type": 0x2 }),
    }
}
