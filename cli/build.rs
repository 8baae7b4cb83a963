//! Tells the program of which commit and dependencies it is made.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rustc-env=MOQT_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    let lock = std::fs::read_to_string("../Cargo.lock").unwrap_or_default();
    for (variable, package) in [("MOQT_QUINN", "quinn"), ("MOQT_RUSTLS", "rustls")] {
        println!("cargo::rustc-env={variable}={}", locked(&lock, package).unwrap_or("unknown"));
    }
    println!("cargo::rerun-if-changed=../Cargo.lock");
    println!("cargo::rerun-if-changed=build.rs");
}

/// The commit that is checked out.
fn commit() -> Option<String> {
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The version of a package in Cargo.lock. Without the workspace's lock nobody knows it.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, behind) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    Some(behind.split_once('"')?.0)
}
