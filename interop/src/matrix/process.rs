//! Starting what the file names.

use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::peers::Peers;

/// How long a tool may take: it may install things.
const TOOL_LIMIT: Duration = Duration::from_secs(600);
/// How long a version may take to be told, and a relay to listen.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The exit status of a tool that cannot be had here.
const NOT_HERE: i32 = 77;

/// A directory for the certificate, gone with this.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: PathBuf,
}

impl Scratch {
    pub(super) fn make() -> io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("moqt-matrix-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        std::fs::write(directory.join("cert.pem"), made.cert.pem())?;
        std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem())?;
        Ok(Self { directory })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is where the system keeps such things.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The values of names in commands.
#[derive(Debug)]
pub(super) struct Tools {
    values: BTreeMap<String, Result<String, String>>,
}

impl Tools {
    /// Runs the commands of the file's tools.
    pub(super) async fn resolve(peers: &Peers, scratch: &Scratch) -> Self {
        let moqt = std::env::current_exe().map(|path| path.display().to_string());
        let mut tools = Self { values: BTreeMap::new() };
        tools.set("moqt", moqt.map_err(|error| error.to_string()));
        tools.set("here", Ok(peers.here.display().to_string()));
        tools.set("cert", Ok(scratch.directory.join("cert.pem").display().to_string()));
        tools.set("key", Ok(scratch.directory.join("key.pem").display().to_string()));
        for (name, command) in &peers.tools {
            let value = match tools.fill(command, &[]) {
                Ok(command) => last_line(&command, TOOL_LIMIT).await,
                Err(why) => Err(why),
            };
            tools.set(name, value);
        }
        tools
    }

    fn set(&mut self, name: &str, value: Result<String, String>) {
        self.values.insert(name.to_owned(), value);
    }

    /// A command with its names replaced; or why one has no value.
    pub(super) fn fill(&self, command: &[String], more: &[(&str, &str)]) -> Result<Vec<String>, String> {
        command.iter().map(|word| self.fill_word(word, more)).collect()
    }

    pub(super) fn fill_word(&self, word: &str, more: &[(&str, &str)]) -> Result<String, String> {
        let mut filled = word.to_owned();
        for (name, value) in more {
            filled = filled.replace(&format!("{{{name}}}"), value);
        }
        for (name, value) in &self.values {
            let name = format!("{{{name}}}");
            if filled.contains(&name) {
                filled = filled.replace(&name, value.as_ref().map_err(Clone::clone)?);
            }
        }
        Ok(filled)
    }

    /// What a peer says of itself.
    pub(super) async fn version(&self, command: Option<&[String]>) -> Option<String> {
        let command = self.fill(command?, &[]).ok()?;
        last_line(&command, START_LIMIT).await.ok()
    }
}

/// A command that is killed when it is dropped.
pub(super) fn command(words: &[String]) -> Command {
    let mut command = Command::new(words.first().map_or("", String::as_str));
    command.args(words.iter().skip(1)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    command
}

async fn last_line(words: &[String], limit: Duration) -> Result<String, String> {
    let shown = words.join(" ");
    let output = timeout(limit, command(words).output())
        .await
        .map_err(|_| format!("`{shown}` takes too long"))?
        .map_err(|error| format!("`{shown}`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default().trim().to_owned();
    match output.status.code() {
        Some(0) if !line.is_empty() => Ok(line),
        Some(NOT_HERE) => Err(line),
        _ => Err(format!("`{shown}` ended with {}: {line}", output.status)),
    }
}

/// A UDP port of loopback at which nobody listens at the moment.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Starts a relay, and waits until a line of its output has `ready` in it.
pub(super) async fn start(words: &[String], ready: &str) -> Result<Child, String> {
    let mut child = command(words).spawn().map_err(|error| format!("`{}`: {error}", words.join(" ")))?;
    let (said, mut lines) = mpsc::unbounded_channel();
    if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
        drain(out, said.clone());
        drain(err, said);
    }
    let mut last = String::new();
    let listening = async {
        while let Some(line) = lines.recv().await {
            if line.contains(ready) {
                return true;
            }
            last = line;
        }
        false
    };
    match timeout(START_LIMIT, listening).await {
        Ok(true) => Ok(child),
        Ok(false) => Err(format!("the relay ended at once: {last}")),
        Err(_) => Err(format!("the relay did not say `{ready}`: {last}")),
    }
}

/// Reads to the end, so that whoever writes is never blocked.
fn drain(from: impl AsyncRead + Unpin + Send + 'static, said: mpsc::UnboundedSender<String>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // Nobody listens any more once the relay does.
            let _ = said.send(line);
        }
    });
}
