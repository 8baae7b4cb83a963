//! Raises the load until the ceiling shows.

use std::io::{self, Write};

use serde_json::json;

use crate::args::{AdaptiveArgs, Ramp};
use crate::progress::Progress;
use crate::scene::{Between, Scene};
use crate::{Error, Report, Workload, outputs, plot};

/// Loss above this share is no longer carried.
const MAX_LOSS: f64 = 0.001;
/// Less than this share of the offered rate is a backlog.
const MIN_CARRIED: f64 = 0.97;
/// How near the answer comes to the ceiling, as a share.
const NEAR: f64 = 0.05;
const MAX_STEPS: u32 = 24;

/// A load that was tried.
struct Step {
    load: f64,
    report: Report,
    carried: bool,
}

/// Doubles the load while it is carried, then halves the distance to the first that was not.
pub(crate) async fn run(args: &AdaptiveArgs) -> Result<(), Error> {
    let progress = Progress::steps("steps", MAX_STEPS);
    let mut steps: Vec<Step> = Vec::new();
    let (mut low, mut high) = (0.0_f64, None::<f64>);
    let mut load = first(args);
    for _ in 0..MAX_STEPS {
        let step = attempt(args, load).await?;
        let (p50, verdict) = (median(&step.report), if step.carried { "carried" } else { "too much" });
        progress.say(&format!(
            "{load:>12.0} {}: {verdict}, lost {}, p50 {p50:.0} µs",
            what(args.ramp),
            step.report.lost
        ));
        progress.step();
        if step.carried {
            low = low.max(load);
        } else {
            high = Some(high.map_or(load, |high| high.min(load)));
        }
        steps.push(step);
        load = match high {
            None => load * 2.0,
            Some(high) if high - low <= (high * NEAR).max(unit(args.ramp)) => break,
            Some(high) => (low + high) / 2.0,
        };
        if args.ramp == Ramp::Subscribers {
            load = load.floor();
        }
    }
    drop(progress);
    let curve: Vec<_> = steps.iter().map(|step| (step.load, median(&step.report))).collect();
    if let Some(file) = &args.output.plot {
        plot::adaptive(&curve, what(args.ramp), file)?;
    }
    let best = steps.into_iter().filter(|step| step.carried).max_by(|a, b| a.load.total_cmp(&b.load));
    let Some(best) = best else { return Err("not even the first step was carried".into()) };
    let held = match args.hold {
        Some(share) => Some(attempt(args, held(args.ramp, best.load * share)).await?),
        None => None,
    };
    if args.output.json {
        let mut object = serde_json::to_value(&best.report)?;
        object["ceiling"] = json!(best.load);
        object["steps"] = json!(curve);
        if let Some(held) = &held {
            object["held"] = serde_json::to_value(&held.report)?;
            object["held"]["load"] = json!(held.load);
            object["held"]["loss"] = json!(loss(&held.report));
        }
        writeln!(io::stdout().lock(), "{object}")?;
        return Ok(());
    }
    if !args.output.csv {
        let mut out = io::stdout().lock();
        writeln!(out, "ceiling: {:.0} {}", best.load, what(args.ramp))?;
        if let Some(Step { load, report, .. }) = &held {
            let (share, loss) = (args.hold.unwrap_or(1.0) * 100.0, loss(report) * 100.0);
            writeln!(out, "at {share:.0} %: {load:.0} {}, loss {loss:.3} %", what(args.ramp))?;
        }
    }
    let shown = held.as_ref().unwrap_or(&best);
    outputs::show(&crate::args::OutputArgs { plot: None, ..args.output.clone() }, &shown.report)
}

/// The load nearest to a share of the ceiling that can be.
fn held(ramp: Ramp, load: f64) -> f64 {
    match ramp {
        Ramp::Rate => load,
        Ramp::Subscribers => load.floor().max(1.0),
    }
}

/// Which share of what was sent was lost.
fn loss(report: &Report) -> f64 {
    let expected = report.sent as f64 * f64::from(report.workload.subscribers);
    if expected > 0.0 { report.lost as f64 / expected } else { 0.0 }
}

fn first(args: &AdaptiveArgs) -> f64 {
    match args.ramp {
        Ramp::Rate if args.workload.rate > 0.0 => args.workload.rate,
        Ramp::Rate => 1_000.0,
        Ramp::Subscribers => args.workload.subscribers.into(),
    }
}

const fn unit(ramp: Ramp) -> f64 {
    match ramp {
        Ramp::Rate => 0.0,
        Ramp::Subscribers => 1.0,
    }
}

const fn what(ramp: Ramp) -> &'static str {
    match ramp {
        Ramp::Rate => "objects/s",
        Ramp::Subscribers => "subscribers",
    }
}

async fn attempt(args: &AdaptiveArgs, load: f64) -> Result<Step, Error> {
    let mut workload = args.workload.clone();
    match args.ramp {
        Ramp::Rate => workload.rate = load,
        Ramp::Subscribers => workload.subscribers = load as u32,
    }
    if workload.rate == 0.0 {
        return Err("with subscribers to be raised, --rate must say at which rate".into());
    }
    let between = match args.server.place() {
        _ if args.loopback => Between::Nothing,
        Some(place) => Between::Theirs(place),
        None => Between::Ours,
    };
    let scene =
        Scene { name: "adaptive", workload, bare: false, between, apart: true, subscriber_processes: 1 };
    let report = scene.run().await?;
    let carried = is_carried(&scene.workload, &report, args.max_latency * 1e3);
    Ok(Step { load, report, carried })
}

fn is_carried(workload: &Workload, report: &Report, max_latency_us: f64) -> bool {
    let rate = workload.rate * f64::from(workload.subscribers);
    loss(report) <= MAX_LOSS && report.objects_per_s >= rate * MIN_CARRIED && median(report) <= max_latency_us
}

fn median(report: &Report) -> f64 {
    report.latency_us.map_or(0.0, |latency| latency.p50)
}
