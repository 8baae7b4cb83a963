//! The program: from the command line to the exit status.

use std::io::{self, Write};
use std::time::Duration;

use moqingbird::{ClientOptions, EventLog, TransportKind, Trust, Version};
use tokio::time::timeout;

use crate::cases::{CASES, Case};
use crate::context::{Target, Targets};
use crate::runner::{Point, Runner};
use crate::tap::Tap;
use crate::{Args, EmbeddedRelay, Settings, SettingsError};

/// Exit status: every case passed.
pub const PASSED: u8 = 0;
/// Exit status: a case failed, or the run was given up.
pub const FAILED: u8 = 1;
/// Exit status: the command line or the environment cannot be used.
pub const USAGE: u8 = 2;
/// Exit status: this client does not have the case, or none of the drafts that the environment pins.
pub const UNSUPPORTED: u8 = 127;

/// How long event logs have to be finished when all cases are done.
const LOG_LIMIT: Duration = Duration::from_secs(1);

/// Runs the test client, with TAP on `out` and one line on `err` where nothing can be run. It answers the exit status.
///
/// # Errors
/// The output cannot be written.
pub async fn run<O: Write, E: Write>(
    args: &Args,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
    out: O,
    mut err: E,
) -> io::Result<u8> {
    if args.list {
        return list(out).map(|()| PASSED);
    }
    let settings = Settings::resolve(args, env).and_then(|settings| {
        let log = settings.mlog_dir.as_ref().map(EventLog::new).transpose();
        log.map(|log| (settings, log)).map_err(|error| SettingsError::Usage(error.to_string()))
    });
    match settings {
        Ok((settings, log)) => {
            let status = test(&settings, log.clone(), out).await;
            if let Some(log) = log {
                let _ = timeout(LOG_LIMIT, log.finished()).await;
            }
            status
        }
        Err(error) => {
            writeln!(err, "moqt interop: {error}")?;
            Ok(match error {
                SettingsError::Usage(_) => USAGE,
                SettingsError::UnknownCase(_) | SettingsError::UnknownDraft(_) => UNSUPPORTED,
            })
        }
    }
}

fn list(mut out: impl Write) -> io::Result<()> {
    CASES.iter().try_for_each(|case| writeln!(out, "{}", case.name))?;
    out.flush()
}

async fn test(settings: &Settings, log: Option<EventLog>, out: impl Write) -> io::Result<u8> {
    let mut tap = Tap::new(out)?;
    tap.comment(concat!("moqingbird-interop ", env!("CARGO_PKG_VERSION")))?;
    // Held until the run is over.
    let embedded;
    let points = match &settings.relay {
        Some(url) => {
            tap.comment(&format!("Relay: {url}"))?;
            let mut options = ClientOptions::default();
            options.connect.versions = settings.drafts.versions().to_vec();
            options.event_log = log;
            if !settings.verify {
                options.connect.trust = Trust::Insecure;
            }
            relay_points(settings.case, &Target::new(url.clone(), options))
        }
        None => match EmbeddedRelay::start_logged(log) {
            Ok(relay) => {
                tap.comment(&format!("Relay: within this program, {}", relay.address()))?;
                embedded = relay;
                embedded_points(settings.case, settings.drafts.versions(), &embedded)
            }
            Err(error) => {
                tap.bail_out(&format!("the relay within this program does not start: {error}"))?;
                return Ok(FAILED);
            }
        },
    };
    tap.comment(&format!("Draft: {}", settings.drafts))?;
    Ok(Runner::new(points).run(&mut tap).await?.status())
}

/// The points of a run against a relay: the case asked for, or every standard case, with all allowed drafts on offer.
pub fn relay_points(case: Option<&'static Case>, target: &Target) -> Vec<Point> {
    let chosen = CASES.iter().filter(|each| case.map_or(each.standard, |case| case.name == each.name));
    let point = |case: &'static Case| Point {
        name: case.name.to_owned(),
        case,
        targets: Targets::same(target.clone()),
    };
    chosen.map(point).collect()
}

/// The points of a run against our own relay: each standard case in each draft over each transport, then our own cases from
/// each draft to each other draft; or only those of the case asked for.
pub fn embedded_points(case: Option<&'static Case>, drafts: &[Version], relay: &EmbeddedRelay) -> Vec<Point> {
    let wanted = |each: &&'static Case| case.is_none_or(|case| case.name == each.name);
    let mut points = Vec::new();
    for case in CASES.iter().filter(wanted) {
        for (publisher, subscriber) in pairs(case, drafts) {
            for transport in [TransportKind::Quic, TransportKind::WebTransport] {
                let which = if publisher == subscriber {
                    publisher.to_string()
                } else {
                    format!("{publisher} to {subscriber}")
                };
                let targets =
                    Targets::new(relay.target(transport, publisher), relay.target(transport, subscriber));
                points.push(Point { name: format!("{} ({which}, {transport})", case.name), case, targets });
            }
        }
    }
    points
}

/// The drafts of publisher and subscriber. The standard cases speak one draft; our own show what happens between drafts,
/// if there are two.
fn pairs(case: &Case, drafts: &[Version]) -> Vec<(Version, Version)> {
    let oldest_first = || drafts.iter().rev().copied();
    if case.standard || drafts.len() == 1 {
        return oldest_first().map(|draft| (draft, draft)).collect();
    }
    oldest_first()
        .flat_map(|publisher| oldest_first().map(move |subscriber| (publisher, subscriber)))
        .filter(|(publisher, subscriber)| publisher != subscriber)
        .collect()
}
