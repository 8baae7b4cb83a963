//! Whole sessions, and chains of three, in simulated time: engines, the real readers and writers of data streams, random
//! lawful applications, bad networks, and an adversary. A seed is a run, the same each time.
//!
//! More than these tests run: `cargo xtask sim`.

mod adversary;
mod content;
mod explore;
mod host;
mod net;
mod oracle;
mod peer;
mod relay;
mod rng;
mod world;

use moqingbird::wire::Version;
use moqingbird::wire::planted::Fault;

/// How many seeds each draft is tried with here.
const SEEDS: u64 = 2_000;

/// Fails with the first seed that breaks something, and with how to see it again.
fn hold(version: Version) {
    for seed in 0..SEEDS {
        let report = world::run(seed, version, None);
        assert!(report.failure.is_none(), "{}", explore::failed(seed, version, &report));
    }
}

#[test]
fn nothing_breaks_in_draft_14() {
    hold(Version::Draft14);
}

#[test]
fn nothing_breaks_in_draft_16() {
    hold(Version::Draft16);
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for version in Version::ALL {
        let (mut objects, mut hashes) = (0, std::collections::BTreeSet::new());
        for seed in 0..40 {
            let report = world::run(seed, *version, None);
            assert_eq!(world::run(seed, *version, None), report, "{version}, seed {seed}");
            objects += report.objects;
            hashes.insert(report.hash);
        }
        assert!(objects > 500 && hashes.len() == 40, "{objects} objects, {} different runs", hashes.len());
    }
}

/// A fault must be found, or the simulation looks in the wrong places.
fn find(fault: Fault) {
    for version in Version::ALL {
        let found = (0..SEEDS).find(|seed| world::run(*seed, *version, Some(fault)).failure.is_some());
        assert!(found.is_some(), "{fault:?} is not found in {version} by {SEEDS} seeds");
    }
}

mod planted {
    use super::{Fault, find};

    #[test]
    fn a_held_stream_that_is_forgotten_is_found() {
        find(Fault::Hold);
    }

    #[test]
    fn a_stream_that_goes_to_the_wrong_subscription_is_found() {
        find(Fault::HandOver);
    }

    #[test]
    fn a_stream_that_is_not_counted_is_found() {
        find(Fault::Count);
    }

    #[test]
    fn a_deadline_that_is_not_set_is_found() {
        find(Fault::Deadline);
    }

    #[test]
    fn extension_headers_that_are_not_respelled_are_found() {
        find(Fault::Transcoding);
    }
}
