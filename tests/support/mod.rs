//! What the engine's tests stand on: two engines in memory, and a peer that says what it likes.

pub(crate) mod pair;
pub(crate) mod raw;

use moqingbird::wire::Draft;
use moqingbird::wire::model::{
    EndLocation, Fetch, FetchOk, FetchRange, FullTrackName, GroupOrder, Location, Publish, PublishNamespace,
    PublishOk, Request, RequestKind, RequestOk, Response, Subscribe, SubscribeNamespace, SubscribeOk,
    TrackAlias, TrackExtensions, TrackNamespace,
};

/// Mounts every test once for each draft.
#[macro_export]
macro_rules! in_every_draft {
    ($($(#[$attribute:meta])* fn $name:ident($draft:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            $(#[$attribute])*
            fn check($draft: &'static dyn moqingbird::wire::Draft) $body

            #[test]
            fn draft14() {
                check(moqingbird::Version::Draft14.draft());
            }

            #[test]
            fn draft16() {
                check(moqingbird::Version::Draft16.draft());
            }
        }
    )*};
}

pub(crate) fn namespace(path: &str) -> TrackNamespace {
    TrackNamespace::from_path(path).unwrap()
}

/// `live/cam/video`: namespace up to the last slash, then the name.
pub(crate) fn track(path: &str) -> FullTrackName {
    let (space, name) = path.rsplit_once('/').unwrap();
    FullTrackName::new(namespace(space), name.to_owned()).unwrap()
}

pub(crate) fn subscribe(path: &str) -> Request {
    Request::Subscribe(Subscribe::new(track(path)))
}

pub(crate) fn publish(path: &str) -> Request {
    Request::Publish(publish_as(path, 0))
}

pub(crate) fn publish_as(path: &str, alias: u64) -> Publish {
    Publish {
        track: track(path),
        track_alias: TrackAlias(alias),
        largest: None,
        forward: true,
        expires: None,
        authorization_tokens: Vec::new(),
        extensions: TrackExtensions::default(),
    }
}

pub(crate) fn publish_namespace(path: &str) -> Request {
    Request::PublishNamespace(PublishNamespace::new(namespace(path)))
}

pub(crate) fn subscribe_namespace(path: &str) -> Request {
    Request::SubscribeNamespace(SubscribeNamespace::new(namespace(path)))
}

pub(crate) fn subscribe_ok(largest: Option<Location>) -> Response {
    subscribe_ok_as(0, largest)
}

pub(crate) fn subscribe_ok_as(alias: u64, largest: Option<Location>) -> Response {
    let track_alias = TrackAlias(alias);
    Response::Subscribe(SubscribeOk {
        track_alias,
        expires: None,
        largest,
        extensions: TrackExtensions::default(),
    })
}

pub(crate) fn publish_ok() -> Response {
    Response::Publish(PublishOk::default())
}

/// All of groups `start` to `end` of `live/cam/video`.
pub(crate) fn fetch(start: u64, end: u64) -> Request {
    Request::Fetch(Fetch::new(FetchRange::Standalone {
        track: track("live/cam/video"),
        start: Location::new(start, 0),
        end: EndLocation { group: end, object: None },
    }))
}

pub(crate) fn fetch_ok(group: u64, object: Option<u64>) -> FetchOk {
    let end = EndLocation { group, object };
    FetchOk { group_order: None, end_of_track: false, end, extensions: TrackExtensions::default() }
}

/// A FETCH_OK with all that the draft wants said.
pub(crate) fn stated_fetch_ok(draft: &'static dyn Draft, group: u64, object: Option<u64>) -> Response {
    let group_order = draft.rules().ok_states_order.then_some(GroupOrder::Ascending);
    Response::Fetch(FetchOk { group_order, ..fetch_ok(group, object) })
}

pub(crate) fn ok(kind: RequestKind) -> Response {
    Response::Ok { kind: Some(kind), ok: RequestOk::default() }
}

/// SplitMix64: the same numbers for the same seed.
#[derive(Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
