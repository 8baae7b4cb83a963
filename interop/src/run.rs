//! The program: from the command line to the exit status.

use std::io::{self, Write};
use std::time::Duration;

use moqingbird::{ClientOptions, EventLog, TransportKind, Trust, Version};
use tokio::time::timeout;

use crate::cases::{CASES, Case, Cases};
use crate::context::{Target, Targets};
use crate::runner::{Point, Runner};
use crate::self_test::self_test;
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

/// Over which transports the relays within the program are reached.
const TRANSPORTS: [TransportKind; 2] = [TransportKind::Quic, TransportKind::WebTransport];
/// A relay within the program shares the machine with everything else that the cases do.
const EMBEDDED_PATIENCE: u32 = 5;

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
        Ok((settings, _)) if args.self_test => {
            self_test(settings.drafts.versions(), settings.planted, out).await
        }
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
    let embedded: Vec<_>;
    let (points, patience) = match &settings.relay {
        Some(url) => {
            tap.comment(&format!("Relay: {url}"))?;
            let mut options = ClientOptions::default();
            options.connect.versions = settings.drafts.versions().to_vec();
            options.event_log = log;
            if !settings.verify {
                options.connect.trust = Trust::Insecure;
            }
            (relay_points(settings.cases.unwrap_or(Cases::Runner), &Target::new(url.clone(), options)), 1)
        }
        None => {
            let lanes = settings.drafts.versions().len() * TRANSPORTS.len();
            let relays: Result<_, _> = (0..lanes).map(|_| EmbeddedRelay::start_logged(log.clone())).collect();
            match relays {
                Ok(relays) => embedded = relays,
                Err(error) => {
                    tap.bail_out(&format!("the relay within this program does not start: {error}"))?;
                    return Ok(FAILED);
                }
            }
            tap.comment("Relay: within this program")?;
            (
                embedded_points(settings.cases.unwrap_or(Cases::All), settings.drafts.versions(), &embedded),
                EMBEDDED_PATIENCE,
            )
        }
    };
    tap.comment(&format!("Draft: {}", settings.drafts))?;
    Ok(Runner::new(points).patience(patience).run(&mut tap).await?.status())
}

/// The points of a run against a relay: these cases, with all allowed drafts on offer.
pub fn relay_points(cases: Cases, target: &Target) -> Vec<Point> {
    let point = |case: &'static Case| Point {
        name: case.name.to_owned(),
        case,
        targets: Targets::same(target.clone()),
        lane: 0,
    };
    cases.iter().map(point).collect()
}

/// The points of a run against relays of our own: each case in each draft over each transport, and those that may also
/// from each draft to the others. Each relay is a lane, and combinations take turns with them; without
/// a relay there are no points.
pub fn embedded_points(cases: Cases, drafts: &[Version], relays: &[EmbeddedRelay]) -> Vec<Point> {
    let mut points = Vec::new();
    for case in cases.iter() {
        let combinations = pairs(case, drafts)
            .into_iter()
            .flat_map(|drafts| TRANSPORTS.map(|transport| (drafts, transport)));
        for (((publisher, subscriber), transport), (lane, relay)) in
            combinations.zip(relays.iter().enumerate().cycle())
        {
            let which = if publisher == subscriber {
                publisher.to_string()
            } else {
                format!("{publisher} to {subscriber}")
            };
            let targets =
                Targets::new(relay.target(transport, publisher), relay.target(transport, subscriber));
            let name = format!("{} ({which}, {transport})", case.name);
            points.push(Point { name, case, targets, lane });
        }
    }
    points
}

/// The drafts of publisher and subscriber: first the same for both.
fn pairs(case: &Case, drafts: &[Version]) -> Vec<(Version, Version)> {
    let oldest_first = || drafts.iter().rev().copied();
    let crossed = oldest_first()
        .flat_map(|publisher| oldest_first().map(move |subscriber| (publisher, subscriber)))
        .filter(|(publisher, subscriber)| case.bridged && publisher != subscriber);
    oldest_first().map(|draft| (draft, draft)).chain(crossed).collect()
}
