//! Pictures of results, as SVG.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::{Error, Report};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 360;
const LINE: RGBColor = RGBColor(31, 95, 168);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Latency distribution above, throughput over time below.
pub(crate) fn report(report: &Report, file: &Path) -> Result<(), Error> {
    draw(file, 2, |areas| {
        line(
            &areas[0],
            "latency: share of objects that were sooner",
            ("latency, µs, logarithmic", "%"),
            &latencies(report),
            |decade| format!("{:.0}", 10_f64.powf(*decade)),
        )?;
        let rate = report.mbit_per_s.iter().enumerate().map(|(at, rate)| (at as f64 / 10.0, *rate));
        line(&areas[1], "throughput over time", ("time, s", "Mbit/s"), &rate.collect::<Vec<_>>(), |seconds| {
            format!("{seconds:.1}")
        })
    })
}

/// What each step of an adaptive run offered, and the latency that came of it.
pub(crate) fn adaptive(steps: &[(f64, f64)], what: &str, file: &Path) -> Result<(), Error> {
    let mut steps = steps.to_vec();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    draw(file, 1, |areas| {
        line(&areas[0], "median latency by load", (what, "latency p50, µs"), &steps, |load| {
            format!("{load:.0}")
        })
    })
}

/// A bar for each figure, its name above it.
pub(crate) fn bars(figures: &[(&str, f64)], title: &str, file: &Path) -> Result<(), Error> {
    let top = figures.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    draw(file, 1, |areas| {
        let mut chart = ChartBuilder::on(&areas[0])
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..figures.len() as f64, 0.0..(top * 1.15).max(1e-3))
            .map_err(|error| error.to_string())?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().disable_x_axis().light_line_style(TRANSPARENT);
        mesh.draw().map_err(|error| error.to_string())?;
        let places = || (0..).map(f64::from).zip(figures);
        let bar = |(at, (_, value)): (f64, &(&str, f64))| {
            Rectangle::new([(at + 0.2, 0.0), (at + 0.8, *value)], LINE.filled())
        };
        let name = |(at, (name, value)): (f64, &(&str, f64))| {
            Text::new(format!("{name}: {value:.1}"), (at + 0.2, value + top * 0.06), ("sans-serif", 14))
        };
        chart.draw_series(places().map(bar)).map_err(|error| error.to_string())?;
        chart.draw_series(places().map(name)).map_err(|error| error.to_string())?;
        Ok(())
    })
}

fn latencies(report: &Report) -> Vec<(f64, f64)> {
    let all: u64 = report.histogram_us.iter().map(|(_, count)| count).sum();
    let mut below = 0;
    let share = |(latency, count): &(f64, u64)| {
        below += count;
        (latency.max(0.1).log10(), below as f64 * 100.0 / all as f64)
    };
    report.histogram_us.iter().map(share).collect()
}

fn draw(file: &Path, charts: u32, chart: impl FnOnce(&[Area<'_>]) -> Result<(), Error>) -> Result<(), Error> {
    let root = SVGBackend::new(file, (WIDTH, HEIGHT * charts)).into_drawing_area();
    let named = |error: &dyn std::fmt::Display| format!("cannot write {}: {error}", file.display());
    root.fill(&WHITE).map_err(|error| named(&error))?;
    chart(&root.split_evenly((charts as usize, 1)))?;
    root.present().map_err(|error| named(&error))?;
    Ok(())
}

fn line(
    area: &Area<'_>,
    title: &str,
    (x, y): (&str, &str),
    points: &[(f64, f64)],
    label: impl Fn(&f64) -> String,
) -> Result<(), Error> {
    let reach = |of: fn(&(f64, f64)) -> f64| {
        points.iter().map(of).fold(None, |reach: Option<(f64, f64)>, value| {
            let (low, high) = reach.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        })
    };
    let (left, right) = reach(|point| point.0).unwrap_or((0.0, 1.0));
    let (_, top) = reach(|point| point.1).unwrap_or((0.0, 1.0));
    let shown = (left..right.max(left + 1e-3), 0.0..(top * 1.05).max(1e-3));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(shown.0, shown.1)
        .map_err(|error| error.to_string())?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(x).y_desc(y).x_label_formatter(&label).light_line_style(TRANSPARENT);
    mesh.draw().map_err(|error| error.to_string())?;
    chart
        .draw_series(LineSeries::new(points.iter().copied(), LINE.stroke_width(2)))
        .map_err(|error| error.to_string())?;
    Ok(())
}
