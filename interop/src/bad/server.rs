//! The socket: connections are accepted in one draft, over raw QUIC.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use moqingbird::{CertificateHash, ClientOptions, ServerUrl, Trust, Version};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::task::{JoinHandle, JoinSet};

use super::BadRelay;
use super::peer::{self, Shared};
use crate::Target;

/// A bad relay that listens on a free loopback port. Dropping it stops it.
#[derive(Debug)]
pub struct RunningBadRelay {
    url: ServerUrl,
    certificate: CertificateHash,
    version: Version,
    running: JoinHandle<()>,
}

impl RunningBadRelay {
    /// Starts it. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// There is no port or no certificate to be had.
    pub fn start(relay: BadRelay, version: Version) -> io::Result<Self> {
        Self::start_patient(relay, version, 1)
    }

    /// As [`RunningBadRelay::start`], for cases whose time limits are multiplied: so is the delay of [`BadRelay::Late`].
    ///
    /// # Errors
    /// There is no port or no certificate to be had.
    pub fn start_patient(relay: BadRelay, version: Version, patience: u32) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])
            .map_err(io::Error::other)?;
        let certificate = CertificateHash::of(made.cert.der());
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|tls| {
                tls.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into())
            })
            .map_err(io::Error::other)?;
        tls.alpn_protocols = vec![version.protocol().as_bytes().to_vec()];
        let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        let endpoint = quinn::Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let url = format!("moqt://{}/", endpoint.local_addr()?).parse().map_err(io::Error::other)?;
        let shared = Arc::new(Shared::new(relay, version, patience));
        let running = tokio::spawn(serve(endpoint, shared));
        Ok(Self { url, certificate, version, running })
    }

    /// A session with it.
    pub fn target(&self) -> Target {
        let mut options = ClientOptions::default();
        options.connect.versions = vec![self.version];
        options.connect.trust = Trust::Pinned(vec![self.certificate]);
        Target::new(self.url.clone(), options)
    }
}

impl Drop for RunningBadRelay {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn serve(endpoint: quinn::Endpoint, shared: Arc<Shared>) {
    let mut peers = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        let shared = shared.clone();
        peers.spawn(async move {
            // A client that fails to connect is no concern of ours.
            if let Ok(connection) = incoming.await {
                peer::serve(shared, connection).await;
            }
        });
        while peers.try_join_next().is_some() {}
    }
}
