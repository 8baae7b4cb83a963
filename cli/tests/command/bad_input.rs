//! Input that cannot be used: exit status 2, and one line that names it and says what to do.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use crate::common::run;

async fn refuses(args: &[&str], named: &str, remedy: &str) {
    let output = run(args).await;
    assert_eq!(output.status, 2, "{args:?}: {output:?}");
    assert_eq!(output.out, "", "{args:?}");
    assert_eq!(output.err.lines().count(), 1, "{args:?}: {}", output.err);
    assert!(output.err.contains(named), "{named:?} is not named: {}", output.err);
    assert!(output.err.contains(remedy), "{remedy:?} is not said: {}", output.err);
}

#[tokio::test]
async fn a_url_without_a_host() {
    for command in ["pub", "sub"] {
        refuses(&[command, "moqt://", "a", "b"], "`moqt://`", "write moqt://HOST").await;
    }
    refuses(&["clock", "sub", "https:///x"], "`https:///x`", "write moqt://HOST").await;
    refuses(&["sub", "localhost:4443", "a", "b"], "`localhost:4443`", "write moqt://HOST").await;
}

#[tokio::test]
async fn an_unknown_draft() {
    refuses(&["relay", "--draft", "15"], "`15`", "write 14, 16 or 14,16").await;
    refuses(&["sub", "moqt://h", "a", "b", "--draft", "14,x"], "`x`", "write 14, 16 or 14,16").await;
    refuses(&["interop", "--draft", "99"], "`99`", "write 14, 16 or 14,16").await;
}

#[tokio::test]
async fn an_address_that_is_none_and_a_port_in_use() {
    refuses(&["relay", "--bind", "localhost"], "'localhost'", "write IP:PORT").await;
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refuses(&["relay", "--bind", &address], &address, "another").await;
}

#[tokio::test]
async fn an_empty_namespace_and_one_that_is_too_deep() {
    refuses(&["pub", "moqt://h", "/", "t"], "namespace", "at least one field").await;
    refuses(&["pub", "moqt://h", &"a/".repeat(33), "t"], "33", "32 fields at most").await;
}

#[tokio::test]
async fn a_hash_that_is_none() {
    refuses(&["sub", "moqt://h", "a", "b", "--pin", "abc"], "`abc`", "64 hexadecimal digits").await;
}

#[tokio::test]
async fn a_command_line_that_is_incomplete_or_unknown() {
    refuses(&["sub", "moqt://h", "a"], "<TRACK>", "--help").await;
    refuses(&["relay", "--bnd", "x"], "'--bnd'", "--bind").await;
    refuses(&["rely"], "'rely'", "'relay'").await;
    refuses(&["relay", "--tls-cert", "x.pem"], "--tls-key", "--help").await;
}

#[tokio::test]
async fn files_that_cannot_be_read() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nonesuch.pem");
    let missing = missing.to_str().unwrap();
    refuses(&["relay", "--tls-cert", missing, "--tls-key", missing], missing, "cannot read").await;
    refuses(&["pub", "moqt://127.0.0.1", "a", "b", "--file", missing], missing, "name a file").await;
    refuses(&["sub", "moqt://127.0.0.1", "a", "b", "--ca", missing], missing, "cannot read").await;
}

#[tokio::test]
async fn a_certificate_and_a_key_that_do_not_belong_together() {
    let (certificate, key) = (pem("one", true), pem("two", false));
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    refuses(&["relay", "--tls-cert", certificate, "--tls-key", key], key, "does not match").await;
    refuses(&["relay", "--tls-cert", key, "--tls-key", key], key, "no certificate").await;
}

/// A file with a fresh certificate, or with its key.
fn pem(name: &str, certificate: bool) -> PathBuf {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let text = if certificate { made.cert.pem() } else { made.signing_key.serialize_pem() };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pem"));
    std::fs::write(&path, text).unwrap();
    path
}
