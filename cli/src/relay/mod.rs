//! `moqt relay`.

mod certificate;
mod http;
mod links;
mod metrics;
mod settings;

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use moqingbird::session::Config;
use moqingbird::wire::model::SessionErrorCode;
use moqingbird::{EventLog, Pem, Server, ServerCertificate, ServerOptions};
use moqingbird_interop::Drafts;
use moqingbird_relay::auth::jwt::JwtAuthorizer;
use moqingbird_relay::{Relay, RelayOptions, Retry};
use tokio::time::{sleep, timeout};

use crate::connection::FAREWELL;
use crate::exit::{Failure, Outcome};
use crate::logs::Verbosity;
use crate::mlog;
use crate::signals::{Reload, Signals};
pub(crate) use settings::address;
use settings::{Auth, LogFormat, Settings};

/// The port of MoQT tools in the field.
const PORT: u16 = 4443;
/// How many requests a session may have open, unless something else is said.
const MAX_REQUESTS: u32 = 1_000;
/// How much of a session may be unread, unless something else is said: what is held of it besides is a multiple, for the
/// packets in which it came are not given back before all of their bytes are read.
const MAX_UNREAD: u32 = 4 * 1024 * 1024;
/// How long sessions have to leave, unless something else is said.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How long sessions have to say why they end, before the connections below them are closed.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Run a relay: raw QUIC and WebTransport, every draft, on one UDP port.
///
/// When it listens it prints one line: `listening ADDR[,ADDR..] certificate-sha256 HEX`, then ` http ADDR` with --http.
/// SIGINT and SIGTERM end it: it asks its sessions to leave (GOAWAY), and exits with status 0 when they have, or when the
/// drain time is over; a second signal ends it at once. SIGHUP has certificate and keys read anew.
///
/// Everything below can be set by a flag, by the environment, and by a TOML file whose keys are the flags' names; a flag
/// beats the environment, and the environment the file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "MOQT_RELAY_CONFIG")]
    config: Option<PathBuf>,
    /// Print the settings that hold, in TOML, and end
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "\
Examples:
  moqt relay
  moqt relay --bind 127.0.0.1:0
  moqt relay --bind 0.0.0.0:443 --bind [::]:443 --tls-cert fullchain.pem --tls-key privkey.pem --auth none
  moqt relay --bind 0.0.0.0:4443 --auth jwt --auth-keys keys --http 127.0.0.1:8080
  moqt relay --upstream moqt://relay.example:4443 --announce moqt://relay.example:4443
  moqt relay --config relay.toml --print-config";

pub(crate) async fn run(args: Args) -> Outcome {
    let settings = args.settings.resolve(args.config.as_deref())?;
    if args.print_config {
        write!(io::stdout(), "{}", settings.to_toml()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    match settings.log {
        Some(LogFormat::Json) => args.verbosity.start_json(),
        _ => args.verbosity.start(),
    }
    serve(&settings).await
}

async fn serve(settings: &Settings) -> Outcome {
    let options = server_options(settings)?;
    let (relay, keys) = relay(settings)?;
    let (links, client) = (links::links(settings)?, links::client(settings)?);
    let mut server = Server::bind(&options).map_err(Failure::input)?.with_session(session_options(settings));
    let log = event_log(settings)?;
    if let Some(log) = &log {
        server = server.with_event_log(log.clone());
    }
    // Before anybody is told that the relay listens.
    let mut signals = Signals::listen()?;
    let reload = Reload::listen()?;
    let server = Arc::new(server);
    let http = match settings.http {
        Some(address) => Some(http::serve(address, &relay, &server).await?),
        None => None,
    };
    announce(&server, http)?;
    let mut running = pin!(relay.run(&server));
    let mut linked = pin!(links::keep(&relay, links, &client));
    tokio::select! {
        () = &mut running => {}
        () = &mut linked => {}
        () = certificate::keep(&server, &options.certificate, keys.as_deref(), reload) => {}
        _ = signals.end() => {}
    }
    tokio::select! {
        // Newcomers are still answered: that the relay ends.
        () = &mut running => {}
        // Those who move to a relay that is linked to this one get there what they are still missing of here.
        () = &mut linked => {}
        () = relay.drain(settings.redirect.as_deref().unwrap_or_default(), drain_time(settings)) => {}
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

fn server_options(settings: &Settings) -> Result<ServerOptions, Failure> {
    let mut options = ServerOptions::default();
    options.addresses = if settings.bind.is_empty() { loopback() } else { settings.bind.clone() };
    options.versions = settings.draft.clone().unwrap_or_else(Drafts::all).versions().to_vec();
    options.certificate = match (&settings.tls_cert, &settings.tls_key) {
        (Some(chain), Some(key)) => {
            ServerCertificate::Pem { chain: Pem::Path(chain.clone()), key: Pem::Path(key.clone()) }
        }
        (None, None) => ServerCertificate::Development,
        _ => {
            return Err(Failure::input(
                "--tls-cert and --tls-key belong together: give both or neither, as flags or otherwise; --help tells more",
            ));
        }
    };
    options.congestion = settings.congestion.unwrap_or_default();
    options.max_streams = settings.max_streams.unwrap_or(options.max_streams);
    options.max_unread_bytes = match settings.max_unread {
        Some(size) => {
            u32::try_from(size.as_u64()).map_err(|_| Failure::input("max-unread must be less than 4 GiB"))?
        }
        None => MAX_UNREAD,
    };
    match options.addresses.iter().find(|address| !address.ip().is_loopback()) {
        Some(address) if settings.auth.is_none() => Err(Failure::input(format!(
            "{address} can be reached by others, so say who may do what: `--auth jwt --auth-keys PATH` for those with a \
             token (`moqt token` makes them), or `--auth none` for everybody everything"
        ))),
        _ => Ok(options),
    }
}

fn session_options(settings: &Settings) -> Config {
    let mut config = Config::default();
    // Request IDs of one side are every second number.
    config.max_request_id = 2 * u64::from(settings.max_requests.unwrap_or(MAX_REQUESTS));
    config.goaway_timeout = drain_time(settings);
    config
}

fn relay(settings: &Settings) -> Result<(Relay, Option<Arc<JwtAuthorizer>>), Failure> {
    let mut options = RelayOptions::default();
    let limits = &mut options.limits;
    limits.sessions = settings.max_sessions.unwrap_or(limits.sessions);
    limits.sessions_per_address = settings.max_sessions_per_address.unwrap_or(limits.sessions_per_address);
    limits.handshakes = settings.max_handshakes.unwrap_or(limits.handshakes);
    limits.namespaces_per_session = settings.max_namespaces.unwrap_or(limits.namespaces_per_session);
    let cache = &mut options.cache;
    let bytes = |size: Option<bytesize::ByteSize>, default| match size {
        Some(size) => usize::try_from(size.as_u64()).map_err(Failure::input),
        None => Ok(default),
    };
    cache.max_bytes = bytes(settings.cache, cache.max_bytes)?;
    cache.max_groups = settings.cache_groups.unwrap_or(cache.max_groups);
    cache.max_age = settings.cache_age.map_or(cache.max_age, Into::into);
    options.backlog = bytes(settings.backlog, options.backlog)?;
    options.linger = settings.linger.map_or(options.linger, Into::into);
    options.hold = settings.hold.map_or(options.hold, Into::into);
    options.retry = match settings.retry {
        None | Some(settings::Retry::Auto) => Retry::Auto,
        Some(settings::Retry::Always) => Retry::Always,
        Some(settings::Retry::Never) => Retry::Never,
    };
    let keys = match (settings.auth, &settings.auth_keys) {
        (Some(Auth::Jwt), Some(path)) => Some(Arc::new(JwtAuthorizer::load(path).map_err(Failure::input)?)),
        (Some(Auth::Jwt), None) => {
            return Err(Failure::input(
                "auth jwt needs auth-keys: `moqt token generate --out keys` makes one",
            ));
        }
        (_, Some(_)) => return Err(Failure::input("auth-keys are for auth jwt: say `--auth jwt`")),
        (_, None) => None,
    };
    if let Some(keys) = &keys {
        options.authorizer = keys.clone();
    }
    Ok((Relay::new(options), keys))
}

fn drain_time(settings: &Settings) -> Duration {
    settings.drain_time.map_or(DRAIN_TIME, Into::into)
}

/// An empty name counts as none.
fn event_log(settings: &Settings) -> Result<Option<EventLog>, Failure> {
    let directory = settings.mlog_dir.as_ref().filter(|directory| !directory.as_os_str().is_empty());
    let log = directory.map(EventLog::new).transpose().map_err(Failure::input)?;
    Ok(log.map(|log| log.with_sampling(settings.mlog_sample.unwrap_or(1.0))))
}

fn announce(server: &Server, http: Option<SocketAddr>) -> io::Result<()> {
    let addresses: Vec<_> = server.local_addrs().iter().map(ToString::to_string).collect();
    let mut out = io::stdout();
    write!(out, "listening {} certificate-sha256 {}", addresses.join(","), server.certificate_sha256())?;
    match http {
        Some(address) => writeln!(out, " http {address}")?,
        None => writeln!(out)?,
    }
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
