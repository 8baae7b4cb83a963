//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use moqingbird_interop::Drafts;

/// Ask relays for a session in each draft, and tell which live and why others do not.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = AFTER_HELP)]
pub struct Args {
    /// A server: moqt://HOST:PORT/PATH for raw QUIC, https://HOST:PORT/PATH for WebTransport; port 443 unless given
    #[arg(value_name = "URL")]
    pub urls: Vec<String>,
    /// The same, as another flag
    #[arg(long = "url", value_name = "URL", hide = true)]
    pub url: Vec<String>,
    /// Probe the relays of this JSON list [env: RELAYS_FILE] [default: /app/relays.json]
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with_all = ["urls", "url"])]
    pub relays_file: Option<PathBuf>,
    /// Write the status of a list's relays to this JSON file [env: OUTPUT_FILE] [default: /output/relay-status.json]
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
    /// Wait no longer than this for a handshake, nor for SETUP after it [env: PROBE_TIMEOUT] [default: 8]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<String>,
    /// Probe each relay of a list anew after this time, unless the list has one of its own; 0: at once [env: PROBE_INTERVAL] [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub interval: Option<String>,
    /// Probe a list once and end [env: PROBE_ONCE=1]
    #[arg(long)]
    pub once: bool,
    /// Probe a list this many times and end
    #[arg(long, value_name = "N", conflicts_with = "once")]
    pub cycles: Option<u64>,
    /// End with status 1 if at the end an endpoint was dead, other drafts were found than expected, or a certificate was not trusted
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',')]
    pub fail_on: Vec<FailOn>,
    /// Try only these drafts, and expect each of a URL's server
    #[arg(long, value_name = "14|16|14,16")]
    pub draft: Option<Drafts>,
    /// Ask each session for a track that is not there, and for namespaces
    #[arg(long)]
    pub deep: bool,
    /// Say of each failure what happened and what to try
    #[arg(long)]
    pub explain: bool,
    /// Print the status of the URLs as JSON, in the form of a list's
    #[arg(long)]
    pub json: bool,
    /// Probe this many relays at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: u16,
    /// Report no certificate as untrusted
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// Trust the root certificates in this PEM file, besides the system's; may be repeated
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// Write a status page to this HTML file after each round of a list
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Serve Prometheus metrics at http://ADDR/metrics while a list is probed
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
}

/// What makes the probe end with status 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum FailOn {
    /// An endpoint answered SETUP in no draft.
    Dead,
    /// A relay speaks fewer or more drafts than expected.
    Unexpected,
    /// A certificate is not trusted.
    Tls,
}

const EXAMPLES: &str = "\
Examples:
  moqt probe moqt://relay.example:4443 https://relay.example:4443/moq --explain
  moqt probe -f relays.json -o status.json --once --fail-on dead,unexpected,tls
  moqt probe -f relays.json -o status.json --interval 60 --html status.html --metrics 127.0.0.1:9464";

const AFTER_HELP: &str = "\
With URLs, one line for each on stdout, and status 0 if any draft was live at any of them, 1 if none was:

  relay.example:4443  quic      draft-14,draft-16  \u{2713} (405ms)
  relay.example:4443  h3/wt     \u{2717} timeout

A certificate that is not trusted is told behind the line (`tls: untrusted`) and makes no endpoint dead.

Without URLs a list is probed, until the program is ended or as --once and --cycles say. The list is a JSON array as
aiomoqt's relay_probe reads it:

  [{\"id\": \"one\", \"name\": \"One\", \"interval\": 120,
    \"endpoints\": [{\"url\": \"moqt://one.example:4443\", \"verify_tls\": true}, \"https://one.example:4443/moq\"]},
   {\"name\": \"two\", \"url\": \"moqt://two.example\", \"drafts\": [14, 16]}]

or its catalog, whose drafts are those that are expected:

  {\"relays\": [{\"name\": \"one\", \"urls\": {\"raw-quic\": \"moqt://one.example:4443\"}, \"drafts\": [14, 16],
                \"insecure\": false, \"disabled\": false}]}

The status file is that of relay_probe 0.9.8 with more fields, and is replaced as a whole. A flag goes before the
environment, the environment before the default. PROBE_ONCE is true for 1, true and yes.

Exit status: 0 as above, 1 nothing was live or --fail-on found something, 2 the input cannot be used.

Examples:
  moqt probe moqt://relay.example:4443 https://relay.example:4443/moq --explain
  moqt probe -f relays.json -o status.json --once --fail-on dead,unexpected,tls
  moqt probe -f relays.json -o status.json --interval 60 --html status.html --metrics 127.0.0.1:9464";
