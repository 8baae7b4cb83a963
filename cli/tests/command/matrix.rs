//! `moqt interop matrix`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::common::{Output, moqt, run};

/// A directory with a file of peers in it.
struct Matrix(PathBuf);

impl Matrix {
    fn new(name: &str, peers: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("moqt-matrix-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("peers.toml"), peers).unwrap();
        Self(directory)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).unwrap()
    }

    async fn run(&self, more: &[&str]) -> Output {
        let peers = self.path("peers.toml");
        let mut command = moqt(&["interop", "matrix", &peers]);
        command.args(more).current_dir(&self.0);
        let output = timeout(Duration::from_secs(120), command.output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Output { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        // What is left is where the system keeps such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const RELAY: &str = r#"
[[relay]]
name = "moqingbird"
command = ["{moqt}", "relay", "--bind", "127.0.0.1:{port}", "--draft", "{draft}"]
version = ["{moqt}", "--version"]
ready = "listening"
url = { quic = "moqt://127.0.0.1:{port}/", webtransport = "https://127.0.0.1:{port}/" }
drafts = [14, 16]
"#;

#[tokio::test]
async fn clients_and_relays_are_started_and_every_combination_is_told() {
    let client = r#"
[[client]]
name = "moqingbird"
command = ["{moqt}", "interop", "--test", "announce-subscribe"]
version = ["{moqt}", "--version"]
drafts = [14, 16]
"#;
    let matrix = Matrix::new("own", &format!("{client}{RELAY}"));
    let output = matrix.run(&[]).await;
    assert_eq!(output.status, 0, "{}{}", output.out, output.err);
    assert_eq!(
        output.out,
        "moqingbird moqingbird draft-14 quic pass 1 passed, 0 failed, 0 skipped\n\
         moqingbird moqingbird draft-14 webtransport pass 1 passed, 0 failed, 0 skipped\n\
         moqingbird moqingbird draft-16 quic pass 1 passed, 0 failed, 0 skipped\n\
         moqingbird moqingbird draft-16 webtransport pass 1 passed, 0 failed, 0 skipped\n"
    );
    // A pipe gets no progress.
    assert_eq!(output.err, "");

    let json: Value = serde_json::from_str(&matrix.read("interop-matrix.json")).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["relays"][0]["version"], format!("moqt {}", env!("CARGO_PKG_VERSION")));
    let cells = json["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 4);
    for cell in cells {
        assert_eq!(
            (&cell["status"], &cell["passed"], &cell["exit_code"]),
            (&"pass".into(), &1.into(), &0.into())
        );
        // The draft was pinned, and the TAP is the client's own.
        let draft = format!("moqt_version: draft-{}", cell["draft"]);
        assert!(cell["tap"].as_str().unwrap().contains(&draft), "{cell}");
    }

    let page = matrix.read("interop-matrix.html");
    assert!(page.starts_with("<!doctype html>"));
    assert_eq!(page.matches("<button class=\"pass\"").count(), 4);
    assert_eq!(page.matches("ok 1 - announce-subscribe").count(), 4);
    // It needs nothing else.
    assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("<script"));
}

#[tokio::test]
async fn failures_skips_and_what_cannot_be_had_are_told_apart() {
    let clients = r#"
[tools]
absent = ["sh", "-c", "echo SKIP there is none here; exit 77"]
[[client]]
name = "failing"
command = ["sh", "-c", "echo TAP version 14; echo 1..2; echo ok 1 - a; echo 'not ok 2 - <b>'; exit 1"]
drafts = [14]
transports = ["quic"]
[[client]]
name = "unsupported"
command = ["sh", "-c", "exit 127"]
drafts = [14]
transports = ["quic"]
[[client]]
name = "absent"
command = ["{absent}"]
drafts = [14]
[[client]]
name = "slow"
command = ["sleep", "60"]
drafts = [14]
transports = ["quic"]
seconds = 1
[[relay]]
name = "running"
url = { quic = "moqt://127.0.0.1:9/" }
drafts = [14]
[[relay]]
name = "broken"
command = ["sh", "-c", "echo it does not work >&2; exit 3"]
ready = "listening"
url = { quic = "moqt://127.0.0.1:{port}/" }
drafts = [14]
"#;
    let matrix = Matrix::new("others", clients);
    let output = matrix.run(&["--jobs", "4", "--json", "a.json", "--html", "b.html"]).await;
    assert_eq!(output.status, 1, "{}{}", output.out, output.err);
    for line in [
        "failing running draft-14 quic fail 1 passed, 1 failed, 0 skipped",
        "failing running draft-14 webtransport skip: failing has no webtransport",
        "failing broken draft-14 quic error: the relay ended at once: it does not work",
        "unsupported running draft-14 quic skip",
        "absent running draft-14 quic skip: SKIP there is none here",
        "absent running draft-14 webtransport skip: running has no webtransport",
        "slow running draft-14 quic error: the client did not end within 1 s",
    ] {
        assert!(output.out.lines().any(|it| it == line), "{line:?} is not in\n{}", output.out);
    }
    assert!(Path::new(&matrix.path("a.json")).exists());
    assert!(matrix.read("b.html").contains("not ok 2 - &lt;b&gt;"));
}

#[tokio::test]
async fn a_part_of_a_matrix_can_be_asked_for() {
    let clients = r#"
[[client]]
name = "one"
command = ["sh", "-c", "echo TAP version 14; echo 1..1; echo ok 1 - $MOQT_DRAFT $RELAY_URL $TLS_DISABLE_VERIFY"]
drafts = [16]
[[client]]
name = "two"
command = ["false"]
drafts = [16]
[[relay]]
name = "running"
url = { quic = "moqt://127.0.0.1:9/" }
certificate = "verified"
drafts = [16]
"#;
    let matrix = Matrix::new("part", clients);
    let output = matrix.run(&["--client", "one"]).await;
    assert_eq!(output.status, 0, "{}{}", output.out, output.err);
    assert_eq!(output.out.lines().count(), 2);
    let json: Value = serde_json::from_str(&matrix.read("interop-matrix.json")).unwrap();
    let tap = json["cells"][0]["tap"].as_str().unwrap();
    assert!(tap.ends_with("ok 1 - draft-16 moqt://127.0.0.1:9/ false\n"), "{tap}");
    let unknown = matrix.run(&["--client", "three"]).await;
    assert_eq!((unknown.status, unknown.err.contains("`three`")), (2, true), "{}", unknown.err);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_told_with_its_line() {
    let wrong = Matrix::new("wrong", "[[client]]\nname = \"a\"\ncomand = [\"b\"]\n");
    let output = wrong.run(&[]).await;
    assert_eq!((output.status, output.out.as_str()), (2, ""));
    assert!(
        output.err.contains("peers.toml") && output.err.contains("line 3") && output.err.contains("comand")
    );
    let mute = Matrix::new("mute", &format!("client = []\n{}", RELAY.replace("ready = \"listening\"\n", "")));
    let output = mute.run(&[]).await;
    assert_eq!(output.status, 2);
    assert!(output.err.contains("`moqingbird`") && output.err.contains("`ready`"), "{}", output.err);
    let missing = run(&["interop", "matrix", "/nonesuch.toml"]).await;
    assert_eq!(missing.status, 2);
    assert!(missing.err.contains("/nonesuch.toml"));
}
