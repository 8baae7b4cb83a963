//! Tokens, and where a session's are found.

use std::fmt;

use bytes::Bytes;
use moqingbird::wire::model::AuthorizationToken;

use crate::links;

/// The keys of a URL's query whose values are tokens.
const QUERY_KEYS: [&str; 2] = ["token", "jwt"];

/// A token by value. Its debug form never shows it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// The type: 0, which also tokens of a query have, is agreed out of band.
    pub token_type: u64,
    /// The token.
    pub value: Bytes,
}

impl Token {
    /// Tokens of a message, whose aliases the session has resolved; without what relays tell each other in that form.
    pub(super) fn of_message(tokens: &[AuthorizationToken]) -> Vec<Self> {
        let value = |token: &AuthorizationToken| match token {
            AuthorizationToken::UseValue { token_type, value }
            | AuthorizationToken::Register { token_type, value, .. } => {
                Some(Self { token_type: *token_type, value: value.clone() })
            }
            AuthorizationToken::UseAlias { .. } | AuthorizationToken::Delete { .. } => None,
        };
        tokens.iter().filter_map(value).filter(|token| token.token_type != links::TOKEN_TYPE).collect()
    }

    /// Tokens in the query of a path: `/live?token=..`. Percent-encoding is taken as it is, since no token needs it.
    pub(super) fn of_path(path: &str) -> Vec<Self> {
        let Some((_, query)) = path.split_once('?') else { return Vec::new() };
        let value = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            let is_token = QUERY_KEYS.contains(&key) && !value.is_empty();
            is_token.then(|| Self { token_type: 0, value: Bytes::copy_from_slice(value.as_bytes()) })
        };
        query.split('&').filter_map(value).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token {{ token_type: {}, value: {} bytes }}", self.token_type, self.value.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_path_may_hold_tokens() {
        let values = |path| -> Vec<_> { Token::of_path(path).into_iter().map(|token| token.value).collect() };
        assert_eq!(values("/live?token=a.b.c"), ["a.b.c"]);
        assert_eq!(values("/live?x=1&jwt=a&token=b"), ["a", "b"]);
        assert!(values("/live").is_empty());
        assert!(values("/live?tokens=a&token=&token").is_empty());
    }

    #[test]
    fn a_token_is_not_shown() {
        let shown = format!("{:?}", Token::of_path("/?token=secret"));
        assert_eq!(shown, "[Token { token_type: 0, value: 6 bytes }]");
    }
}
