//! What the drafts call the answers to requests, for reports.

use moqingbird::Version;
use moqingbird::wire::Carriage;
use moqingbird::wire::model::RequestKind;

/// draft-14 has answers for each kind of request, later drafts one pair for all (draft-16 §9.7, §9.8).
fn answers_of_each_kind(version: Version) -> bool {
    version == Version::Draft14
}

/// The message that grants a request.
pub(crate) fn granted(version: Version, kind: RequestKind) -> String {
    match kind {
        RequestKind::Subscribe | RequestKind::Publish | RequestKind::Fetch => format!("{kind}_OK"),
        _ if answers_of_each_kind(version) => format!("{kind}_OK"),
        _ => "REQUEST_OK".to_owned(),
    }
}

/// The message that declines a request.
pub(crate) fn declined(version: Version, kind: RequestKind) -> String {
    if answers_of_each_kind(version) { format!("{kind}_ERROR") } else { "REQUEST_ERROR".to_owned() }
}

/// What answers an update of a subscription; draft-14 has no answer, so the update itself (draft-14 §9.10).
pub(crate) fn updated(version: Version) -> &'static str {
    if answers_of_each_kind(version) { "SUBSCRIBE_UPDATE" } else { "REQUEST_OK" }
}

/// The messages by which a relay tells that a namespace has come and gone.
pub(crate) fn namespace_events(version: Version) -> (&'static str, &'static str) {
    match version.draft().rules().namespace_carriage {
        Carriage::Control => ("PUBLISH_NAMESPACE", "PUBLISH_NAMESPACE_DONE"),
        _ => ("NAMESPACE", "NAMESPACE_DONE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_named_as_their_draft_names_them() {
        let kind = RequestKind::PublishNamespace;
        assert_eq!(granted(Version::Draft14, kind), "PUBLISH_NAMESPACE_OK");
        assert_eq!(granted(Version::Draft16, kind), "REQUEST_OK");
        assert_eq!(granted(Version::Draft16, RequestKind::Subscribe), "SUBSCRIBE_OK");
        assert_eq!(declined(Version::Draft14, RequestKind::Subscribe), "SUBSCRIBE_ERROR");
        assert_eq!(declined(Version::Draft16, RequestKind::Subscribe), "REQUEST_ERROR");
    }
}
