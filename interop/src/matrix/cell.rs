//! One client against one relay, in one draft over one transport.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::timeout;

use super::peers::{Certificate, Client, Relay, Transport};
use super::process::{self, Tools};
use crate::run::UNSUPPORTED;
use crate::tap::{Counts, counts};

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The client's name.
    pub client: String,
    /// The relay's name.
    pub relay: String,
    /// The draft.
    pub draft: u16,
    /// The transport.
    pub transport: Transport,
    /// The verdict.
    pub status: Status,
    /// How many points passed, failed and were skipped.
    #[serde(flatten)]
    pub counts: Counts,
    /// The client's exit status.
    pub exit_code: Option<i32>,
    /// How long it took, the relay's start included.
    pub seconds: f64,
    /// Why it is skipped, or went wrong otherwise than by a point.
    pub reason: Option<String>,
    /// What the client wrote.
    pub tap: String,
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The client's exit status is 0.
    Pass,
    /// It is another one.
    Fail,
    /// One of the two does not do this, or cannot be had here.
    Skip,
    /// The relay or the client could not be run to an end.
    Error,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, relay, draft, transport, status, counts, reason, .. } = self;
        write!(f, "{client} {relay} draft-{draft} {transport} {status}")?;
        if *counts != Counts::default() {
            let Counts { passed, failed, skipped } = counts;
            write!(f, " {passed} passed, {failed} failed, {skipped} skipped")?;
        }
        match reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// Runs a cell.
pub(super) async fn run(
    tools: &Tools,
    client: &Client,
    relay: &Relay,
    draft: u16,
    transport: Transport,
) -> Cell {
    let begun = Instant::now();
    let mut cell = Cell {
        client: client.name.clone(),
        relay: relay.name.clone(),
        draft,
        transport,
        status: Status::Skip,
        counts: Counts::default(),
        exit_code: None,
        seconds: 0.0,
        reason: None,
        tap: String::new(),
    };
    let url = match lacking(client, relay, draft, transport) {
        Some(reason) => {
            cell.reason = Some(reason);
            return cell;
        }
        None => relay.url.get(&transport).cloned().unwrap_or_default(),
    };
    if let Err((status, reason)) = fill(tools, client, relay, &url, &mut cell).await {
        (cell.status, cell.reason) = (status, Some(reason));
    }
    cell.seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    cell
}

/// What one of the two does not have.
fn lacking(client: &Client, relay: &Relay, draft: u16, transport: Transport) -> Option<String> {
    let named = |who: &str, what: &dyn fmt::Display| Some(format!("{who} has no {what}"));
    let draft_name = format!("draft-{draft}");
    match () {
        () if !client.drafts.contains(&draft) => named(&client.name, &draft_name),
        () if !relay.drafts.contains(&draft) => named(&relay.name, &draft_name),
        () if !client.transports.contains(&transport) => named(&client.name, &transport),
        () if !relay.url.contains_key(&transport) => named(&relay.name, &transport),
        () => None,
    }
}

async fn fill(
    tools: &Tools,
    client: &Client,
    relay: &Relay,
    url: &str,
    cell: &mut Cell,
) -> Result<(), (Status, String)> {
    let skip = |why| (Status::Skip, why);
    let error = |why| (Status::Error, why);
    let port = process::free_port().map_err(|why| error(why.to_string()))?.to_string();
    let draft = cell.draft.to_string();
    let names = [("port", port.as_str()), ("draft", draft.as_str())];
    let url = tools.fill_word(url, &names).map_err(skip)?;
    let names = [names[0], names[1], ("url", url.as_str())];
    let words = tools.fill(&client.command, &names).map_err(skip)?;

    // Held until the client is done.
    let _relay = match &relay.command {
        Some(command) => {
            let words = tools.fill(command, &names).map_err(skip)?;
            let ready = relay.ready.as_deref().unwrap_or_default();
            Some(process::start(&words, ready).await.map_err(error)?)
        }
        None => None,
    };
    let unverified = if relay.certificate == Certificate::Unverified { "1" } else { "false" };
    let mut command = process::command(&words);
    command.env_remove("TESTCASE").env_remove("VERBOSE").env_remove("MOQT_MLOG_DIR");
    command.env("RELAY_URL", &url).env("TLS_DISABLE_VERIFY", unverified);
    command.env("MOQT_DRAFT", format!("draft-{draft}")).env("DRAFT", &draft);
    let limit = Duration::from_secs(client.seconds);
    let output = timeout(limit, command.output())
        .await
        .map_err(|_| error(format!("the client did not end within {} s", client.seconds)))?
        .map_err(|why| error(format!("`{}`: {why}", words.join(" "))))?;
    cell.tap = String::from_utf8_lossy(&output.stdout).into_owned();
    cell.counts = counts(&cell.tap);
    cell.exit_code = output.status.code();
    cell.status = match cell.exit_code {
        Some(0) => Status::Pass,
        Some(code) if code == i32::from(UNSUPPORTED) => Status::Skip,
        Some(_) => Status::Fail,
        None => Status::Error,
    };
    if cell.counts == Counts::default() {
        let words = String::from_utf8_lossy(&output.stderr);
        cell.reason = words.lines().last().map(|line| line.trim().to_owned()).filter(|it| !it.is_empty());
    }
    Ok(())
}
