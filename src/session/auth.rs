//! Authorization tokens as far as a session judges them (draft-14 §9.2.1.1, draft-16 §9.2.2.1).
//!
//! We offer no token cache (MAX_AUTH_TOKEN_CACHE_SIZE 0), so no alias of the peer's can ever be registered. Tokens by
//! value are the application's matter.

use moqingbird_wire::Rules;
use moqingbird_wire::model::{AuthorizationToken, Request, SessionErrorCode};

use super::{Checked, Violation};

/// Tokens of a message, or of SERVER_SETUP.
pub(super) fn check(tokens: &[AuthorizationToken]) -> Checked {
    for token in tokens {
        match token {
            AuthorizationToken::UseValue { .. } => {}
            AuthorizationToken::Register { .. } => {
                return Err(Violation::new(
                    SessionErrorCode::AuthTokenCacheOverflow,
                    "a token was registered, and we offer no token cache",
                ));
            }
            // No request error has this meaning, so the session has to end.
            AuthorizationToken::UseAlias { alias } | AuthorizationToken::Delete { alias } => {
                return Err(Violation::new(
                    SessionErrorCode::UnknownAuthTokenAlias,
                    format!("token alias {alias} is not registered"),
                ));
            }
        }
    }
    Ok(())
}

/// Tokens of CLIENT_SETUP: one that does not fit the cache is used by value (draft-14 §9.3.2.5, draft-16 §9.3.1.5).
pub(super) fn check_client_setup(tokens: &[AuthorizationToken], rules: &Rules) -> Checked {
    for token in tokens {
        match token {
            AuthorizationToken::Register { .. } => {}
            AuthorizationToken::UseAlias { .. } | AuthorizationToken::Delete { .. }
                if !rules.setup_token_aliases =>
            {
                return Err(Violation::protocol("a token alias is used or deleted in CLIENT_SETUP"));
            }
            token => check(std::slice::from_ref(token))?,
        }
    }
    Ok(())
}

/// The tokens of a request.
pub(super) fn tokens(request: &Request) -> &[AuthorizationToken] {
    match request {
        Request::Subscribe(subscribe) | Request::TrackStatus(subscribe) => &subscribe.authorization_tokens,
        Request::Publish(publish) => &publish.authorization_tokens,
        Request::Fetch(fetch) => &fetch.authorization_tokens,
        Request::PublishNamespace(publish) => &publish.authorization_tokens,
        Request::SubscribeNamespace(subscribe) => &subscribe.authorization_tokens,
        _ => &[],
    }
}
