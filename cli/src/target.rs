//! Whom `moqt pub` and `moqt sub` speak to, and of which track.

use std::net::SocketAddr;
use std::path::PathBuf;

use moqingbird::wire::model::FullTrackName;
use moqingbird::{Pem, ServerCertificate, ServerUrl};

use crate::connection::{namespace, track_name};
use crate::exit::Failure;
use crate::relay::address;

/// A server's URL or an address of one's own, and a track's name.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TargetArgs {
    /// The server: moqt://HOST:PORT/PATH for raw QUIC, https://HOST:PORT/PATH for WebTransport; port 443 unless given.
    /// Left out with --listen
    #[arg(value_name = "URL")]
    first: String,
    /// The namespace, its fields between slashes: live/cam
    #[arg(value_name = "NAMESPACE")]
    second: String,
    /// The track's name in the namespace
    #[arg(value_name = "TRACK", required_unless_present = "listen")]
    third: Option<String>,
    /// Connect to nobody: wait for peers at this address, over raw QUIC and WebTransport. Prints
    /// `listening ADDR certificate-sha256 HEX` on stderr
    #[arg(long, value_name = "ADDR", value_parser = address, conflicts_with_all = ["insecure", "ca", "pin"])]
    listen: Option<SocketAddr>,
    /// With --listen: the certificate chain, PEM [default: a fresh one for development]
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "listen"])]
    tls_cert: Option<PathBuf>,
    /// With --listen: the certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires_all = ["tls_cert", "listen"])]
    tls_key: Option<PathBuf>,
}

/// Where sessions come from.
#[derive(Debug)]
pub(crate) enum Peer {
    /// From a server.
    Server(ServerUrl),
    /// From those who connect to us.
    Clients { address: SocketAddr, certificate: ServerCertificate },
}

impl TargetArgs {
    pub(crate) fn resolve(self) -> Result<(Peer, FullTrackName), Failure> {
        let Self { first, second, third, listen, tls_cert, tls_key } = self;
        let (peer, space, name) = match (listen, third) {
            (None, Some(third)) => (Peer::Server(first.parse().map_err(Failure::input)?), second, third),
            (Some(address), None) => {
                let certificate = match (tls_cert, tls_key) {
                    (Some(chain), Some(key)) => {
                        ServerCertificate::Pem { chain: Pem::Path(chain), key: Pem::Path(key) }
                    }
                    _ => ServerCertificate::Development,
                };
                (Peer::Clients { address, certificate }, first, second)
            }
            (Some(_), Some(_)) => {
                let line = "--listen takes the place of the URL: write --listen ADDR NAMESPACE TRACK";
                return Err(Failure::input(line));
            }
            (None, None) => return Err(Failure::input("<TRACK> is missing; --help tells more")),
        };
        let namespace = namespace(&space).map_err(|problem| {
            Failure::Input(format!("`{space}` is no namespace: {problem}; fields stand between slashes"))
        })?;
        Ok((peer, track_name(namespace, name)?))
    }
}
