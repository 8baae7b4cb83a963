//! `cargo xtask performance`: runs every row of PERFORMANCE.md's tables and writes their figures into it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Outcome, root};

const BEGIN: &str = "<!-- figures: cargo xtask performance -->";
const END: &str = "<!-- end of figures -->";

/// Measure, and write the figures into PERFORMANCE.md.
#[derive(clap::Args)]
#[command(after_help = "\
Needs an idle machine, and for the rows against aiomoqt Python 3.12 (see interop/peers/python.sh). The whole takes about
an hour and a half with the usual 11 rounds of 5 s.

Examples:
  cargo xtask performance
  cargo xtask performance --rounds 3 --seconds 2 --only bare
  cargo xtask performance --dry-run")]
pub(crate) struct Options {
    /// Rounds of each row that is a ratio
    #[arg(long, default_value_t = 11)]
    rounds: u32,
    /// Seconds of each run
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Only rows whose name holds this; the figures of others stay as they are in PERFORMANCE.md
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print the commands and run none
    #[arg(long)]
    dry_run: bool,
}

/// A row of the table.
struct Row {
    name: &'static str,
    /// What `moqt bench` is told, without rounds and seconds.
    arguments: &'static str,
    /// The other side of a ratio.
    against: Against,
    goals: &'static [Goal],
}

enum Against {
    /// Nothing: the figures stand for themselves.
    Nothing,
    /// The bare transport.
    Bare,
    /// aiomoqt's bench, with the same workload.
    Aiomoqt,
}

/// What a figure is to reach.
struct Goal {
    key: &'static str,
    reach: Reach,
}

#[derive(Clone, Copy)]
enum Reach {
    AtLeast(f64),
    AtMost(f64),
}

const fn at_least(key: &'static str, value: f64) -> Goal {
    Goal { key, reach: Reach::AtLeast(value) }
}

const fn at_most(key: &'static str, value: f64) -> Goal {
    Goal { key, reach: Reach::AtMost(value) }
}

const MBIT: &str = "payload_mbit_per_s";
const OBJECTS: &str = "objects_per_s";
const CPU: &str = "cpu_s_per_gb";
const FORWARDER: &str = "processes.forwarder.cpu_s_per_gb";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { name: "4 KiB, 8 streams, QUIC, against bare", against: Against::Bare,
          arguments: "--object-size 4096 --group-size 200 --streams 8", goals: &[at_least(MBIT, 0.93), at_most(CPU, 1.08)] },
    Row { name: "4 KiB, 8 streams, WebTransport, against bare", against: Against::Bare,
          arguments: "--object-size 4096 --group-size 200 --streams 8 --transport webtransport", goals: &[at_least(MBIT, 0.93)] },
    Row { name: "4 KiB, 8 streams, QUIC, against aiomoqt", against: Against::Aiomoqt,
          arguments: "--object-size 4096 --group-size 200 --streams 8", goals: &[at_least(MBIT, 3.5)] },
    Row { name: "4 KiB, 8 streams, WebTransport, against aiomoqt", against: Against::Aiomoqt,
          arguments: "--object-size 4096 --group-size 200 --streams 8 --transport webtransport", goals: &[at_least(MBIT, 3.5)] },
    Row { name: "100 B in long groups, QUIC, against aiomoqt", against: Against::Aiomoqt,
          arguments: "--object-size 100 --group-size 10000 --no-latency", goals: &[at_least(OBJECTS, 25.0)] },
    Row { name: "100 B in long groups, QUIC", against: Against::Nothing,
          arguments: "loopback --object-size 100 --group-size 10000 --no-latency", goals: &[at_least(OBJECTS, 2e6)] },
    Row { name: "1 B, a stream each, QUIC, against aiomoqt", against: Against::Aiomoqt,
          arguments: "--object-size 1 --group-size 1 --no-latency", goals: &[at_least(OBJECTS, 10.0)] },
    Row { name: "1 B, a stream each, WebTransport, against aiomoqt", against: Against::Aiomoqt,
          arguments: "--object-size 1 --group-size 1 --no-latency --transport webtransport", goals: &[at_least(OBJECTS, 25.0)] },
    Row { name: "1 B, a stream each, QUIC, against bare", against: Against::Bare,
          arguments: "--object-size 1 --group-size 1 --no-latency", goals: &[at_least(OBJECTS, 0.65)] },
    Row { name: "1 B, a stream each, WebTransport, against bare", against: Against::Bare,
          arguments: "--object-size 1 --group-size 1 --no-latency --transport webtransport", goals: &[at_least(OBJECTS, 0.65)] },
    Row { name: "datagrams of 1,100 B, against aiomoqt", against: Against::Aiomoqt,
          arguments: "--object-size 1100 --datagrams --no-latency", goals: &[at_least(OBJECTS, 4.0)] },
    Row { name: "datagrams of 1,100 B, against bare", against: Against::Bare,
          arguments: "--object-size 1100 --datagrams --no-latency", goals: &[at_least(OBJECTS, 0.85)] },
    Row { name: "latency at 2,000 objects/s of 1,200 B", against: Against::Nothing,
          arguments: "loopback --object-size 1200 --rate 2000", goals: &[at_most("latency_us.p50", 150.0), at_most("latency_us.p99", 1000.0)] },
    Row { name: "relay, N = 1, 200 objects/s", against: Against::Bare,
          arguments: "--of relay --object-size 1200 --rate 200 --subscribers 1", goals: &[at_most(FORWARDER, 1.25)] },
    Row { name: "relay, N = 16, 200 objects/s", against: Against::Bare,
          arguments: "--of relay --object-size 1200 --rate 200 --subscribers 16", goals: &[at_most(FORWARDER, 1.25), at_most("latency_us.p50", 2.0)] },
    Row { name: "relay, N = 64, 200 objects/s", against: Against::Bare,
          arguments: "--of relay --object-size 1200 --rate 200 --subscribers 64", goals: &[at_most(FORWARDER, 1.25)] },
    Row { name: "relay, N = 256, 200 objects/s", against: Against::Bare,
          arguments: "--of relay --object-size 1200 --rate 200 --subscribers 256", goals: &[at_most(FORWARDER, 1.25)] },
    Row { name: "relay, N = 1, unpaced", against: Against::Bare,
          arguments: "--of relay --object-size 1200 --subscribers 1", goals: &[at_most(FORWARDER, 1.25)] },
    Row { name: "relay, N = 16, unpaced", against: Against::Bare,
          arguments: "--of relay --object-size 1200 --subscribers 16", goals: &[at_most(FORWARDER, 1.25)] },
    Row { name: "requests and idle sessions of the relay", against: Against::Nothing,
          arguments: "control", goals: &[at_least("exchanges_per_cpu_s", 10_000.0), at_most("session_bytes_above_bare", 40_960.0), at_most("subscription_bytes", 4_096.0)] },
];

pub(crate) fn run(options: &Options) -> Outcome {
    let moqt = root().join("target/release/moqt");
    if !options.dry_run {
        let built = Command::new("cargo")
            .args(["build", "--quiet", "--release", "--package", "moqingbird-cli"])
            .current_dir(root())
            .status();
        if !built.is_ok_and(|status| status.success()) {
            return Err("cargo build --release failed".to_owned());
        }
    }
    let file = root().join("PERFORMANCE.md");
    let mut text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let wanted = |row: &&Row| options.only.as_ref().is_none_or(|only| row.name.contains(only.as_str()));
    for row in ROWS.iter().filter(wanted) {
        let arguments = row.arguments(options);
        println!("moqt bench {}", shown(&arguments));
        if options.dry_run {
            continue;
        }
        let lines = row.lines(&measured(&moqt, &arguments)?)?;
        println!("{lines}");
        // As soon as it is known: a run that is broken off has lost nothing.
        text = with_row(&text, row.name, &lines).ok_or("PERFORMANCE.md has no place for figures")?;
        text = with_machine(&text, options);
        fs::write(&file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

impl Row {
    fn arguments(&self, options: &Options) -> Vec<String> {
        let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let seconds = ["--duration".to_owned(), options.seconds.to_string(), "--json".to_owned()];
        let mut arguments = match self.against {
            Against::Nothing => words(self.arguments),
            _ => words(&format!("versus --rounds {} {}", options.rounds, self.arguments)),
        };
        if let Against::Bare | Against::Aiomoqt = self.against {
            arguments.extend(self.goals.iter().flat_map(|goal| ["--figure".to_owned(), goal.key.to_owned()]));
        }
        if let Against::Aiomoqt = self.against {
            let command =
                format!("bench/peers/aiomoqt.sh loopback {} --duration {}", self.arguments, options.seconds);
            arguments.extend(["--against".to_owned(), command]);
        }
        arguments.extend(seconds);
        arguments
    }

    /// The lines of the table.
    fn lines(&self, result: &Value) -> Result<String, String> {
        let mut lines = String::new();
        for Goal { key, reach } in self.goals {
            let missing = || format!("{} has no figure {key}", self.name);
            let (figure, of) = match self.against {
                Against::Nothing => {
                    (at(result, key).and_then(Value::as_f64).ok_or_else(missing)?, String::new())
                }
                _ => {
                    let found = &result["figures"][key];
                    let number = |of: &str| at(found, of).and_then(Value::as_f64).ok_or_else(missing);
                    let of = format!(
                        "{} / {}, quartiles {:.2} and {:.2}",
                        short(number("a_median")?),
                        short(number("b_median")?),
                        number("ratio.q1")?,
                        number("ratio.q3")?
                    );
                    (number("ratio.median")?, of)
                }
            };
            let (goal, is_met) = match *reach {
                Reach::AtLeast(value) => (format!("≥ {}", short(value)), figure >= value),
                Reach::AtMost(value) => (format!("≤ {}", short(value)), figure <= value),
            };
            let verdict = if is_met { "met" } else { "not met" };
            let _ = writeln!(
                lines,
                "| {} | `{key}` | {goal} | {} | {verdict} | {of} |",
                self.name,
                short(figure)
            );
        }
        Ok(lines)
    }
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// Three digits that count, and thousands apart.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2} M", value / 1e6),
        size if size >= 1e3 => format!("{:.1} k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn shown(arguments: &[String]) -> String {
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn measured(moqt: &Path, arguments: &[String]) -> Result<Value, String> {
    let output = Command::new(moqt)
        .arg("bench")
        .args(arguments)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", moqt.display()))?;
    if !output.status.success() {
        return Err(format!("moqt bench {} ended with {}", shown(arguments), output.status));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("moqt bench {}: {error}", shown(arguments)))
}

/// The text with the lines of a row in place of those that it has had, or at the end of the table.
fn with_row(text: &str, name: &str, lines: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (table, after) = rest.split_once(END)?;
    let of_row = |line: &&str| line.starts_with(&format!("| {name} |"));
    let at = table.lines().position(|line| of_row(&line));
    let mut kept: Vec<_> = table.lines().filter(|line| !of_row(line)).collect();
    kept.splice(at.map_or(kept.len()..kept.len(), |at| at..at), lines.lines());
    Some(format!("{before}{BEGIN}{}\n{END}{after}", kept.join("\n")))
}

/// The text with the line on machine and commit renewed.
fn with_machine(text: &str, options: &Options) -> String {
    let Options { rounds, seconds, .. } = options;
    let line = format!("Measured: {}; {rounds} rounds of {seconds} s.", machine());
    let renewed = text.lines().map(|old| if old.starts_with("Measured: ") { line.as_str() } else { old });
    renewed.collect::<Vec<_>>().join("\n") + "\n"
}

fn machine() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(root()).output();
        output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    format!(
        "{}, commit {}, {} cores of {}, Linux {}, {}",
        said("date", &["+%Y-%m-%d"]),
        said("git", &["rev-parse", "--short", "HEAD"]),
        said("nproc", &[]),
        model.trim_start_matches([' ', '\t', ':']),
        said("uname", &["-r"]),
        said("rustc", &["--version"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_the_place_of_its_old_lines() {
        let text =
            format!("a\n{BEGIN}\n| x | y |\n|---|---|\n| one | 1 |\n| one | 2 |\n| two | 3 |\n{END}\nb\n");
        let text = with_row(&text, "one", "| one | 7 |\n").unwrap();
        assert_eq!(text, format!("a\n{BEGIN}\n| x | y |\n|---|---|\n| one | 7 |\n| two | 3 |\n{END}\nb\n"));
        let text = with_row(&text, "three", "| three | 8 |\n").unwrap();
        assert!(text.contains("| two | 3 |\n| three | 8 |\n"), "{text}");
    }

    #[test]
    fn every_row_has_a_command_of_its_own() {
        let options = Options { rounds: 2, seconds: 1, only: None, dry_run: true };
        let mut commands: Vec<_> = ROWS.iter().map(|row| shown(&row.arguments(&options))).collect();
        commands.sort();
        commands.dedup();
        assert_eq!(commands.len(), ROWS.len());
    }
}
