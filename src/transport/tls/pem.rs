//! Certificates and keys as people keep them: PEM, in a file or at hand.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where PEM text comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// A file, read when it is needed.
    Path(PathBuf),
    /// The text itself.
    Text(Vec<u8>),
}

impl Pem {
    /// The certificates in it, of which there must be one at least.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let text = self.text()?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = certificates.map_err(|error| CertificateError::malformed(self, &error))?;
        if certificates.is_empty() {
            return Err(CertificateError::NoCertificate { source_name: self.to_string() });
        }
        Ok(certificates)
    }

    /// The first private key in it.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        PrivateKeyDer::from_pem_slice(&self.text()?).map_err(|error| match error {
            pem::Error::NoItemsFound => CertificateError::NoKey { source_name: self.to_string() },
            error => CertificateError::malformed(self, &error),
        })
    }

    fn text(&self) -> Result<Cow<'_, [u8]>, CertificateError> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Path(path) => std::fs::read(path)
                .map(Into::into)
                .map_err(|error| CertificateError::Unreadable { source_name: self.to_string(), error }),
        }
    }
}

impl fmt::Display for Pem {
    /// The file's name, as errors say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Text(_) => f.write_str("the PEM text given"),
        }
    }
}

impl fmt::Debug for Pem {
    /// Without the text, which may be a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({self})")
    }
}

/// Why certificates or a key cannot be used. `source_name` is the file's name.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file cannot be read.
    Unreadable {
        /// Which file.
        source_name: String,
        /// What the system said.
        error: io::Error,
    },
    /// It is not PEM, or its contents are not what the PEM says.
    Malformed {
        /// Which file.
        source_name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It is PEM without a certificate.
    NoCertificate {
        /// Which file.
        source_name: String,
    },
    /// It is PEM without a private key.
    NoKey {
        /// Which file.
        source_name: String,
    },
    /// The key is not the key of the chain's first certificate.
    KeyMismatch {
        /// The file with the certificates.
        chain: String,
        /// The file with the key.
        key: String,
    },
    /// The system has no root certificates, and none were given.
    NoRoots,
    /// The development certificate could not be made.
    Development(String),
}

impl CertificateError {
    pub(super) fn malformed(pem: &Pem, problem: &dyn fmt::Display) -> Self {
        Self::Malformed { source_name: pem.to_string(), problem: problem.to_string() }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { source_name, error } => write!(f, "cannot read {source_name}: {error}"),
            Self::Malformed { source_name, problem } => {
                write!(f, "{source_name} cannot be used: {problem}; it must be PEM")
            }
            Self::NoCertificate { source_name } => write!(
                f,
                "{source_name} has no certificate in it: it needs a `-----BEGIN CERTIFICATE-----` block"
            ),
            Self::NoKey { source_name } => write!(
                f,
                "{source_name} has no private key in it: it needs a `-----BEGIN PRIVATE KEY-----` block"
            ),
            Self::KeyMismatch { chain, key } => write!(
                f,
                "the key in {key} does not match the first certificate in {chain}: give the pair that belongs together, \
                 the server's own certificate first in its file"
            ),
            Self::NoRoots => f.write_str(
                "this system has no root certificates: install them (package ca-certificates), name a file of roots, pin the \
                 server's certificate by its SHA-256, or turn verification off for a test",
            ),
            Self::Development(problem) => {
                write!(f, "cannot make a development certificate ({problem}): give a certificate and a key")
            }
        }
    }
}

impl std::error::Error for CertificateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            _ => None,
        }
    }
}
