//! `--mlog-dir`: files of relay and clients.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Relay, Running, moqt, run};

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("moqt-mlog-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files' contents, of those that end so, sorted by their names.
fn files(directory: &Path, ending: &str) -> Vec<String> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let of_side = paths.iter().filter(|path| path.to_str().unwrap().ends_with(ending));
    of_side.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test]
async fn relay_publisher_and_subscriber_each_write_the_file_of_their_session() {
    let (relays, clients) = (Directory::new("relay"), Directory::new("clients"));
    let relay = Relay::start(&["--mlog-dir", relays.name()]).await;
    let url = relay.url("moqt");
    let more = ["--insecure", "--mlog-dir", clients.name()];
    let mut publisher = Running::start_with_stdin(&[&["pub", &url, "live", "track"][..], &more].concat());
    publisher.said("waiting for a subscriber").await;
    publisher.feed("one\ntwo\n".to_owned());
    let received = run(&[&["sub", &url, "live", "track"][..], &more].concat()).await;
    assert_eq!((received.status, received.out.as_str()), (0, "one\ntwo\n"), "{}", received.err);
    assert_eq!(publisher.end().await.status, 0);
    relay.running.signal("TERM").await;
    assert_eq!(relay.running.end().await.status, 0);

    for (directory, ending, other) in
        [(&relays, "_server.sqlog", "_client.sqlog"), (&clients, "_client.sqlog", "_server.sqlog")]
    {
        let files = files(&directory.0, ending);
        assert_eq!(files.len(), 2, "{ending}");
        assert!(self::files(&directory.0, other).is_empty());
        for file in files {
            assert!(file.starts_with('\u{1e}') && file.ends_with('\n'), "{file}");
            assert!(file.contains("moqt:subgroup_header_"), "{file}");
        }
    }
}

#[tokio::test]
async fn the_interop_client_takes_the_directory_from_the_environment() {
    let directory = Directory::new("interop");
    let mut command = moqt(&["interop", "--test", "setup-only", "--draft", "16"]);
    let output = command.env("MOQT_MLOG_DIR", directory.name()).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(files(&directory.0, "_client.sqlog").len(), 2);
    assert_eq!(files(&directory.0, "_server.sqlog").len(), 2);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_bad_input() {
    let directory = Directory::new("file");
    fs::write(&directory.0, "a file").unwrap();
    let below = directory.0.join("logs");
    for args in [
        vec!["relay", "--bind", "127.0.0.1:0"],
        vec!["sub", "moqt://localhost:1", "live", "track", "--insecure"],
        vec!["interop", "--test", "setup-only"],
    ] {
        let output = run(&[&args[..], &["--mlog-dir", below.to_str().unwrap()]].concat()).await;
        assert_eq!(output.status, 2, "{args:?}: {}", output.err);
        assert!(output.err.contains(below.to_str().unwrap()), "{}", output.err);
    }
    fs::remove_file(&directory.0).unwrap();
}
