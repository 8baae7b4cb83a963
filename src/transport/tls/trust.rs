//! Whom a client trusts, and what it remembers of a certificate that it refused.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// Any certificate at all, as `Insecure` has it; but what these roots have against it is told by
    /// [`examine`](crate::examine). For tools that report on servers.
    Observe {
        /// Whether the system's roots count.
        system: bool,
        /// Further roots.
        extra: Vec<Pem>,
    },
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
            Self::Observe { system, extra } => Rule::Observe(match roots(*system, extra) {
                Err(CertificateError::NoRoots) => None,
                found => Some(found?),
            }),
        })
    }
}

fn roots(system: bool, extra: &[Pem]) -> Result<Arc<WebPkiServerVerifier>, CertificateError> {
    let mut store = if system { system_roots() } else { Arc::new(RootCertStore::empty()) };
    for pem in extra {
        for certificate in pem.certificates()? {
            Arc::make_mut(&mut store)
                .add(certificate)
                .map_err(|error| CertificateError::malformed(pem, &error))?;
        }
    }
    WebPkiServerVerifier::builder_with_provider(store, provider())
        .build()
        .map_err(|_| CertificateError::NoRoots)
}

/// How long the system's roots are held: reading them takes tens of milliseconds, and they change seldom.
const ROOTS_HELD: Duration = Duration::from_secs(3600);
static SYSTEM_ROOTS: Mutex<Option<(Instant, Arc<RootCertStore>)>> = Mutex::new(None);

fn system_roots() -> Arc<RootCertStore> {
    let mut held = SYSTEM_ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((since, roots)) = &*held
        && since.elapsed() < ROOTS_HELD
    {
        return roots.clone();
    }
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a root certificate of the system was left out");
    }
    let mut roots = RootCertStore::empty();
    // Systems carry a few roots that rustls does not understand; those are not missed.
    roots.add_parsable_certificates(found.certs);
    let roots = Arc::new(roots);
    // A machine that has none may get them any time.
    if !roots.is_empty() {
        *held = Some((Instant::now(), roots.clone()));
    }
    roots
}

/// A [`Trust`] that has been read.
#[derive(Clone, Debug)]
pub(in crate::transport) enum Rule {
    Roots(Arc<WebPkiServerVerifier>),
    Pinned(Vec<CertificateHash>),
    Insecure,
    /// Nothing where there are no roots.
    Observe(Option<Arc<WebPkiServerVerifier>>),
}

/// The certificate that a server showed, and what the client's [`Trust`] has against it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenCertificate {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// Why it is not trusted. `None`: it is, or nothing was asked of it.
    pub distrust: Option<Distrust>,
}

impl SeenCertificate {
    /// The SHA-256 of the certificate.
    pub fn sha256(&self) -> CertificateHash {
        CertificateHash::of(&self.der)
    }
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Distrust {
    /// In one word.
    pub kind: DistrustKind,
    /// In the words of whoever judged.
    pub reason: String,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// What kind of thing is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DistrustKind {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is for other names than the URL's.
    WrongName,
    /// No root that is trusted leads to it.
    UnknownIssuer,
    /// It is not the one that was pinned.
    NotPinned,
    /// This machine trusts nobody.
    NoRoots,
    /// Something else.
    Other,
}

impl Distrust {
    fn new(kind: DistrustKind, reason: impl fmt::Display) -> Self {
        Self { kind, reason: reason.to_string() }
    }
}

impl From<&rustls::Error> for Distrust {
    fn from(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Wrong;
        let kind = match error {
            rustls::Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. }) => {
                DistrustKind::Expired
            }
            rustls::Error::InvalidCertificate(Wrong::NotValidYet | Wrong::NotValidYetContext { .. }) => {
                DistrustKind::NotYetValid
            }
            rustls::Error::InvalidCertificate(
                Wrong::NotValidForName | Wrong::NotValidForNameContext { .. },
            ) => DistrustKind::WrongName,
            rustls::Error::InvalidCertificate(Wrong::UnknownIssuer) => DistrustKind::UnknownIssuer,
            _ => DistrustKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Judges the certificate of one handshake, and keeps what it saw: QUIC reports only an alert's number.
#[derive(Debug)]
pub(in crate::transport) struct Verifier {
    rule: Rule,
    seen: Mutex<Option<SeenCertificate>>,
}

impl Verifier {
    pub(in crate::transport) fn new(rule: Rule) -> Arc<Self> {
        Arc::new(Self { rule, seen: Mutex::default() })
    }

    /// The certificate that the server showed, if the handshake came so far.
    pub(in crate::transport) fn seen(&self) -> Option<SeenCertificate> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The certificate, if it was refused, and why.
    pub(in crate::transport) fn refusal(&self) -> Option<(CertificateHash, Distrust)> {
        if matches!(self.rule, Rule::Observe(_)) {
            return None;
        }
        let seen = self.seen()?;
        Some((seen.sha256(), seen.distrust?))
    }

    fn saw(&self, leaf: &CertificateDer<'_>, distrust: Option<Distrust>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(SeenCertificate { der: leaf.to_vec(), distrust });
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
        let verify = |roots: &WebPkiServerVerifier| {
            let judged = roots.verify_server_cert(leaf, intermediates, name, ocsp, now);
            self.saw(leaf, judged.as_ref().err().map(Distrust::from));
            judged
        };
        match &self.rule {
            Rule::Roots(roots) => verify(roots),
            Rule::Pinned(hashes) if hashes.contains(&CertificateHash::of(leaf)) => {
                self.saw(leaf, None);
                Ok(ServerCertVerified::assertion())
            }
            Rule::Pinned(_) => {
                let reason = "its SHA-256 is not the pinned one";
                self.saw(leaf, Some(Distrust::new(DistrustKind::NotPinned, reason)));
                Err(rustls::CertificateError::ApplicationVerificationFailure.into())
            }
            Rule::Insecure => {
                tracing::warn!(
                    server = ?name, certificate = %CertificateHash::of(leaf),
                    "CERTIFICATE VERIFICATION IS OFF: anybody on the path can read and change this connection"
                );
                self.saw(leaf, None);
                Ok(ServerCertVerified::assertion())
            }
            Rule::Observe(Some(roots)) => {
                // Whatever they say: it is kept.
                let _ = verify(roots);
                Ok(ServerCertVerified::assertion())
            }
            Rule::Observe(None) => {
                let reason = "this machine has no root certificates to verify it by";
                self.saw(leaf, Some(Distrust::new(DistrustKind::NoRoots, reason)));
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
