//! TLS 1.3 below QUIC, with one crypto provider: ring.
//!
//! Configurations are built by `builder_with_provider` only: with a second provider anywhere in a program's dependency
//! graph, rustls's default builders panic at run time.

mod certificate;
mod client_auth;
mod pem;
mod reload;
mod trust;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use rustls::server::danger::ClientCertVerifier;

pub use certificate::ServerCertificate;
pub(super) use client_auth::ClientKey;
pub use client_auth::{ClientCertificate, ClientCertificates};
pub use pem::{CertificateError, Pem};
pub(super) use reload::Reloading;
pub use trust::{Distrust, DistrustKind, SeenCertificate, Trust};
pub(super) use trust::{Rule, Verifier};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// A client's side of TLS: what it offers, and whom it trusts.
pub(super) fn client(
    protocols: &[&str],
    verifier: Arc<Verifier>,
    key: Option<&ClientKey>,
) -> Result<Arc<QuicClientConfig>, rustls::Error> {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match key {
        Some(ClientKey { chain, key }) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn(protocols);
    config.key_log = Arc::new(rustls::KeyLogFile::new());
    let config =
        QuicClientConfig::try_from(config).map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(Arc::new(config))
}

/// A server's side of TLS: of the client's protocols it takes its own first.
pub(super) fn server(
    protocols: &[&str],
    certificate: Arc<dyn ResolvesServerCert>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<QuicServerConfig>, rustls::Error> {
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificate);
    config.alpn_protocols = alpn(protocols);
    config.key_log = Arc::new(rustls::KeyLogFile::new());
    let config =
        QuicServerConfig::try_from(config).map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(Arc::new(config))
}

fn alpn(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// A fresh random connection id of 16 bytes.
pub(super) fn connection_id() -> Result<quinn::ConnectionId, rustls::Error> {
    let mut bytes = [0; 16];
    provider().secure_random.fill(&mut bytes)?;
    Ok(quinn::ConnectionId::new(&bytes))
}

/// The SHA-256 of a certificate in DER. Written as 64 lower-case hexadecimal digits; read in either case, with or without
/// colons between the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificateHash([u8; 32]);

impl CertificateHash {
    /// The hash of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        let mut hash = [0; 32];
        // Every suite of this name hashes with SHA-256, so that no crate need be added for it.
        if let rustls::SupportedCipherSuite::Tls13(suite) =
            rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256
        {
            hash.copy_from_slice(suite.common.hash_provider.hash(certificate).as_ref());
        }
        Self(hash)
    }

    /// The bytes, as a browser's `serverCertificateHashes` takes them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CertificateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CertificateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CertificateHash {
    type Err = CertificateHashError;

    fn from_str(text: &str) -> Result<Self, CertificateHashError> {
        let fail = || CertificateHashError { input: text.to_owned() };
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|char| *char != ':')
            .map(|char| char.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or_else(fail)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(hash))
    }
}

/// A text that is not a [`CertificateHash`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateHashError {
    input: String,
}

impl fmt::Display for CertificateHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a certificate hash: write the SHA-256 as 64 hexadecimal digits", self.input)
    }
}

impl std::error::Error for CertificateHashError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_sha_256_in_lower_case_hex() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(CertificateHash::of(b"abc").to_string(), abc);
    }

    #[test]
    fn a_hash_is_read_in_either_case_and_with_colons() {
        let hash = CertificateHash::of(b"abc");
        let text = hash.to_string();
        let colons: Vec<_> =
            text.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(colons.join(":").to_uppercase().parse(), Ok(hash));
    }

    #[test]
    fn what_is_not_a_hash_is_refused_with_the_input() {
        for input in ["", "ab", &"g".repeat(64), &"a".repeat(63)] {
            let error = input.parse::<CertificateHash>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{input}`")), "{error}");
        }
    }
}
