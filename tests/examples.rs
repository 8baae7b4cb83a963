//! The examples as programs: each is run, with others of its kind as its peers.
//!
//! They are those that `cargo test` builds beside the tests; for this file alone run `cargo build --examples` before.
#![cfg(feature = "net")]

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use moqingbird::wire::model::TrackNamespace;
use moqingbird::{Client, ClientOptions, Origin, Trust};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// No step takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// An example that runs; killed when dropped.
struct Example {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    /// As options of those who connect: its address and certificate.
    peer: Vec<String>,
}

impl Example {
    fn command(args: &[&str]) -> Command {
        let test = std::env::current_exe().unwrap();
        let path = test.parent().unwrap().parent().unwrap().join("examples").join(args[0]);
        assert!(path.exists(), "{} is missing: cargo build --examples", path.display());
        let mut command = Command::new(path);
        command.args(&args[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn start(args: &[&str]) -> Self {
        let mut child = Self::command(args).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { stdin: child.stdin.take(), stdout, child, peer: Vec::new() }
    }

    /// As [`Example::start`], and lets others connect.
    async fn listen(args: &[&str]) -> Self {
        let mut command = Self::command(&[args, &["--listen", "127.0.0.1:0"]].concat());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        timeout(LIMIT, stderr.read_line(&mut line)).await.expect("it listens").unwrap();
        // Nothing may stop it from writing on.
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::stderr()).await });
        let words: Vec<_> = line.split_whitespace().collect();
        let ["listening", address, "certificate-sha256", certificate] = words[..] else { panic!("{line:?}") };
        let peer = ["--peer", &format!("moqt://{address}"), "--pin", certificate].map(str::to_owned).to_vec();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { stdin: child.stdin.take(), stdout, child, peer }
    }

    fn peer(&self) -> Vec<&str> {
        self.peer.iter().map(String::as_str).collect()
    }

    async fn say(&mut self, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        timeout(LIMIT, self.stdout.next_line()).await.expect("no line comes").unwrap().expect("it has ended")
    }

    async fn succeeds(mut self) {
        drop(self.stdin.take());
        let status = timeout(LIMIT, self.child.wait()).await.expect("it does not end").unwrap();
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn the_clock_ticks() {
    let publisher = Example::listen(&["clock", "publish"]).await;
    let watch = ["clock", "watch", "--count", "2"];
    let mut watcher = Example::start(&[&watch[..], &publisher.peer()].concat());
    let mut second = async || {
        let line = watcher.line().await;
        line.strip_suffix(" UTC").unwrap().rsplit(':').next().unwrap().parse::<u32>().unwrap()
    };
    let (first, next) = (second().await, second().await);
    assert_eq!((first + 1) % 60, next);
    watcher.succeeds().await;
}

#[tokio::test]
async fn three_parties_chat_and_each_hears_every_line_once_and_in_order() {
    let names = ["ann", "bob", "cem"];
    let ann = Example::listen(&["chat", "lobby", names[0]]).await;
    let bob = Example::listen(&[&["chat", "lobby", names[1]], &ann.peer()[..]].concat()).await;
    let cem = Example::start(&[&["chat", "lobby", names[2]], &ann.peer()[..], &bob.peer()].concat());
    let mut parties = [ann, bob, cem];
    let said = |name: &str| -> Vec<_> { (0..30).map(|number| format!("{number} of {name}")).collect() };
    for (party, name) in parties.iter_mut().zip(names) {
        party.say(&said(name)).await;
    }
    for (party, own) in parties.iter_mut().zip(names) {
        let mut heard = Vec::new();
        for _ in 0..60 {
            heard.push(party.line().await);
        }
        for name in names.into_iter().filter(|name| *name != own) {
            let prefix = format!("{name}: ");
            let of: Vec<_> = heard.iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
            assert_eq!(of, said(name), "what {own} hears of {name}");
        }
    }
    for party in parties {
        party.succeeds().await;
    }
}

#[tokio::test]
async fn a_file_of_50_mb_arrives_and_a_transfer_that_was_broken_off_goes_on() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("file-transfer");
    fs::create_dir_all(&folder).unwrap();
    let (sent, received) = (folder.join("sent"), folder.join("received"));
    let _ = fs::remove_file(&received);
    let mut state = 1_u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    };
    let content: Vec<u8> = std::iter::repeat_with(&mut word).take(50_000_000 / 8).flatten().collect();
    fs::write(&sent, &content).unwrap();
    let sender = Example::listen(&["file_transfer", "send", sent.to_str().unwrap()]).await;
    let receive = [&["file_transfer", "receive", received.to_str().unwrap()], &sender.peer()[..]].concat();

    let broken = Example::start(&receive);
    let some = async {
        while fs::metadata(&received).map_or(0, |file| file.len()) < 3_000_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LIMIT, some).await.expect("nothing is received");
    drop(broken);

    let mut receiver = Example::start(&receive);
    assert_eq!(receiver.line().await, "50000000 bytes, SHA-256 equal");
    receiver.succeeds().await;
    assert!(fs::read(&received).unwrap() == content);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn readings_come_by_datagrams_in_their_order() {
    let sensor = Example::listen(&["telemetry", "sense"]).await;
    let watch = ["telemetry", "watch", "--count", "20"];
    let mut watcher = Example::start(&[&watch[..], &sensor.peer()].concat());
    let mut last = None;
    for _ in 0..20 {
        let line = watcher.line().await;
        let (location, celsius) = line.split_once(' ').unwrap();
        let (group, object) = location.split_once('/').unwrap();
        let location: (u64, u64) = (group.parse().unwrap(), object.parse().unwrap());
        assert!(last < Some(location), "{last:?} then {location:?}");
        assert!((19.0..=21.0).contains(&celsius.parse().unwrap()), "{line}");
        last = Some(location);
    }
    watcher.succeeds().await;
}

#[tokio::test]
async fn broadcasts_are_listed_as_they_come_and_go() {
    let mut list = Example::listen(&["announced", "live"]).await;
    let [_, url, _, certificate] = &list.peer[..] else { panic!() };
    let mut options = ClientOptions::default();
    options.connect.trust = Trust::Pinned(vec![certificate.parse().unwrap()]);
    let origin = Origin::new();
    let _client = Client::start(url.parse().unwrap(), options, &origin);
    let broadcast = origin.create_broadcast(TrackNamespace::from_path("live/cam").unwrap()).unwrap();
    let _other = origin.create_broadcast(TrackNamespace::from_path("other/cam").unwrap()).unwrap();
    assert_eq!(list.line().await, "+ live-cam");
    drop(broadcast);
    assert_eq!(list.line().await, "- live-cam");
}

#[tokio::test]
async fn an_extension_header_of_our_own_is_verified() {
    let mut publisher = Example::listen(&["custom_extension", "publish"]).await;
    let mut verifier = Example::start(&[&["custom_extension", "verify"], &publisher.peer()[..]].concat());
    publisher.say(&["one".to_owned(), String::new(), "three".to_owned()]).await;
    for line in ["good: one", "good: ", "good: three"] {
        assert_eq!(verifier.line().await, line);
    }
}
