//! Values of every type of the model, whether a draft can express them or not.

use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::list::{KeyValue, Keys, Value};
use moqingbird_wire::model::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// A number that the wire can carry, each length of its form as likely as the others.
pub(crate) fn number() -> BoxedStrategy<u64> {
    prop_oneof![0..1_u64 << 6, 0..1_u64 << 14, 0..1_u64 << 30, 0..1_u64 << 62].boxed()
}

fn bytes(most: usize) -> BoxedStrategy<Bytes> {
    vec(any::<u8>(), 0..=most).prop_map(Bytes::from).boxed()
}

fn filled(most: usize) -> BoxedStrategy<Bytes> {
    vec(any::<u8>(), 1..=most).prop_map(Bytes::from).boxed()
}

/// A namespace of at least one field, which is what every draft permits everywhere.
fn namespace() -> BoxedStrategy<TrackNamespace> {
    vec(filled(9), 1..5).prop_map(|fields| TrackNamespace::new(fields).unwrap()).boxed()
}

fn prefix() -> BoxedStrategy<TrackNamespace> {
    prop_oneof![5 => namespace(), 1 => Just(TrackNamespace::empty())].boxed()
}

fn track() -> BoxedStrategy<FullTrackName> {
    (namespace(), bytes(12))
        .prop_map(|(namespace, name)| FullTrackName::new(namespace, name).unwrap())
        .boxed()
}

fn location() -> BoxedStrategy<Location> {
    (number(), number()).prop_map(|(group, object)| Location { group, object }).boxed()
}

/// The end of a range. The wire has one more than the object, so the largest cannot be said.
fn end_location() -> BoxedStrategy<EndLocation> {
    (number(), of(0..(1_u64 << 62) - 1)).prop_map(|(group, object)| EndLocation { group, object }).boxed()
}

fn milliseconds() -> BoxedStrategy<Duration> {
    (1..1_u64 << 40).prop_map(Duration::from_millis).boxed()
}

fn request_id() -> BoxedStrategy<RequestId> {
    number().prop_map(RequestId).boxed()
}

fn order() -> BoxedStrategy<GroupOrder> {
    select(vec![GroupOrder::Ascending, GroupOrder::Descending]).boxed()
}

fn reason() -> BoxedStrategy<ReasonPhrase> {
    bytes(30).prop_map(ReasonPhrase::new).boxed()
}

fn token() -> BoxedStrategy<AuthorizationToken> {
    let stated = (number(), number(), bytes(9));
    prop_oneof![
        number().prop_map(|alias| AuthorizationToken::Delete { alias }),
        stated.prop_map(|(alias, token_type, value)| AuthorizationToken::Register {
            alias,
            token_type,
            value
        }),
        number().prop_map(|alias| AuthorizationToken::UseAlias { alias }),
        (number(), bytes(9))
            .prop_map(|(token_type, value)| AuthorizationToken::UseValue { token_type, value }),
    ]
    .boxed()
}

fn tokens() -> BoxedStrategy<Vec<AuthorizationToken>> {
    vec(token(), 0..3).boxed()
}

/// A pair of a type to which no draft gives a meaning.
fn unknown_pair() -> BoxedStrategy<KeyValue> {
    (0x100..1_u64 << 30, number(), bytes(9))
        .prop_map(|(key, number, bytes)| KeyValue {
            key,
            value: if key % 2 == 0 { Value::Integer(number) } else { Value::Bytes(bytes) },
        })
        .boxed()
}

fn keys() -> BoxedStrategy<Keys> {
    select(vec![Keys::Absolute, Keys::Delta]).boxed()
}

/// Types in ascending order, as both spellings can have them.
fn block(mut pairs: Vec<KeyValue>, keys: Keys) -> Extensions {
    pairs.sort_by_key(|pair| pair.key);
    Extensions::from_pairs(pairs, keys).unwrap()
}

/// Extension headers of an object that is not the first of group and track by much: gaps that no rule forbids, unknown
/// types, and immutable ones.
pub(crate) fn object_extensions() -> BoxedStrategy<Extensions> {
    let inner = vec(unknown_pair(), 0..3);
    (vec(unknown_pair(), 0..3), of(inner), keys())
        .prop_map(|(mut pairs, immutable, keys)| {
            if let Some(inner) = immutable {
                let list = block(inner, keys).respelled(keys).unwrap();
                pairs.push(KeyValue { key: extension::IMMUTABLE_EXTENSIONS, value: Value::Bytes(list) });
            }
            block(pairs, keys)
        })
        .boxed()
}

fn track_extensions() -> BoxedStrategy<TrackExtensions> {
    let other = (vec(unknown_pair(), 0..3), keys()).prop_map(|(pairs, keys)| block(pairs, keys));
    let plain =
        (of(milliseconds()), of(milliseconds()), order()).prop_map(|(timeout, cache, group_order)| {
            TrackExtensions {
                delivery_timeout: timeout,
                max_cache_duration: cache,
                group_order,
                ..TrackExtensions::default()
            }
        });
    (plain, any::<u8>(), any::<bool>(), other, any::<bool>())
        .prop_map(|(plain, priority, dynamic_groups, other, full)| {
            if full {
                TrackExtensions { default_publisher_priority: priority, dynamic_groups, other, ..plain }
            } else {
                plain
            }
        })
        .boxed()
}

fn filter() -> BoxedStrategy<SubscriptionFilter> {
    prop_oneof![
        Just(SubscriptionFilter::NextGroupStart),
        Just(SubscriptionFilter::LargestObject),
        location().prop_map(SubscriptionFilter::AbsoluteStart),
        (location(), number()).prop_map(|(start, more)| SubscriptionFilter::AbsoluteRange {
            start,
            end_group: start.group.saturating_add(more).min((1 << 62) - 2).max(start.group),
        }),
    ]
    .boxed()
}

fn setup() -> BoxedStrategy<Setup> {
    let limits = (number(), number());
    let optional = (of(filled(9)), of(filled(9)), of(filled(9)));
    let versions = prop_oneof![Just(Vec::new()), vec(number(), 1..4)];
    (versions, optional, limits, tokens(), vec(unknown_pair(), 0..3))
        .prop_map(
            |(versions, (path, authority, implementation), limits, authorization_tokens, mut unknown)| {
                unknown.sort_by_key(|pair| pair.key);
                Setup {
                    versions,
                    path,
                    authority,
                    max_request_id: limits.0,
                    max_auth_token_cache_size: limits.1,
                    authorization_tokens,
                    implementation,
                    unknown,
                }
            },
        )
        .boxed()
}

fn subscribe() -> BoxedStrategy<Subscribe> {
    let optional = (of(order()), of(filter()), of(milliseconds()), of(number()));
    (track(), any::<u8>(), any::<bool>(), optional, tokens())
        .prop_map(
            |(
                track,
                subscriber_priority,
                forward,
                (group_order, filter, delivery_timeout, new_group),
                tokens,
            )| Subscribe {
                track,
                subscriber_priority,
                group_order,
                forward,
                filter,
                delivery_timeout,
                new_group_request: new_group,
                authorization_tokens: tokens,
            },
        )
        .boxed()
}

/// A TRACK_STATUS, which has no more than track and tokens in draft-16.
fn track_status() -> BoxedStrategy<Subscribe> {
    let filter = select(vec![None, Some(SubscriptionFilter::LargestObject)]);
    let bare = (track(), tokens(), filter).prop_map(|(track, authorization_tokens, filter)| Subscribe {
        authorization_tokens,
        filter,
        ..Subscribe::new(track)
    });
    prop_oneof![bare, subscribe()].boxed()
}

fn publish() -> BoxedStrategy<Publish> {
    let optional = (of(location()), of(milliseconds()));
    (track(), number(), any::<bool>(), optional, tokens(), track_extensions())
        .prop_map(|(track, alias, forward, (largest, expires), authorization_tokens, extensions)| Publish {
            track,
            track_alias: TrackAlias(alias),
            largest,
            forward,
            expires,
            authorization_tokens,
            extensions,
        })
        .boxed()
}

fn fetch() -> BoxedStrategy<Fetch> {
    let standalone = (track(), location(), end_location());
    let range = prop_oneof![
        standalone.prop_map(|(track, start, end)| FetchRange::Standalone { track, start, end }),
        (request_id(), number()).prop_map(|(subscription, groups_before)| FetchRange::RelativeJoining {
            subscription,
            groups_before
        }),
        (request_id(), number()).prop_map(|(subscription, start_group)| FetchRange::AbsoluteJoining {
            subscription,
            start_group
        }),
    ];
    (range, any::<u8>(), of(order()), tokens())
        .prop_map(|(range, subscriber_priority, group_order, tokens)| Fetch {
            range,
            subscriber_priority,
            group_order,
            authorization_tokens: tokens,
        })
        .boxed()
}

fn subscribe_namespace() -> BoxedStrategy<SubscribeNamespace> {
    let options =
        select(vec![SubscribeOptions::Publish, SubscribeOptions::Namespace, SubscribeOptions::Both]);
    (prefix(), options, any::<bool>(), tokens())
        .prop_map(|(prefix, options, forward, authorization_tokens)| SubscribeNamespace {
            prefix,
            options,
            forward,
            authorization_tokens,
        })
        .boxed()
}

fn request() -> BoxedStrategy<Request> {
    let publish_namespace = (namespace(), tokens()).prop_map(|(namespace, authorization_tokens)| {
        Request::PublishNamespace(PublishNamespace { namespace, authorization_tokens })
    });
    prop_oneof![
        subscribe().prop_map(Request::Subscribe),
        publish().prop_map(Request::Publish),
        fetch().prop_map(Request::Fetch),
        track_status().prop_map(Request::TrackStatus),
        publish_namespace,
        subscribe_namespace().prop_map(Request::SubscribeNamespace),
    ]
    .boxed()
}

fn request_update() -> BoxedStrategy<RequestUpdate> {
    let limits = (of(filter()), of(any::<u8>()), of(any::<bool>()));
    (limits, of(milliseconds()), of(number()), tokens())
        .prop_map(|((filter, subscriber_priority, forward), delivery_timeout, new_group_request, tokens)| {
            RequestUpdate {
                filter,
                subscriber_priority,
                forward,
                delivery_timeout,
                new_group_request,
                authorization_tokens: tokens,
            }
        })
        .boxed()
}

fn subscribe_ok() -> BoxedStrategy<SubscribeOk> {
    (number(), of(milliseconds()), of(location()), track_extensions())
        .prop_map(|(alias, expires, largest, extensions)| SubscribeOk {
            track_alias: TrackAlias(alias),
            expires,
            largest,
            extensions,
        })
        .boxed()
}

fn publish_ok() -> BoxedStrategy<PublishOk> {
    let optional = (of(order()), of(filter()), of(milliseconds()), of(milliseconds()), of(number()));
    (any::<bool>(), any::<u8>(), optional)
        .prop_map(
            |(
                forward,
                subscriber_priority,
                (group_order, filter, delivery_timeout, expires, new_group_request),
            )| {
                PublishOk {
                    forward,
                    subscriber_priority,
                    group_order,
                    filter,
                    delivery_timeout,
                    expires,
                    new_group_request,
                }
            },
        )
        .boxed()
}

fn fetch_ok() -> BoxedStrategy<FetchOk> {
    (of(order()), any::<bool>(), end_location(), track_extensions())
        .prop_map(|(group_order, end_of_track, end, extensions)| FetchOk {
            group_order,
            end_of_track,
            end,
            extensions,
        })
        .boxed()
}

fn kind() -> BoxedStrategy<RequestKind> {
    use RequestKind::{Fetch, Publish, PublishNamespace, Subscribe, SubscribeNamespace, TrackStatus, Update};
    select(vec![Subscribe, Publish, Fetch, TrackStatus, PublishNamespace, SubscribeNamespace, Update]).boxed()
}

fn request_ok() -> BoxedStrategy<RequestOk> {
    let bare = Just(RequestOk::default());
    let full = (of(milliseconds()), of(location()), track_extensions())
        .prop_map(|(expires, largest, extensions)| RequestOk { expires, largest, extensions });
    prop_oneof![bare, full].boxed()
}

fn response() -> BoxedStrategy<Response> {
    prop_oneof![
        subscribe_ok().prop_map(Response::Subscribe),
        publish_ok().prop_map(Response::Publish),
        fetch_ok().prop_map(Response::Fetch),
        (of(kind()), request_ok()).prop_map(|(kind, ok)| Response::Ok { kind, ok }),
    ]
    .boxed()
}

fn target() -> BoxedStrategy<Target> {
    prop_oneof![request_id().prop_map(Target::Id), namespace().prop_map(Target::Namespace)].boxed()
}

/// An error, its code named or of a number that no draft names.
fn request_error() -> BoxedStrategy<RequestError> {
    let named = select(RequestErrorCode::NAMED);
    let unknown = (1_u64 << 20..1 << 40).prop_map(RequestErrorCode::Unknown);
    (prop_oneof![5 => named, 1 => unknown], of(milliseconds()), reason())
        .prop_map(|(code, retry_after, reason)| RequestError { code, retry_after, reason })
        .boxed()
}

fn publish_done() -> BoxedStrategy<PublishDone> {
    let named = select(PublishDoneCode::NAMED);
    let unknown = (1_u64 << 20..1 << 40).prop_map(PublishDoneCode::Unknown);
    (prop_oneof![5 => named, 1 => unknown], number(), reason())
        .prop_map(|(code, stream_count, reason)| PublishDone { code, stream_count, reason })
        .boxed()
}

/// Every kind of control message.
pub(crate) fn message() -> BoxedStrategy<Message> {
    let withdrawn = prop_oneof![
        request_id().prop_map(Message::Unsubscribe),
        request_id().prop_map(Message::FetchCancel),
        target().prop_map(Message::PublishNamespaceDone),
        (target(), request_error())
            .prop_map(|(target, error)| Message::PublishNamespaceCancel { target, error }),
        target().prop_map(Message::UnsubscribeNamespace),
        prefix().prop_map(Message::Namespace),
        prefix().prop_map(Message::NamespaceDone),
    ];
    let session = prop_oneof![
        setup().prop_map(Message::ClientSetup),
        setup().prop_map(Message::ServerSetup),
        bytes(30).prop_map(|new_session_uri| Message::GoAway(GoAway { new_session_uri })),
        number().prop_map(Message::MaxRequestId),
        number().prop_map(Message::RequestsBlocked),
    ];
    prop_oneof![
        5 => session,
        6 => (request_id(), request()).prop_map(|(id, request)| Message::Request { id, request }),
        2 => (request_id(), request_id(), request_update())
            .prop_map(|(id, target, update)| Message::RequestUpdate { id, target, update }),
        5 => (request_id(), response())
            .prop_map(|(id, response)| Message::Response { target: Target::Id(id), response }),
        3 => (request_id(), of(kind()), request_error())
            .prop_map(|(id, kind, error)| Message::RequestError { target: Target::Id(id), kind, error }),
        1 => (request_id(), publish_done()).prop_map(|(target, done)| Message::PublishDone { target, done }),
        7 => withdrawn,
    ]
    .boxed()
}

/// A subgroup header.
pub(crate) fn subgroup_header() -> BoxedStrategy<SubgroupHeader> {
    let id =
        prop_oneof![Just(SubgroupId::Zero), Just(SubgroupId::FirstObject), number().prop_map(SubgroupId::Id)];
    (number(), number(), id, of(any::<u8>()), any::<bool>(), any::<bool>())
        .prop_map(|(alias, group_id, subgroup_id, publisher_priority, extensions, end_of_group)| {
            SubgroupHeader {
                track_alias: TrackAlias(alias),
                group_id,
                subgroup_id,
                publisher_priority,
                extensions,
                end_of_group,
            }
        })
        .boxed()
}

fn status() -> BoxedStrategy<ObjectStatus> {
    use ObjectStatus::{DoesNotExist, EndOfGroup, EndOfTrack, Normal};
    prop_oneof![8 => Just(Normal), 1 => Just(DoesNotExist), 1 => Just(EndOfGroup), 1 => Just(EndOfTrack)]
        .boxed()
}

/// An object and its payload.
pub(crate) fn object() -> BoxedStrategy<(ObjectHeader, Bytes)> {
    let extensions = prop_oneof![Just(Extensions::NONE), object_extensions()];
    (number(), extensions, status(), bytes(40))
        .prop_map(|(object_id, extensions, status, payload)| {
            let payload = if status == ObjectStatus::Normal { payload } else { Bytes::new() };
            let extensions = if status == ObjectStatus::Normal { extensions } else { Extensions::NONE };
            (ObjectHeader { object_id, extensions, status, payload_length: payload.len() as u64 }, payload)
        })
        .boxed()
}

/// A subgroup's objects, Object IDs ascending.
pub(crate) fn objects() -> BoxedStrategy<Vec<(ObjectHeader, Bytes)>> {
    vec(object(), 0..5)
        .prop_map(|mut objects| {
            objects.sort_by_key(|(object, _)| object.object_id);
            objects.dedup_by_key(|(object, _)| object.object_id);
            objects
        })
        .boxed()
}

/// An item of a fetch stream and the payload of an object.
pub(crate) fn fetch_item() -> BoxedStrategy<(FetchItem, Bytes)> {
    let status = select(vec![RangeStatus::NonExistent, RangeStatus::Unknown]);
    let end =
        (location(), status).prop_map(|(end, status)| (FetchItem::EndOfRange { end, status }, Bytes::new()));
    // Few groups, subgroups and priorities, so that what one item shares with the item before occurs.
    let small = prop_oneof![3 => 0..3_u64, 1 => number()];
    let object = (small.clone(), small.clone(), of(small), prop_oneof![Just(128), any::<u8>()], object())
        .prop_map(|(group, object, subgroup_id, publisher_priority, (header, payload))| {
            let fetched = FetchObject {
                location: Location { group, object },
                subgroup_id,
                publisher_priority,
                extensions: header.extensions,
                status: header.status,
                payload_length: header.payload_length,
            };
            (FetchItem::Object(fetched), payload)
        });
    prop_oneof![6 => object, 1 => end].boxed()
}

/// A fetch's items, locations ascending, all objects of a subgroup with its priority.
pub(crate) fn fetch_items() -> BoxedStrategy<Vec<(FetchItem, Bytes)>> {
    vec(fetch_item(), 0..6)
        .prop_map(|mut items| {
            items.sort_by_key(|(item, _)| place(item));
            items.dedup_by_key(|(item, _)| place(item));
            for (item, _) in &mut items {
                if let FetchItem::Object(FetchObject {
                    subgroup_id: Some(subgroup),
                    publisher_priority,
                    ..
                }) = item
                {
                    *publisher_priority = (*subgroup % 256) as u8;
                }
            }
            items
        })
        .boxed()
}

fn place(item: &FetchItem) -> Location {
    match item {
        FetchItem::Object(object) => object.location,
        FetchItem::EndOfRange { end, .. } => *end,
        other => panic!("{other:?} is new"),
    }
}

/// A datagram.
pub(crate) fn datagram() -> BoxedStrategy<Datagram> {
    let id = prop_oneof![Just(0), number()];
    let extensions = prop_oneof![Just(Extensions::NONE), object_extensions()];
    let body = prop_oneof![
        3 => bytes(40).prop_map(DatagramBody::Payload),
        1 => status().prop_map(DatagramBody::Status),
    ];
    (number(), number(), id, of(any::<u8>()), any::<bool>(), extensions, body)
        .prop_map(|(alias, group_id, object_id, publisher_priority, end_of_group, extensions, body)| {
            Datagram {
                track_alias: TrackAlias(alias),
                group_id,
                object_id,
                publisher_priority,
                end_of_group,
                extensions,
                body,
            }
        })
        .boxed()
}
