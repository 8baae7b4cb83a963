//! The files that are compiled into the tests of the workspace, and those that look as if they were.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::covers::{Child, Cover, Place, find};

/// What the workspace's files say.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Every `covers!(..)` of every crate.
    pub(super) covers: Vec<Cover>,
    /// Files that name rows and belong to no crate.
    pub(super) unread: Vec<PathBuf>,
}

/// Follows the modules of every crate of the workspace.
pub(super) fn compiled(root: &Path) -> Result<Sources, String> {
    let mut walk = Walk { root, covers: BTreeMap::new(), read: Vec::new() };
    for package in metadata(root)?["packages"].as_array().into_iter().flatten() {
        let features = default_features(package);
        for target in package["targets"].as_array().into_iter().flatten() {
            let Some(file) = target["src_path"].as_str() else { continue };
            let missing =
                target["required-features"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let missing = missing.into_iter().find(|needed| !features.iter().any(|on| on == needed));
            let fault = match (missing, target["test"].as_bool()) {
                (Some(feature), _) => Some(format!("not compiled: its target needs the feature {feature}")),
                (None, Some(false)) => Some("not compiled: its target has test = false".to_owned()),
                _ => None,
            };
            walk.file(Path::new(file), true, fault.as_deref(), &features)?;
        }
    }
    let mut unread = Vec::new();
    walk.unread(root, &mut unread)?;
    Ok(Sources { covers: walk.covers.into_values().collect(), unread })
}

fn metadata(root: &Path) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata is not JSON: {error}"))
}

/// The features that a plain `cargo test` turns on.
fn default_features(package: &Value) -> Vec<String> {
    let mut on = vec!["default".to_owned()];
    let mut at = 0;
    while let Some(feature) = on.get(at) {
        let implied = package["features"][feature].as_array().into_iter().flatten().filter_map(Value::as_str);
        let implied: Vec<_> =
            implied.filter(|name| !on.iter().any(|known| known == name)).map(str::to_owned).collect();
        on.extend(implied);
        at += 1;
    }
    on
}

struct Walk<'a> {
    root: &'a Path,
    /// By place. A file may be mounted more than once: what counts in one place counts.
    covers: BTreeMap<(PathBuf, usize, usize), Cover>,
    read: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Reads a file and the modules below it. `owns_folder`: whether they stand beside it and not in a folder of its name.
    fn file(
        &mut self,
        file: &Path,
        owns_folder: bool,
        fault: Option<&str>,
        features: &[String],
    ) -> Result<(), String> {
        let Ok(text) = fs::read_to_string(file) else {
            return match fault {
                Some(_) => Ok(()),
                None => Err(format!("{}: a module of this file exists and cannot be read", file.display())),
            };
        };
        self.read.push(file.to_owned());
        let short = file.strip_prefix(self.root).unwrap_or(file);
        let found = find(short, &text, fault, features)?;
        for (nth, cover) in found.covers.into_iter().enumerate() {
            let seen =
                self.covers.entry((short.to_owned(), cover.line, nth)).or_insert_with(|| cover.clone());
            if cover.fault.is_none() {
                *seen = cover;
            }
        }
        for child in found.children {
            let (file, owns_folder) = place(file, owns_folder, &child);
            self.file(&file, owns_folder, child.fault.as_deref(), features)?;
        }
        Ok(())
    }

    /// Files below `folder` that name rows and have not been read.
    fn unread(&self, folder: &Path, unread: &mut Vec<PathBuf>) -> Result<(), String> {
        let unreadable = |error| format!("{} cannot be read: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                self.unread(&path, unread)?;
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !self.read.contains(&path)
            {
                let short = path.strip_prefix(self.root).unwrap_or(&path).to_owned();
                let text = fs::read_to_string(&path).map_err(unreadable)?;
                // What is not Rust by itself, such as a file to be included, is searched as text.
                let names = find(&short, &text, None, &[]).map_or(text.contains("covers!("), |found| {
                    found.covers.iter().any(|cover| !cover.rows.is_empty() || cover.place == Place::Case)
                });
                if names {
                    unread.push(short);
                }
            }
        }
        Ok(())
    }
}

/// Where a module's file is, and whether its own modules stand beside it.
fn place(parent: &Path, owns_folder: bool, child: &Child) -> (PathBuf, bool) {
    let beside = parent.parent().unwrap_or(Path::new(""));
    let mut folder = match owns_folder {
        true => beside.to_owned(),
        false => beside.join(parent.file_stem().unwrap_or_default()),
    };
    let Some((name, around)) = child.path.split_last() else { return (folder, true) };
    if let Some(stated) = &child.file {
        let from = if around.is_empty() {
            beside.to_owned()
        } else {
            around.iter().fold(folder, |at, name| at.join(name))
        };
        return (from.join(stated), true);
    }
    folder.extend(around);
    let file = folder.join(format!("{name}.rs"));
    if file.exists() { (file, false) } else { (folder.join(name).join("mod.rs"), true) }
}
