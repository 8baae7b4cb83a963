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

pub(crate) async fn run(args: &VersusArgs) -> Result<(), Error> {
    let progress = Progress::steps("rounds", args.rounds);
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let a = measure(ours(args)?, &figure_of_ours(&args.figure)).await?;
        let b = measure(theirs(args)?, &args.figure).await?;
        if b == 0.0 {
            return Err(format!("{} of the other command is 0 in round {round}", args.figure).into());
        }
        progress.say(&format!("{round:>3}  {a:>14.2}  {b:>14.2}  {:.3}", a / b));
        progress.step();
        rounds.push((a, b));
    }
    drop(progress);
    show(args, &rounds)?;
    Ok(())
}

fn show(args: &VersusArgs, rounds: &[(f64, f64)]) -> Result<(), Error> {
    let ratios = sorted(rounds.iter().map(|(a, b)| a / b));
    let (a, b) = (sorted(rounds.iter().map(|it| it.0)), sorted(rounds.iter().map(|it| it.1)));
    let [low, median, high] = [0.25, 0.5, 0.75].map(|share| quantile(&ratios, share));
    let mut out = io::stdout().lock();
    if args.json {
        let result = json!({
            "figure": args.figure,
            "rounds": rounds.iter().map(|(a, b)| json!({ "a": a, "b": b, "ratio": a / b })).collect::<Vec<_>>(),
            "a_median": quantile(&a, 0.5),
            "b_median": quantile(&b, 0.5),
            "ratio": { "q1": low, "median": median, "q3": high },
        });
        writeln!(out, "{result}")?;
        return Ok(());
    }
    writeln!(out, "{}: A is ours, B is {}", args.figure, args.against.as_deref().unwrap_or("bare"))?;
    writeln!(out, "round               A               B   A / B")?;
    for (round, (a, b)) in rounds.iter().enumerate() {
        writeln!(out, "{:>5}{a:>16.2}{b:>16.2}{:>8.3}", round + 1, a / b)?;
    }
    writeln!(
        out,
        "median{:>15.2}{:>16.2}{median:>8.3}  (quartiles {low:.3} and {high:.3})",
        quantile(&a, 0.5),
        quantile(&b, 0.5)
    )?;
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

/// Runs a command and takes one figure from the JSON object in its last line.
async fn measure(mut command: Command, key: &str) -> Result<f64, Error> {
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
    figure(&result, key).ok_or_else(|| format!("{shown} has no figure {key}").into())
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
