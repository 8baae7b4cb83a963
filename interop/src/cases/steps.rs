//! What several cases do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use moqingbird::wire::Carriage;
use moqingbird::wire::model::{
    Fetch, FetchRange, FullTrackName, Location, ObjectStatus, PublishDone, PublishDoneCode, PublishNamespace,
    RequestErrorCode, RequestKind, STREAM_COUNT_UNKNOWN, Subscribe, SubscribeNamespace, SubscribeOptions,
    TrackNamespace,
};
use moqingbird::{
    Delivery, FetchError, Fetched, IncomingSubgroup, NamespaceEvent, NamespaceSubscription,
    PublishedNamespace, Rejected, RequestFailed, Session, Subscription,
};

use super::origin::Origin;
use crate::context::{ANSWER_LIMIT, closed_failure, declined, mismatch, request_failure};
use crate::report::{Failure, NotPassed, Role};
use crate::{Context, names};

/// The namespace that the contract's cases announce.
pub(super) const NAMESPACE: &str = "moq-test/interop";
/// The track in it.
pub(super) const TRACK: &str = "test-track";

/// The namespace of the contract's cases that offer a track.
pub(super) const PUBLISHED_NAMESPACE: &str = "moq-test/publish";
/// The track in it.
pub(super) const PUBLISHED_TRACK: &str = "published-track";

/// Between two groups, where groups are sent until one comes.
const PAUSE: Duration = Duration::from_millis(50);

/// A track of fixed names.
pub(super) fn track(namespace: &str, name: &'static str) -> Result<FullTrackName, Failure> {
    TrackNamespace::from_path(namespace)
        .and_then(|namespace| FullTrackName::new(namespace, name))
        .map_err(|error| mismatch("a track name", "nothing", error.to_string()))
}

/// A track below `namespace` that no other run has.
pub(super) fn fresh_track(namespace: &str) -> Result<FullTrackName, Failure> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:016x}{:08x}{run:08x}", since.as_nanos() & u128::from(u64::MAX), std::process::id());
    track(&format!("{namespace}/{id}"), "track")
}

/// PUBLISH_NAMESPACE, and the OK that must answer it.
pub(super) async fn announce(
    cx: &Context,
    session: &Session,
    namespace: &TrackNamespace,
) -> Result<PublishedNamespace, Failure> {
    let answer = session.publish_namespace(PublishNamespace::new(namespace.clone()));
    cx.granted(session, RequestKind::PublishNamespace, ANSWER_LIMIT, answer).await
}

/// SUBSCRIBE, and the OK that must answer it.
pub(super) async fn subscribe(
    cx: &Context,
    session: &Session,
    subscribe: Subscribe,
) -> Result<Subscription, Failure> {
    let answer = session.subscribe(subscribe);
    cx.granted(session, RequestKind::Subscribe, ANSWER_LIMIT, answer).await
}

/// Asks for what nobody publishes, and gives the name of the answer, whichever it is: all that was sent before has been
/// handled, and the session lives.
pub(super) async fn ping(cx: &Context, session: &Session) -> Result<String, Failure> {
    let (version, kind) = (session.version(), RequestKind::Subscribe);
    let expected = names::declined(version, kind);
    let answer = session.subscribe(Subscribe::new(fresh_track("nonexistent/namespace")?));
    match cx.within(&expected, ANSWER_LIMIT, answer).await? {
        Ok(_) => Ok(names::granted(version, kind)),
        Err(failed @ RequestFailed::Rejected(_)) => Ok(declined(version, kind, &failed)),
        Err(failed) => Err(request_failure(expected, version, kind, &failed)),
    }
}

/// A subscriber that comes when `largest` has been published, as the relay must tell it.
pub(super) async fn join_at(
    cx: &Context,
    track: &FullTrackName,
    largest: Location,
) -> Result<(Session, Subscription), Failure> {
    let session = cx.connect(Role::Subscriber).await?;
    let subscription = subscribe(cx, &session, Subscribe::new(track.clone())).await?;
    if subscription.largest() == Some(largest) {
        return Ok((session, subscription));
    }
    let told = subscription.largest().map_or("none".to_owned(), |told| told.to_string());
    let expected = format!("SUBSCRIBE_OK with Largest Location {largest}");
    Err(mismatch(&expected, "SUBSCRIBE_OK", format!("the largest location is {largest}, {told} was told")))
}

/// SUBSCRIBE_NAMESPACE, and the OK that must answer it; in draft-14 it always means both.
pub(super) async fn subscribe_namespace(
    cx: &Context,
    session: &Session,
    prefix: &TrackNamespace,
    options: SubscribeOptions,
) -> Result<NamespaceSubscription, NotPassed> {
    let kind = RequestKind::SubscribeNamespace;
    let expected = names::granted(session.version(), kind);
    let always_both = session.version().draft().rules().namespace_carriage == Carriage::Control;
    let options = if always_both { SubscribeOptions::Both } else { options };
    let asked = SubscribeNamespace { options, ..SubscribeNamespace::new(prefix.clone()) };
    let answer = cx.within(&expected, ANSWER_LIMIT, session.subscribe_namespace(asked)).await?;
    answer.map_err(|failed| not_granted(session, kind, &failed))
}

/// Whether a namespace came or went as it should.
pub(super) fn heard(
    event: Option<NamespaceEvent>,
    wanted: &NamespaceEvent,
    expected: &str,
) -> Result<(), Failure> {
    match event {
        Some(event) if event == *wanted => Ok(()),
        Some(event) => Err(mismatch(expected, "another namespace event", format!("{event:?}"))),
        None => Err(mismatch(expected, "nothing", "the relay ended SUBSCRIBE_NAMESPACE")),
    }
}

/// Whether PUBLISH_DONE counts the streams that came.
fn counted(done: &PublishDone, streams: u64) -> Result<PublishDone, Failure> {
    if done.stream_count == streams || done.stream_count == STREAM_COUNT_UNKNOWN {
        return Ok(done.clone());
    }
    let expected = format!("PUBLISH_DONE with Stream Count {streams}");
    let received = format!("Stream Count {}", done.stream_count);
    Err(mismatch(&expected, received, format!("{streams} streams of the track came")))
}

/// How many streams PUBLISH_DONE counts, in words.
pub(super) fn streams(done: &PublishDone) -> String {
    match done.stream_count {
        STREAM_COUNT_UNKNOWN => "uncounted streams".to_owned(),
        1 => "1 stream".to_owned(),
        count => format!("{count} streams"),
    }
}

/// Whether the code is one that a relay may have for a SUBSCRIBE without token, of the newest objects of a track that it does
/// not know. That of another draft means something else here.
pub(super) fn sensible(expected: &str, rejected: &Rejected, received: &str) -> Result<(), Failure> {
    use RequestErrorCode as Code;
    match rejected.error.code {
        Code::DoesNotExist
        | Code::InternalError
        | Code::NotSupported
        | Code::Timeout
        | Code::Unauthorized
        | Code::Uninterested => Ok(()),
        _ => {
            let message = format!("that is no reason to decline a SUBSCRIBE of an unknown track: {rejected}");
            Err(mismatch(&format!("{expected} DOES_NOT_EXIST"), received, message))
        }
    }
}

/// A request that was not granted: the case cannot be shown if the relay lawfully says that it does not do this.
pub(super) fn not_granted(session: &Session, kind: RequestKind, failed: &RequestFailed) -> NotPassed {
    let version = session.version();
    match failed {
        RequestFailed::Rejected(rejected) if rejected.error.code == RequestErrorCode::NotSupported => {
            let answer = declined(version, kind, failed);
            NotPassed::Skipped(format!("the relay does not do {kind}: {answer}"))
        }
        _ => request_failure(names::granted(version, kind), version, kind, failed).into(),
    }
}

/// A publisher and a subscriber of its track, from end to end.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) track: FullTrackName,
    pub(super) origin: Origin,
    pub(super) subscriber: Session,
    pub(super) subscription: Subscription,
}

impl Live {
    /// Announces a fresh track and subscribes to it.
    pub(super) async fn begin(cx: &Context, case: &str) -> Result<Self, Failure> {
        let track = fresh_track(&format!("moqingbird/{case}"))?;
        let mut origin = Origin::announce(cx, &track).await?;
        let subscriber = cx.connect(Role::Subscriber).await?;
        let subscription = subscribe(cx, &subscriber, Subscribe::new(track.clone())).await?;
        origin.subscribed(cx).await?;
        Ok(Self { track, origin, subscriber, subscription })
    }

    /// Ends both sessions, which must still be open.
    pub(super) async fn close(self, cx: &Context) -> Result<(), Failure> {
        let Self { origin, subscriber, subscription, .. } = self;
        cx.close(subscriber).await?;
        origin.close(cx).await?;
        drop(subscription);
        Ok(())
    }
}

/// Objects by where they stand.
pub(super) type Objects = BTreeMap<Location, Bytes>;

/// The payloads of a group of five objects: from one byte to more than a packet.
pub(super) fn payloads(group: u64) -> Vec<Bytes> {
    let sizes = [1usize, 64, 300, 1_200, 5_000];
    let text = |object: usize| format!("group {group} object {object} ");
    (0..).zip(sizes).map(|(object, size)| text(object).bytes().cycle().take(size).collect()).collect()
}

/// The same, with where they stand.
pub(super) fn group(group: u64) -> Objects {
    (0..).zip(payloads(group)).map(|(object, payload)| (Location::new(group, object), payload)).collect()
}

/// Several of them.
pub(super) fn groups(groups: impl IntoIterator<Item = u64>) -> Objects {
    groups.into_iter().flat_map(group).collect()
}

/// Reads objects until `count` have come. Each must be one of `sent`, and come once.
pub(super) async fn receive(
    cx: &Context,
    subscription: &mut Subscription,
    sent: &Objects,
    count: usize,
) -> Result<Objects, Failure> {
    let mut received = Objects::new();
    let expected = format!("{count} objects");
    let reading = async {
        while received.len() < count {
            match next(subscription, &expected).await? {
                Some(stream) => read(stream, sent, &mut received).await?,
                None => {
                    let message = format!("the subscription ended after {} of them", received.len());
                    return Err(mismatch(&expected, "PUBLISH_DONE", message));
                }
            }
        }
        Ok(())
    };
    cx.until_end(&expected, reading).await??;
    Ok(received)
}

/// Writes groups, from `first` on, until one has come whole: which.
pub(super) async fn next_group(
    cx: &Context,
    origin: &Origin,
    subscription: &mut Subscription,
    first: u64,
) -> Result<u64, Failure> {
    let last = first + 1_000;
    let sent = groups(first..last);
    let sending = async {
        for group in first..last {
            origin.write_group(group, &payloads(group))?;
            tokio::time::sleep(PAUSE).await;
        }
        Err(mismatch("a whole group", "nothing", "no group came of all that were sent"))
    };
    let reading = async {
        loop {
            let mut received = Objects::new();
            let Some(stream) = next(subscription, "a whole group").await? else {
                let message = "the subscription ended before its publisher";
                return Err(mismatch("a whole group", "PUBLISH_DONE", message));
            };
            let group = stream.group_id();
            read(stream, &sent, &mut received).await?;
            // The first may have begun before the subscription.
            if received.len() == payloads(group).len() {
                return Ok(group);
            }
        }
    };
    let group = async {
        tokio::select! {
            group = reading => group,
            unsent = sending => unsent,
        }
    };
    cx.until_end("a whole group", group).await?
}

/// Reads everything until PUBLISH_DONE, which must say that the track has ended, and count the streams that came; a relay
/// that has not counted says so (draft-14 §9.12, draft-16 §9.15). It must be what was sent.
pub(super) async fn receive_all(
    cx: &Context,
    subscription: &mut Subscription,
    sent: &Objects,
) -> Result<PublishDone, Failure> {
    let mut received = Objects::new();
    let mut streams = 0;
    let reading = async {
        while let Some(stream) = next(subscription, "PUBLISH_DONE").await? {
            streams += 1;
            read(stream, sent, &mut received).await?;
        }
        Ok::<_, Failure>(())
    };
    cx.until_end("PUBLISH_DONE", reading).await??;
    complete(sent, &received)?;
    match subscription.done() {
        Some(done) if done.code == PublishDoneCode::TrackEnded => counted(done, streams),
        Some(done) => Err(mismatch(
            "PUBLISH_DONE TRACK_ENDED",
            format!("PUBLISH_DONE {}", done.code),
            "the publisher ended the track with TRACK_ENDED",
        )),
        None => Err(mismatch("PUBLISH_DONE", "nothing", "the subscription ended without PUBLISH_DONE")),
    }
}

/// The next subgroup stream; `None` at PUBLISH_DONE.
pub(super) async fn next(
    subscription: &mut Subscription,
    expected: &str,
) -> Result<Option<IncomingSubgroup>, Failure> {
    match subscription.next().await {
        Ok(Some(Delivery::Subgroup(stream))) => Ok(Some(stream)),
        Ok(Some(_)) => {
            Err(mismatch(expected, "datagram", "the publisher sent the objects on streams, not in datagrams"))
        }
        Ok(None) => Ok(None),
        Err(closed) => Err(closed_failure(expected, &closed)),
    }
}

/// A subgroup stream to its end.
pub(super) async fn read(
    mut stream: IncomingSubgroup,
    sent: &Objects,
    received: &mut Objects,
) -> Result<(), Failure> {
    loop {
        match stream.next_object().await {
            // A marker of the relay's own: there is nothing here, or nothing more.
            Ok(Some(object)) if object.header.status != ObjectStatus::Normal => {}
            Ok(Some(object)) => take(object.location, object.payload, sent, received)?,
            Ok(None) => return Ok(()),
            Err(error) => return Err(mismatch("a subgroup to its end", "reset", error.to_string())),
        }
    }
}

fn take(at: Location, payload: Bytes, sent: &Objects, received: &mut Objects) -> Result<(), Failure> {
    let (what, message) = match sent.get(&at) {
        None => ("foreign object", format!("{at} was not sent, or not asked for")),
        Some(original) if *original != payload => ("another object", format!("{at} is not as it was sent")),
        Some(_) => match received.insert(at, payload) {
            None => return Ok(()),
            Some(_) => ("duplicate", format!("{at} came twice")),
        },
    };
    Err(mismatch("the objects that were sent", what, message))
}

/// Whether everything has come.
pub(super) fn complete(sent: &Objects, received: &Objects) -> Result<(), Failure> {
    match sent.keys().find(|at| !received.contains_key(at)) {
        None => Ok(()),
        Some(at) => {
            let expected = format!("{} objects", sent.len());
            Err(mismatch(&expected, format!("{} objects", received.len()), format!("{at} did not come")))
        }
    }
}

/// FETCH, and all of its objects, which must be `sent` in this order; the case is skipped if the relay does not do FETCH.
pub(super) async fn fetch(
    cx: &Context,
    session: &Session,
    range: FetchRange,
    sent: &Objects,
) -> Result<(), NotPassed> {
    let answer = cx.within("FETCH_OK", ANSWER_LIMIT, session.fetch(Fetch::new(range))).await?;
    let fetched = answer.map_err(|failed| not_granted(session, RequestKind::Fetch, &failed))?;
    fetched_whole(cx, session, fetched, sent).await
}

/// FETCH_OK and all objects of a FETCH, which must be `sent` in this order.
pub(super) async fn fetched_whole(
    cx: &Context,
    session: &Session,
    mut fetched: Fetched,
    sent: &Objects,
) -> Result<(), NotPassed> {
    let mut received = Objects::new();
    let reading = async {
        while let Some(object) = fetched.next_object().await? {
            let at = object.header.location;
            if object.header.status != ObjectStatus::Normal {
                continue;
            }
            if received.keys().next_back().is_some_and(|last| *last >= at) {
                let message = format!("{at} came behind a later object");
                return Ok(Err(mismatch("objects in ascending order", "disorder", message)));
            }
            if let Err(failure) = take(at, object.payload, sent, &mut received) {
                return Ok(Err(failure));
            }
        }
        fetched.ok().await.map(|_| Ok(()))
    };
    match cx.until_end("FETCH_OK and the objects", reading).await? {
        Ok(read) => read?,
        Err(error) => return Err(fetch_failure(session, error)),
    }
    Ok(complete(sent, &received)?)
}

/// A FETCH that brings nothing more.
pub(super) fn fetch_failure(session: &Session, error: FetchError) -> NotPassed {
    let failed = match error {
        FetchError::Rejected(rejected) => RequestFailed::Rejected(rejected),
        FetchError::Closed(closed) => RequestFailed::Closed(closed),
        other => return mismatch("the FETCH to its end", "broken off", other.to_string()).into(),
    };
    not_granted(session, RequestKind::Fetch, &failed)
}
