//! `moqt token`, and a relay that wants tokens.

use crate::common::{Running, moqt, run};
use std::path::{Path, PathBuf};

/// A directory of this test's own, empty.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("token").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn generate(directory: &Path, alg: &str, kid: &str) -> PathBuf {
    let output = run(&["token", "generate", "--alg", alg, "--kid", kid, "--out", text(directory)]).await;
    assert_eq!(output.status, 0, "{output:?}");
    let private = directory.join(format!("{kid}.{}", if alg == "HS256" { "jwk" } else { "pem" }));
    assert!(private.exists() && directory.join(format!("{kid}.jwk")).exists(), "{output:?}");
    private
}

async fn sign(key: &Path, args: &[&str]) -> String {
    let output = run(&[&["token", "sign", "--key", text(key)], args].concat()).await;
    assert_eq!(output.status, 0, "{output:?}");
    output.out.trim_end().to_owned()
}

#[tokio::test]
async fn tokens_of_every_algorithm_are_signed_and_verified() {
    for alg in ["HS256", "RS256", "ES256", "EdDSA"] {
        let directory = directory(alg);
        let key = generate(&directory, alg, "office").await;
        let token = sign(&key, &["--publish", "live/cam", "--subscribe", "live", "--sub", "me"]).await;
        assert_eq!(token.split('.').count(), 3, "{token}");
        let verified = run(&["token", "verify", "--keys", text(&directory), &token]).await;
        assert_eq!(verified.status, 0, "{alg}: {verified:?}");
        let claims: serde_json::Value = serde_json::from_str(&verified.out).unwrap();
        assert_eq!(claims["publish"], serde_json::json!(["live/cam"]));
        assert_eq!(claims["subscribe"], serde_json::json!(["live"]));
        assert_eq!(claims["sub"], "me");
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_told_why() {
    let directory = directory("bad");
    let key = generate(&directory, "ES256", "a").await;
    let expired = sign(&key, &["--expires", "0s"]).await;
    let other = sign(&key, &["--kid", "b"]).await;
    for (token, why) in
        [(expired.as_str(), "expired"), (&other, "not known"), ("garbage", "no JSON Web Token")]
    {
        let output = run(&["token", "verify", "--keys", text(&directory), token]).await;
        assert_eq!((output.status, output.out.as_str()), (1, ""), "{output:?}");
        assert!(output.err.contains(why) && !output.err.contains(token), "{output:?}");
    }
}

#[tokio::test]
async fn keys_are_not_overwritten_and_secrets_are_ones_own() {
    let directory = directory("files");
    let private = generate(&directory, "EdDSA", "a").await;
    let again = run(&["token", "generate", "--alg", "EdDSA", "--kid", "a", "--out", text(&directory)]).await;
    assert_eq!(again.status, 2);
    assert!(again.err.contains("a.pem"), "{}", again.err);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let from = directory.join("from");
    let output =
        run(&["token", "generate", "--from", text(&private), "--kid", "a", "--out", text(&from)]).await;
    assert_eq!(output.status, 0, "{output:?}");
    let read = |path: &Path| std::fs::read_to_string(path.join("a.jwk")).unwrap();
    assert_eq!(read(&from), read(&directory));
}

#[tokio::test]
async fn a_relay_that_others_can_reach_needs_a_decision() {
    let output = run(&["relay", "--bind", "0.0.0.0:0"]).await;
    assert_eq!((output.status, output.out.as_str()), (2, ""), "{output:?}");
    assert!(output.err.contains("--auth none") && output.err.contains("--auth jwt"), "{}", output.err);
    let output = run(&["relay", "--auth", "jwt"]).await;
    assert_eq!(output.status, 2);
    assert!(output.err.contains("auth-keys"), "{}", output.err);
    let output = run(&["relay", "--auth", "jwt", "--auth-keys", "/nothing/there"]).await;
    assert_eq!(output.status, 2);
    assert!(output.err.contains("/nothing/there"), "{}", output.err);
}

/// A relay whose logs go to a file.
async fn logging_relay(args: &[&str], log: &Path) -> (Running, String) {
    let args = [&["relay", "--bind", "127.0.0.1:0"], args].concat();
    let mut command = moqt(&args);
    command.stderr(std::fs::File::create(log).unwrap());
    let mut relay = Running::spawn(command);
    let line = relay.line().await;
    (relay, line.split(' ').nth(1).unwrap().to_owned())
}

#[tokio::test]
async fn a_relay_with_keys_serves_those_with_tokens_and_no_log_has_a_token() {
    let directory = directory("relay");
    let key = generate(&directory, "ES256", "a").await;
    let (log, events) = (directory.join("log"), directory.join("events"));
    let args = ["-vv", "--auth", "jwt", "--auth-keys", text(&directory), "--mlog-dir", text(&events)];
    let (relay, address) = logging_relay(&args, &log).await;
    let (_other_relay, other) = logging_relay(&["-vv", "--log", "json"], &directory.join("json")).await;
    let token = sign(&key, &["--publish", "demo", "--subscribe", "demo"]).await;
    let mut told = String::new();
    for scheme in ["moqt", "https"] {
        let url = format!("{scheme}://{address}/live?token={token}");
        let mut publisher = Running::start_with_stdin(&["pub", "-v", &url, "demo", scheme, "--insecure"]);
        publisher.write("hello\n").await;
        loop {
            let output = run(&["sub", "-vv", &url, "demo", scheme, "--insecure", "--count", "1"]).await;
            told.push_str(&output.err);
            if output.status == 0 {
                assert_eq!(output.out, "hello\n");
                break;
            }
        }
        publisher.signal("INT").await;
        told.push_str(&publisher.end().await.err);
        let without = format!("{scheme}://{address}/live");
        let refused = run(&["sub", "-vv", &without, "demo", scheme, "--insecure"]).await;
        assert_eq!(refused.status, 1);
        assert!(refused.err.contains("UNAUTHORIZED"), "{}", refused.err);
        let elsewhere = format!("{scheme}://{other}/live?token={token}");
        assert_eq!(run(&["sub", "-vv", &elsewhere, "demo", scheme, "--insecure"]).await.status, 1);
    }
    relay.signal("TERM").await;
    assert_eq!(relay.end().await.status, 0);
    let mut files = vec![log, directory.join("json")];
    files.extend(std::fs::read_dir(&events).unwrap().map(|entry| entry.unwrap().path()));
    assert!(files.len() > 4, "{files:?}");
    let (_, signature) = token.rsplit_once('.').unwrap();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.is_empty(), "{}", file.display());
        assert!(!text.contains(signature), "a token is in {}", file.display());
    }
    assert!(!told.contains(signature), "a token is in what clients say");
}

#[tokio::test]
async fn logs_are_json_if_asked_for() {
    let log = directory("json").join("log");
    let (relay, address) = logging_relay(&["-v", "--log", "json"], &log).await;
    let refused = run(&["sub", &format!("moqt://{address}/"), "demo", "x", "--insecure"]).await;
    assert_eq!(refused.status, 1);
    relay.signal("TERM").await;
    assert_eq!(relay.end().await.status, 0);
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.contains("a session begins"), "{text}");
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["fields"]["message"].is_string(), "{line}");
    }
}
