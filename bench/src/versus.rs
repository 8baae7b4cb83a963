//! Two commands by turns. What a shared machine can do drifts by a factor of two from minute to minute, the ratio of two
//! runs beside each other does not.

use std::io::{self, Write};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::args::{Of, VersusArgs};
use crate::compare::figure;
use crate::progress::Progress;
use crate::workload::{Congestion, Transport};
use crate::{Error, Workload};

/// What the two commands reached in one round, a value for each figure.
type Round = Vec<(f64, f64)>;

pub(crate) async fn run(args: &VersusArgs) -> Result<(), Error> {
    let progress = Progress::steps("rounds", args.rounds);
    let mut rounds: Vec<Round> = Vec::new();
    for round in 1..=args.rounds {
        let a = measure(ours(args)?, args.figure.iter().map(|key| figure_of_ours(key))).await?;
        let b = measure(theirs(args)?, args.figure.iter().cloned()).await?;
        let pairs: Round = a.into_iter().zip(b).collect();
        for ((a, b), key) in pairs.iter().zip(&args.figure) {
            progress.say(&format!("{round:>3}  {a:>14.2}  {b:>14.2}  {:>8.3}  {key}", a / b));
        }
        progress.step();
        rounds.push(pairs);
    }
    drop(progress);
    let outcomes: Vec<_> = args
        .figure
        .iter()
        .enumerate()
        .map(|(at, key)| Outcome::new(key, rounds.iter().map(|it| it[at])))
        .collect();
    show(args, &outcomes)
}

/// What became of one figure.
struct Outcome<'a> {
    key: &'a str,
    rounds: Vec<(f64, f64)>,
    medians: (f64, f64),
    /// Quartiles and median of the rounds' ratios.
    ratio: [f64; 3],
}

impl<'a> Outcome<'a> {
    fn new(key: &'a str, rounds: impl Iterator<Item = (f64, f64)>) -> Self {
        let rounds: Vec<_> = rounds.collect();
        let median = |of: fn(&(f64, f64)) -> f64| quantile(&sorted(rounds.iter().map(of)), 0.5);
        let ratios = sorted(rounds.iter().map(|(a, b)| a / b).filter(|ratio| ratio.is_finite()));
        let ratio = [0.25, 0.5, 0.75].map(|share| quantile(&ratios, share));
        let medians = (median(|it| it.0), median(|it| it.1));
        Self { key, medians, ratio, rounds }
    }

    fn json(&self) -> Value {
        let round = |(a, b): &(f64, f64)| json!({ "a": a, "b": b, "ratio": a / b });
        let [q1, median, q3] = self.ratio;
        json!({
            "rounds": self.rounds.iter().map(round).collect::<Vec<_>>(),
            "a_median": self.medians.0,
            "b_median": self.medians.1,
            "ratio": { "q1": q1, "median": median, "q3": q3 },
        })
    }
}

fn show(args: &VersusArgs, outcomes: &[Outcome<'_>]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    if args.json {
        let figures: serde_json::Map<_, _> =
            outcomes.iter().map(|it| (it.key.to_owned(), it.json())).collect();
        writeln!(out, "{}", json!({ "figures": figures }))?;
        return Ok(());
    }
    writeln!(out, "A is ours, B is {}", args.against.as_deref().unwrap_or("bare"))?;
    for Outcome { key, rounds, medians: (a_median, b_median), ratio: [q1, median, q3] } in outcomes {
        writeln!(out, "{key}\nround               A               B   A / B")?;
        for (round, (a, b)) in rounds.iter().enumerate() {
            writeln!(out, "{:>5}{a:>16.2}{b:>16.2}{:>8.3}", round + 1, a / b)?;
        }
        writeln!(
            out,
            "median{a_median:>15.2}{b_median:>16.2}{median:>8.3}  (quartiles {q1:.3} and {q3:.3})"
        )?;
    }
    Ok(())
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Between the two nearest values, by distance.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = share * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// What stands between is a relay on our side and a forwarder on the other.
fn figure_of_ours(key: &str) -> String {
    key.replace("processes.forwarder", "processes.relay")
}

fn ours(args: &VersusArgs) -> Result<Command, Error> {
    let bench = match args.of {
        Of::Loopback => "loopback",
        Of::Relay => "relay",
    };
    let mut command = own(bench, &args.workload)?;
    if args.of == Of::Relay {
        command.arg("--subscribers").arg(args.workload.subscribers.to_string());
    }
    Ok(command)
}

fn theirs(args: &VersusArgs) -> Result<Command, Error> {
    if let Some(against) = &args.against {
        let mut command = Command::new("sh");
        command.arg("-c").arg(against);
        return Ok(command);
    }
    let mut command = own("bare", &args.workload)?;
    if args.of == Of::Relay {
        command.arg("--forwarder").arg(args.workload.subscribers.to_string());
    }
    Ok(command)
}

/// A subcommand of this very program with the same workload.
fn own(bench: &str, workload: &Workload) -> Result<Command, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", bench, "--json"]).args(words(workload));
    Ok(command)
}

/// A workload as the command line says it, without its number of subscribers.
fn words(workload: &Workload) -> Vec<String> {
    let transport = match workload.transport {
        Transport::Quic => "quic",
        Transport::WebTransport => "webtransport",
    };
    let congestion = match workload.congestion {
        Congestion::Cubic => "cubic",
        Congestion::Bbr => "bbr",
        Congestion::NewReno => "newreno",
    };
    let mut words: Vec<String> = [
        ("--object-size", workload.object_size.to_string()),
        ("--group-size", workload.group_size.to_string()),
        ("--tracks", workload.tracks.to_string()),
        ("--streams", workload.streams.to_string()),
        ("--rate", workload.rate.to_string()),
        ("--duration", workload.duration.to_string()),
        ("--transport", transport.to_owned()),
        ("--draft", workload.draft.to_string()),
        ("--congestion", congestion.to_owned()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    words.extend(workload.datagrams.then(|| "--datagrams".to_owned()));
    words.extend(workload.no_latency.then(|| "--no-latency".to_owned()));
    words
}

/// Runs a command and takes figures from the JSON object in its last line.
async fn measure(mut command: Command, keys: impl Iterator<Item = String>) -> Result<Vec<f64>, Error> {
    let shown = format!("{:?}", command.as_std());
    let Output { status, stdout, .. } =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    if !status.success() {
        return Err(format!("{shown} ended with {status}").into());
    }
    let text = String::from_utf8_lossy(&stdout);
    let last = text.lines().rev().find(|line| line.starts_with('{')).unwrap_or("");
    let result: Value =
        serde_json::from_str(last).map_err(|error| format!("{shown} printed no JSON object: {error}"))?;
    keys.map(|key| figure(&result, &key).ok_or_else(|| format!("{shown} has no figure {key}").into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!([0.0, 0.5, 1.0].map(|share| quantile(&values, share)), [1.0, 2.5, 4.0]);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
