//! What a token says, and why one is not believed.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moqingbird::wire::model::TrackNamespace;
use serde::{Deserialize, Serialize};

/// The claims of a token. Others than these are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Claims {
    /// Below which namespaces its holder may publish.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
    /// Below which namespaces its holder may subscribe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<String>,
    /// When its time is over, in seconds since 1970.
    pub exp: u64,
    /// When its time begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Whose it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
}

impl Claims {
    /// A token that allows nothing yet, for a time from now on.
    pub fn lasting(time: Duration) -> Self {
        Self { exp: now().saturating_add(time.as_secs()), ..Self::default() }
    }

    /// When its time is over.
    pub fn expires(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.exp.min(u64::from(u32::MAX) * 1000))
    }

    /// Whether the holder may publish in a namespace.
    pub fn may_publish(&self, namespace: &TrackNamespace) -> bool {
        covers(&self.publish, namespace)
    }

    /// Whether the holder may subscribe to what is in a namespace, or to all that is below a prefix.
    pub fn may_subscribe(&self, namespace: &TrackNamespace) -> bool {
        covers(&self.subscribe, namespace)
    }
}

/// What is no namespace covers nothing.
fn covers(prefixes: &[String], namespace: &TrackNamespace) -> bool {
    let covers = |prefix: &String| {
        TrackNamespace::from_path(prefix).is_ok_and(|prefix| namespace.starts_with(&prefix))
    };
    prefixes.iter().any(covers)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Why a token is not believed. The text has nothing of the token in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It is not a JSON Web Token, or not of an algorithm that is spoken here.
    Malformed,
    /// It names no key.
    NoKeyId,
    /// It names a key that is not known.
    UnknownKey,
    /// It is signed by another algorithm than its key's.
    WrongAlgorithm,
    /// It is not signed by the key that it names.
    WrongSignature,
    /// It lacks a claim that it must have, or has one of the wrong type.
    Claims(&'static str),
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the token is no JSON Web Token of HS256, RS256, ES256 or EdDSA"),
            Self::NoKeyId => f.write_str("the token's header has no `kid`"),
            Self::UnknownKey => f.write_str("the token names a key that is not known here"),
            Self::WrongAlgorithm => f.write_str("the token's `alg` is not that of its key"),
            Self::WrongSignature => f.write_str("the token's signature is wrong"),
            Self::Claims(what) => write!(f, "the token's claims cannot be used: {what}"),
            Self::Expired => f.write_str("the token has expired"),
            Self::NotYetValid => f.write_str("the token is not valid yet"),
        }
    }
}

impl Error for InvalidToken {}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(path: &str) -> TrackNamespace {
        TrackNamespace::from_path(path).unwrap()
    }

    #[test]
    fn scopes_match_whole_fields() {
        let claims =
            Claims { publish: vec!["live/cam".into()], subscribe: vec!["".into()], ..Claims::default() };
        assert!(claims.may_publish(&namespace("live/cam")) && claims.may_publish(&namespace("live/cam/1")));
        assert!(!claims.may_publish(&namespace("live")) && !claims.may_publish(&namespace("live/camera")));
        assert!(claims.may_subscribe(&namespace("")) && claims.may_subscribe(&namespace("any")));
        assert!(!Claims::default().may_publish(&namespace("live")));
    }
}
