//! The relay's figures for Prometheus. `docs/relay.md` tells what they mean; a test holds both together.

use std::fmt::{Display, Write};

use moqingbird_relay::Stats;

/// A metric: name, kind, what it says, and its values with their labels.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    values: fn(&Stats) -> Vec<(String, u64)>,
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

const METRICS: &[Metric] = &[
    metric("moqt_sessions", GAUGE, "Sessions, by draft and transport.", |stats| {
        let labels =
            |draft: &dyn Display, transport| format!("{{draft=\"{draft}\",transport=\"{transport}\"}}");
        let sessions = stats.sessions.iter();
        sessions
            .map(|((version, transport), count)| (labels(&version.number(), transport), *count as u64))
            .collect()
    }),
    metric("moqt_handshakes", GAUGE, "Handshakes under way.", |stats| one(stats.handshakes as u64)),
    metric("moqt_namespaces", GAUGE, "Announcements of namespaces.", |stats| one(stats.namespaces as u64)),
    metric("moqt_tracks", GAUGE, "Tracks that are published or asked for.", |stats| one(stats.tracks as u64)),
    metric("moqt_subscriptions", GAUGE, "Subscriptions of peers.", |stats| one(stats.subscriptions as u64)),
    metric("moqt_cache_bytes", GAUGE, "Bytes of objects that are kept.", |stats| {
        one(stats.cache_bytes as u64)
    }),
    metric("moqt_objects_in_total", COUNTER, "Objects from publishers.", |stats| one(stats.objects_in)),
    metric("moqt_objects_out_total", COUNTER, "Objects to subscribers.", |stats| one(stats.objects_out)),
    metric("moqt_bytes_in_total", COUNTER, "Payload from publishers.", |stats| one(stats.bytes_in)),
    metric("moqt_bytes_out_total", COUNTER, "Payload to subscribers.", |stats| one(stats.bytes_out)),
    metric("moqt_drops_total", COUNTER, "What was not delivered or not let in, by reason.", |stats| {
        let refused = &stats.refusals;
        [
            ("too_far_behind", stats.too_far_behind),
            ("unauthorized", stats.denials),
            ("sessions", refused.sessions),
            ("sessions_per_address", refused.sessions_per_address),
            ("handshakes", refused.handshakes),
            ("draining", refused.draining),
        ]
        .map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), count))
        .into()
    }),
    metric("moqt_retries_total", COUNTER, "Newcomers that had to show where they are.", |stats| {
        one(stats.refusals.retries)
    }),
];

const fn metric(
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    values: fn(&Stats) -> Vec<(String, u64)>,
) -> Metric {
    Metric { name, kind, help, values }
}

fn one(value: u64) -> Vec<(String, u64)> {
    vec![(String::new(), value)]
}

/// In the text format of Prometheus, version 0.0.4.
pub(super) fn render(stats: &Stats) -> String {
    let mut text = String::new();
    for Metric { name, kind, help, values } in METRICS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values(stats) {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/relay.md` has a row for each: name, kind, meaning.
    #[test]
    fn the_documented_metrics_are_those_that_are_shown() {
        let page = include_str!("../../../docs/relay.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `moqt_"));
        let documented: Vec<_> = rows
            .map(|row| {
                let (name, rest) = row.split_once('`').unwrap();
                let kind = rest.trim_start_matches(" |").split('|').next().unwrap().trim();
                (format!("moqt_{}", name.split('{').next().unwrap()), kind.to_owned())
            })
            .collect();
        let text = render(&Stats::default());
        let shown: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .collect();
        assert_eq!(documented, shown);
    }

    #[test]
    fn the_documented_reasons_are_those_that_are_counted() {
        let page = include_str!("../../../docs/relay.md");
        let text = render(&Stats::default());
        let reasons: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("moqt_drops_total{reason=\"")?.split_once('"'))
            .collect();
        assert_eq!(reasons.len(), 6);
        for (reason, _) in reasons {
            assert!(page.contains(&format!("| `{reason}` |")), "{reason}");
        }
    }
}
