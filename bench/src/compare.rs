//! Two results side by side.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::Error;
use crate::args::CompareArgs;

/// The figures that are compared, and whether more is better.
const FIGURES: &[(&str, bool)] = &[
    ("payload_mbit_per_s", true),
    ("objects_per_s", true),
    ("streams_per_s", true),
    ("latency_us.p50", false),
    ("latency_us.p95", false),
    ("latency_us.p99", false),
    ("latency_us.max", false),
    ("jitter_us", false),
    ("lost", false),
    ("cpu_s_per_gb", false),
    ("peak_rss_bytes", false),
];

pub(crate) fn run(args: &CompareArgs) -> Result<(), Error> {
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let rows =
        FIGURES.iter().filter_map(|(key, more)| Some((*key, figure(&a, key)?, figure(&b, key)?, *more)));
    let mut out = io::stdout().lock();
    if args.json {
        let object: serde_json::Map<_, _> = rows
            .map(|(key, a, b, _)| (key.to_owned(), json!({ "a": a, "b": b, "ratio": ratio(a, b) })))
            .collect();
        writeln!(out, "{}", Value::Object(object))?;
        return Ok(());
    }
    writeln!(out, "{:<22}{:>16}{:>16}{:>10}", "", "A", "B", "B / A")?;
    for (key, a, b, more) in rows {
        let verdict = match ratio(a, b) {
            Some(ratio) if (ratio > 1.02) == more && (ratio - 1.0).abs() > 0.02 => "better",
            Some(ratio) if (ratio - 1.0).abs() > 0.02 => "worse",
            _ => "",
        };
        let shown = ratio(a, b).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
        writeln!(out, "{key:<22}{a:>16.2}{b:>16.2}{shown:>10}  {verdict}")?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Value, Error> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| named(&error))?;
    Ok(serde_json::from_str(&text).map_err(|error| named(&error))?)
}

/// The number at `a.b.c`.
pub(crate) fn figure(result: &Value, key: &str) -> Option<f64> {
    key.split('.').try_fold(result, |value, key| value.get(key))?.as_f64()
}

fn ratio(a: f64, b: f64) -> Option<f64> {
    (a != 0.0).then_some(b / a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_their_path() {
        let result = json!({ "latency_us": { "p50": 3.5 }, "lost": 0 });
        assert_eq!(figure(&result, "latency_us.p50"), Some(3.5));
        assert_eq!(figure(&result, "lost"), Some(0.0));
        assert_eq!(figure(&result, "latency_us.p51"), None);
        assert_eq!(figure(&result, "latency_us"), None);
    }
}
