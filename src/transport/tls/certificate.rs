//! The certificate that a server shows.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::pem::{CertificateError, Pem};
use super::{CertificateHash, provider};

/// How long a development certificate is valid. Browsers accept at most 14 days with `serverCertificateHashes`.
const DEVELOPMENT_VALIDITY: Duration = Duration::days(10);
/// How far a client's clock may lag behind ours.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// The certificate and key of a server.
#[derive(Clone, Debug, Default)]
pub enum ServerCertificate {
    /// A fresh self-signed certificate for `localhost`, `127.0.0.1` and `::1`: ECDSA P-256, valid for 10 days, so that
    /// browsers accept it by its SHA-256. Clients must pin that hash or verify nothing.
    #[default]
    Development,
    /// A certificate of one's own.
    Pem {
        /// The chain, the server's own certificate first.
        chain: Pem,
        /// The private key of that certificate: PKCS #8, PKCS #1 or SEC 1.
        key: Pem,
    },
}

impl ServerCertificate {
    /// Reads or makes the certificate; with the SHA-256 of the first of the chain.
    pub(in crate::transport) fn load(&self) -> Result<(CertifiedKey, CertificateHash), CertificateError> {
        let certified = match self {
            Self::Development => development()?,
            Self::Pem { chain, key } => read(chain, key)?,
        };
        let hash = CertificateHash::of(certified.cert.first().map_or(&[], |leaf| leaf.as_ref()));
        Ok((certified, hash))
    }
}

fn read(chain: &Pem, key: &Pem) -> Result<CertifiedKey, CertificateError> {
    let certificates = chain.certificates()?;
    let private = key.key()?;
    CertifiedKey::from_der(certificates, private, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            CertificateError::KeyMismatch { chain: chain.to_string(), key: key.to_string() }
        }
        rustls::Error::InvalidCertificate(_) => CertificateError::malformed(chain, &error),
        error => CertificateError::malformed(key, &error),
    })
}

fn development() -> Result<CertifiedKey, CertificateError> {
    let fail = |error: rcgen::Error| CertificateError::Development(error.to_string());
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).map_err(fail)?;
    params.not_before = OffsetDateTime::now_utc() - CLOCK_SKEW;
    params.not_after = params.not_before + DEVELOPMENT_VALIDITY;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fail)?;
    let certificate = params.self_signed(&key).map_err(fail)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    CertifiedKey::from_der(vec![certificate.into()], private, &provider())
        .map_err(|error| CertificateError::Development(error.to_string()))
}
