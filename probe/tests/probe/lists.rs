//! The program with a list: the status file, who is due, and what makes it fail.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use moqingbird::Version;
use moqingbird_probe::{Args, FailOn, RunError};
use serde_json::Value;

use crate::servers::{Certificate, dead_port, relay, relay_with, scratch};

/// A list in a file of its own, and where its status goes.
pub(crate) struct Files {
    pub(crate) list: PathBuf,
    pub(crate) status: PathBuf,
}

impl Files {
    pub(crate) fn new(list: &str) -> Self {
        let files = Self { list: scratch("list.json"), status: scratch("status.json") };
        std::fs::write(&files.list, list).unwrap();
        files
    }

    pub(crate) fn args(&self) -> Args {
        Args {
            relays_file: Some(self.list.clone()),
            output_file: Some(self.status.clone()),
            once: true,
            parallel: 16,
            timeout: Some("20".to_owned()),
            ..Args::default()
        }
    }

    pub(crate) fn read(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(&self.status).unwrap()).unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.list);
        let _ = std::fs::remove_file(&self.status);
    }
}

/// Runs the program: its exit status and what it printed.
pub(crate) async fn run(args: &Args) -> Result<(u8, String), RunError> {
    let mut out = Vec::new();
    let status = moqingbird_probe::run(args, &|_| None, &mut out).await?;
    Ok((status, String::from_utf8(out).unwrap()))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The fields of relay_probe 0.9.8, each with its type: a reader of its files finds all of them.
fn check_as_relay_probe_wrote_it(status: &Value) {
    assert!(status["timestamp"].as_str().unwrap().ends_with("+00:00"));
    for (id, relay) in status["relays"].as_object().unwrap() {
        assert!(relay["name"].is_string() && relay["live"].is_boolean(), "{id}");
        if relay.get("error").is_some() {
            assert!(
                relay["error"].is_string()
                    && relay.get("endpoints").is_none()
                    && relay.get("drafts").is_none()
            );
            continue;
        }
        assert!(relay["drafts"].as_array().unwrap().iter().all(Value::is_string), "{id}");
        for endpoint in relay["endpoints"].as_array().unwrap() {
            for text in ["url", "transport", "host"] {
                assert!(endpoint[text].is_string(), "{text}: {endpoint}");
            }
            assert!(
                endpoint["port"].is_u64() && endpoint["latency_ms"].is_u64() && endpoint["live"].is_boolean()
            );
            assert!(endpoint["drafts"].as_array().unwrap().iter().all(Value::is_string));
            for text in ["draft", "error"] {
                let live = endpoint["live"].as_bool().unwrap();
                assert_eq!(endpoint[text].is_null(), (text == "error") == live, "{text}: {endpoint}");
            }
            for probe in endpoint["probes"].as_array().unwrap() {
                let live = probe["live"].as_bool().unwrap();
                for text in ["draft", "version_hex", "alpn"] {
                    assert_eq!(probe[text].is_string(), live, "{text}: {probe}");
                }
                assert_eq!(probe["error"].is_string(), !live, "{probe}");
                assert_eq!(probe["params"], serde_json::json!({}));
            }
        }
    }
}

#[tokio::test]
async fn a_status_has_what_readers_of_relay_probe_want_and_our_own_fields() {
    let (both, dead) = (relay(&[]), dead_port());
    let files = Files::new(&format!(
        r#"[{{"id": "one", "name": "One", "endpoints": [{{"url": "moqt://{both}"}}, "https://{both}/moq"]}},
            {{"name": "two", "url": "moqt://{dead}"}},
            {{"id": "odd", "url": "http://{both}/"}}]"#
    ));
    let (exit, _) = run(&files.args()).await.unwrap();
    assert_eq!(exit, 0, "nothing was asked to fail");
    let status = files.read();
    check_as_relay_probe_wrote_it(&status);

    let one = &status["relays"]["one"];
    assert_eq!((&one["name"], &one["live"]), (&"One".into(), &true.into()));
    assert_eq!(one["drafts"], serde_json::json!(["draft-14", "draft-16"]));
    assert_eq!((&one["draft_numbers"], &one["newest_draft"]), (&serde_json::json!([14, 16]), &16.into()));
    let endpoints = one["endpoints"].as_array().unwrap();
    assert_eq!((&endpoints[0]["transport"], &endpoints[1]["transport"]), (&"QUIC".into(), &"H3/WT".into()));
    assert_eq!(endpoints[0]["draft"], "draft-14");
    let probes = endpoints[0]["probes"].as_array().unwrap();
    let told: Vec<_> = probes.iter().map(|probe| (&probe["version_hex"], &probe["alpn"])).collect();
    assert_eq!(told, [(&"0xff00000e".into(), &"moq-00".into()), (&"0xff000010".into(), &"moqt-16".into())]);
    assert_eq!(endpoints[1]["probes"][1]["alpn"], "h3");
    assert!(probes.iter().all(|probe| probe["handshake_ms"].is_f64() && probe["setup_ms"].is_f64()));
    assert_eq!(keys(&endpoints[0]["tls"]).len(), 11);

    assert_eq!(status["relays"]["two"]["live"], false);
    assert_eq!(status["schema"], 1);
    let failure = &status["relays"]["two"]["endpoints"][0]["probes"][0]["failure"];
    assert_eq!(failure["cause"], "nothing-listening");
    assert!(failure["what"].is_string() && failure["try"].is_string());

    assert_eq!(status["relays"]["odd"]["live"], false);
    assert!(status["relays"]["odd"]["error"].as_str().unwrap().contains("`http` is not served"));
}

#[tokio::test]
async fn the_fields_of_relay_probe_come_first_and_in_its_order() {
    let files = Files::new(&format!(r#"[{{"name": "one", "url": "moqt://{}"}}]"#, relay(&[])));
    run(&files.args()).await.unwrap();
    let text = std::fs::read_to_string(&files.status).unwrap();
    let mut rest = text.as_str();
    for key in [
        "timestamp",
        "relays",
        "one",
        "name",
        "live",
        "drafts",
        "endpoints",
        "url",
        "transport",
        "host",
        "port",
        "live",
        "drafts",
        "draft",
        "latency_ms",
        "probes",
        "live",
        "draft",
        "version_hex",
        "alpn",
        "params",
        "error",
    ] {
        let at = rest
            .find(&format!("\"{key}\": "))
            .unwrap_or_else(|| panic!("{key} is not where it was in {text}"));
        rest = &rest[at + 1..];
    }
    assert!(text.starts_with("{\n  \"timestamp\": \""), "indented by two");
}

#[tokio::test]
async fn a_catalog_tells_what_is_expected_and_what_is_disabled() {
    let (both, old) = (relay(&[]), relay(&[Version::Draft14]));
    let files = Files::new(&format!(
        r#"{{"_schema": {{}}, "relays": [
            {{"name": "met", "urls": {{"raw-quic": "moqt://{both}", "h3-wt": "https://{both}/"}}, "drafts": [14, 16, 18],
              "insecure": true}},
            {{"name": "old", "urls": {{"raw-quic": "moqt://{old}"}}, "drafts": [14, 16]}},
            {{"name": "new", "urls": {{"raw-quic": "moqt://{both}"}}, "drafts": [14]}},
            {{"name": "off", "urls": {{"raw-quic": "moqt://127.0.0.1:1"}}, "drafts": [14], "disabled": true}}]}}"#
    ));
    let args = Args { fail_on: vec![FailOn::Unexpected], ..files.args() };
    let (exit, out) = run(&args).await.unwrap();
    assert_eq!(exit, 1);
    let status = files.read();
    check_as_relay_probe_wrote_it(&status);
    let relays = &status["relays"];
    let expected = |name: &str| relays[name]["expected"].clone();
    assert_eq!(
        expected("met"),
        serde_json::json!({"drafts": [14, 16, 18], "found": [14, 16], "missing": [], "surplus": [],
                           "not_tried": [18], "met": true})
    );
    assert_eq!(
        (&expected("old")["missing"], &expected("old")["met"]),
        (&serde_json::json!([16]), &false.into())
    );
    assert_eq!(
        (&expected("new")["surplus"], &expected("new")["met"]),
        (&serde_json::json!([16]), &false.into())
    );
    assert_eq!((&relays["off"]["disabled"], &relays["off"]["live"]), (&true.into(), &false.into()));
    assert_eq!(relays["met"]["endpoints"][0]["tls"]["waived"], true);
    assert!(
        out.contains("old: drafts missing: 16\n") && out.contains("off  disabled in the list\n"),
        "{out}"
    );
}

#[tokio::test]
async fn it_fails_on_what_it_is_told_to_fail_on_and_on_nothing_else() {
    let certificate = Certificate::valid();
    let trusted = relay_with(&[], certificate.pair.clone());
    let (untrusted, dead) = (relay(&[]), dead_port());
    let list = |url: String, more: &str| format!(r#"[{{"name": "one", "url": "{url}"{more}}}]"#);
    for (list, what, exit) in [
        (list(format!("moqt://{dead}"), ""), FailOn::Dead, 1),
        (list(format!("moqt://{dead}"), ""), FailOn::Tls, 0),
        (list(format!("moqt://{dead}"), r#", "drafts": [14]"#), FailOn::Unexpected, 1),
        (list(format!("moqt://{untrusted}"), ""), FailOn::Dead, 0),
        (list(format!("moqt://{untrusted}"), ""), FailOn::Unexpected, 0),
        (list(format!("moqt://{untrusted}"), ""), FailOn::Tls, 1),
        (list(format!("moqt://{untrusted}"), r#", "insecure": true"#), FailOn::Tls, 0),
        (list(format!("moqt://{trusted}"), r#", "drafts": [14, 16]"#), FailOn::Unexpected, 0),
        (list(format!("moqt://{trusted}"), ""), FailOn::Tls, 0),
    ] {
        let files = Files::new(&list);
        let args = Args { fail_on: vec![what], ca: vec![certificate.file.clone()], ..files.args() };
        assert_eq!(run(&args).await.unwrap().0, exit, "{list} {what:?}");
    }
}

#[tokio::test]
async fn one_round_probes_every_relay_however_long_their_intervals_are() {
    let address = relay(&[]);
    let files = Files::new(&format!(
        r#"[{{"name": "often", "url": "moqt://{address}", "interval": 0.1}},
            {{"name": "rarely", "url": "moqt://{address}", "interval": 31536000}}]"#
    ));
    run(&files.args()).await.unwrap();
    assert_eq!(keys(&files.read()["relays"]), ["often", "rarely"]);
}

#[tokio::test]
async fn each_relay_is_probed_at_its_own_interval_and_keeps_what_was_found_meanwhile() {
    // relay_probe looked at the relays' own intervals only once in the common one.
    let address = relay(&[]);
    let files = Files::new(&format!(
        r#"[{{"name": "often", "url": "moqt://{address}", "interval": 0}},
            {{"name": "rarely", "url": "moqt://{address}"}}]"#
    ));
    let rounds = async |cycles| {
        let args =
            Args { once: false, cycles: Some(cycles), interval: Some("3600".to_owned()), ..files.args() };
        run(&args).await.unwrap();
        files.read()["relays"].clone()
    };
    let relays = rounds(3).await;
    assert!(relays["often"]["probed_at"].as_str() > relays["rarely"]["probed_at"].as_str());
    assert_eq!(relays["rarely"]["live"], true);
}

/// Which of three silent ports heard something, packet by packet, while a list of them was probed.
async fn heard_by_silent_ports(parallel: u16) -> Vec<usize> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut relays = Vec::new();
    for port in 0..3 {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        relays.push(format!(r#"{{"url": "moqt://{}"}}"#, socket.local_addr().unwrap()));
        let heard = heard.clone();
        tokio::spawn(async move {
            while socket.recv(&mut [0; 2048]).await.is_ok() {
                heard.lock().unwrap().push(port);
            }
        });
    }
    let files = Files::new(&format!("[{}]", relays.join(", ")));
    let draft = Some("16".parse().unwrap());
    let args = Args { parallel, draft, timeout: Some("1.5".to_owned()), ..files.args() };
    run(&args).await.unwrap();
    heard.lock().unwrap().clone()
}

#[tokio::test]
async fn no_more_relays_are_probed_at_the_same_time_than_allowed() {
    let one_by_one = heard_by_silent_ports(1).await;
    assert!(one_by_one.is_sorted() && one_by_one.contains(&2), "{one_by_one:?}");
    let together = heard_by_silent_ports(3).await;
    let (first, last) =
        (together.iter().position(|port| *port == 2), together.iter().rposition(|port| *port == 0));
    assert!(first < last, "{together:?}");
}

#[tokio::test]
async fn a_file_that_is_not_a_list_is_named_with_line_and_column() {
    let files = Files::new("[\n  {\"name\": \"one\"},\n]");
    let error = run(&files.args()).await.unwrap_err();
    let RunError::Unusable(line) = &error else { panic!("{error}") };
    assert!(line.starts_with(&files.list.display().to_string()), "{line}");
    assert!(line.contains("line 2, column 17"), "{line}");
    let args = Args { relays_file: Some("/nonexistent/relays.json".into()), ..files.args() };
    let error = run(&args).await.unwrap_err();
    assert!(
        matches!(&error, RunError::Unusable(line) if line.contains("/nonexistent/relays.json")),
        "{error}"
    );
}

#[tokio::test]
async fn roots_that_cannot_be_read_end_the_run() {
    let files = Files::new(&format!(r#"[{{"name": "one", "url": "moqt://{}"}}]"#, relay(&[])));
    let args = Args { ca: vec!["/nonexistent/root.pem".into()], ..files.args() };
    let error = run(&args).await.unwrap_err();
    assert!(matches!(&error, RunError::Unusable(line) if line.contains("/nonexistent/root.pem")), "{error}");
}
