//! `moqt announced`.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

use moqingbird::wire::model::{
    FullTrackName, RequestError, RequestErrorCode, SubscribeNamespace, SubscribeOptions, TrackNamespace,
};
use moqingbird::{IncomingRequest, NamespaceEvent, RequestFailed, ServerUrl};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::connection::{ConnectionArgs, ReconnectArgs};
use crate::exit::{Failure, Outcome};
use crate::groups::seconds;
use crate::link::Link;
use crate::logs::Verbosity;

/// List the namespaces below a prefix as they come and go (SUBSCRIBE_NAMESPACE), and the tracks that are offered.
///
/// A line each: `+ NAMESPACE` when one has come, `- NAMESPACE` when it has gone, `= NAMESPACE TRACK` for a track that the
/// server offers by PUBLISH. It ends after --wait or --count. If the session is lost, the list goes on with the next: what has
/// gone meanwhile is told, what is still there is not told again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The server: moqt://HOST:PORT/PATH for raw QUIC, https://HOST:PORT/PATH for WebTransport; port 443 unless given
    url: ServerUrl,
    /// The prefix, its fields between slashes. Left out it is every namespace, for which draft-14 has no word
    #[arg(value_parser = prefix, default_value = "")]
    prefix: TrackNamespace,
    /// End after this many lines
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
    /// A JSON object a line: event (came, gone, track), namespace, fields, track
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

const EXAMPLES: &str = "\
Examples:
  moqt announced moqt://localhost:4443 --insecure
  moqt announced https://relay.example/ live --draft 14
  moqt announced moqt://relay.example live/cam --wait 2 --json";

fn prefix(text: &str) -> Result<TrackNamespace, String> {
    TrackNamespace::from_path(text).map_err(|error| error.to_string())
}

/// How long after a session's loss the next server may take to announce what it has.
const SETTLED: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: Args) -> Outcome {
    args.verbosity.start();
    let Args { url, prefix, count, wait, json, reconnect, connection, .. } = args;
    let list =
        List { left: count.unwrap_or(u64::MAX), json, present: BTreeSet::new(), unheard: BTreeSet::new() };
    connection
        .with_link(&url, reconnect, async |link| {
            tokio::select! {
                listed = list.run(link, prefix) => listed,
                () = async { sleep(wait.unwrap_or_default()).await }, if wait.is_some() => Ok(()),
            }
        })
        .await
}

struct List {
    left: u64,
    json: bool,
    /// What has come and not gone.
    present: BTreeSet<TrackNamespace>,
    /// Of that, what the session that has just begun has not announced.
    unheard: BTreeSet<TrackNamespace>,
}

/// What has happened.
enum Event<'a> {
    Came(&'a TrackNamespace),
    Gone(&'a TrackNamespace),
    Track(&'a FullTrackName),
}

impl List {
    async fn run(mut self, link: &mut Link, prefix: TrackNamespace) -> Result<(), Failure> {
        let shown = path(&prefix);
        let request =
            SubscribeNamespace { options: SubscribeOptions::Both, ..SubscribeNamespace::new(prefix) };
        let subscription = link.session().subscribe_namespace(request.clone()).await;
        let mut subscription = subscription.map_err(|error| refused(&shown, &error))?;
        tracing::info!("waiting for namespaces below `{shown}`");
        let mut settled = Instant::now();
        while self.left > 0 {
            let session = link.session().clone();
            let is_over = tokio::select! {
                event = subscription.next() => match event {
                    Some(event) => self.heard(event).map(|()| false)?,
                    None => true,
                },
                request = session.next_request() => match request {
                    Some(request) => self.asked(request).map(|()| false)?,
                    None => true,
                },
                () = sleep_until(settled), if !self.unheard.is_empty() => self.settle().map(|()| false)?,
                moved = link.moved() => moved.map(|()| true)?,
            };
            if is_over && !link.reconnects() {
                return match session.close_reason() {
                    Some(closed) => Err(Failure::Failed(format!("the list was cut off: {closed}"))),
                    None => Ok(()),
                };
            }
            if is_over {
                subscription = link
                    .again(&format!("a list of `{shown}`"), async |session, _| {
                        session.subscribe_namespace(request.clone()).await
                    })
                    .await?;
                tracing::info!("waiting for namespaces below `{shown}` again");
                self.unheard.clone_from(&self.present);
                settled = Instant::now() + SETTLED;
            }
        }
        Ok(())
    }

    fn heard(&mut self, event: NamespaceEvent) -> Result<(), Failure> {
        match event {
            NamespaceEvent::Namespace(namespace) => {
                self.unheard.remove(&namespace);
                match self.present.insert(namespace.clone()) {
                    true => self.tell(Event::Came(&namespace)),
                    false => Ok(()),
                }
            }
            NamespaceEvent::NamespaceDone(namespace) => {
                self.unheard.remove(&namespace);
                match self.present.remove(&namespace) {
                    true => self.tell(Event::Gone(&namespace)),
                    false => Ok(()),
                }
            }
        }
    }

    /// What the new session has not announced by now went while there was none.
    fn settle(&mut self) -> Result<(), Failure> {
        while let Some(namespace) = self.unheard.pop_first() {
            self.present.remove(&namespace);
            if self.left > 0 {
                self.tell(Event::Gone(&namespace))?;
            }
        }
        Ok(())
    }

    /// A track that the server offers is named, and not taken.
    fn asked(&mut self, request: IncomingRequest) -> Result<(), Failure> {
        match request {
            IncomingRequest::Publish(publish) => {
                self.tell(Event::Track(&publish.request().track))?;
                publish.reject(uninterested());
            }
            IncomingRequest::PublishNamespace(publish) => {
                self.tell(Event::Came(&publish.request().namespace))?;
                publish.reject(uninterested());
            }
            other => {
                other.reject(RequestError::new(RequestErrorCode::NotSupported, REASON));
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        if self.json {
            let (name, namespace, track) = match event {
                Event::Came(namespace) => ("came", namespace, None),
                Event::Gone(namespace) => ("gone", namespace, None),
                Event::Track(FullTrackName { namespace, name, .. }) => {
                    ("track", namespace, Some(String::from_utf8_lossy(name)))
                }
            };
            let fields: Vec<_> =
                namespace.fields().iter().map(|field| String::from_utf8_lossy(field)).collect();
            let line =
                json!({ "event": name, "namespace": path(namespace), "fields": fields, "track": track });
            writeln!(out, "{line}")?;
        } else {
            match event {
                Event::Came(namespace) => writeln!(out, "+ {}", path(namespace))?,
                Event::Gone(namespace) => writeln!(out, "- {}", path(namespace))?,
                Event::Track(track) => {
                    writeln!(out, "= {} {}", path(&track.namespace), readable(&track.name))?;
                }
            }
        }
        out.flush()?;
        self.left -= 1;
        Ok(())
    }
}

fn uninterested() -> RequestError {
    RequestError::new(RequestErrorCode::Uninterested, REASON)
}

const REASON: &str = "this end only lists namespaces and tracks";

fn refused(prefix: &str, error: &RequestFailed) -> Failure {
    let advice = match error {
        RequestFailed::Misuse(_) => "name a prefix of one field at least, or allow draft 16",
        _ => "try a longer prefix, or another draft",
    };
    Failure::Failed(format!("cannot ask for namespaces below `{prefix}`: {error}; {advice}"))
}

/// As the command line writes namespaces: fields between slashes, what would be misread as `%xx`.
fn path(namespace: &TrackNamespace) -> String {
    namespace.fields().iter().map(|field| readable(field)).collect::<Vec<_>>().join("/")
}

fn readable(field: &[u8]) -> String {
    let mut text = String::new();
    for chunk in field.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '/' | '%' => text.push_str(&format!("%{:02x}", char as u32)),
                _ if char.is_control() || char.is_whitespace() => text.extend(char.escape_unicode()),
                _ => text.push(char),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("%{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_written_so_that_their_fields_can_be_told() {
        let namespace = TrackNamespace::new([&b"live"[..], b"a/b", "ü".as_bytes(), b"\xff\n"]).unwrap();
        assert_eq!(path(&namespace), "live/a%2fb/ü/%ff\\u{a}");
        assert_eq!(path(&TrackNamespace::empty()), "");
    }
}
