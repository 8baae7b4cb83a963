//! Authorization tokens (draft-14 §9.2.1.1, draft-16 §9.2.2.1).
//!
//! A token can be registered under an alias, and be named by that from then on. Each direction has aliases of its own, and
//! the receiver says how many bytes of them it remembers (MAX_AUTH_TOKEN_CACHE_SIZE). The application never sees an alias
//! of the peer's: what it is given are values. Whether those are good is its matter.

use std::collections::BTreeMap;

use bytes::Bytes;
use moqingbird_wire::Rules;
use moqingbird_wire::model::{AuthorizationToken, Message, Request, SessionErrorCode};

use super::{Checked, Misuse, Violation};

/// What an alias costs besides the bytes of its token.
const OVERHEAD: u64 = 16;

/// How much of a cache the aliases of one direction take.
#[derive(Clone, Debug)]
struct Cache<T> {
    limit: u64,
    used: u64,
    known: BTreeMap<u64, (u64, T)>,
}

/// Why an alias cannot be registered.
enum Refused {
    Known,
    Full,
}

impl<T> Cache<T> {
    const fn new(limit: u64) -> Self {
        Self { limit, used: 0, known: BTreeMap::new() }
    }

    /// Exactly full is not over-full.
    fn register(&mut self, alias: u64, length: usize, token: T) -> Result<(), Refused> {
        if self.known.contains_key(&alias) {
            return Err(Refused::Known);
        }
        let cost = OVERHEAD + length as u64;
        if self.used.saturating_add(cost) > self.limit {
            return Err(Refused::Full);
        }
        self.used += cost;
        self.known.insert(alias, (cost, token));
        Ok(())
    }

    fn delete(&mut self, alias: u64) -> bool {
        let Some((cost, _)) = self.known.remove(&alias) else { return false };
        self.used -= cost;
        true
    }
}

/// Tokens that the peer has registered.
#[derive(Debug)]
pub(super) struct TheirTokens {
    cache: Cache<(u64, Bytes)>,
}

impl TheirTokens {
    pub(super) const fn new(limit: u64) -> Self {
        Self { cache: Cache::new(limit) }
    }

    /// How much of the cache is taken.
    pub(super) const fn bytes(&self) -> u64 {
        self.cache.used
    }

    /// The tokens of a message, or of SERVER_SETUP, by value. What is registered stays so whatever becomes of the message.
    pub(super) fn resolve(&mut self, tokens: &mut Vec<AuthorizationToken>) -> Checked {
        let mut values = Vec::with_capacity(tokens.len());
        for token in std::mem::take(tokens) {
            values.extend(self.value(token)?);
        }
        *tokens = values;
        Ok(())
    }

    /// The tokens of CLIENT_SETUP: one that does not fit the cache is used by value (draft-14 §9.3.2.5, draft-16
    /// §9.3.1.5).
    pub(super) fn resolve_client_setup(
        &mut self,
        tokens: &mut Vec<AuthorizationToken>,
        rules: &Rules,
    ) -> Checked {
        for token in tokens.iter_mut() {
            match token {
                AuthorizationToken::UseAlias { .. } | AuthorizationToken::Delete { .. }
                    if !rules.setup_token_aliases =>
                {
                    return Err(Violation::protocol("a token alias is used or deleted in CLIENT_SETUP"));
                }
                AuthorizationToken::Register { alias, token_type, value } => {
                    let kept = (*token_type, Bytes::copy_from_slice(value));
                    if let Err(Refused::Known) = self.cache.register(*alias, value.len(), kept) {
                        return Err(registered_twice(*alias));
                    }
                    *token = AuthorizationToken::UseValue { token_type: *token_type, value: value.clone() };
                }
                _ => {}
            }
        }
        self.resolve(tokens)
    }

    /// `None`: nothing is used.
    fn value(&mut self, token: AuthorizationToken) -> Checked<Option<AuthorizationToken>> {
        match token {
            AuthorizationToken::UseValue { .. } => Ok(Some(token)),
            AuthorizationToken::Register { alias, token_type, value } => {
                // A copy, since the value is a part of all that was received with it.
                let kept = (token_type, Bytes::copy_from_slice(&value));
                match self.cache.register(alias, value.len(), kept) {
                    Ok(()) => Ok(Some(AuthorizationToken::UseValue { token_type, value })),
                    Err(Refused::Known) => Err(registered_twice(alias)),
                    Err(Refused::Full) => Err(Violation::new(
                        SessionErrorCode::AuthTokenCacheOverflow,
                        format!("token alias {alias} exceeds the cache of {} bytes", self.cache.limit),
                    )),
                }
            }
            AuthorizationToken::UseAlias { alias } => match self.cache.known.get(&alias) {
                Some((_, (token_type, value))) => {
                    Ok(Some(AuthorizationToken::UseValue { token_type: *token_type, value: value.clone() }))
                }
                None => Err(unknown_alias(alias)),
            },
            AuthorizationToken::Delete { alias } => match self.cache.delete(alias) {
                true => Ok(None),
                false => Err(unknown_alias(alias)),
            },
        }
    }
}

fn registered_twice(alias: u64) -> Violation {
    let reason = format!("token alias {alias} is registered twice");
    Violation::new(SessionErrorCode::DuplicateAuthTokenAlias, reason)
}

/// No request error has this meaning, so the session has to end.
fn unknown_alias(alias: u64) -> Violation {
    let reason = format!("token alias {alias} is not registered");
    Violation::new(SessionErrorCode::UnknownAuthTokenAlias, reason)
}

/// Tokens that we have registered with the peer.
#[derive(Clone, Debug)]
pub(super) struct OurTokens {
    cache: Cache<()>,
}

impl OurTokens {
    /// Nothing can be registered before the peer has said how much it remembers.
    pub(super) const fn new() -> Self {
        Self { cache: Cache::new(0) }
    }

    /// The tokens of our SETUP, as far as they mean something there: no alias is known yet.
    pub(super) fn in_setup(tokens: &[AuthorizationToken]) -> Vec<AuthorizationToken> {
        let says_value = |token: &&AuthorizationToken| {
            matches!(token, AuthorizationToken::Register { .. } | AuthorizationToken::UseValue { .. })
        };
        tokens.iter().filter(says_value).cloned().collect()
    }

    /// The peer has said in its SETUP how much it remembers: of our own SETUP's tokens, what fits (draft-14 §9.3.2.5,
    /// draft-16 §9.3.1.5). The others become tokens by value.
    pub(super) fn limited(limit: u64, in_setup: &mut [AuthorizationToken]) -> Self {
        let mut ours = Self { cache: Cache::new(limit) };
        for token in in_setup {
            if let AuthorizationToken::Register { alias, token_type, value } = token
                && ours.cache.register(*alias, value.len(), ()).is_err()
            {
                *token = AuthorizationToken::UseValue { token_type: *token_type, value: value.clone() };
            }
        }
        ours
    }

    /// What is registered after a message with these tokens.
    pub(super) fn after(&self, tokens: &[AuthorizationToken]) -> Result<Self, Misuse> {
        const UNKNOWN: Misuse = Misuse::WrongState("the token alias is not registered");
        let mut ours = self.clone();
        for token in tokens {
            match token {
                AuthorizationToken::UseValue { .. } => {}
                AuthorizationToken::Register { alias, value, .. } => {
                    ours.cache.register(*alias, value.len(), ()).map_err(|refused| match refused {
                        Refused::Known => Misuse::WrongState("the token alias is registered already"),
                        Refused::Full => Misuse::WrongState("the peer's token cache has no room"),
                    })?;
                }
                AuthorizationToken::UseAlias { alias } if ours.cache.known.contains_key(alias) => {}
                AuthorizationToken::Delete { alias } if ours.cache.delete(*alias) => {}
                _ => return Err(UNKNOWN),
            }
        }
        Ok(ours)
    }
}

/// The tokens of a message with a new Request ID.
pub(super) fn tokens(message: &Message) -> &[AuthorizationToken] {
    match message {
        Message::Request { request, .. } => of_request(request),
        Message::RequestUpdate { update, .. } => &update.authorization_tokens,
        _ => &[],
    }
}

fn of_request(request: &Request) -> &[AuthorizationToken] {
    match request {
        Request::Subscribe(subscribe) | Request::TrackStatus(subscribe) => &subscribe.authorization_tokens,
        Request::Publish(publish) => &publish.authorization_tokens,
        Request::Fetch(fetch) => &fetch.authorization_tokens,
        Request::PublishNamespace(publish) => &publish.authorization_tokens,
        Request::SubscribeNamespace(subscribe) => &subscribe.authorization_tokens,
        _ => &[],
    }
}

pub(super) fn tokens_mut(request: &mut Request) -> Option<&mut Vec<AuthorizationToken>> {
    Some(match request {
        Request::Subscribe(subscribe) | Request::TrackStatus(subscribe) => {
            &mut subscribe.authorization_tokens
        }
        Request::Publish(publish) => &mut publish.authorization_tokens,
        Request::Fetch(fetch) => &mut fetch.authorization_tokens,
        Request::PublishNamespace(publish) => &mut publish.authorization_tokens,
        Request::SubscribeNamespace(subscribe) => &mut subscribe.authorization_tokens,
        _ => return None,
    })
}
