//! What else is written: lines, the page, metrics; and that a reader never sees half a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moqingbird_probe::Args;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lists::{Files, run};
use crate::servers::{dead_port, relay, scratch};

#[tokio::test]
async fn each_url_gets_a_line_as_relay_probe_prints_it() {
    let (both, dead) = (relay(&[]), dead_port());
    let urls = [format!("moqt://{both}"), format!("moqt://{dead}"), format!("https://{both}/moq")];
    let args = Args { urls: urls.to_vec(), insecure: true, parallel: 16, ..Args::default() };
    let (exit, out) = run(&args).await.unwrap();
    assert_eq!(exit, 0, "a draft was live");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    let live = |line: &str, start: String| {
        let rest = line.strip_prefix(&start).unwrap_or_else(|| panic!("{line}"));
        let time =
            rest.strip_prefix("draft-14,draft-16  \u{2713} (").and_then(|rest| rest.strip_suffix("ms)"));
        time.unwrap_or_else(|| panic!("{line}")).parse::<u64>().unwrap();
    };
    live(lines[0], format!("{both}  quic      "));
    live(lines[2], format!("{both}  h3/wt     "));
    assert!(lines[1].starts_with(&format!("{dead}  quic      \u{2717} connect: ")), "{out}");
}

#[tokio::test]
async fn where_nothing_lives_the_status_is_1_and_each_failure_is_explained() {
    let dead = dead_port();
    let args = Args { urls: vec![format!("moqt://{dead}")], explain: true, parallel: 1, ..Args::default() };
    let (exit, out) = run(&args).await.unwrap();
    assert_eq!(exit, 1);
    assert!(out.contains("    draft-14, draft-16: nothing listening: "), "{out}");
    assert!(out.contains("      try: start the relay, or check the port\n"), "{out}");
}

#[tokio::test]
async fn an_untrusted_certificate_is_told_behind_the_line() {
    let args = Args { urls: vec![format!("moqt://{}", relay(&[]))], parallel: 1, ..Args::default() };
    let (exit, out) = run(&args).await.unwrap();
    assert_eq!(exit, 0);
    assert!(out.contains("ms)  tls: untrusted ("), "{out}");
}

#[tokio::test]
async fn a_reader_of_the_status_never_sees_a_part_of_it() {
    let address = relay(&[]);
    let relays: Vec<_> = (0..20)
        .map(|number| format!(r#"{{"id": "{number}", "url": "moqt://{address}", "interval": 3600}}"#))
        .collect();
    let busy = format!(r#"{{"id": "busy", "url": "moqt://{address}"}}"#);
    let files = Files::new(&format!("[{}, {busy}]", relays.join(", ")));
    let ended = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (path, ended) = (files.status.clone(), ended.clone());
        move || {
            let mut seen = 0_u64;
            while !ended.load(Ordering::Relaxed) {
                // Before the first round there is none.
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                let status: Value =
                    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
                assert!(status["relays"]["busy"].is_object());
                seen += 1;
            }
            seen
        }
    });
    let args = Args { once: false, cycles: Some(30), interval: Some("0".to_owned()), ..files.args() };
    let ran = run(&args).await;
    ended.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 0);
    assert_eq!(ran.unwrap().0, 0);
}

#[tokio::test]
async fn the_page_stands_by_itself_and_shows_now_the_day_and_latencies() {
    let (both, dead) = (relay(&[]), dead_port());
    let files = Files::new(&format!(
        r#"[{{"name": "<One & only>", "url": "moqt://{both}"}}, {{"name": "two", "url": "moqt://{dead}"}}]"#
    ));
    let path = scratch("html");
    run(&Args { html: Some(path.clone()), ..files.args() }).await.unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("1 of 2 live") && page.contains("&lt;One &amp; only&gt;"), "{page}");
    for foreign in ["src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(foreign), "the page needs something else: {foreign}");
    }
    assert_eq!(page.matches("<svg class=\"strip\"").count(), 2);
    assert_eq!(page.matches("<rect ").count(), 2 * 96, "a strip of 24 hours for each endpoint");
    assert_eq!(page.matches("<polyline ").count(), 1, "only who lives has latencies");
    assert!(page.contains("nothing listening: "), "{page}");
}

#[tokio::test]
async fn metrics_are_served_while_the_list_is_probed() {
    let (both, dead) = (relay(&[]), dead_port());
    let files = Files::new(&format!(
        r#"[{{"name": "o\"ne", "url": "moqt://{both}", "drafts": [14]}}, {{"name": "two", "url": "moqt://{dead}"}}]"#
    ));
    // The port is chosen here, since the program tells it only in its log.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = Args { once: false, metrics: Some(address), ..files.args() };
    let running = tokio::spawn(async move { run(&args).await });
    let text = loop {
        if let Ok(text) = get(address, "/metrics").await
            && text.contains("rounds_total 1")
        {
            break text;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let labels = format!(r#"relay="o\"ne",url="moqt://{both}",transport="QUIC""#);
    for line in [
        format!("moqt_probe_up{{{labels}}} 1\n"),
        format!("moqt_probe_draft_up{{{labels},draft=\"16\"}} 1\n"),
        format!("moqt_probe_up{{relay=\"two\",url=\"moqt://{dead}\",transport=\"QUIC\"}} 0\n"),
        "moqt_probe_as_expected{relay=\"o\\\"ne\"} 0\n".to_owned(),
        "# TYPE moqt_probe_handshake_seconds gauge\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    assert!(text.contains("text/plain; version=0.0.4"), "{text}");
    assert!(get(address, "/").await.unwrap().contains("1 of 2 live"));
    assert!(get(address, "/status.json").await.unwrap().contains("\"schema\": 1"));
    running.abort();
}

/// Headers and body.
async fn get(address: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
