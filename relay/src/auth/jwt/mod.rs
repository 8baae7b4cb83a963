//! Authorization by JSON Web Tokens (RFC 7519).
//!
//! A token says below which namespaces its holder may publish and subscribe, and until when:
//!
//! ```json
//! {"publish": ["live/cam"], "subscribe": ["live"], "exp": 1798761600}
//! ```
//!
//! Prefixes are namespaces as people write them, fields between slashes; `""` is everything. They match whole fields:
//! `live` covers `live/cam` and not `live2`. `exp` must be there; `nbf` is respected.
//!
//! | to do this | a token needs |
//! |---|---|
//! | PUBLISH, PUBLISH_NAMESPACE | a `publish` prefix of the namespace |
//! | SUBSCRIBE, FETCH, TRACK_STATUS | a `subscribe` prefix of the namespace |
//! | SUBSCRIBE_NAMESPACE | a `subscribe` prefix of the prefix |
//! | a session | nothing: a session without a token may bring one with each request. But a token that comes with it must be good |
//!
//! Tokens come in the query of the URL (`?token=` or `?jwt=`), in SETUP, or in a request, as AUTHORIZATION_TOKEN of type 0.
//! Those of the session count for each of its requests. A token that is not one, whose key is unknown or whose signature is
//! wrong is answered with MALFORMED_AUTH_TOKEN, one whose time is over with EXPIRED_AUTH_TOKEN, and one that does not cover
//! what is asked with UNAUTHORIZED. When a token expires, what it allowed ends.

mod claims;
mod keys;
mod provider;
mod signing;

use std::fmt;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use moqingbird::wire::model::TrackNamespace;

pub use claims::{Claims, InvalidToken};
pub use keys::{Algorithm, KeyError, KeySet};
pub use signing::SigningKey;

use super::{AuthRequest, Authorizer, Authorizing, Denied, DeniedCode, Operation, Permit, Token};

/// Asks for a token whose scope covers what is asked.
pub struct JwtAuthorizer {
    path: PathBuf,
    keys: RwLock<Arc<KeySet>>,
}

impl JwtAuthorizer {
    /// With the keys in a file or directory: see [`KeySet::load`].
    ///
    /// # Errors
    /// There is no key, or one cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref().to_owned();
        let keys = RwLock::new(Arc::new(KeySet::load(&path)?));
        Ok(Self { path, keys })
    }

    /// Reads the keys anew; what was allowed before stays so.
    ///
    /// # Errors
    /// As [`JwtAuthorizer::load`]; the old keys stay in use.
    pub fn reload(&self) -> Result<(), KeyError> {
        let keys = Arc::new(KeySet::load(&self.path)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn decide(&self, request: &AuthRequest<'_>) -> Result<Permit, Denied> {
        let keys = self.keys();
        let Some(namespace) = request.namespace else {
            // Every token that comes with a session must be good.
            return request
                .session_tokens
                .iter()
                .try_for_each(|token| verify(&keys, token).map(drop))
                .map(|()| Permit::forever());
        };
        let mut granted = Vec::new();
        let mut refusal = Denied::unauthorized(match request.tokens().next() {
            None => "a token is needed, in the URL's query, in SETUP or in the request",
            Some(_) => "no token covers this namespace",
        });
        for token in request.request_tokens {
            granted.push(verify(&keys, token)?);
        }
        for token in request.session_tokens {
            match verify(&keys, token) {
                Ok(claims) => granted.push(claims),
                // It was good when the session began.
                Err(denied) => refusal = denied,
            }
        }
        let covers = |claims: &&Claims| claims.allows(request.operation, namespace);
        let until = granted.iter().filter(covers).map(Claims::expires).max();
        until.map(Permit::until).ok_or(refusal)
    }
}

impl Claims {
    fn allows(&self, operation: Operation, namespace: &TrackNamespace) -> bool {
        match operation {
            Operation::Publish | Operation::PublishNamespace => self.may_publish(namespace),
            _ => self.may_subscribe(namespace),
        }
    }
}

impl Authorizer for JwtAuthorizer {
    fn authorize<'a>(&'a self, request: AuthRequest<'a>) -> Authorizing<'a> {
        Box::pin(ready(self.decide(&request)))
    }
}

impl fmt::Debug for JwtAuthorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthorizer").field("path", &self.path).finish_non_exhaustive()
    }
}

fn verify(keys: &KeySet, token: &Token) -> Result<Claims, Denied> {
    if token.token_type != 0 {
        let reason =
            format!("tokens of type {} are not known here, only JSON Web Tokens of type 0", token.token_type);
        return Err(Denied::new(DeniedCode::MalformedAuthToken, reason));
    }
    keys.verify(&token.value).map_err(|invalid| {
        let code = match invalid {
            InvalidToken::Expired => DeniedCode::ExpiredAuthToken,
            InvalidToken::NotYetValid => DeniedCode::Unauthorized,
            _ => DeniedCode::MalformedAuthToken,
        };
        Denied::new(code, invalid.to_string())
    })
}
