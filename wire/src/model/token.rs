//! Authorization tokens (draft-14 §9.2.1.1, draft-16 §9.2.2.1).

use std::fmt;

use bytes::Bytes;

/// What one AUTHORIZATION TOKEN parameter says. Its debug form never shows a value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum AuthorizationToken {
    /// Forget an alias.
    Delete {
        /// The alias.
        alias: u64,
    },
    /// Remember a token under an alias, and use it here.
    Register {
        /// The alias.
        alias: u64,
        /// The token's type; 0 is agreed out of band.
        token_type: u64,
        /// The token.
        value: Bytes,
    },
    /// Use a token by its alias.
    UseAlias {
        /// The alias.
        alias: u64,
    },
    /// Use a token once.
    UseValue {
        /// The token's type; 0 is agreed out of band.
        token_type: u64,
        /// The token.
        value: Bytes,
    },
}

impl fmt::Debug for AuthorizationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete { alias } => write!(f, "Delete {{ alias: {alias} }}"),
            Self::Register { alias, token_type, value } => {
                write!(
                    f,
                    "Register {{ alias: {alias}, token_type: {token_type}, value: {} bytes }}",
                    value.len()
                )
            }
            Self::UseAlias { alias } => write!(f, "UseAlias {{ alias: {alias} }}"),
            Self::UseValue { token_type, value } => {
                write!(f, "UseValue {{ token_type: {token_type}, value: {} bytes }}", value.len())
            }
        }
    }
}
