//! The table of cases.

mod announce_only;
mod announce_subscribe;
mod data_subgroup_basic;
mod datagrams;
mod fetch;
mod fetch_cancel;
mod forward_state;
mod goaway;
mod join;
mod large_object;
mod late_subscriber;
mod multiple_groups;
mod namespace_discovery;
mod object_delivery;
mod origin;
mod publish_namespace_cancel;
mod publish_namespace_done;
mod publish_track_only;
mod publish_track_subscribe;
mod setup_only;
mod steps;
mod subscribe_before_announce;
mod subscribe_error;
mod subscribe_namespace_lifecycle;
mod subscribe_update;
mod track_status;
mod unsubscribe;
mod version_mismatch;

use std::pin::Pin;
use std::time::Duration;

use crate::Context;
use crate::report::{Origin, Role, Verdict};

/// A case: what it is called, how long it may take, which sessions it has, and how it is run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Names by which others know it.
    pub aliases: &'static [&'static str],
    /// Who defined it.
    pub origin: Origin,
    /// The revision of its specification, if that counts them.
    pub revision: Option<u32>,
    /// Its sessions.
    pub roles: &'static [Role],
    /// How long it may take, connections included.
    pub limit: Duration,
    /// Whether publisher and subscriber may also speak different drafts.
    pub bridged: bool,
    /// Runs it.
    pub run: Run,
}

impl Case {
    /// One without aliases or revision, of a publisher and a subscriber of one draft, who have ten seconds.
    const fn new(name: &'static str, origin: Origin, run: Run) -> Self {
        let (roles, limit) = (&[Role::Publisher, Role::Subscriber], Duration::from_secs(10));
        Self { name, aliases: &[], origin, revision: None, roles, limit, bridged: false, run }
    }
}

/// Runs a case.
pub type Run = for<'a> fn(&'a Context) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Every case, in the order in which they run.
pub const CASES: &[Case] = &[
    setup_only::CASE,
    announce_only::CASE,
    publish_namespace_done::CASE,
    subscribe_error::CASE,
    announce_subscribe::CASE,
    subscribe_before_announce::CASE,
    data_subgroup_basic::CASE,
    subscribe_namespace_lifecycle::CASE,
    namespace_discovery::CASE,
    publish_track_only::CASE,
    publish_track_subscribe::CASE,
    fetch::CASE,
    join::CASE,
    datagrams::CASE,
    multiple_groups::CASE,
    late_subscriber::CASE,
    unsubscribe::CASE,
    publish_namespace_cancel::CASE,
    subscribe_update::CASE,
    goaway::CASE,
    track_status::CASE,
    fetch_cancel::CASE,
    forward_state::CASE,
    large_object::CASE,
    version_mismatch::CASE,
    object_delivery::CASE,
];

/// Some of the cases.
#[derive(Clone, Copy, Debug)]
pub enum Cases {
    /// Those that the interop runner defines.
    Runner,
    /// All.
    All,
    /// One.
    One(&'static Case),
}

impl Cases {
    /// They, in their order.
    pub fn iter(self) -> impl Iterator<Item = &'static Case> {
        CASES.iter().filter(move |case| match self {
            Self::Runner => case.origin == Origin::Runner,
            Self::All => true,
            Self::One(one) => case.name == one.name,
        })
    }
}

/// The case of that name or alias.
pub fn find(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name || case.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_runners_cases_come_first_in_its_order() {
        let runners: Vec<_> = CASES.iter().take_while(|case| case.origin == Origin::Runner).collect();
        let contract = [
            "setup-only",
            "announce-only",
            "publish-namespace-done",
            "subscribe-error",
            "announce-subscribe",
            "subscribe-before-announce",
            "data-subgroup-basic",
            "subscribe-namespace-lifecycle",
            "namespace-discovery",
            "publish-track-only",
            "publish-track-subscribe",
        ];
        assert_eq!(runners.iter().map(|case| case.name).collect::<Vec<_>>(), contract);
        assert_eq!(CASES.iter().filter(|case| case.origin == Origin::Runner).count(), contract.len());
    }

    #[test]
    fn every_name_finds_its_own_case() {
        let mut seen = HashSet::new();
        for case in CASES {
            for name in case.aliases.iter().chain([&case.name]) {
                assert!(seen.insert(*name), "{name} stands twice");
                assert_eq!(find(name).map(|found| found.name), Some(case.name));
            }
        }
        assert!(find("nonesuch").is_none());
    }

    #[test]
    fn no_case_waits_longer_than_10_seconds() {
        assert!(CASES.iter().all(|case| case.limit <= Duration::from_secs(10)));
    }
}
