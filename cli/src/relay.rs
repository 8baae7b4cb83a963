//! `moqt relay`.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use moqingbird::wire::model::SessionErrorCode;
use moqingbird::{Pem, Server, ServerCertificate, ServerOptions};
use moqingbird_interop::Drafts;
use moqingbird_relay::{Relay, RelayOptions};
use tokio::time::{sleep, timeout};

use crate::connection::FAREWELL;
use crate::exit::{Failure, Outcome};
use crate::logs::Verbosity;
use crate::mlog::{self, MlogArgs};
use crate::signals::Signals;

/// The port of MoQT tools in the field.
const PORT: u16 = 4443;
/// How long sessions have to say why they end, before the connections below them are closed.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Run a relay: raw QUIC and WebTransport, every draft, on one UDP port.
///
/// When it listens it prints one line: `listening ADDR[,ADDR..] certificate-sha256 HEX`. SIGINT and SIGTERM end it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Listen on this address, such as 0.0.0.0:4443; may be repeated [default: port 4443 of loopback, IPv4 and IPv6]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    bind: Vec<SocketAddr>,
    /// The certificate chain, PEM, the server's own first [default: a fresh one for development, valid for 10 days]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Allow only these drafts
    #[arg(long, value_name = "14|16|14,16")]
    draft: Option<Drafts>,
    #[command(flatten)]
    mlog: MlogArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "\
Examples:
  moqt relay
  moqt relay --bind 127.0.0.1:0
  moqt relay --bind 0.0.0.0:443 --bind [::]:443 --tls-cert fullchain.pem --tls-key privkey.pem";

pub(crate) async fn run(args: Args) -> Outcome {
    args.verbosity.start();
    let log = args.mlog.open()?;
    let mut server = Server::bind(&options(args)).map_err(Failure::input)?;
    if let Some(log) = &log {
        server = server.with_event_log(log.clone());
    }
    // Before anybody is told that the relay listens.
    let mut signals = Signals::listen()?;
    announce(&server)?;
    let relay = Relay::new(RelayOptions::default());
    tokio::select! {
        () = relay.run(&server) => {}
        _ = signals.end() => {}
    }
    take_leave(&relay, &server).await;
    mlog::finish(log).await;
    Ok(ExitCode::SUCCESS)
}

/// Tells every client that the relay ends. Those who do not take it find out by themselves.
async fn take_leave(relay: &Relay, server: &Server) {
    relay.close(SessionErrorCode::NoError, "the relay ends");
    sleep(LAST_WORDS).await;
    server.close(SessionErrorCode::NoError, "the relay ends");
    let _ = timeout(FAREWELL, server.drained()).await;
}

fn options(args: Args) -> ServerOptions {
    let mut options = ServerOptions::default();
    options.addresses = if args.bind.is_empty() { loopback() } else { args.bind };
    options.versions = args.draft.unwrap_or_else(Drafts::all).versions().to_vec();
    if let (Some(chain), Some(key)) = (args.tls_cert, args.tls_key) {
        options.certificate = ServerCertificate::Pem { chain: Pem::Path(chain), key: Pem::Path(key) };
    }
    options
}

fn announce(server: &Server) -> io::Result<()> {
    let addresses: Vec<_> = server.local_addrs().iter().map(ToString::to_string).collect();
    let mut out = io::stdout();
    writeln!(out, "listening {} certificate-sha256 {}", addresses.join(","), server.certificate_sha256())?;
    out.flush()
}

/// Both families, if this machine has both.
fn loopback() -> Vec<SocketAddr> {
    let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))];
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, PORT)));
    }
    addresses
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write IP:PORT, such as 127.0.0.1:4443 or [::]:4443".to_owned())
}
