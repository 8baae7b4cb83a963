//! `moqt probe`: lines, exit statuses, and a list's files.

use std::process::Stdio;

use crate::common::{Relay, moqt, run};

/// Nothing listens there. A free port that the system chose might be chosen for another test a moment later.
const DEAD: &str = "moqt://127.0.0.1:1";

#[tokio::test]
async fn the_status_is_0_if_any_draft_was_live_and_1_if_none_was() {
    let relay = Relay::start(&[]).await;
    let live = run(&["probe", &relay.url("moqt"), &relay.url("https"), DEAD]).await;
    assert_eq!((live.status, live.err.as_str()), (0, ""), "{}", live.out);
    let lines: Vec<_> = live.out.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with(&format!("{}  quic      draft-14,draft-16  \u{2713} (", relay.address)));
    assert!(lines[1].starts_with(&format!("{}  h3/wt     draft-14,draft-16  \u{2713} (", relay.address)));
    assert!(lines[2].contains("  quic      \u{2717} connect: nothing listens"));

    let none = run(&["probe", "--url", DEAD, "--explain"]).await;
    assert_eq!(none.status, 1);
    assert!(none.out.contains("try: start the relay"), "{}", none.out);
}

#[tokio::test]
async fn one_line_says_what_cannot_be_used_with_status_2() {
    for (args, told) in [
        (&["probe", "localhost:4443"][..], "`localhost:4443`"),
        (&["probe", "-f", "/nonexistent/relays.json"], "/nonexistent/relays.json"),
        (&["probe", "moqt://h", "--timeout", "soon"], "--timeout is `soon`"),
        (&["probe", "moqt://h", "--draft", "13"], "`13`"),
        (&["probe", "--fail-on", "monday"], "monday"),
    ] {
        let output = run(args).await;
        assert_eq!((output.status, output.out.as_str()), (2, ""), "{args:?}");
        assert!(output.err.lines().count() == 1 && output.err.contains(told), "{args:?}: {}", output.err);
    }
}

#[tokio::test]
async fn the_environment_says_where_the_files_are_and_to_do_it_once() {
    let relay = Relay::start(&[]).await;
    let folder = std::env::temp_dir().join(format!("moqt-probe-{}", std::process::id()));
    let (list, status) = (folder.join("relays.json"), folder.join("new").join("status.json"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(&list, format!(r#"[{{"id": "ours", "url": "{}"}}]"#, relay.url("moqt"))).unwrap();
    let mut command = moqt(&["probe", "--fail-on", "tls"]);
    command.env("RELAYS_FILE", &list).env("OUTPUT_FILE", &status).env("PROBE_ONCE", "1");
    let output = command.env("PROBE_TIMEOUT", "20").stdin(Stdio::null()).output().await.unwrap();
    let written = std::fs::read_to_string(&status).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(output.status.code(), Some(1), "the development certificate is not trusted");
    assert!(written.contains("\"ours\": {") && written.contains("\"schema\": 1"), "{written}");
}

#[tokio::test]
async fn a_status_of_urls_is_printed_as_json() {
    let relay = Relay::start(&["--draft", "16"]).await;
    let output =
        run(&["probe", &relay.url("https"), "--json", "--draft", "14,16", "--fail-on", "unexpected"]).await;
    assert_eq!(output.status, 1, "draft-14 was asked for");
    assert!(
        output.out.starts_with("{\n  \"timestamp\": \"") && output.out.contains("\"draft-16\""),
        "{}",
        output.out
    );
}
