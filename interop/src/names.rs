//! What the drafts call the answers to requests, for reports.

use moqingbird::Version;
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
