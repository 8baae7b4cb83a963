//! A relay under a steady load for a long time: its memory must stay level.
//!
//! The relay is `moqt relay`, a process of its own, so that what is measured is the relay alone. The publisher and the
//! subscribers are of the library, in this process.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moqingbird::wire::model::{FullTrackName, PublishNamespace, Subscribe, TrackNamespace};
use moqingbird::{
    ClientOptions, Delivery, IncomingRequest, Publication, ServerUrl, Session, SubgroupOptions, TrackInfo,
    Trust, Version, connect,
};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};

use crate::{Outcome, root};

/// How often memory is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// What a group holds: objects, and bytes of each.
const OBJECTS: u64 = 4;
const OBJECT_BYTES: usize = 1024;
/// How long a subscriber stays, at least and at most.
const STAY: (u64, u64) = (3, 20);

/// The options of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// How many groups are published a minute
    #[arg(long, default_value_t = 1_000)]
    groups: u64,
    /// How many subscribers come and go
    #[arg(long, default_value_t = 20)]
    subscribers: u64,
    /// The `moqt` program [default: it is built, in release]
    #[arg(long)]
    moqt: Option<PathBuf>,
    /// The slope that the relay's memory may have, in KiB a minute
    #[arg(long, default_value_t = 1024)]
    max_slope: u64,
}

/// What happened so far.
#[derive(Default)]
struct Figures {
    published: AtomicU64,
    received: AtomicU64,
    sessions: AtomicU64,
    failed: AtomicU64,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let moqt = match &options.moqt {
        Some(moqt) => moqt.clone(),
        None => build()?,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|it| it.to_string())?;
    let relay = Relay::start(&moqt)?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = soak(options, &relay) => outcome,
            () = told_to_end() => Err("the soak was ended before its time".to_owned()),
        }
    });
    runtime.shutdown_background();
    outcome
}

fn build() -> Result<PathBuf, String> {
    let built = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["build", "--release", "--package", "moqingbird-cli"])
        .status()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    built.success().then(|| target.join("release/moqt")).ok_or_else(|| "moqt does not build".to_owned())
}

/// By a signal, so that the relay is not left behind.
async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    // It fails where there are no signals.
    let _ = tokio::signal::ctrl_c().await;
}

/// `moqt relay`; killed when dropped.
struct Relay {
    child: Child,
    address: String,
    certificate: String,
}

impl Relay {
    fn start(moqt: &PathBuf) -> Result<Self, String> {
        let mut child = Command::new(moqt)
            .args(["relay", "--bind", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} does not run: {error}", moqt.display()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        match &words[..] {
            [_, address, _, certificate] => {
                Ok(Self { child, address: address.clone(), certificate: certificate.clone() })
            }
            _ => Err(format!("the relay says {line:?}")),
        }
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| "the relay has ended".to_owned())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It has ended by itself if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn soak(options: &Options, relay: &Relay) -> Outcome {
    let figures = Arc::new(Figures::default());
    let period = Duration::from_secs(60) / u32::try_from(options.groups.max(1)).unwrap_or(u32::MAX);
    let publisher = session(relay, 0).await?;
    let _announced =
        publisher.publish_namespace(PublishNamespace::new(track().namespace)).await.map_err(text)?;
    tokio::spawn(publish(publisher.clone(), period, Arc::clone(&figures)));
    for number in 0..options.subscribers {
        let (address, certificate) = (relay.address.clone(), relay.certificate.clone());
        tokio::spawn(subscriber(address, certificate, number, Arc::clone(&figures)));
    }
    let (start, total) = (Instant::now(), Duration::from_secs(60 * options.minutes));
    let settled = settled(options.minutes);
    let (mut samples, mut told) = (Vec::new(), 0);
    while start.elapsed() < total {
        sleep(MEASURE).await;
        let (minutes, memory) = (start.elapsed().as_secs_f64() / 60.0, relay.memory()?);
        if start.elapsed() >= settled {
            samples.push((minutes, memory as f64));
        }
        if minutes as u64 > told {
            told = minutes as u64;
            println!("minute {told}: {memory} KiB, {}", figures.line());
        }
    }
    let slope = slope(&samples);
    println!(
        "{} minutes, {} samples after {} s: slope {slope:.0} KiB a minute (limit {}), {}",
        options.minutes,
        samples.len(),
        settled.as_secs(),
        options.max_slope,
        figures.line()
    );
    figures.check(options)?;
    match slope < options.max_slope as f64 {
        true => Ok(()),
        false => Err(format!("the relay's memory grows by {slope:.0} KiB a minute")),
    }
}

/// How long memory may grow: until caches are full and every kind of thing has happened. Five minutes, or one of a run that
/// is shorter than ten.
const fn settled(minutes: u64) -> Duration {
    Duration::from_secs(if minutes < 10 { 60 } else { 300 })
}

/// Of the straight line that comes closest to the samples.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let count = samples.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|it| it.0), mean(|it| it.1));
    let covariance: f64 = samples.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = samples.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

impl Figures {
    fn line(&self) -> String {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} groups published, {} received, {} subscribers came, {} failed",
            get(&self.published),
            get(&self.received),
            get(&self.sessions),
            get(&self.failed)
        )
    }

    /// A relay that delivers nothing has level memory, too.
    fn check(&self, options: &Options) -> Outcome {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let wanted = options.groups * options.minutes / 2;
        // On a machine that is busy with other things a subscriber may not get in within its time.
        let few_failed = get(&self.failed) * 100 <= get(&self.sessions);
        match get(&self.published) >= wanted && get(&self.received) >= wanted && few_failed {
            true => Ok(()),
            false => Err(format!("that is not what was to happen: {}", self.line())),
        }
    }
}

fn track() -> FullTrackName {
    FullTrackName {
        namespace: TrackNamespace::from_path("soak").unwrap_or_else(|_| TrackNamespace::empty()),
        name: "track".into(),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A session, in another draft and over another transport for each number.
async fn session(relay: &Relay, number: u64) -> Result<Session, String> {
    session_at(&relay.address, &relay.certificate, number).await
}

async fn session_at(address: &str, certificate: &str, number: u64) -> Result<Session, String> {
    let scheme = if number & 1 == 0 { "moqt" } else { "https" };
    let url: ServerUrl = format!("{scheme}://{address}/").parse().map_err(text)?;
    let mut options = ClientOptions::default();
    options.connect.trust = Trust::Pinned(vec![certificate.parse().map_err(text)?]);
    let versions = Version::ALL;
    options.connect.versions = vec![versions[(number as usize / 2) % versions.len()]];
    connect(&url, &options).await.map_err(text)
}

/// Publishes at a steady pace, whether anybody listens or not.
async fn publish(session: Session, period: Duration, figures: Arc<Figures>) {
    let (clock, group) = watch::channel(0_u64);
    tokio::spawn(async move {
        let start = tokio::time::Instant::now();
        for number in 1_u32.. {
            sleep_until(start + period * number).await;
            clock.send_replace(number.into());
            figures.published.fetch_add(1, Ordering::Relaxed);
        }
    });
    while let Some(request) = session.next_request().await {
        if let IncomingRequest::Subscribe(request) = request
            && let Ok(publication) = request.accept(TrackInfo::default())
        {
            tokio::spawn(serve(publication, group.clone()));
        }
    }
}

async fn serve(publication: Publication, mut group: watch::Receiver<u64>) {
    while group.changed().await.is_ok() {
        let number = *group.borrow_and_update();
        let Ok(mut subgroup) = publication.open_subgroup(SubgroupOptions::new(number)).await else { return };
        for _ in 0..OBJECTS {
            if subgroup.write(vec![7; OBJECT_BYTES].into()).await.is_err() {
                return;
            }
        }
        if subgroup.finish().is_err() {
            return;
        }
    }
}

/// Comes, stays a while, and goes; again and again.
async fn subscriber(address: String, certificate: String, number: u64, figures: Arc<Figures>) {
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for turn in 0.. {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let stay = Duration::from_secs(STAY.0 + random % (STAY.1 - STAY.0));
        figures.sessions.fetch_add(1, Ordering::Relaxed);
        match session_at(&address, &certificate, number + turn).await {
            Ok(session) => {
                let _ = timeout(stay, read(&session, &figures)).await;
                session.close(moqingbird::wire::model::SessionErrorCode::NoError, "");
                let _ = timeout(Duration::from_secs(5), session.drained()).await;
            }
            Err(error) => {
                eprintln!("a subscriber does not get in: {error}");
                figures.failed.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn read(session: &Session, figures: &Figures) {
    let mut subscription = match session.subscribe(Subscribe::new(track())).await {
        Ok(subscription) => subscription,
        Err(error) => {
            eprintln!("a subscription is declined: {error}");
            figures.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    while let Ok(Some(delivery)) = subscription.next().await {
        if let Delivery::Subgroup(mut subgroup) = delivery {
            while let Ok(Some(_)) = subgroup.next_object().await {}
            figures.received.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_line() {
        assert_eq!(slope(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]), 2.0);
        assert_eq!(slope(&[(0.0, 5.0), (1.0, 5.0)]), 0.0);
        assert_eq!(slope(&[]), 0.0);
    }
}
