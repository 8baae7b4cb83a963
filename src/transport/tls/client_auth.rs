//! Clients that show certificates.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::pem::{CertificateError, Pem};
use super::provider;

/// What a client shows a server that asks for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, the client's own certificate first.
    pub chain: Pem,
    /// The private key of that certificate: PKCS #8, PKCS #1 or SEC 1.
    pub key: Pem,
}

impl ClientCertificate {
    pub(in crate::transport) fn load(&self) -> Result<Arc<ClientKey>, CertificateError> {
        Ok(Arc::new(ClientKey { chain: self.chain.certificates()?, key: self.key.key()? }))
    }
}

/// A [`ClientCertificate`] that has been read.
#[derive(Debug)]
pub(in crate::transport) struct ClientKey {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// Whether a server asks its clients for certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// It does not.
    #[default]
    Unasked,
    /// A client may show one, which must then lead to one of these roots.
    Optional(Vec<Pem>),
    /// A client must show one that leads to one of these roots.
    Required(Vec<Pem>),
}

impl ClientCertificates {
    /// The rule in the form that handshakes use. It reads files.
    pub(in crate::transport) fn load(&self) -> Result<Option<Arc<dyn ClientCertVerifier>>, CertificateError> {
        let (roots, required) = match self {
            Self::Unasked => return Ok(None),
            Self::Optional(roots) => (roots, false),
            Self::Required(roots) => (roots, true),
        };
        let mut store = RootCertStore::empty();
        for pem in roots {
            for certificate in pem.certificates()? {
                store.add(certificate).map_err(|error| CertificateError::malformed(pem, &error))?;
            }
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider());
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        builder.build().map(Some).map_err(|_| CertificateError::NoRoots)
    }
}
