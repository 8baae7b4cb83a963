//! `moqt relay`: what it is told by flags, environment and file.

use std::path::{Path, PathBuf};

use crate::common::{Output, moqt, run};

/// A settings file of this test's own.
fn file(name: &str, text: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("settings");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path
}

async fn printed(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = moqt(&[&["relay", "--print-config"], args].concat());
    command.envs(environment.iter().copied());
    let output = command.output().await.unwrap();
    Output {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn a_flag_beats_the_environment_and_that_the_file_and_that_the_default() {
    let file = file("order", "drain-time = \"1s\"\nmax-sessions = 1\nretry = \"never\"\n");
    let config = ["--config", file.to_str().unwrap()];
    let has = |output: &Output, line: &str| {
        assert_eq!(output.status, 0, "{output:?}");
        assert!(output.out.lines().any(|it| it == line), "{line}: {}", output.out);
    };
    let plain = printed(&[], &[]).await;
    has(&plain, "retry = \"auto\"");
    let from_file = printed(&config, &[]).await;
    for line in ["drain-time = \"1s\"", "max-sessions = 1", "retry = \"never\""] {
        has(&from_file, line);
    }
    let environment = [("MOQT_RELAY_DRAIN_TIME", "2s"), ("MOQT_RELAY_MAX_SESSIONS", "2")];
    let from_environment = printed(&config, &environment).await;
    for line in ["drain-time = \"2s\"", "max-sessions = 2", "retry = \"never\""] {
        has(&from_environment, line);
    }
    let from_flags = printed(&[&config[..], &["--drain-time", "3s"]].concat(), &environment).await;
    for line in ["drain-time = \"3s\"", "max-sessions = 2", "retry = \"never\""] {
        has(&from_flags, line);
    }
}

#[tokio::test]
async fn what_is_printed_can_be_read_again() {
    let args = [
        "--bind",
        "127.0.0.1:0",
        "--bind",
        "[::1]:0",
        "--tls-cert",
        "a.pem",
        "--tls-key",
        "b.pem",
        "--draft",
        "16",
        "--auth",
        "jwt",
        "--auth-keys",
        "keys",
        "--http",
        "127.0.0.1:0",
        "--retry",
        "always",
        "--congestion",
        "bbr",
        "--max-sessions",
        "7",
        "--max-sessions-per-address",
        "6",
        "--max-handshakes",
        "5",
        "--max-requests",
        "4",
        "--max-streams",
        "3",
        "--max-namespaces",
        "2",
        "--max-unread",
        "1MiB",
        "--redirect",
        "moqt://b.example/x",
        "--drain-time",
        "1m 30s",
        "--mlog-dir",
        "logs",
        "--mlog-sample",
        "0.25",
        "--log",
        "json",
    ];
    let first = printed(&args, &[]).await;
    assert_eq!(first.status, 0, "{first:?}");
    let file = file("again", &first.out);
    let second = printed(&["--config", file.to_str().unwrap()], &[]).await;
    assert_eq!((second.status, second.out), (0, first.out));
}

#[tokio::test]
async fn a_wrong_file_is_told_with_file_line_and_key() {
    for (name, text, told) in [
        ("unknown", "retry = \"never\"\nbnid = \"127.0.0.1:0\"\n", ":2: bnid: unknown field"),
        ("address", "\n\nbind = [\"localhost\"]\n", ":3: bind: "),
        ("kind", "max-sessions = \"many\"\n", ":1: max-sessions: "),
        ("choice", "retry = \"sometimes\"\n", ":1: retry: "),
        ("range", "log = \"text\"\nmlog-sample = 2.0\n", ":2: mlog-sample: "),
        ("time", "drain-time = \"soon\"\n", ":1: drain-time: "),
        ("draft", "draft = \"13\"\n", ":1: draft: "),
        ("list", "bind = [\n  \"127.0.0.1:1\",\n  \"nowhere\",\n]\n", ":3: bind: "),
        ("syntax", "log = \"text\"\nretry never\n", ":2: "),
    ] {
        let file = file(name, text);
        let output = run(&["relay", "--config", file.to_str().unwrap()]).await;
        assert_eq!((output.status, output.out.as_str()), (2, ""), "{output:?}");
        let expected = format!("{}{told}", file.display());
        assert!(output.err.contains(&expected), "{expected}: {}", output.err);
        assert_eq!(output.err.lines().count(), 1, "{}", output.err);
    }
    let output = run(&["relay", "--config", "/nothing/there.toml"]).await;
    assert_eq!(output.status, 2);
    assert!(output.err.contains("/nothing/there.toml"), "{}", output.err);
}

#[tokio::test]
async fn what_belongs_together_must_be_together_wherever_it_is_said() {
    let half = file("half", "tls-cert = \"a.pem\"\n");
    let output = run(&["relay", "--config", half.to_str().unwrap()]).await;
    assert_eq!(output.status, 2);
    assert!(output.err.contains("tls-key"), "{}", output.err);
}
