//! Running the built program.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// No step of a test takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Drafts and transports, as options and URL schemes.
pub(crate) const PEERS: [(&str, &str); 4] =
    [("14", "moqt"), ("14", "https"), ("16", "moqt"), ("16", "https")];

/// What a finished program left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command line without the caller's settings; killed when dropped.
pub(crate) fn moqt(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moqt"));
    for variable in [
        "RUST_LOG",
        "RELAY_URL",
        "TESTCASE",
        "MOQT_DRAFT",
        "DRAFT",
        "TLS_DISABLE_VERIFY",
        "VERBOSE",
        "MOQT_MLOG_DIR",
        "RELAYS_FILE",
        "OUTPUT_FILE",
        "PROBE_TIMEOUT",
        "PROBE_INTERVAL",
        "PROBE_ONCE",
    ] {
        command.env_remove(variable);
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command line to its end.
pub(crate) async fn run(args: &[&str]) -> Output {
    let output =
        timeout(LIMIT, moqt(args).output()).await.unwrap_or_else(|_| panic!("{args:?} does not end"));
    let output = output.unwrap();
    Output { status: code(output.status), out: text(output.stdout), err: text(output.stderr) }
}

/// A program in the background.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(moqt(args))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        Self { child: command.spawn().unwrap() }
    }

    pub(crate) fn start_with_stdin(args: &[&str]) -> Self {
        Self { child: moqt(args).stdin(Stdio::piped()).spawn().unwrap() }
    }

    /// Writes stdin in the background, and then ends it.
    pub(crate) fn feed(&mut self, input: String) {
        self.feed_bytes(input.into_bytes());
    }

    /// As [`Running::feed`], any bytes.
    pub(crate) fn feed_bytes(&mut self, input: Vec<u8>) {
        let mut stdin = self.child.stdin.take().unwrap();
        tokio::spawn(async move {
            // It fails if the program has ended, which its status tells.
            let _ = stdin.write_all(&input).await;
        });
    }

    /// Writes stdin, and leaves it open.
    pub(crate) async fn write(&mut self, input: &str) {
        self.child.stdin.as_mut().unwrap().write_all(input.as_bytes()).await.unwrap();
    }

    /// The next line of stdout.
    pub(crate) async fn line(&mut self) -> String {
        let mut reader = BufReader::with_capacity(1, self.child.stdout.as_mut().unwrap());
        next_line(&mut reader).await
    }

    /// Waits for a line on stderr with this text in it, and gives it.
    pub(crate) async fn said(&mut self, what: &str) -> String {
        let mut reader = BufReader::with_capacity(1, self.child.stderr.as_mut().unwrap());
        loop {
            let line = next_line(&mut reader).await;
            assert!(!line.is_empty(), "ended before it said {what:?}");
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Where a publisher or subscriber says that it listens.
    pub(crate) async fn listening(&mut self) -> String {
        let line = self.said("listening ").await;
        let words: Vec<_> = line.split("listening ").nth(1).unwrap().split_whitespace().collect();
        let [address, "certificate-sha256", certificate] = words[..] else { panic!("{line}") };
        assert_eq!(certificate.len(), 64, "{line}");
        address.to_owned()
    }

    /// Reads stdout no further.
    pub(crate) fn close_stdout(&mut self) {
        drop(self.child.stdout.take());
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().await.unwrap().success());
    }

    /// Waits for the end, with what was not read yet.
    pub(crate) async fn end(mut self) -> Output {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let read_out = async {
            if let Some(mut stdout) = stdout {
                stdout.read_to_end(&mut out).await.unwrap();
            }
        };
        let read_err = async {
            if let Some(mut stderr) = stderr {
                stderr.read_to_end(&mut err).await.unwrap();
            }
        };
        let ended = async { tokio::join!(read_out, read_err, self.child.wait()).2.unwrap() };
        let status = timeout(LIMIT, ended).await.expect("the program does not end");
        Output { status: code(status), out: text(out), err: text(err) }
    }
}

/// A relay on a free port.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) certificate: String,
}

impl Relay {
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", args).await
    }

    pub(crate) async fn start_on(address: &str, args: &[&str]) -> Self {
        let mut running = Running::start(&[&["relay", "--bind", address], args].concat());
        let line = running.line().await;
        let words: Vec<_> = line.trim_end().split(' ').collect();
        let ["listening", address, "certificate-sha256", certificate] = words[..] else { panic!("{line:?}") };
        Self { address: address.parse().unwrap(), certificate: certificate.to_owned(), running }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/", self.address)
    }
}

async fn next_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> String {
    let mut line = String::new();
    timeout(LIMIT, reader.read_line(&mut line)).await.expect("no line comes").unwrap();
    line
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| panic!("ended by a signal: {status}"))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
