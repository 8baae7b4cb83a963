//! Relays that are wrong on purpose, one way each, on bare QUIC: whoever runs cases must tell them from a relay that works.

mod answer;
mod peer;
mod server;

use moqingbird::Version;

use crate::cases::Case;

pub use server::RunningBadRelay;

/// In which way a relay is wrong. In all else it does what the drafts say, as far as it goes: it knows namespaces and
/// subscriptions, and declines the rest with NOT_SUPPORTED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadRelay {
    /// It accepts the connection and never says SERVER_SETUP.
    NoSetup,
    /// It answers nothing but SETUP.
    Silent,
    /// It closes the session at the first request.
    Closes,
    /// It grants everything and does nothing.
    OkToEverything,
    /// It declines everything.
    ErrorToEverything,
    /// It answers request N as if it were N + 2.
    WrongRequestIds,
    /// Its answers are right, but come after 2.5 s.
    Late,
    /// It declines a SUBSCRIBE with the number that another draft has for DOES_NOT_EXIST.
    OtherDraftsCode,
    /// It sends objects before the SUBSCRIBE_OK that tells their alias, which is lawful.
    DataBeforeAlias,
}

impl BadRelay {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::NoSetup,
        Self::Silent,
        Self::Closes,
        Self::OkToEverything,
        Self::ErrorToEverything,
        Self::WrongRequestIds,
        Self::Late,
        Self::OtherDraftsCode,
        Self::DataBeforeAlias,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSetup => "no-setup",
            Self::Silent => "silent",
            Self::Closes => "closes-on-request",
            Self::OkToEverything => "ok-to-everything",
            Self::ErrorToEverything => "error-to-everything",
            Self::WrongRequestIds => "wrong-request-ids",
            Self::Late => "late-answers",
            Self::OtherDraftsCode => "other-drafts-code",
            Self::DataBeforeAlias => "data-before-alias",
        }
    }

    /// Whether a case must pass against it. `None`: the case says nothing of this relay, which lacks more than it shows.
    pub fn must_pass(self, case: &Case, version: Version) -> Option<bool> {
        let (passes, fails): (&[&str], &[&str]) = match self {
            Self::NoSetup => return Some(false),
            Self::Silent | Self::Closes | Self::WrongRequestIds | Self::Late => {
                return Some(SETUP.contains(&case.name));
            }
            Self::ErrorToEverything => {
                return Some(SETUP.contains(&case.name) || case.name == "subscribe-error");
            }
            // It grants the namespace, behind which there is nothing to cancel in drafts that tell by NAMESPACE.
            Self::OkToEverything
                if case.name == "publish-namespace-cancel"
                    && !version.draft().rules().withdraws_by_namespace =>
            {
                return None;
            }
            Self::OkToEverything => {
                return Some(SETUP.contains(&case.name) || GRANTED.contains(&case.name));
            }
            Self::OtherDraftsCode => (ROUTED, &["subscribe-error", "subscribe-before-announce"]),
            Self::DataBeforeAlias => (ROUTED, &[]),
        };
        let listed = |list: &[&str]| list.contains(&case.name);
        (listed(passes) || listed(fails)).then(|| listed(passes))
    }
}

/// The cases that ask nothing.
const SETUP: &[&str] = &["setup-only", "version-mismatch"];
/// The cases that need an OK and nothing behind it.
const GRANTED: &[&str] = &["announce-only", "publish-namespace-done", "publish-track-only"];
/// The cases that need namespaces and subscriptions only.
const ROUTED: &[&str] = &[
    "setup-only",
    "version-mismatch",
    "announce-only",
    "publish-namespace-done",
    "announce-subscribe",
    "data-subgroup-basic",
    "multiple-groups",
    "object-delivery",
];
