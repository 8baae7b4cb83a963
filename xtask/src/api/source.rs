//! A crate's modules as they stand in files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, Meta};

/// A module: its items but for what is only there for tests, and the modules within.
#[derive(Default)]
pub(super) struct Module {
    pub(super) items: Vec<Item>,
    pub(super) modules: BTreeMap<String, Self>,
}

impl Module {
    /// A crate from the file of its root.
    pub(super) fn load(file: &Path) -> Result<Self, String> {
        Self::of_file(file, file.parent().unwrap_or(file))
    }

    /// The module at a path from the root.
    pub(super) fn at(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |module, name| module.modules.get(name))
    }

    /// Modules within a file are looked for in `folder`.
    fn of_file(file: &Path, folder: &Path) -> Result<Self, String> {
        let unusable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = fs::read_to_string(file).map_err(|error| unusable(&error))?;
        let parsed = syn::parse_file(&text).map_err(|error| unusable(&error))?;
        Self::of_items(parsed.items, folder)
    }

    fn of_items(items: Vec<Item>, folder: &Path) -> Result<Self, String> {
        let mut module = Self::default();
        for item in items {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            if let Item::Mod(inner) = &item {
                let name = inner.ident.to_string();
                let below = folder.join(&name);
                let loaded = match &inner.content {
                    Some((_, items)) => Self::of_items(items.clone(), &below)?,
                    None => Self::of_file(&file_of(folder, &name), &below)?,
                };
                module.modules.insert(name, loaded);
            }
            module.items.push(item);
        }
        Ok(module)
    }
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(format!("{name}.rs"));
    if file.exists() { file } else { folder.join(name).join("mod.rs") }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            ["test", "doctest", "fuzzing"].contains(&condition.as_str()) || condition.contains("doctest")
        }
        _ => false,
    })
}

/// The attributes of the kinds of items that an API has.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
