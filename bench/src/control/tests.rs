//! What a relay keeps of an idle session and of a subscription: bytes that are allocated, counted and not timed.

use std::time::Duration;

use allocation_counter::measure;
use clap::Parser;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::*;
use crate::Workload;
use crate::role::Place;

const SESSIONS: u32 = 48;
const TRACKS: u32 = 448;

/// Somebody who plays on a thread of his own, where what he allocates is counted.
struct Watched {
    place: Place,
    ask: mpsc::UnboundedSender<oneshot::Sender<i64>>,
}

impl Watched {
    async fn start(role: Role) -> Self {
        let (ask, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<i64>>();
        let (ready, place) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let mut player = runtime.block_on(async { role.start() });
            ready.send(runtime.block_on(player.ready()).unwrap().unwrap()).unwrap();
            let mut answer = None;
            loop {
                let counted = measure(|| answer = runtime.block_on(asked.recv()));
                let Some(answer) = answer.take() else { return };
                answer.send(counted.bytes_current).unwrap();
            }
        });
        Self { place: place.await.unwrap(), ask }
    }

    /// How many bytes more are kept than when this was asked last, for each of so many things.
    async fn more(&self, count: u32) -> i64 {
        let (answer, answered) = oneshot::channel();
        self.ask.send(answer).unwrap();
        answered.await.unwrap() / i64::from(count)
    }
}

fn workload(arguments: &[&str]) -> Workload {
    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        workload: Workload,
    }
    Arguments::parse_from([&["bench"], arguments].concat()).workload
}

/// Memory of a connection of the bare transport.
async fn bare_connection(workload: &Workload) -> i64 {
    let listener = Watched::start(Role::BareKeep { workload: workload.clone() }).await;
    let open = || role::bare_connect(&listener.place, Side::Subscriber, workload);
    let mut kept = vec![open().await.unwrap()];
    listener.more(1).await;
    for _ in 0..SESSIONS {
        kept.push(open().await.unwrap());
    }
    listener.more(SESSIONS).await
}

/// Asks for something that nobody has: once it is declined, the relay has done with what it was asked before.
async fn settle(session: &Session) {
    let nothing = ours::track("moqt/bench/nothing", 0).unwrap();
    session.track_status(Subscribe::new(nothing)).await.unwrap_err();
}

async fn costs(arguments: &[&str]) -> [i64; 3] {
    let workload = workload(arguments);
    let bare = bare_connection(&workload).await;
    let relay = Watched::start(Role::Relay { workload: workload.clone() }).await;
    let open = || async {
        let session = role::connect(&relay.place, &workload).await.unwrap();
        settle(&session).await;
        session
    };
    let [publisher, first, second] = [open().await, open().await, open().await];
    let namespace = "moqt/bench/memory";
    let _announced = ours::announce(&publisher, namespace).await.unwrap();
    let _serving = tokio::spawn(serve(publisher));
    let _first =
        [subscribe(&first, namespace, 1).await.unwrap(), subscribe(&second, namespace, 1).await.unwrap()];
    relay.more(1).await;
    let mut idle = Vec::new();
    for _ in 0..SESSIONS {
        idle.push(open().await);
    }
    let session = relay.more(SESSIONS).await;
    let namespace = format!("{namespace}/tracks");
    let of_tracks = subscribe(&first, &namespace, TRACKS).await.unwrap();
    settle(&first).await;
    let track = relay.more(TRACKS).await;
    let more = subscribe(&second, &namespace, TRACKS).await.unwrap();
    settle(&second).await;
    let subscription = relay.more(TRACKS).await;
    drop((of_tracks, more, idle));
    println!(
        "{arguments:?}: a connection {bare} B, a session {session} B, a track {track} B, a subscription {subscription} B"
    );
    [session - bare, track, subscription]
}

async fn is_bounded(arguments: &[&str]) {
    let [session, track, subscription] = costs(arguments).await;
    // Somewhat more than it is, and less than it may be: 40 KiB more than a connection, 4 KiB.
    assert!(session < 23_000, "a session: {session} B");
    assert!(track < 12_000, "a track: {track} B");
    assert!(subscription < 3_800, "a subscription: {subscription} B");
}

#[tokio::test]
async fn what_a_relay_keeps_is_bounded_in_draft_14_over_quic() {
    is_bounded(&["--draft", "14", "--transport", "quic"]).await;
}

#[tokio::test]
async fn what_a_relay_keeps_is_bounded_in_draft_14_over_webtransport() {
    is_bounded(&["--draft", "14", "--transport", "webtransport"]).await;
}

#[tokio::test]
async fn what_a_relay_keeps_is_bounded_in_draft_16_over_quic() {
    is_bounded(&["--draft", "16", "--transport", "quic"]).await;
}

#[tokio::test]
async fn what_a_relay_keeps_is_bounded_in_draft_16_over_webtransport() {
    is_bounded(&["--draft", "16", "--transport", "webtransport"]).await;
}

/// What is left when all have gone is less than this, in bytes: tables as large as they have been, the track's names, and
/// the last 256 TLS sessions.
const LEFT: i64 = 450_000;

#[tokio::test]
async fn those_who_have_been_there_leave_nothing() {
    let workload = workload(&[]);
    let relay = Watched::start(Role::Relay { workload: workload.clone() }).await;
    let open = || async { role::connect(&relay.place, &workload).await.unwrap() };
    let publisher = open().await;
    let namespace = "moqt/bench/rounds";
    let _announced = ours::announce(&publisher, namespace).await.unwrap();
    let _serving = tokio::spawn(serve(publisher));
    relay.more(1).await;
    for _ in 0..130 {
        open().await;
    }
    for _ in 0..6 {
        let mut visitors = Vec::new();
        for _ in 0..8 {
            let session = open().await;
            visitors.push((subscribe(&session, namespace, 32).await.unwrap(), session));
        }
    }
    let mut kept = relay.more(1).await;
    // A track is left a while after its last subscriber, a connection is forgotten a while after its end.
    let gone = async {
        while kept > LEFT {
            tokio::time::sleep(Duration::from_millis(20)).await;
            kept += relay.more(1).await;
        }
    };
    let is_gone = timeout(Duration::from_secs(60), gone).await;
    assert!(is_gone.is_ok(), "{kept} B are left");
}
