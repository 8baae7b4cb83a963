//! `cargo xtask performance`: runs every row of PERFORMANCE.md's tables and writes their figures into it.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Outcome, root};

const BEGIN: &str = "<!-- figures: cargo xtask performance -->";
const END: &str = "<!-- end of figures -->";

/// Measure, and write the figures into PERFORMANCE.md.
#[derive(clap::Args)]
#[command(after_help = "\
Needs an idle machine, and for the rows against aiomoqt Python 3.12 (see interop/peers/python.sh). The whole takes about
an hour and a half with the usual 11 rounds of 5 s. Each row is written as soon as it is known; one that fails is told, and
the others go on.

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
    /// What `moqt bench` is told, without rounds and seconds; of a bench of cargo's, its package and name.
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
    /// Nothing: the figures are medians of a criterion bench, in nanoseconds.
    Criterion,
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
    /// So much more than the other, and not a ratio.
    Adds(f64),
}

const fn at_least(key: &'static str, value: f64) -> Goal {
    Goal { key, reach: Reach::AtLeast(value) }
}

const fn at_most(key: &'static str, value: f64) -> Goal {
    Goal { key, reach: Reach::AtMost(value) }
}

const fn adds(key: &'static str, value: f64) -> Goal {
    Goal { key, reach: Reach::Adds(value) }
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
    Row { name: "datagrams of 1,100 B, loss at 80 % of the ceiling", against: Against::Nothing,
          arguments: "adaptive --loopback --object-size 1100 --datagrams --no-latency --hold 0.8", goals: &[at_most("held.loss", 0.001)] },
    Row { name: "latency at 2,000 objects/s of 1,200 B, against aiomoqt", against: Against::Aiomoqt,
          arguments: "--object-size 1200 --rate 2000", goals: &[at_most("latency_us.p50", 1.0), at_most("latency_us.p99", 1.0)] },
    Row { name: "latency at 2,000 objects/s of 1,200 B", against: Against::Nothing,
          arguments: "loopback --object-size 1200 --rate 2000", goals: &[at_most("latency_us.p50", 150.0), at_most("latency_us.p99", 1000.0)] },
    Row { name: "relay, N = 1, 200 objects/s", against: Against::Bare,
          arguments: "--of relay --object-size 1200 --rate 200 --subscribers 1", goals: &[at_most(FORWARDER, 1.25)] },
    Row { name: "relay, N = 16, 200 objects/s", against: Against::Bare,
          arguments: "--of relay --object-size 1200 --rate 200 --subscribers 16", goals: &[at_most(FORWARDER, 1.25), adds("latency_us.p50", 200.0)] },
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
    Row { name: "who publishes a track, of 100,000 announced namespaces, in ns", against: Against::Criterion,
          arguments: "moqingbird-relay routing", goals: &[at_most("prefix_lookup_wide", 2_000.0), at_most("prefix_lookup_deep", 2_000.0)] },
];

pub(crate) fn run(options: &Options) -> Outcome {
    let wanted = |row: &&Row| options.only.as_ref().is_none_or(|only| row.name.contains(only.as_str()));
    let rows: Vec<_> = ROWS.iter().filter(wanted).collect();
    if rows.is_empty() {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("no row has that in its name; there are:\n{}", names.join("\n")));
    }
    if options.dry_run {
        rows.iter().for_each(|row| println!("{}", shown(&row.command(options))));
        return Ok(());
    }
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--package", "moqingbird-cli"])
        .current_dir(root())
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("cargo build --release failed".to_owned());
    }
    let mut failed = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        println!("[{}/{}] {}", at + 1, rows.len(), shown(&row.command(options)));
        let measured = measured(&row.command(options)).and_then(|result| row.lines(&result, &when(options)));
        match measured {
            Ok(lines) => {
                println!("{lines}");
                // As soon as it is known: a run that is broken off has lost nothing.
                write(row.name, &lines)?;
            }
            Err(why) => {
                eprintln!("{}: {why}", row.name);
                failed.push(row.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("rows without a figure: {}", failed.join("; "))) }
}

fn write(name: &str, lines: &str) -> Outcome {
    let file = root().join("PERFORMANCE.md");
    let named = |error: std::io::Error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(&file).map_err(named)?;
    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    let text = with_row(&text, &names, name, lines).ok_or("PERFORMANCE.md has no place for figures")?;
    fs::write(&file, with_machine(&text)).map_err(named)
}

impl Row {
    fn command(&self, options: &Options) -> Vec<String> {
        let seconds = options.seconds;
        let mut command = match self.against {
            Against::Criterion => return self.criterion(seconds),
            Against::Nothing => words(&format!("target/release/moqt bench {}", self.arguments)),
            _ => words(&format!(
                "target/release/moqt bench versus --rounds {} {}",
                options.rounds, self.arguments
            )),
        };
        if let Against::Bare | Against::Aiomoqt = self.against {
            command.extend(self.goals.iter().flat_map(|goal| ["--figure".to_owned(), goal.key.to_owned()]));
        }
        if let Against::Aiomoqt = self.against {
            let theirs = format!("bench/peers/aiomoqt.sh loopback {} --duration {seconds}", self.arguments);
            command.extend(["--against".to_owned(), theirs]);
        }
        command.extend(["--duration".to_owned(), seconds.to_string(), "--json".to_owned()]);
        command
    }

    /// Criterion takes the time twice, the first to warm up, for each of the figures.
    fn criterion(&self, seconds: u32) -> Vec<String> {
        let (package, bench) = self.arguments.split_once(' ').unwrap_or((self.arguments, ""));
        let keys: Vec<_> = self.goals.iter().map(|goal| goal.key).collect();
        let mut command = words(&format!("cargo bench --quiet --package {package} --bench {bench} --"));
        command.push(keys.join("|"));
        command.extend(words(&format!("--warm-up-time {seconds} --measurement-time {seconds}")));
        command
    }

    /// The lines of the table.
    fn lines(&self, result: &Value, when: &str) -> Result<String, String> {
        let mut lines = String::new();
        for Goal { key, reach } in self.goals {
            let (figure, of) = match self.against {
                Against::Criterion => (estimate(key)?, String::new()),
                Against::Nothing => (number(result, key)?, String::new()),
                Against::Bare | Against::Aiomoqt => compared(&result["figures"][key], *reach)?,
            };
            let (goal, is_met) = match *reach {
                Reach::AtLeast(value) => (format!("≥ {}", short(value)), figure >= value),
                Reach::AtMost(value) => (format!("≤ {}", short(value)), figure <= value),
                Reach::Adds(value) => (format!("≤ other + {}", short(value)), figure <= value),
            };
            let figure = match reach {
                Reach::Adds(_) => {
                    format!("other {} {}", if figure < 0.0 { '-' } else { '+' }, short(figure.abs()))
                }
                _ => short(figure),
            };
            let verdict = if is_met { "met" } else { "not met" };
            let _ = writeln!(
                lines,
                "| {} | `{key}` | {goal} | {figure} | {verdict} | {of} | {when} |",
                self.name
            );
        }
        Ok(lines)
    }
}

/// What `versus` found of one figure, and how its rounds lie.
fn compared(found: &Value, reach: Reach) -> Result<(f64, String), String> {
    let medians = format!("{} / {}", short(number(found, "a_median")?), short(number(found, "b_median")?));
    let (q1, q3) = (number(found, "ratio.q1")?, number(found, "ratio.q3")?);
    let figure = match reach {
        Reach::Adds(_) => {
            let rounds = found["rounds"].as_array().map(Vec::as_slice).unwrap_or_default();
            let added = rounds.iter().map(|round| Ok(number(round, "a")? - number(round, "b")?));
            median(added.collect::<Result<_, String>>()?)
        }
        _ => number(found, "ratio.median")?,
    };
    Ok((figure, format!("{medians}, quartiles {q1:.2} and {q3:.2}")))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// The median that criterion has written down, in nanoseconds.
fn estimate(id: &str) -> Result<f64, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let file = target.join("criterion").join(id).join("new/estimates.json");
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(&file).map_err(|error| named(&error))?;
    number(&serde_json::from_str(&text).map_err(|error| named(&error))?, "median.point_estimate")
}

fn number(value: &Value, path: &str) -> Result<f64, String> {
    at(value, path).and_then(Value::as_f64).ok_or_else(|| format!("the result has no figure {path}"))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
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
        size if size >= 0.01 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.5}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

fn shown(arguments: &[String]) -> String {
    let quoted = |word: &String| if word.contains([' ', '|']) { format!("'{word}'") } else { word.clone() };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Runs a command; what it printed, if that is JSON.
fn measured(command: &[String]) -> Result<Value, String> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    if program == "cargo" {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("it printed no JSON object: {error}"))
}

/// The text with the lines of a row in place of those that it has had, or before those of the next row that has some.
fn with_row(text: &str, names: &[&str], name: &str, lines: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (table, after) = rest.split_once(END)?;
    let of = |line: &str, name: &str| line.starts_with(&format!("| {name} |"));
    let mut kept: Vec<_> = table.lines().filter(|line| !of(line, name)).collect();
    let later = names.iter().skip_while(|it| **it != name).skip(1);
    let at = later.filter_map(|later| kept.iter().position(|line| of(line, later))).min();
    let at = at.unwrap_or(kept.len());
    kept.splice(at..at, lines.lines());
    Some(format!("{before}{BEGIN}{}\n{END}{after}", kept.join("\n")))
}

/// The text with the line on the machine renewed.
fn with_machine(text: &str) -> String {
    let line = format!("Measured on {}.", machine());
    let renewed = text.lines().map(|old| if old.starts_with("Measured on ") { line.as_str() } else { old });
    renewed.collect::<Vec<_>>().join("\n") + "\n"
}

/// Of what, and in how many rounds, the figures are.
fn when(options: &Options) -> String {
    let Options { rounds, seconds, .. } = options;
    let (date, commit) = (said("date", &["+%Y-%m-%d"]), said("git", &["rev-parse", "--short", "HEAD"]));
    format!("{date}, {commit}, {rounds} × {seconds} s")
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    format!(
        "{} cores of {}, Linux {}, {}",
        said("nproc", &[]),
        model.trim_start_matches([' ', '\t', ':']),
        said("uname", &["-r"]),
        said("rustc", &["--version"]),
    )
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_the_place_of_its_old_lines() {
        let text =
            format!("a\n{BEGIN}\n| x | y |\n|---|---|\n| one | 1 |\n| one | 2 |\n| two | 3 |\n{END}\nb\n");
        let names = ["zero", "one", "two", "three"];
        let text = with_row(&text, &names, "one", "| one | 7 |\n").unwrap();
        assert_eq!(text, format!("a\n{BEGIN}\n| x | y |\n|---|---|\n| one | 7 |\n| two | 3 |\n{END}\nb\n"));
        let text = with_row(&text, &names, "three", "| three | 8 |\n").unwrap();
        assert!(text.contains("| two | 3 |\n| three | 8 |\n"), "{text}");
        let text = with_row(&text, &names, "zero", "| zero | 9 |\n").unwrap();
        assert!(text.contains("|---|---|\n| zero | 9 |\n| one | 7 |\n"), "{text}");
    }

    #[test]
    fn small_figures_keep_their_digits() {
        assert_eq!(
            [0.001, 0.0, 0.83, 45.5, 118.0, 4_100.0, 2e6].map(short),
            ["0.001", "0.00", "0.83", "45.5", "118", "4.1 k", "2.00 M"]
        );
    }

    #[test]
    fn what_is_added_is_the_median_of_the_rounds_differences() {
        let found = serde_json::json!({
            "a_median": 340.0, "b_median": 300.0, "ratio": { "q1": 1.0, "median": 1.1, "q3": 1.2 },
            "rounds": [{ "a": 340.0, "b": 300.0 }, { "a": 900.0, "b": 320.0 }, { "a": 310.0, "b": 290.0 }],
        });
        assert_eq!(compared(&found, Reach::Adds(200.0)).unwrap().0, 40.0);
        assert_eq!(compared(&found, Reach::AtMost(2.0)).unwrap().0, 1.1);
    }

    #[test]
    fn every_row_has_a_command_of_its_own() {
        let options = Options { rounds: 2, seconds: 1, only: None, dry_run: true };
        let mut commands: Vec<_> = ROWS.iter().map(|row| shown(&row.command(&options))).collect();
        commands.sort();
        commands.dedup();
        assert_eq!(commands.len(), ROWS.len());
    }
}
