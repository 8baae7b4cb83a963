//! FETCH and TRACK_STATUS: answered from the track where it holds all that is asked for, otherwise passed on.

use std::sync::Arc;

use moqingbird::track::{self, Held};
use moqingbird::wire::model::{
    Fetch, FetchOk, FetchRange, GroupOrder, RequestError, RequestErrorCode, ResetCode, Subscribe,
};
use moqingbird::wire::stream::FetchStreamItem;
use moqingbird::{
    FetchError, FetchSender, Fetched, IncomingFetch, IncomingTrackStatus, PublicationError, RequestFailed,
    Session, TrackInfo,
};

use crate::bridge;
use crate::core::{Path, PeerId, unknown_track};
use crate::fanout::Fanout;
use crate::links;
use crate::relay::{Past, Shared};

/// Answers a FETCH. What is not held whole is fetched from a publisher and passed on as it comes, in the order that was
/// asked for.
pub(crate) async fn fetch(shared: Arc<Shared>, peer: PeerId, session: Session, incoming: IncomingFetch) {
    let way = links::path(&incoming.request().authorization_tokens);
    let Some(Past { fanout, is_live, upstreams, path }) = shared.past(peer, incoming.track(), &way) else {
        return incoming.reject(unknown_track());
    };
    let served = match fanout.as_deref().and_then(|fanout| Some((held(fanout, is_live, &incoming)?, fanout)))
    {
        Some((held, fanout)) => {
            let extensions = bridge::track_extensions(fanout.extensions(), session.version().draft().rules());
            track::serve_fetch(incoming, held, extensions).await
        }
        None => pass_on(incoming, &session, &upstreams, &path).await,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a fetcher left before it had everything");
    }
}

/// Group order where neither side has said which: that of draft-16's default.
fn order(incoming: &IncomingFetch) -> GroupOrder {
    incoming.request().group_order.unwrap_or_default()
}

/// The range, if the track holds all of it. Where the track's end may be elsewhere, a range that goes beyond what is known
/// here is not held.
fn held(fanout: &Fanout, is_live: bool, incoming: &IncomingFetch) -> Option<Held> {
    let held = fanout.track().held(incoming.start(), incoming.end(), order(incoming))?;
    (held.is_whole() && (is_live || held.end() == incoming.end())).then_some(held)
}

/// Fetches from the first publisher that grants it.
async fn pass_on(
    incoming: IncomingFetch,
    session: &Session,
    upstreams: &[Session],
    path: &Path,
) -> Result<(), PublicationError> {
    let mut refused = unknown_track();
    for upstream in upstreams {
        let range = FetchRange::Standalone {
            track: incoming.track().clone(),
            start: incoming.start(),
            end: incoming.end(),
        };
        let group_order = Some(order(&incoming));
        let authorization_tokens = links::tokens_for(upstream, path);
        let fetch = Fetch { group_order, authorization_tokens, ..Fetch::new(range) };
        let begun = tokio::select! {
            begun = begin(upstream, fetch) => begun,
            () = incoming.cancelled() => return Err(PublicationError::Cancelled),
        };
        match begun {
            Ok((fetched, ok, first)) => {
                let extensions = bridge::track_extensions(ok.extensions, session.version().draft().rules());
                let ok = FetchOk { extensions, group_order: None, ..ok };
                return match first {
                    Some(first) => copy(fetched, first, incoming.accept(ok)?).await,
                    None => incoming.accept_empty(ok).await,
                };
            }
            Err(FetchError::Rejected(rejected)) if rejected.error.code == RequestErrorCode::NoObjects => {
                let end = incoming.end();
                let ok =
                    FetchOk { group_order: None, end_of_track: false, end, extensions: Default::default() };
                return incoming.accept_empty(ok).await;
            }
            Err(FetchError::Rejected(rejected)) => refused = bridge::request_error(rejected.error),
            Err(error) => {
                tracing::debug!(%error, "no upstream fetch");
                refused =
                    RequestError::new(RequestErrorCode::InternalError, "the track's publisher was lost");
            }
        }
    }
    incoming.reject(refused);
    Ok(())
}

/// What a publisher answers, and the first of its stream: until that has come the FETCH can be declined, and passed on
/// elsewhere. `None`: there are no objects.
async fn begin(
    upstream: &Session,
    fetch: Fetch,
) -> Result<(Fetched, FetchOk, Option<FetchStreamItem>), FetchError> {
    let mut fetched = match upstream.fetch(fetch).await {
        Ok(fetched) => fetched,
        Err(RequestFailed::Rejected(rejected)) => return Err(FetchError::Rejected(rejected)),
        Err(_) => return Err(FetchError::Closed(upstream.closed().await)),
    };
    let first = fetched.next_item().await?.filter(|item| *item != FetchStreamItem::End);
    let ok = fetched.ok().await?;
    Ok((fetched, ok, first))
}

/// Passes a stream on as it comes: ended as it ends, and reset if it is not complete.
async fn copy(
    mut fetched: Fetched,
    first: FetchStreamItem,
    mut sender: FetchSender,
) -> Result<(), PublicationError> {
    let mut next = Some(first);
    loop {
        match next {
            Some(FetchStreamItem::Object(header)) => sender.begin_bridged(&header)?,
            Some(FetchStreamItem::Payload(part)) => sender.add(part)?,
            Some(FetchStreamItem::EndOfRange { end, status }) => {
                // A draft without the marker says nothing of it.
                if let Err(error) = sender.end_of_range(end, status) {
                    tracing::debug!(%error, %end, "a range without objects is left out");
                }
            }
            _ => return sender.finish().await,
        }
        next = match fetched.try_next_item() {
            Ok(Some(item)) => Some(item),
            Ok(None) => {
                sender.flush().await?;
                let item = tokio::select! {
                    item = fetched.next_item() => item,
                    () = sender.cancelled() => return Err(PublicationError::Cancelled),
                };
                match item {
                    Ok(item) => item,
                    Err(error) => return broken_off(sender, &error),
                }
            }
            Err(error) => return broken_off(sender, &error),
        };
    }
}

fn broken_off(sender: FetchSender, error: &FetchError) -> Result<(), PublicationError> {
    tracing::debug!(%error, "an upstream fetch was broken off");
    sender.reset(match error {
        FetchError::Reset(code) => bridge::reset(*code),
        FetchError::Malformed(_) => ResetCode::MalformedTrack,
        _ => ResetCode::InternalError,
    });
    Ok(())
}

/// Answers a TRACK_STATUS.
pub(crate) async fn track_status(
    shared: Arc<Shared>,
    peer: PeerId,
    session: Session,
    incoming: IncomingTrackStatus,
) {
    let asked = incoming.request();
    let way = links::path(&asked.authorization_tokens);
    let Some(Past { fanout, upstreams, path, .. }) = shared.past(peer, &asked.track, &way) else {
        return incoming.reject(unknown_track());
    };
    let rules = session.version().draft().rules();
    let known = match fanout {
        Some(fanout) => Ok(TrackInfo {
            largest: fanout.track().largest(),
            extensions: fanout.extensions(),
            ..TrackInfo::default()
        }),
        None => ask(&incoming, &upstreams, &path).await,
    };
    match known {
        Ok(info) => {
            let info = TrackInfo { extensions: bridge::track_extensions(info.extensions, rules), ..info };
            if let Err(error) = incoming.accept(info) {
                tracing::debug!(%error, "the asker left before it was answered");
            }
        }
        Err(error) => incoming.reject(error),
    }
}

/// Asks the first publisher that answers.
async fn ask(
    incoming: &IncomingTrackStatus,
    upstreams: &[Session],
    path: &Path,
) -> Result<TrackInfo, RequestError> {
    let mut refused = unknown_track();
    for upstream in upstreams {
        let asked = Subscribe {
            authorization_tokens: links::tokens_for(upstream, path),
            ..Subscribe::new(incoming.request().track.clone())
        };
        match upstream.track_status(asked).await {
            Ok(info) => return Ok(info),
            Err(RequestFailed::Rejected(rejected)) => refused = bridge::request_error(rejected.error),
            Err(error) => tracing::debug!(%error, "no track status"),
        }
    }
    Err(refused)
}
