//! The command line of the runner's contract.

use std::path::PathBuf;

use crate::Drafts;
use crate::matrix::MatrixArgs;

/// Run the MoQ interop runner's test cases and report them as TAP 14.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_long_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do instead of running cases.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The relay: moqt://HOST:PORT/PATH for raw QUIC, https://HOST:PORT/PATH for WebTransport [env: RELAY_URL]
    #[arg(short, long, value_name = "URL")]
    pub relay: Option<String>,
    /// Only the case of this name [env: TESTCASE]
    #[arg(short, long, value_name = "NAME")]
    pub test: Option<String>,
    /// All cases, those too that the interop runner does not define
    #[arg(long, conflicts_with = "test")]
    pub all: bool,
    /// Print the names of the cases, one a line, and nothing else
    #[arg(short, long)]
    pub list: bool,
    /// Test this client: every case against every bad relay, which are started within the program
    #[arg(long, conflicts_with_all = ["relay", "test", "all"])]
    pub self_test: bool,
    /// With --self-test: make this case pass always, which must be noticed
    #[arg(long, value_name = "NAME", requires = "self_test")]
    pub plant: Option<String>,
    /// Log more, to stderr [env: VERBOSE=1]
    #[arg(short, long)]
    pub verbose: bool,
    /// Accept any certificate, for tests on one's own machine [env: TLS_DISABLE_VERIFY=1]
    #[arg(long, alias = "insecure")]
    pub tls_disable_verify: bool,
    /// Allow only these drafts; a relay that chooses another fails the case [env: MOQT_DRAFT, DRAFT]
    #[arg(long, value_name = "14|16|14,16")]
    pub draft: Option<Drafts>,
    /// Write what each session says and hears into a file of its own in this directory [env: MOQT_MLOG_DIR]
    #[arg(long, value_name = "DIR")]
    pub mlog_dir: Option<PathBuf>,
}

/// What to do instead of running cases.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// As its arguments have it.
    Matrix(MatrixArgs),
}

const AFTER_HELP: &str = "\
With neither --relay nor RELAY_URL, and this is a departure from the runner's contract, relays are started within the
program on free loopback ports, and every case runs in each draft over each transport, object delivery also from each draft
to the other.

With a relay, the cases that the interop runner defines run once, and all allowed drafts are offered. --all adds those of
aiomoqt (fetch, join) and of this client: `defined_by` in the diagnostics tells whose a case is. What the draft or the
relay cannot show is SKIP, with the reason. No case passes by a timeout: `received` is the message on which it passed.

--self-test runs every case against relays that are wrong on purpose, one way each, and says of each pair whether the case
must fail or pass, and whether it did. The environment's relay and case mean nothing to it.

A flag goes before the environment, the environment before the default. TLS_DISABLE_VERIFY and VERBOSE are true for 1, true
and yes, and false for everything else. Stdout is TAP 14 and nothing else.

Exit status: 0 no case failed, 1 a case failed or the run was bailed out, 2 wrong usage, 127 no such case.

Examples:
  moqt interop
  moqt interop --relay moqt://localhost:4443 --tls-disable-verify
  moqt interop --relay moqt://localhost:4443 --tls-disable-verify --all
  moqt interop --relay https://relay.example/moq --test announce-subscribe --draft 16
  moqt interop --self-test --draft 16
  moqt interop matrix interop/peers.toml
  RELAY_URL=https://relay:4443 TLS_DISABLE_VERIFY=1 MOQT_DRAFT=draft-14 moqt interop";
