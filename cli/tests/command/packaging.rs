//! What the interop runner is given: entry points, Dockerfiles and the registration entry.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::common::moqt;

/// No step takes longer.
const LIMIT: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// An entry point as a container runs it: with `moqt` on the path, and nothing of the caller's settings.
fn entry_point(role: &str, vars: &[(&str, &str)]) -> Command {
    let moqt = moqt(&[]);
    let program = Path::new(moqt.as_std().get_program()).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(root().join(format!("interop/runner/entrypoint-{role}.sh")));
    command.env_clear().env("PATH", path).envs(vars.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs an entry point to its end: exit status, stdout, stderr.
async fn ended(role: &str, vars: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String, String) {
    let output = timeout(LIMIT, entry_point(role, vars).args(args).output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A certificate and its key as the runner's `generate-certs.sh` makes them.
struct Certificates(PathBuf);

impl Certificates {
    fn make(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("moqt-packaging-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let names = ["localhost", "relay", "moq-relay", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(directory.join("priv.key"), made.signing_key.serialize_pem()).unwrap();
        Self(directory)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        // What is left is in the system's own directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The relay's entry point on a free port, and where it listens.
async fn relay(certificates: &Certificates) -> (Child, String) {
    let (cert, key) = (certificates.path("cert.pem"), certificates.path("priv.key"));
    let vars = [
        ("MOQT_ROLE", "relay"),
        ("MOQT_PORT", "0"),
        ("MOQT_BIND", "127.0.0.1"),
        ("MOQT_CERT", &cert),
        ("MOQT_KEY", &key),
    ];
    let mut relay = entry_point("relay", &vars).spawn().unwrap();
    let mut lines = BufReader::new(relay.stdout.take().unwrap()).lines();
    let line = timeout(LIMIT, lines.next_line()).await.unwrap().unwrap().unwrap();
    let address = line.split(' ').nth(1).unwrap().to_owned();
    assert!(line.starts_with("listening ") && address.starts_with("127.0.0.1:"), "{line}");
    (relay, address)
}

#[tokio::test]
async fn the_two_entry_points_make_a_green_run_on_every_path_of_the_runner() {
    let certificates = Certificates::make("pair");
    let (mut relay, address) = relay(&certificates).await;
    for url in ["moqt://{}", "https://{}", "https://{}/moq", "https://{}/moq-relay"] {
        let url = url.replace("{}", &address);
        let vars =
            [("RELAY_URL", url.as_str()), ("TLS_DISABLE_VERIFY", "1"), ("TESTCASE", "announce-subscribe")];
        let (status, out, err) = ended("client", &vars, &[]).await;
        assert_eq!(status, Some(0), "{url}: {out}{err}");
        assert!(
            out.starts_with("TAP version 14\n") && out.contains("\nok 1 - announce-subscribe\n"),
            "{out}"
        );
    }
    let id = relay.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().await.unwrap().success());
    let status = timeout(LIMIT, relay.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn the_client_keeps_the_exit_statuses_of_the_contract() {
    let unverified = [("RELAY_URL", "moqt://127.0.0.1:9"), ("TLS_DISABLE_VERIFY", "false")];
    let with = |more: &[(&'static str, &'static str)]| [&unverified[..], more].concat();
    assert_eq!(ended("client", &with(&[("TESTCASE", "setup-only")]), &[]).await.0, Some(1));
    assert_eq!(ended("client", &with(&[("TESTCASE", "nonesuch")]), &[]).await.0, Some(127));
    assert_eq!(ended("client", &with(&[("MOQT_ROLE", "publisher")]), &[]).await.0, Some(127));
    let (status, out, err) = ended("client", &[], &[]).await;
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("RELAY_URL"), "{err}");
    let (status, out, _) = ended("client", &[], &["--list"]).await;
    assert_eq!((status, out.lines().next()), (Some(0), Some("setup-only")));
}

#[tokio::test]
async fn the_relay_keeps_the_exit_statuses_of_the_contract() {
    let certificates = Certificates::make("bad");
    let (cert, key) = (certificates.path("cert.pem"), certificates.path("priv.key"));
    std::fs::write(certificates.path("broken.pem"), "no certificate").unwrap();
    let broken = certificates.path("broken.pem");
    let good = [("MOQT_CERT", cert.as_str()), ("MOQT_KEY", key.as_str()), ("MOQT_PORT", "0")];
    for (variable, value, status, word) in [
        ("MOQT_ROLE", "client", 127, "MOQT_ROLE"),
        ("MOQT_PORT", "http", 1, "MOQT_PORT"),
        ("MOQT_CERT", "/nonesuch.pem", 1, "MOQT_CERT"),
        ("MOQT_KEY", "/nonesuch.key", 1, "MOQT_KEY"),
        ("MOQT_CERT", &broken, 1, "broken.pem"),
        ("MOQT_DRAFT", "99", 1, "99"),
    ] {
        let vars = [&good[..], &[(variable, value)]].concat();
        let (ended, out, err) = ended("relay", &vars, &[]).await;
        assert_eq!((ended, out.as_str()), (Some(status), ""), "{variable}={value}: {err}");
        assert!(err.contains(word), "{variable}={value}: {err}");
    }
}

/// The instructions of a Dockerfile: word and rest, continued lines joined.
fn instructions(path: &str) -> Vec<(String, String)> {
    let text = read(path).replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{path}: {line}"));
            (word.to_owned(), rest.trim().to_owned())
        })
        .collect()
}

#[test]
fn the_dockerfiles_make_images_that_the_runner_can_use() {
    for role in ["client", "relay"] {
        let path = format!("interop/runner/Dockerfile.{role}");
        let all = instructions(&path);
        let known = ["FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "EXPOSE", "USER", "ENTRYPOINT"];
        assert!(all.iter().all(|(word, _)| known.contains(&word.as_str())), "{path}: {all:?}");
        let last_from = all.iter().rposition(|(word, _)| word == "FROM").unwrap();
        let image = &all[last_from..];
        let of =
            |word: &str| image.iter().filter(|it| it.0 == word).map(|it| it.1.as_str()).collect::<Vec<_>>();

        // The health check runs `sh` and `grep`: Debian's base has both, `scratch` and the like do not.
        assert!(of("FROM")[0].starts_with("debian:"), "{path}");
        // It runs as no root, by number, so that it is the same in every container.
        assert_eq!(of("USER"), ["1000:65534"], "{path}");
        assert_eq!(of("VOLUME"), [r#"["/certs", "/mlog"]"#], "{path}");
        let entry: Vec<String> = serde_json::from_str(of("ENTRYPOINT")[0]).unwrap();
        let script = format!("interop/runner/entrypoint-{role}.sh");
        let copied = of("COPY").iter().any(|copy| copy.ends_with(&format!("{script} {}", entry[0])));
        assert!(copied, "{path}: the entry point is not copied to where it is run");
        // What is copied from here is here.
        for copy in of("COPY").into_iter().filter(|copy| !copy.contains("--from=")) {
            let source = copy.split(' ').find(|word| !word.starts_with("--")).unwrap();
            assert!(root().join(source).exists(), "{path}: {source}");
        }
        // What is taken from a stage was made there.
        let built = all[..last_from].iter().any(|(word, rest)| {
            word == "RUN" && rest.contains("cargo build --release --locked --package moqingbird-cli")
        });
        assert!(built && of("COPY").iter().any(|copy| copy.contains("/src/target/release/moqt ")), "{path}");
        if role == "relay" {
            for variable in
                ["MOQT_ROLE=relay", "MOQT_PORT=4443", "MOQT_CERT=/certs/cert.pem", "MOQT_KEY=/certs/priv.key"]
            {
                assert!(of("ENV")[0].split(' ').any(|it| it == variable), "{variable}");
            }
            assert_eq!(of("EXPOSE"), ["4443/udp"]);
        }
    }
}

#[test]
fn the_entry_points_are_programs_of_plain_sh() {
    use std::os::unix::fs::PermissionsExt;
    for role in ["client", "relay"] {
        let path = root().join(format!("interop/runner/entrypoint-{role}.sh"));
        assert_ne!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0, "{path:?}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("#!/bin/sh\n"));
        assert!(std::process::Command::new("sh").arg("-n").arg(&path).status().unwrap().success());
    }
}

/// What of an entry the runner's schema does not allow.
fn faults(id: &str, entry: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut require = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    let lower = |c: char| c.is_ascii_lowercase();
    let id_char = |c: char| lower(c) || c.is_ascii_digit() || c == '-';
    require(id.starts_with(lower) && id.chars().all(id_char), "id");
    require(entry["name"].is_string() && entry["roles"].is_object(), "name and roles are required");
    let known = ["name", "organization", "repository", "draft_versions", "notes", "roles"];
    require(only(entry, &known), "unknown key");
    if let Some(repository) = entry.get("repository") {
        require(repository.as_str().is_some_and(|it| it.starts_with("https://")), "repository");
    }
    if let Some(versions) = entry.get("draft_versions") {
        let version = |it: &Value| {
            let digits = it.as_str().and_then(|it| it.strip_prefix("draft-"));
            digits.is_some_and(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_digit()))
        };
        let versions = versions.as_array();
        require(versions.is_some_and(|it| !it.is_empty() && it.iter().all(version)), "draft_versions");
    }
    for (role, it) in entry["roles"].as_object().into_iter().flatten() {
        require(["relay", "client", "publisher", "subscriber"].contains(&role.as_str()), "role");
        require(only(it, &["docker", "remote"]), "unknown key of a role");
        if let Some(docker) = it.get("docker") {
            require(docker["image"].is_string(), "image");
            require(
                only(docker, &["image", "url", "build", "upstream_image", "env", "notes"]),
                "unknown key of docker",
            );
            if let Some(url) = docker.get("url") {
                let url = url.as_str().unwrap_or_default();
                require(url.starts_with("https://") || url.starts_with("moqt://"), "url");
            }
            if let Some(build) = docker.get("build") {
                require(only(build, &["dockerfile", "context"]), "unknown key of build");
            }
        }
        for remote in it.get("remote").and_then(Value::as_array).into_iter().flatten() {
            require(remote["url"].is_string(), "remote url");
            require(
                ["quic", "webtransport"].contains(&remote["transport"].as_str().unwrap_or_default()),
                "transport",
            );
            let known = ["url", "transport", "status", "draft_version", "tls_disable_verify", "notes"];
            require(only(remote, &known), "unknown key of remote");
        }
    }
    faults
}

fn only(object: &Value, known: &[&str]) -> bool {
    object.as_object().is_some_and(|object| object.keys().all(|key| known.contains(&key.as_str())))
}

#[test]
fn the_registration_keeps_the_rules_of_the_runner() {
    let entries: Value = serde_json::from_str(&read("interop/runner/implementations.json")).unwrap();
    let entries = entries.as_object().unwrap();
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["moqingbird", "moqingbird-quic"]);
    for (id, entry) in entries {
        assert_eq!(faults(id, entry), Vec::<String>::new(), "{id}");
        // Only what the endpoint itself speaks, or the runner's rows mislead.
        assert_eq!(entry["draft_versions"], json!(["draft-14", "draft-16"]));
        for role in entry["roles"].as_object().unwrap().values() {
            let dockerfile = role["docker"]["build"]["dockerfile"].as_str().unwrap();
            assert!(root().join(dockerfile).exists(), "{dockerfile}");
        }
    }
}

#[test]
fn an_entry_that_breaks_a_rule_is_found() {
    let entry = |change: fn(&mut Value)| {
        let mut entry = json!({
            "name": "Name",
            "draft_versions": ["draft-16"],
            "roles": {"relay": {
                "docker": {"image": "image:latest", "url": "moqt://relay:4443"},
                "remote": [{"url": "https://relay.example", "transport": "webtransport"}],
            }},
        });
        change(&mut entry);
        entry
    };
    assert!(faults("name", &entry(|_| ())).is_empty());
    assert!(!faults("Name", &entry(|_| ())).is_empty());
    let breaks: [fn(&mut Value); 8] = [
        |it| it["name"] = Value::Null,
        |it| it["url"] = json!("https://relay.example"),
        |it| it["draft_versions"] = json!([]),
        |it| it["draft_versions"] = json!(["16"]),
        |it| it["roles"]["server"] = json!({}),
        |it| it["roles"]["relay"]["docker"]["image"] = Value::Null,
        |it| it["roles"]["relay"]["docker"]["url"] = json!("http://relay"),
        |it| it["roles"]["relay"]["remote"][0]["transport"] = json!("tcp"),
    ];
    for (at, change) in breaks.into_iter().enumerate() {
        assert!(!faults("name", &entry(change)).is_empty(), "{at}");
    }
}
