//! The program: URLs once, or a list until it is told to end.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use time::OffsetDateTime;
use tokio::task::JoinSet;

use crate::args::{Args, FailOn};
use crate::explain::Cause;
use crate::metrics::{self, Shown};
use crate::report::{RelayReport, Status};
use crate::{List, ListError, Monitor, Prober, Relay, Settings, SettingsError, line, output, page};

/// The exit status of a run that found what it looked for.
pub const LIVE: u8 = 0;
/// The exit status where nothing was live, or `--fail-on` found something.
pub const DEAD: u8 = 1;

/// Probes, and writes what it finds to `out` and to files: the exit status.
///
/// # Errors
/// What was given cannot be used, or what was found cannot be written.
pub async fn run(
    args: &Args,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
    mut out: impl Write,
) -> Result<u8, RunError> {
    let settings = Settings::resolve(args, env)?;
    let prober = Prober::new(settings.probe.clone());
    let status = if settings.urls.is_empty() {
        watch(args, &settings, prober.clone(), &mut out).await
    } else {
        look(args, &settings, &prober, &mut out).await
    };
    prober.settled().await;
    status
}

/// Probes the URLs once.
async fn look(
    args: &Args,
    settings: &Settings,
    prober: &Prober,
    out: &mut impl Write,
) -> Result<u8, RunError> {
    let relays = settings.urls.iter().map(|url| {
        let expected =
            args.draft.as_ref().map(|drafts| drafts.versions().iter().map(|draft| draft.number()).collect());
        Relay { expected, ..Relay::at(url) }
    });
    let relays: Vec<_> = relays.collect();
    let mut waiting = relays.iter().cloned().enumerate();
    let mut running = JoinSet::new();
    let mut found: Vec<Option<RelayReport>> = relays.iter().map(|_| None).collect();
    let mut printed = 0;
    loop {
        while running.len() < settings.probe.parallel
            && let Some((at, relay)) = waiting.next()
        {
            let prober = prober.clone();
            running.spawn(async move { (at, prober.relay(&relay).await) });
        }
        match running.join_next().await {
            None => break,
            Some(Ok((at, report))) => found[at] = Some(report),
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        }
        // In the order of the URLs, each as soon as it is known.
        while let Some(Some(report)) = found.get(printed) {
            usable(report)?;
            if !args.json {
                print(args, report, out)?;
            }
            printed += 1;
        }
    }
    let reports = relays.iter().map(|relay| relay.id.clone()).zip(found.into_iter().flatten());
    let status = Status::new(OffsetDateTime::now_utc(), reports.collect());
    if args.json {
        out.write_all(json(&status)?.as_bytes())?;
        out.flush()?;
    }
    if let Some(path) = &settings.output_file {
        write(path, &json(&status)?)?;
    }
    let live = status.relays.iter().any(|(_, relay)| relay.live);
    Ok(if live { verdict(&args.fail_on, &status) } else { DEAD })
}

/// Probes the list's relays until it is time to end.
async fn watch(
    args: &Args,
    settings: &Settings,
    prober: Prober,
    out: &mut impl Write,
) -> Result<u8, RunError> {
    let list = List::read(&settings.relays_file)?;
    let mut monitor = Monitor::new(prober, list, settings.interval);
    let shown = match args.metrics {
        None => None,
        Some(address) => {
            let shown = Shown::default();
            let bound = metrics::serve(address, shown.clone()).await.map_err(|error| {
                RunError::Unusable(format!(
                    "cannot serve metrics at {address}: {error}; choose another address"
                ))
            })?;
            tracing::info!("metrics at http://{bound}/metrics");
            Some(shown)
        }
    };
    loop {
        monitor.round().await;
        let status = monitor.status();
        for (_, report) in &status.relays {
            usable(report)?;
        }
        if let Some(path) = &settings.output_file {
            write(path, &json(&status)?)?;
        }
        let page = || page::render(&monitor, OffsetDateTime::now_utc());
        if let Some(path) = &args.html {
            write(path, &page())?;
        }
        if let Some(shown) = &shown {
            shown.show(metrics::render(&monitor), page(), json(&status)?);
        }
        if settings.cycles.is_some_and(|cycles| monitor.rounds() >= cycles) {
            for (_, report) in &status.relays {
                print(args, report, out)?;
            }
            return Ok(verdict(&args.fail_on, &status));
        }
        tokio::time::sleep(monitor.until_due().unwrap_or(settings.interval)).await;
    }
}

fn print(args: &Args, report: &RelayReport, out: &mut impl Write) -> io::Result<()> {
    if report.disabled {
        writeln!(out, "{}  disabled in the list", report.name)?;
    }
    if let Some(error) = &report.error {
        writeln!(out, "{}  \u{2717} {error}", report.name)?;
    }
    for endpoint in report.endpoints() {
        writeln!(out, "{}", line::line(endpoint))?;
        let mut below = line::answers(endpoint);
        if args.explain {
            below.extend(line::explanations(endpoint));
        }
        for line in below {
            writeln!(out, "{line}")?;
        }
    }
    if let Some(expected) = report.expected.as_ref().filter(|expected| !expected.met) {
        let numbers = |numbers: &[u16]| numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let (missing, surplus) = (numbers(&expected.missing), numbers(&expected.surplus));
        let told = [("missing", missing), ("not expected", surplus)];
        let told =
            told.iter().filter(|(_, list)| !list.is_empty()).map(|(what, list)| format!("{what}: {list}"));
        let told: Vec<_> = told.collect();
        writeln!(out, "    {}: drafts {}", report.name, told.join("; "))?;
    }
    out.flush()
}

/// Root certificates that cannot be read are found by the first connection that needs them.
fn usable(report: &RelayReport) -> Result<(), RunError> {
    let failures = report.endpoints().iter().flat_map(|endpoint| &endpoint.probes);
    let local = failures
        .filter_map(|probe| probe.failure.as_ref())
        .find(|failure| failure.cause == Cause::LocalError);
    local.map_or(Ok(()), |failure| Err(RunError::Unusable(failure.what.clone())))
}

fn verdict(fail_on: &[FailOn], status: &Status) -> u8 {
    let found = |what: &FailOn| {
        status.relays.iter().any(|(_, relay)| match what {
            FailOn::Dead => relay.is_dead(),
            FailOn::Unexpected => relay.is_unexpected(),
            FailOn::Tls => relay.is_untrusted(),
        })
    };
    if fail_on.iter().any(found) { DEAD } else { LIVE }
}

fn json(status: &Status) -> Result<String, RunError> {
    status.to_json().map_err(|error| RunError::Output(error.into()))
}

fn write(path: &Path, text: &str) -> Result<(), RunError> {
    output::replace(path, text).map_err(|error| {
        RunError::Output(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    })
}

/// Why a run ended before its time.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// Something given cannot be used.
    Unusable(String),
    /// Something cannot be written.
    Output(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(reason) => f.write_str(reason),
            Self::Output(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unusable(_) => None,
            Self::Output(error) => Some(error),
        }
    }
}

impl From<SettingsError> for RunError {
    fn from(error: SettingsError) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl From<ListError> for RunError {
    fn from(error: ListError) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
