//! What a relay says to a request, from its own head.

use moqingbird::Version;
use moqingbird::wire::model::{
    EndLocation, ErrorContext, FetchOk, GroupOrder, Message, PublishOk, Request, RequestError,
    RequestErrorCode, RequestId, RequestKind, RequestOk, Response, SubscribeOk, Target, TrackAlias,
    TrackExtensions,
};

use super::BadRelay;

/// The grant of a request, whatever it is.
pub(super) fn grant(id: RequestId, request: &Request) -> Message {
    let response = match request {
        Request::Subscribe(_) => Response::Subscribe(SubscribeOk {
            track_alias: TrackAlias(id.0),
            expires: None,
            largest: None,
            extensions: TrackExtensions::default(),
        }),
        Request::Publish(_) => {
            // draft-14 has no other way than to state an order.
            Response::Publish(PublishOk { group_order: Some(GroupOrder::Ascending), ..PublishOk::default() })
        }
        Request::Fetch(_) => Response::Fetch(FetchOk {
            group_order: Some(GroupOrder::Ascending),
            end_of_track: false,
            end: EndLocation { group: 0, object: Some(0) },
            extensions: TrackExtensions::default(),
        }),
        other => Response::Ok { kind: Some(other.kind()), ok: RequestOk::default() },
    };
    Message::Response { target: Target::Id(id), response }
}

/// The refusal of a request.
pub(super) fn refusal(
    id: RequestId,
    kind: RequestKind,
    code: RequestErrorCode,
    reason: &'static str,
) -> Message {
    let error = RequestError::new(code, reason);
    Message::RequestError { target: Target::Id(id), kind: Some(kind), error }
}

/// A SUBSCRIBE of what nobody has announced.
pub(super) fn unknown_track(relay: BadRelay, version: Version, id: RequestId) -> Message {
    let kind = RequestKind::Subscribe;
    let code = match relay {
        BadRelay::OtherDraftsCode => other_drafts(version, kind, RequestErrorCode::DoesNotExist),
        _ => RequestErrorCode::DoesNotExist,
    };
    refusal(id, kind, code, "nobody has announced this namespace")
}

/// What the number that another draft has for a code means in this one.
fn other_drafts(version: Version, kind: RequestKind, code: RequestErrorCode) -> RequestErrorCode {
    let context = ErrorContext::Request(kind);
    let others = Version::ALL.iter().filter(|other| **other != version);
    let number = others.filter_map(|other| other.draft().request_code(context, code)).next();
    number.map_or(code, |number| version.draft().request_error(context, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_drafts_number_means_something_else_here() {
        for version in Version::ALL {
            let code = other_drafts(*version, RequestKind::Subscribe, RequestErrorCode::DoesNotExist);
            assert_eq!(code, RequestErrorCode::MalformedAuthToken);
        }
    }
}
