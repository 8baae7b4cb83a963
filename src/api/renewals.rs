//! What a peer says to prolong what it was allowed.

use std::fmt;
use std::sync::Arc;

use moqingbird_wire::model::AuthorizationToken;

use crate::driver::Standing;

/// Hears of the authorization tokens with which the peer updates a request of its own (draft-14 §9.10, draft-16 §9.11), from
/// before the request is answered until it is over. Made by [`IncomingRequest::renewals`].
///
/// [`IncomingRequest::renewals`]: super::IncomingRequest::renewals
pub struct Renewals {
    standing: Option<Standing>,
    told: Option<Arc<[AuthorizationToken]>>,
}

impl Renewals {
    pub(super) const fn new(standing: Option<Standing>) -> Self {
        Self { standing, told: None }
    }

    /// The tokens of the next update that has some, by value; of several that nobody has waited for, those of the last.
    /// `None`: the request is over. Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<[AuthorizationToken]>> {
        let told = &self.told;
        let is_new =
            |tokens: &&Arc<[AuthorizationToken]>| told.as_ref().is_none_or(|told| !Arc::ptr_eq(tokens, told));
        let heard = self.standing.as_ref()?.wait(|status| match &status.end {
            Some(_) => Some(None),
            None => status.tokens.as_ref().filter(is_new).map(|tokens| Some(tokens.clone())),
        });
        let tokens = heard.await;
        self.told.clone_from(&tokens);
        tokens
    }
}

/// Tokens are secrets.
impl fmt::Debug for Renewals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewals").finish_non_exhaustive()
    }
}
