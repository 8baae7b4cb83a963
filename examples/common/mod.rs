//! What the examples share: whom a program speaks to.

use std::net::SocketAddr;

use moqingbird::{CertificateHash, Client, ClientOptions, Origin, Server, ServerOptions, ServerUrl, Trust};
use tokio::task::JoinSet;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The peers of a program: relays, or other examples that listen.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Peers {
    /// Connect to this relay or program, moqt://HOST:PORT or https://HOST:PORT; may be repeated
    #[arg(long = "peer", value_name = "URL")]
    urls: Vec<ServerUrl>,
    /// Trust only the certificates of these SHA-256; otherwise those that the system trusts
    #[arg(long, value_name = "SHA256")]
    pin: Vec<CertificateHash>,
    /// Let others connect here; prints `listening ADDR certificate-sha256 HEX` on stderr
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

/// The connections of an origin, for as long as this is held.
pub(crate) struct Met {
    pub(crate) clients: Vec<Client>,
    _accepting: JoinSet<()>,
}

impl Peers {
    /// Puts an origin in touch with its peers. A connection that is lost is made again.
    pub(crate) fn meet(&self, origin: &Origin) -> Result<Met> {
        let mut options = ClientOptions::default();
        if !self.pin.is_empty() {
            options.connect.trust = Trust::Pinned(self.pin.clone());
        }
        let connect = |url: &ServerUrl| Client::start(url.clone(), options.clone(), origin);
        let clients = self.urls.iter().map(connect).collect();

        let mut accepting = JoinSet::new();
        if let Some(address) = self.listen {
            let mut options = ServerOptions::default();
            options.addresses = vec![address];
            let server = Server::bind(&options)?;
            let (address, certificate) = (server.local_addrs()[0], server.certificate_sha256());
            eprintln!("listening {address} certificate-sha256 {certificate}");
            accepting.spawn(accept(server, origin.clone()));
        }
        Ok(Met { clients, _accepting: accepting })
    }
}

/// Serves everybody who connects.
async fn accept(server: Server, origin: Origin) {
    let mut sessions = JoinSet::new();
    while let Some(incoming) = server.accept().await {
        let origin = origin.clone();
        sessions.spawn(async move {
            match incoming.accept().await {
                Ok(session) => drop(origin.serve(&session).await),
                Err(error) => eprintln!("{error}"),
            }
        });
    }
}
