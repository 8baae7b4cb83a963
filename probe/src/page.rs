//! The status page: one HTML file that needs nothing else.

use std::fmt::Write;

use time::OffsetDateTime;

use crate::Monitor;
use crate::history::{History, LATENCIES, SLOTS};
use crate::monitor::Watched;
use crate::report::{EndpointReport, RelayReport};
use crate::{line, stamp};

/// Pixels of a slot of the strip.
const SLOT: usize = 4;
/// Height of the strip and of the sparkline.
const HEIGHT: f64 = 24.0;
/// Width of the sparkline.
const SPARK: f64 = 120.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--live:#2da44e;--dead:#cf222e;--some:#bf8700;--none:#8883}\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:84rem;padding:0 1rem}\
h1{font-size:1.4rem;margin:0}h2{font-size:1.1rem;margin:1.6rem 0 .3rem}\
table{border-collapse:collapse;table-layout:fixed;width:100%}th{font-weight:500;opacity:.65;text-align:left}\
td,th{padding:.25rem .8rem .25rem 0;vertical-align:middle;white-space:nowrap}\
td.url{white-space:normal;overflow-wrap:anywhere;font-family:ui-monospace,monospace;font-size:.9em}\
.live{color:var(--live)}.dead{color:var(--dead)}.some{color:var(--some)}.quiet{opacity:.65}\
.badge{border:1px solid currentColor;border-radius:.6em;padding:0 .5em;margin-right:.3em;font-size:.85em}\
col.now{width:3rem}col.time{width:6.5rem}col.drafts{width:8rem}col.strip{width:26rem}col.spark{width:9rem}\
td.note{white-space:normal;padding-left:1.2rem;font-size:.9em}\
svg{display:block}polyline{fill:none;stroke:currentColor;stroke-width:1.5}";

/// The head of a relay's table.
const HEAD: &str = "\
<table><col class=\"now\"><col><col class=\"drafts\"><col class=\"time\" span=\"2\"><col class=\"strip\"><col class=\"time\">\
<col class=\"spark\"><tr><th>now<th>endpoint<th>drafts<th>handshake<th>SETUP<th>last 24 h<th><th>latency</tr>\n";

/// The page of all relays, as of now.
pub(crate) fn render(monitor: &Monitor, now: OffsetDateTime) -> String {
    let watched = monitor.watched();
    let probed: Vec<_> = watched.iter().filter(|watched| !watched.relay.disabled).collect();
    let live =
        probed.iter().filter(|watched| watched.report.as_ref().is_some_and(|report| report.live)).count();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"30\">\
         <title>MoQT relays: {live} of {} live</title><style>{STYLE}</style></head><body>\n\
         <h1>MoQT relays: <span class=\"{}\">{live} of {} live</span></h1>\n\
         <p class=\"quiet\">{}, probed by moqingbird {}. The strip is the last 24 hours, a quarter of an hour each; the line is \
         how long handshake and SETUP of the last {LATENCIES} probes took.</p>\n",
        probed.len(),
        class(live, probed.len()),
        probed.len(),
        stamp::plain(now),
        env!("CARGO_PKG_VERSION"),
    );
    for watched in watched {
        relay(&mut page, watched, now.unix_timestamp());
    }
    page.push_str("</body></html>\n");
    page
}

fn class(live: usize, all: usize) -> &'static str {
    match live {
        0 if all > 0 => "dead",
        live if live == all => "live",
        _ => "some",
    }
}

// Writing to a string cannot fail.
fn relay(page: &mut String, watched: &Watched, now: i64) {
    let _ = writeln!(page, "<h2>{}{}</h2>", escaped(&watched.relay.name), state(watched.report.as_ref()));
    let Some(report) = &watched.report else { return };
    if let Some(error) = &report.error {
        let _ = writeln!(page, "<p class=\"dead\">{}</p>", escaped(error));
    }
    if report.endpoints().is_empty() {
        return;
    }
    page.push_str(HEAD);
    for (endpoint, history) in report.endpoints().iter().zip(&watched.histories) {
        row(page, endpoint, history, now);
        for note in line::explanations(endpoint) {
            let _ = writeln!(
                page,
                "<tr><td><td class=\"note quiet\" colspan=\"7\">{}</tr>",
                escaped(note.trim())
            );
        }
    }
    page.push_str("</table>\n");
}

fn state(report: Option<&RelayReport>) -> String {
    let (class, text) = match report {
        None => ("quiet", "not probed yet"),
        Some(report) if report.disabled => ("quiet", "disabled in the list"),
        Some(report) if !report.live => ("dead", "dead"),
        Some(report) if report.is_dead() => ("some", "an endpoint is dead"),
        Some(report) if report.is_unexpected() => ("some", "not the expected drafts"),
        Some(report) if report.is_untrusted() => ("some", "certificate not trusted"),
        Some(_) => ("live", "live"),
    };
    format!(" <span class=\"badge {class}\">{text}</span>")
}

fn row(page: &mut String, endpoint: &EndpointReport, history: &History, now: i64) {
    let (class, mark) = if endpoint.live { ("live", "\u{2713}") } else { ("dead", "\u{2717}") };
    let newest = endpoint.probes.iter().rfind(|probe| probe.live);
    let time =
        |milliseconds: Option<f64>| milliseconds.map_or_else(String::new, |time| format!("{time:.1} ms"));
    let badges: String = endpoint
        .draft_numbers
        .iter()
        .map(|number| format!("<span class=\"badge\">{number}</span>"))
        .collect();
    let uptime = match history.uptime(now) {
        (_, 0) => String::new(),
        (live, all) => format!("{:.1} %", 100.0 * live as f64 / all as f64),
    };
    let _ = writeln!(
        page,
        "<tr><td class=\"{class}\">{mark}<td class=\"url\">{}<td>{badges}<td>{}<td>{}<td>{}<td>{uptime}<td>{}</tr>",
        escaped(&endpoint.url),
        time(newest.and_then(|probe| probe.handshake_ms)),
        time(newest.and_then(|probe| probe.setup_ms)),
        strip(history, now),
        sparkline(history),
    );
}

/// A quarter of an hour is green where every probe found the endpoint live, red where none did, and yellow between.
fn strip(history: &History, now: i64) -> String {
    let mut svg = format!(
        "<svg class=\"strip\" role=\"img\" aria-label=\"the last 24 hours\" width=\"{}\" height=\"{HEIGHT}\">",
        SLOTS * SLOT
    );
    for (at, slot) in history.strip(now).enumerate() {
        let (colour, title) = match slot {
            None => ("none", "not probed".to_owned()),
            Some(slot) => {
                let colour = match (slot.live, slot.dead) {
                    (_, 0) => "live",
                    (0, _) => "dead",
                    _ => "some",
                };
                (colour, format!("{} of {} live", slot.live, u64::from(slot.live) + u64::from(slot.dead)))
            }
        };
        let (x, width) = (at * SLOT, SLOT - 1);
        let _ = write!(
            svg,
            "<rect x=\"{x}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"var(--{colour})\"><title>{title}</title></rect>"
        );
    }
    svg + "</svg>"
}

fn sparkline(history: &History) -> String {
    let latencies: Vec<_> = history.latencies().collect();
    let Some(most) = latencies.iter().copied().reduce(f64::max) else { return String::new() };
    let least = latencies.iter().copied().fold(f64::INFINITY, f64::min);
    let step = SPARK / (latencies.len().max(2) - 1) as f64;
    let scale = |latency: f64| HEIGHT - 2.0 - latency / most.max(f64::MIN_POSITIVE) * (HEIGHT - 4.0);
    let mut points = String::new();
    for (at, latency) in latencies.iter().enumerate() {
        let _ = write!(points, "{:.1},{:.1} ", at as f64 * step, scale(*latency));
    }
    if let [only] = latencies[..] {
        let _ = write!(points, "{SPARK:.1},{:.1}", scale(only));
    }
    format!(
        "<svg class=\"spark\" role=\"img\" aria-label=\"latencies\" width=\"{SPARK}\" height=\"{HEIGHT}\">\
         <title>{least:.1} to {most:.1} ms</title><polyline points=\"{}\"/></svg>",
        points.trim_end()
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
