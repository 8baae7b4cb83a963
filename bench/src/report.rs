//! What a run found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::Workload;
use crate::role::Part;
use crate::tally::{SLICE, Seens};

/// What a run found. Rates are of what subscribers received, all of them together, from the first object to the last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Which bench it was.
    pub bench: String,
    /// What was sent.
    pub workload: Workload,
    /// Objects received.
    pub objects: u64,
    /// Objects sent; 0 where only the subscriber was ours.
    pub sent: u64,
    /// Objects that did not reach a subscriber for which they were sent.
    pub lost: u64,
    /// Objects that came after a later one of the same subgroup sequence.
    pub reordered: u64,
    /// From the first object received to the last, in seconds.
    pub seconds: f64,
    /// Objects received a second.
    pub objects_per_s: f64,
    /// Streams opened a second by the publisher.
    pub streams_per_s: f64,
    /// Payload received, in Mbit/s (10^6 bits).
    pub payload_mbit_per_s: f64,
    /// From sending to arrival, in microseconds; none where no timestamps were sent.
    pub latency_us: Option<Latency>,
    /// Interarrival jitter (RFC 3550 §6.4.1), in microseconds.
    pub jitter_us: Option<f64>,
    /// CPU seconds of all processes for each GB (10^9 bytes) of payload received.
    pub cpu_s_per_gb: f64,
    /// The most memory that was resident at once in one process, in bytes.
    pub peak_rss_bytes: u64,
    /// Each process by the parts that it played.
    pub processes: BTreeMap<String, ProcessReport>,
    /// Payload received in each tenth of a second, in Mbit/s.
    pub mbit_per_s: Vec<f64>,
    /// Pairs of latency in microseconds and how many objects had it.
    pub histogram_us: Vec<(f64, u64)>,
}

/// How late objects were, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Latency {
    /// Half of the objects were sooner.
    pub p50: f64,
    /// 95 % were sooner.
    pub p95: f64,
    /// 99 % were sooner.
    pub p99: f64,
    /// The latest.
    pub max: f64,
}

/// What one process cost while objects were sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessReport {
    /// CPU time, user and system, in seconds.
    pub cpu_s: f64,
    /// The same for each GB of payload that subscribers received.
    pub cpu_s_per_gb: f64,
    /// The most memory that was resident at once, in bytes.
    pub peak_rss_bytes: u64,
}

/// What a process cost.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    pub(crate) process: String,
    pub(crate) cpu_s: f64,
    pub(crate) peak_rss_bytes: u64,
}

impl Report {
    pub(crate) fn new(
        bench: &str,
        workload: &Workload,
        sent: &Part,
        seen: &[Part],
        costs: Vec<Cost>,
    ) -> Self {
        let mut all = Seens::default();
        seen.iter().for_each(|part| all.merge(&part.seen));
        let seconds = all.seconds();
        let per_second = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        let gigabytes = all.bytes as f64 / 1e9;
        let per_gb = |cpu: f64| if gigabytes > 0.0 { cpu / gigabytes } else { 0.0 };
        let expected = sent.sent * u64::from(workload.subscribers);
        let histogram = all.histogram();
        let latency = (!histogram.is_empty()).then(|| Latency {
            p50: micros(histogram.value_at_quantile(0.5)),
            p95: micros(histogram.value_at_quantile(0.95)),
            p99: micros(histogram.value_at_quantile(0.99)),
            max: micros(histogram.max()),
        });
        let process = |cost: &Cost| ProcessReport {
            cpu_s: cost.cpu_s,
            cpu_s_per_gb: per_gb(cost.cpu_s),
            peak_rss_bytes: cost.peak_rss_bytes,
        };
        Self {
            bench: bench.to_owned(),
            workload: workload.clone(),
            objects: all.objects,
            sent: sent.sent,
            // Where nobody knows what was sent, the gaps are what is known to be missing.
            lost: if sent.sent > 0 { expected.saturating_sub(all.objects) } else { all.gaps },
            reordered: all.reordered,
            seconds,
            objects_per_s: per_second(all.objects as f64),
            streams_per_s: per_second(sent.streams as f64),
            payload_mbit_per_s: per_second(all.bytes as f64 * 8.0 / 1e6),
            latency_us: latency,
            jitter_us: latency.map(|_| all.jitter / 1e3),
            cpu_s_per_gb: per_gb(costs.iter().map(|cost| cost.cpu_s).sum()),
            peak_rss_bytes: costs.iter().map(|cost| cost.peak_rss_bytes).max().unwrap_or(0),
            processes: numbered(&costs).zip(costs.iter().map(process)).collect(),
            mbit_per_s: all.slices.iter().map(|bytes| *bytes as f64 * 8e3 / SLICE as f64).collect(),
            histogram_us: histogram
                .iter_recorded()
                .map(|it| (micros(it.value_iterated_to()), it.count_at_value()))
                .collect(),
        }
    }

    /// Makes the figures those of what was sent, for a publisher that knows nothing of its subscribers.
    pub(crate) fn count_what_was_sent(&mut self) {
        let (seconds, sent) = (self.workload.duration, self.sent as f64);
        let bytes = sent * f64::from(self.workload.object_size);
        (self.objects, self.lost, self.seconds) = (self.sent, 0, seconds);
        (self.objects_per_s, self.payload_mbit_per_s) = (sent / seconds, bytes * 8.0 / 1e6 / seconds);
        let cpu: f64 = self.processes.values().map(|process| process.cpu_s).sum();
        self.cpu_s_per_gb = if bytes > 0.0 { cpu / (bytes / 1e9) } else { 0.0 };
        self.processes.values_mut().for_each(|process| process.cpu_s_per_gb = self.cpu_s_per_gb);
    }

    /// One header line and one line of figures.
    pub(crate) fn csv(&self) -> String {
        let latency =
            |of: fn(&Latency) -> f64| self.latency_us.as_ref().map_or(String::new(), |it| of(it).to_string());
        format!(
            "bench,objects,sent,lost,reordered,seconds,objects_per_s,payload_mbit_per_s,latency_p50_us,latency_p95_us,\
             latency_p99_us,latency_max_us,jitter_us,cpu_s_per_gb,peak_rss_bytes\n\
             {},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
            self.bench,
            self.objects,
            self.sent,
            self.lost,
            self.reordered,
            self.seconds,
            self.objects_per_s,
            self.payload_mbit_per_s,
            latency(|it| it.p50),
            latency(|it| it.p95),
            latency(|it| it.p99),
            latency(|it| it.max),
            self.jitter_us.map_or(String::new(), |jitter| jitter.to_string()),
            self.cpu_s_per_gb,
            self.peak_rss_bytes,
        )
    }
}

/// A name for each process, those of the same name numbered.
fn numbered(costs: &[Cost]) -> impl Iterator<Item = String> {
    costs.iter().enumerate().map(|(at, cost)| {
        let alike = |costs: &[Cost]| costs.iter().filter(|other| other.process == cost.process).count();
        match alike(costs) {
            1 => cost.process.clone(),
            _ => format!("{} {}", cost.process, alike(&costs[..=at])),
        }
    })
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Workload { object_size, tracks, streams, subscribers, .. } = &self.workload;
        let plural =
            |count: &u32, what: &str| format!("{count} {what}{}", if *count == 1 { "" } else { "s" });
        let transport = match self.workload.transport {
            crate::Transport::Quic => "QUIC",
            crate::Transport::WebTransport => "WebTransport",
        };
        writeln!(
            f,
            "{}: {object_size} B objects, {}, {}, {}, {transport}",
            self.bench,
            plural(tracks, "track"),
            if self.workload.datagrams { "datagrams".to_owned() } else { plural(streams, "stream") },
            plural(subscribers, "subscriber"),
        )?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, text: String| writeln!(f, "  {name:<12} {text}");
        row(f, "throughput", format!("{:.1} Mbit/s", self.payload_mbit_per_s))?;
        row(
            f,
            "objects",
            format!("{:.0} /s, {} in {:.2} s", self.objects_per_s, self.objects, self.seconds),
        )?;
        if let Some(Latency { p50, p95, p99, max }) = self.latency_us {
            row(f, "latency", format!("p50 {p50:.0} µs, p95 {p95:.0} µs, p99 {p99:.0} µs, max {max:.0} µs"))?;
        }
        if let Some(jitter) = self.jitter_us {
            row(f, "jitter", format!("{jitter:.0} µs"))?;
        }
        row(f, "lost", format!("{}, reordered {}", self.lost, self.reordered))?;
        for (name, process) in &self.processes {
            let mut text = String::new();
            let megabytes = process.peak_rss_bytes as f64 / f64::from(1 << 20);
            write!(
                text,
                "{:.2} CPU s, {:.2} for each GB, peak {megabytes:.1} MiB",
                process.cpu_s, process.cpu_s_per_gb
            )?;
            row(f, name, text)?;
        }
        Ok(())
    }
}
