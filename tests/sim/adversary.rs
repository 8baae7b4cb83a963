//! Somebody who says well-formed things that nobody may say, in between what a lawful application of the same end says.

use bytes::Bytes;
use moqingbird::wire::buf::Writer;
use moqingbird::wire::model::{
    AuthorizationToken, Datagram, DatagramBody, EndLocation, Extensions, Fetch, FetchOk, FetchRange, GoAway,
    Location, Message, Opening, Publish, PublishDone, PublishDoneCode, PublishNamespace, PublishOk, Request,
    RequestError, RequestErrorCode, RequestId, RequestKind, RequestOk, RequestUpdate, Response, Setup,
    SubgroupHeader, SubgroupId, Subscribe, SubscribeNamespace, SubscribeOk, SubscriptionFilter, Target,
    TrackAlias, TrackExtensions, TrackNamespace,
};

use crate::content;
use crate::host::{Host, Scene};
use crate::rng::Rng;

/// Does something illegal.
pub(crate) fn act(rng: &mut Rng, host: &mut Host, scene: &mut Scene) {
    let mut w = Writer::new();
    match rng.below(10) {
        0..=4 => {
            let message = message(rng);
            if host.draft.encode_control(&message, &mut w).is_ok() {
                host.blurt(scene, w.take());
            }
        }
        5 => {
            let message = message(rng);
            if host.draft.encode_control(&message, &mut w).is_ok() {
                host.intrude(scene, true, &w.take(), rng.once_in(2));
            }
        }
        6..=7 => {
            let opening = opening(rng);
            if host.draft.encode_opening(&opening, &mut w).is_ok() {
                w.bytes(&[[0, 0, 1][rng.below(3) as usize]; 20][..rng.below(20) as usize]);
                host.intrude(scene, false, &w.take(), rng.once_in(2));
            }
        }
        _ => {
            let datagram = datagram(rng);
            if host.draft.encode_datagram(&datagram, &mut w).is_ok() {
                scene.net.datagram(host.conn, host.end, w.take());
            }
        }
    }
}

fn id(rng: &mut Rng) -> RequestId {
    RequestId(if rng.once_in(10) { rng.below(1 << 20) } else { rng.below(30) })
}

fn alias(rng: &mut Rng) -> TrackAlias {
    TrackAlias(rng.below(6))
}

fn namespace(rng: &mut Rng) -> TrackNamespace {
    TrackNamespace::from_path(["ns", "ns/1", "ns/1/2", "other"][rng.below(4) as usize]).unwrap()
}

fn kind(rng: &mut Rng) -> RequestKind {
    use RequestKind::{Fetch, Publish, PublishNamespace, Subscribe, SubscribeNamespace, TrackStatus, Update};
    [Subscribe, Publish, Fetch, TrackStatus, PublishNamespace, SubscribeNamespace, Update]
        [rng.below(7) as usize]
}

fn target(rng: &mut Rng) -> Target {
    if rng.once_in(3) { Target::Namespace(namespace(rng)) } else { Target::Id(id(rng)) }
}

fn tokens(rng: &mut Rng) -> Vec<AuthorizationToken> {
    let alias = rng.below(4);
    match rng.below(6) {
        0 => vec![AuthorizationToken::Delete { alias }],
        1 => vec![AuthorizationToken::UseAlias { alias }],
        2 => {
            let value = Bytes::from(vec![7; rng.below(3_000) as usize]);
            vec![AuthorizationToken::Register { alias: rng.below(1 << 30), token_type: 0, value }]
        }
        _ => Vec::new(),
    }
}

fn request(rng: &mut Rng) -> Request {
    let track = content::track(rng.below(12));
    let authorization_tokens = tokens(rng);
    match rng.below(7) {
        0..=1 => Request::Subscribe(Subscribe { authorization_tokens, ..Subscribe::new(track) }),
        2 => Request::Publish(Publish {
            track,
            track_alias: alias(rng),
            largest: rng.once_in(2).then_some(Location::new(3, 1)),
            forward: rng.once_in(2),
            expires: None,
            authorization_tokens,
            extensions: TrackExtensions::default(),
        }),
        3 => {
            let (start, end) =
                (Location::new(rng.below(5), 1), EndLocation { group: rng.below(5), object: None });
            let subscription = id(rng);
            Request::Fetch(Fetch::new(match rng.below(3) {
                0 => FetchRange::Standalone { track, start, end },
                1 => FetchRange::RelativeJoining { subscription, groups_before: rng.below(9) },
                _ => FetchRange::AbsoluteJoining { subscription, start_group: rng.below(9) },
            }))
        }
        4 => Request::TrackStatus(Subscribe::new(track)),
        5 => Request::PublishNamespace(PublishNamespace::new(namespace(rng))),
        _ => Request::SubscribeNamespace(SubscribeNamespace::new(namespace(rng))),
    }
}

fn response(rng: &mut Rng) -> Response {
    let extensions = TrackExtensions::default();
    match rng.below(4) {
        0 => Response::Subscribe(SubscribeOk {
            track_alias: alias(rng),
            expires: None,
            largest: None,
            extensions,
        }),
        1 => Response::Publish(PublishOk::default()),
        2 => {
            let end = EndLocation { group: rng.below(4), object: Some(rng.below(4)) };
            Response::Fetch(FetchOk {
                group_order: Some(Default::default()),
                end_of_track: rng.once_in(2),
                end,
                extensions,
            })
        }
        _ => Response::Ok { kind: Some(kind(rng)), ok: RequestOk::default() },
    }
}

fn message(rng: &mut Rng) -> Message {
    let error = RequestError::new(RequestErrorCode::InternalError, "");
    match rng.below(18) {
        0..=3 => Message::Request { id: id(rng), request: request(rng) },
        4 => {
            let start = Location::new(rng.below(5), 0);
            let update = RequestUpdate {
                filter: Some(SubscriptionFilter::AbsoluteStart(start)),
                forward: Some(rng.once_in(2)),
                subscriber_priority: Some(1),
                authorization_tokens: tokens(rng),
                ..RequestUpdate::default()
            };
            Message::RequestUpdate { id: id(rng), target: id(rng), update }
        }
        5..=6 => Message::Response { target: Target::Id(id(rng)), response: response(rng) },
        7 => Message::RequestError { target: Target::Id(id(rng)), kind: Some(kind(rng)), error },
        8 => Message::Unsubscribe(id(rng)),
        9 => Message::FetchCancel(id(rng)),
        10 => {
            let done = PublishDone {
                code: PublishDoneCode::TrackEnded,
                stream_count: rng.below(5),
                reason: "".into(),
            };
            Message::PublishDone { target: id(rng), done }
        }
        11 => Message::PublishNamespaceDone(target(rng)),
        12 => Message::PublishNamespaceCancel { target: target(rng), error },
        13 => Message::UnsubscribeNamespace(target(rng)),
        14 => Message::Namespace(namespace(rng)),
        15 => Message::NamespaceDone(namespace(rng)),
        16 => Message::MaxRequestId(rng.below(300)),
        _ if rng.once_in(2) => Message::GoAway(GoAway::default()),
        _ if rng.once_in(2) => Message::RequestsBlocked(rng.below(100)),
        _ => Message::ServerSetup(Setup::default()),
    }
}

fn opening(rng: &mut Rng) -> Opening {
    if rng.once_in(3) {
        return Opening::Fetch(id(rng));
    }
    Opening::Subgroup(SubgroupHeader {
        track_alias: alias(rng),
        group_id: rng.below(6),
        subgroup_id: [SubgroupId::Zero, SubgroupId::FirstObject, SubgroupId::Id(1)][rng.below(3) as usize],
        publisher_priority: Some(3),
        extensions: rng.once_in(3),
        end_of_group: rng.once_in(3),
    })
}

fn datagram(rng: &mut Rng) -> Datagram {
    Datagram {
        track_alias: alias(rng),
        group_id: rng.below(6),
        object_id: rng.below(4),
        publisher_priority: Some(3),
        end_of_group: rng.once_in(3),
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(Bytes::from_static(b"not what it should be")),
    }
}
