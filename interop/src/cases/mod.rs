//! The table of cases.

mod announce_only;
mod announce_subscribe;
mod object_delivery;
mod publish_namespace_done;
mod setup_only;
mod steps;
mod subscribe_before_announce;
mod subscribe_error;

use std::pin::Pin;
use std::time::Duration;

use crate::Context;
use crate::report::{Role, Verdict};

/// A case: what it is called, how long it may take, which sessions it has, and how it is run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Case {
    /// The name in the runner's contract.
    pub name: &'static str,
    /// Names by which others know it.
    pub aliases: &'static [&'static str],
    /// Whether the runner's contract has it, so that it runs without being asked for.
    pub standard: bool,
    /// Its sessions.
    pub roles: &'static [Role],
    /// How long it may take, connections included.
    pub limit: Duration,
    /// Runs it.
    pub run: Run,
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
    object_delivery::CASE,
];

/// The case of that name or alias.
pub fn find(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name || case.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_standard_cases_are_those_of_the_contract_in_its_order() {
        let standard: Vec<_> = CASES.iter().filter(|case| case.standard).map(|case| case.name).collect();
        let contract = [
            "setup-only",
            "announce-only",
            "publish-namespace-done",
            "subscribe-error",
            "announce-subscribe",
            "subscribe-before-announce",
        ];
        assert_eq!(standard, contract);
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
    fn no_case_waits_longer_than_5_seconds() {
        assert!(CASES.iter().all(|case| case.limit <= Duration::from_secs(5)));
    }
}
