//! A server's certificate, read anew when its files change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pem::{CertificateError, Pem};
use super::{CertificateHash, ServerCertificate};

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

/// The certificate that is shown now. Files that have changed are read at the next handshake; as long as what is in them
/// cannot be used, the old certificate stays.
#[derive(Debug)]
pub(in crate::transport) struct Reloading {
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    source: ServerCertificate,
    key: Arc<CertifiedKey>,
    hash: CertificateHash,
    stamps: Vec<Stamp>,
    looked: Instant,
}

/// When a file was written, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

impl Reloading {
    pub(in crate::transport) fn new(source: ServerCertificate) -> Result<Arc<Self>, CertificateError> {
        Ok(Arc::new(Self { current: Mutex::new(Current::load(source)?) }))
    }

    /// Shows another certificate from now on, or the same, read anew. If it cannot be used, the old one stays.
    pub(in crate::transport) fn show(
        &self,
        source: ServerCertificate,
    ) -> Result<CertificateHash, CertificateError> {
        let loaded = Current::load(source)?;
        let hash = loaded.hash;
        *self.lock() = loaded;
        Ok(hash)
    }

    /// The SHA-256 of the certificate.
    pub(in crate::transport) fn hash(&self) -> CertificateHash {
        self.current().hash
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        let mut current = self.lock();
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            current.look();
        }
        current
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn load(source: ServerCertificate) -> Result<Self, CertificateError> {
        // The stamps come first: what changes meanwhile is seen later.
        let stamps = stamps(&source);
        let (key, hash) = source.load()?;
        Ok(Self { source, key: Arc::new(key), hash, stamps, looked: Instant::now() })
    }

    fn look(&mut self) {
        let stamps = stamps(&self.source);
        if stamps == self.stamps {
            return;
        }
        // Of files that are written one after the other, the last completes the pair.
        self.stamps = stamps;
        match self.source.load() {
            Ok((key, hash)) => {
                tracing::info!(certificate = %hash, "the certificate has changed on disk: it is shown from now on");
                (self.key, self.hash) = (Arc::new(key), hash);
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate has changed on disk and cannot be used: the old one stays");
            }
        }
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current().key))
    }
}

fn stamps(source: &ServerCertificate) -> Vec<Stamp> {
    let ServerCertificate::Pem { chain, key } = source else { return Vec::new() };
    let stamp = |pem: &Pem| match pem {
        Pem::Path(path) => {
            let file = std::fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len()))
        }
        Pem::Text(_) => None,
    };
    vec![stamp(chain), stamp(key)]
}
