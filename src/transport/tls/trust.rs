//! Whom a client trusts, and what it remembers of a certificate that it refused.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::pem::{CertificateError, Pem};
use super::{CertificateHash, provider};

/// By what a client recognises the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// A chain that leads to a root certificate, for the name in the URL.
    Roots {
        /// Whether the system's roots count.
        system: bool,
        /// Further roots.
        extra: Vec<Pem>,
    },
    /// A certificate with one of these hashes, whatever its names and dates.
    Pinned(Vec<CertificateHash>),
    /// Any certificate at all: whoever sits on the path can read and change everything. For tests on one's own machine; each
    /// connection logs a warning.
    Insecure,
}

impl Default for Trust {
    /// The system's roots.
    fn default() -> Self {
        Self::Roots { system: true, extra: Vec::new() }
    }
}

impl Trust {
    /// The rule in the form that handshakes use. It reads files.
    pub(in crate::transport) fn load(&self) -> Result<Rule, CertificateError> {
        Ok(match self {
            Self::Roots { system, extra } => Rule::Roots(roots(*system, extra)?),
            Self::Pinned(hashes) => Rule::Pinned(hashes.clone()),
            Self::Insecure => Rule::Insecure,
        })
    }
}

fn roots(system: bool, extra: &[Pem]) -> Result<Arc<WebPkiServerVerifier>, CertificateError> {
    let mut store = RootCertStore::empty();
    if system {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "a root certificate of the system was left out");
        }
        // Systems carry a few roots that rustls does not understand; those are not missed.
        store.add_parsable_certificates(found.certs);
    }
    for pem in extra {
        for certificate in pem.certificates()? {
            store.add(certificate).map_err(|error| CertificateError::malformed(pem, &error))?;
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider())
        .build()
        .map_err(|_| CertificateError::NoRoots)
}

/// A [`Trust`] that has been read.
#[derive(Clone, Debug)]
pub(in crate::transport) enum Rule {
    Roots(Arc<WebPkiServerVerifier>),
    Pinned(Vec<CertificateHash>),
    Insecure,
}

/// The certificate that a handshake refused, and why.
#[derive(Clone, Debug)]
pub(in crate::transport) struct Refusal {
    pub(in crate::transport) certificate: CertificateHash,
    pub(in crate::transport) reason: String,
}

/// Judges the certificate of one handshake. QUIC reports only an alert's number, so the reason is kept here.
#[derive(Debug)]
pub(in crate::transport) struct Verifier {
    rule: Rule,
    refusal: Mutex<Option<Refusal>>,
}

impl Verifier {
    pub(in crate::transport) fn new(rule: Rule) -> Arc<Self> {
        Arc::new(Self { rule, refusal: Mutex::default() })
    }

    /// Why the certificate was refused, if it was.
    pub(in crate::transport) fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuse(&self, certificate: CertificateHash, reason: &dyn fmt::Display) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Refusal { certificate, reason: reason.to_string() });
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let hash = CertificateHash::of(leaf);
        match &self.rule {
            Rule::Roots(roots) => roots
                .verify_server_cert(leaf, intermediates, name, ocsp, now)
                .inspect_err(|error| self.refuse(hash, error)),
            Rule::Pinned(hashes) if hashes.contains(&hash) => Ok(ServerCertVerified::assertion()),
            Rule::Pinned(_) => {
                self.refuse(hash, &"its SHA-256 is not the pinned one");
                Err(rustls::CertificateError::ApplicationVerificationFailure.into())
            }
            Rule::Insecure => {
                tracing::warn!(
                    server = ?name, certificate = %hash,
                    "CERTIFICATE VERIFICATION IS OFF: anybody on the path can read and change this connection"
                );
                Ok(ServerCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // QUIC is TLS 1.3 only (RFC 9001 §4.2).
        Err(rustls::PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // Under every rule: the server must hold the key of the certificate that it shows.
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
