//! Which draft two endpoints speak, by the names that their transports exchange.
//!
//! Raw QUIC: the client's ALPN list. WebTransport: `wt-available-protocols` and the server's `wt-protocol`. A WebTransport
//! session for which no protocol is named speaks [`UNNAMED`], which has no such name (draft-14 §3.1.1; draft-16 §3.1).

use moqingbird_wire::Version;

/// The draft of a WebTransport session without a protocol name.
const UNNAMED: Version = Version::Draft14;

/// The drafts of a set, newest first, each once. An empty set means every draft of this crate.
pub(super) fn newest_first(allowed: &[Version]) -> Vec<Version> {
    let wanted = |version: &Version| allowed.is_empty() || allowed.contains(version);
    Version::ALL.iter().copied().filter(wanted).collect()
}

/// The names of drafts in the order given.
pub(super) fn names(versions: &[Version]) -> Vec<&'static str> {
    versions.iter().map(|version| version.protocol()).collect()
}

/// What a client puts into `wt-available-protocols`. For the unnamed draft alone it is nothing, as that draft has it.
pub(super) fn web_offer(versions: &[Version]) -> Vec<&'static str> {
    if versions == [UNNAMED] { Vec::new() } else { names(versions) }
}

/// What a server chooses from a client's `wt-available-protocols`: the draft, and the name to answer if one was offered.
/// Nothing if the two have no draft in common.
pub(super) fn choose(offered: &[String], versions: &[Version]) -> Option<(Version, Option<&'static str>)> {
    if offered.is_empty() {
        return versions.contains(&UNNAMED).then_some((UNNAMED, None));
    }
    let named = versions.iter().find(|version| offered.iter().any(|name| name == version.protocol()))?;
    Some((*named, Some(named.protocol())))
}

/// What a client concludes from the name that was agreed: the ALPN, or the server's `wt-protocol` where there is one.
pub(super) fn agreed(name: Option<&str>, versions: &[Version]) -> Option<Version> {
    let version = match name {
        Some(name) => Version::from_protocol(name)?,
        None => UNNAMED,
    };
    versions.contains(&version).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[Version] = &[Version::Draft16, Version::Draft14];

    fn offered(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn drafts_are_offered_newest_first_whatever_the_order_given() {
        assert_eq!(newest_first(&[Version::Draft14, Version::Draft16, Version::Draft14]), BOTH);
        assert_eq!(newest_first(&[]), Version::ALL);
    }

    #[test]
    fn the_server_prefers_its_newest_draft_over_the_clients_order() {
        let chosen = choose(&offered(&["moq-00", "moqt-16"]), BOTH);
        assert_eq!(chosen, Some((Version::Draft16, Some("moqt-16"))));
    }

    #[test]
    fn an_offer_of_nothing_means_draft_14_and_no_answer() {
        assert_eq!(choose(&[], BOTH), Some((Version::Draft14, None)));
        assert_eq!(choose(&[], &[Version::Draft16]), None);
    }

    #[test]
    fn only_unknown_names_have_no_answer() {
        assert_eq!(choose(&offered(&["moqt-99", "chat"]), BOTH), None);
        assert_eq!(choose(&offered(&["moqt-99", "moq-00"]), BOTH), Some((Version::Draft14, Some("moq-00"))));
    }

    #[test]
    fn draft_14_alone_offers_no_name_over_webtransport() {
        assert!(web_offer(&[Version::Draft14]).is_empty());
        assert_eq!(web_offer(BOTH), ["moqt-16", "moq-00"]);
        assert_eq!(web_offer(&[Version::Draft16]), ["moqt-16"]);
    }

    #[test]
    fn an_answer_without_a_name_is_draft_14_where_it_is_allowed() {
        assert_eq!(agreed(None, BOTH), Some(Version::Draft14));
        assert_eq!(agreed(None, &[Version::Draft16]), None);
        assert_eq!(agreed(Some("moqt-16"), &[Version::Draft14]), None);
        assert_eq!(agreed(Some("chat"), BOTH), None);
    }
}
