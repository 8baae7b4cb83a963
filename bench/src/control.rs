//! What requests and idle sessions cost a relay.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use moqingbird::wire::model::{PublishDoneCode, Subscribe};
use moqingbird::{IncomingRequest, Session, Subscription, TrackInfo};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::args::ControlArgs;
use crate::bare::{Connection, Side};
use crate::progress::Progress;
use crate::role::{self, Player, Role};
use crate::usage::Usage;
use crate::{Error, ours};

/// How many requests are under way at once.
const AT_ONCE: usize = 64;

#[derive(Debug, Default)]
struct Figures {
    /// SUBSCRIBE and SUBSCRIBE_OK through the relay, a second.
    exchanges_per_s: f64,
    /// The same for each second of the relay's CPU time.
    exchanges_per_cpu_s: f64,
    /// Memory of an idle session, in bytes.
    session_bytes: f64,
    /// Memory of a connection of the bare transport, in bytes.
    bare_connection_bytes: f64,
    /// Memory of a track that somebody subscribes to: the subscription upstream, the track, and the first subscription
    /// to it, in bytes.
    track_bytes: f64,
    /// Memory of one more subscription to a track that is there, in bytes.
    subscription_bytes: f64,
}

pub(crate) async fn run(args: &ControlArgs) -> Result<(), Error> {
    let progress = Progress::waiting("idle connections, idle sessions, then requests");
    let mut figures = Figures { bare_connection_bytes: bare(args).await?, ..Figures::default() };
    let mut relay = Role::Relay { workload: args.workload.clone() }.start_child()?;
    let place = relay.ready().await?.ok_or("the relay does not listen")?;
    // What is made once for all sessions is not counted.
    let connect = || role::connect(&place, &args.workload);
    let (publisher, first, second) = (connect().await?, connect().await?, connect().await?);
    let before = resident(&relay).await;
    let mut idle = Vec::new();
    for _ in 0..args.sessions {
        idle.push(connect().await?);
    }
    figures.session_bytes = per(resident(&relay).await - before, args.sessions);
    requests(args, &relay, &publisher, [&first, &second], &mut figures).await?;
    drop(progress);
    show(args, &figures)
}

/// Memory of one idle connection to a bare listener, in bytes.
async fn bare(args: &ControlArgs) -> Result<f64, Error> {
    let mut listener = Role::BareKeep { workload: args.workload.clone() }.start_child()?;
    let place = listener.ready().await?.ok_or("the listener does not listen")?;
    let open = || role::bare_connect(&place, Side::Subscriber, &args.workload);
    let _first: Connection = open().await?;
    let before = resident(&listener).await;
    let mut idle = Vec::new();
    for _ in 0..args.sessions {
        idle.push(open().await?);
    }
    Ok(per(resident(&listener).await - before, args.sessions))
}

async fn requests(
    args: &ControlArgs,
    relay: &Player,
    publisher: &Session,
    [first, second]: [&Session; 2],
    figures: &mut Figures,
) -> Result<(), Error> {
    let namespace = format!("moqt/bench/control-{:x}", crate::stamp::now());
    let _announced = ours::announce(publisher, &namespace).await?;
    let serving = tokio::spawn(serve(publisher.clone()));
    let (memory, cpu) = (resident(relay).await, Usage::of(relay.pid).cpu_s);
    let started = Instant::now();
    let of_tracks = subscribe(first, &namespace, args.requests).await?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = Usage::of(relay.pid).cpu_s - cpu;
    figures.exchanges_per_s = f64::from(args.requests) / seconds;
    figures.exchanges_per_cpu_s = if cpu > 0.0 { f64::from(args.requests) / cpu } else { 0.0 };
    let with_tracks = resident(relay).await;
    figures.track_bytes = per(with_tracks - memory, args.requests);
    let more = subscribe(second, &namespace, args.requests).await?;
    figures.subscription_bytes = per(resident(relay).await - with_tracks, args.requests);
    drop((of_tracks, more));
    serving.abort();
    Ok(())
}

/// Subscribes to so many tracks.
async fn subscribe(session: &Session, namespace: &str, tracks: u32) -> Result<Vec<Subscription>, Error> {
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for number in 0..tracks {
        let permit = free.clone().acquire_owned().await?;
        let (session, track) = (session.clone(), ours::track(namespace, number)?);
        asked.spawn(async move {
            let subscription = session.subscribe(Subscribe::new(track)).await;
            drop(permit);
            subscription
        });
    }
    let mut subscriptions = Vec::new();
    while let Some(answer) = asked.join_next().await {
        subscriptions.push(answer??);
    }
    Ok(subscriptions)
}

/// Grants every SUBSCRIBE and keeps it.
async fn serve(session: Session) {
    let mut granted = Vec::new();
    while let Some(request) = session.next_request().await {
        if let IncomingRequest::Subscribe(request) = request
            && let Ok(publication) = request.accept(TrackInfo::default())
        {
            granted.push(publication);
        }
    }
    for publication in granted {
        // Its session is over.
        let _ = publication.finish(PublishDoneCode::TrackEnded, "").await;
    }
}

/// Memory that a player has now, once it has come to rest.
async fn resident(player: &Player) -> f64 {
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    Usage::of(player.pid).rss_bytes as f64
}

fn per(bytes: f64, count: u32) -> f64 {
    bytes.max(0.0) / f64::from(count.max(1))
}

fn show(args: &ControlArgs, figures: &Figures) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    if args.json {
        let object = json!({
            "exchanges_per_s": figures.exchanges_per_s,
            "exchanges_per_cpu_s": figures.exchanges_per_cpu_s,
            "session_bytes": figures.session_bytes,
            "bare_connection_bytes": figures.bare_connection_bytes,
            "session_bytes_above_bare": figures.session_bytes - figures.bare_connection_bytes,
            "track_bytes": figures.track_bytes,
            "subscription_bytes": figures.subscription_bytes,
        });
        writeln!(out, "{object}")?;
        return Ok(());
    }
    let Figures {
        exchanges_per_s,
        exchanges_per_cpu_s,
        session_bytes,
        bare_connection_bytes,
        track_bytes,
        subscription_bytes,
    } = figures;
    let kib = |bytes: &f64| bytes / 1024.0;
    writeln!(
        out,
        "SUBSCRIBE through the relay: {exchanges_per_s:.0} /s, {exchanges_per_cpu_s:.0} for each second of its CPU"
    )?;
    writeln!(
        out,
        "idle session: {:.1} KiB, of which a bare connection {:.1} KiB",
        kib(session_bytes),
        kib(bare_connection_bytes)
    )?;
    writeln!(out, "track with a subscription at either end: {:.1} KiB", kib(track_bytes))?;
    writeln!(out, "one more subscription to it: {:.1} KiB", kib(subscription_bytes))?;
    Ok(())
}

#[cfg(test)]
mod tests;
