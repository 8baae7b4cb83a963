//! What names mean: from a path in a module to the item behind it.

use syn::{Item, UseTree, Visibility};

use super::source::Module;

/// A path of module names from the crate's root.
pub(super) type ModulePath = Vec<String>;

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// An item of this name in a module.
    Item(ModulePath, String),
    /// A module of this crate.
    Module(ModulePath),
    /// Something of another crate.
    External(String),
}

/// A name that a `use` brings in: its path, and as what; `*` for all that is in there.
#[derive(Clone, Debug)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    pub(super) name: String,
}

/// Imports may lead to imports, but not for ever.
const MAX_STEPS: usize = 16;

/// The names of a `use`.
pub(super) fn imports(tree: &UseTree) -> Vec<Import> {
    let mut found = Vec::new();
    collect(tree, &mut Vec::new(), &mut found);
    found
}

fn collect(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<Import>) {
    let import = |path: &[String], last: String, name: String| {
        let path = if last == "self" { path.to_vec() } else { [path, &[last]].concat() };
        let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name };
        Import { path, name }
    };
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            collect(&inner.tree, path, found);
            path.pop();
        }
        UseTree::Name(name) => found.push(import(path, name.ident.to_string(), name.ident.to_string())),
        UseTree::Rename(name) => found.push(import(path, name.ident.to_string(), name.rename.to_string())),
        UseTree::Glob(_) => found.push(Import { path: path.clone(), name: "*".to_owned() }),
        UseTree::Group(group) => group.items.iter().for_each(|tree| collect(tree, path, found)),
    }
}

/// What a path in a module means.
pub(super) fn resolve(root: &Module, module: &[String], path: &[String]) -> Option<Meaning> {
    steps(root, module, path, MAX_STEPS)
}

fn steps(root: &Module, module: &[String], path: &[String], left: usize) -> Option<Meaning> {
    let left = left.checked_sub(1)?;
    let (first, rest) = path.split_first()?;
    let start = match first.as_str() {
        "crate" => Meaning::Module(Vec::new()),
        "self" => Meaning::Module(module.to_vec()),
        "super" => Meaning::Module(module.split_last()?.1.to_vec()),
        name => named(root, module, name, left)
            .or_else(|| (!rest.is_empty()).then(|| Meaning::External(name.to_owned())))?,
    };
    match (start, rest) {
        (meaning, []) => Some(meaning),
        (Meaning::Module(inner), rest) if rest[0] == "super" => steps(root, &inner, rest, left),
        (Meaning::Module(inner), [name]) => named(root, &inner, name, left),
        (Meaning::Module(inner), [name, rest @ ..]) => match named(root, &inner, name, left)? {
            Meaning::Module(deeper) => steps(root, &deeper, &[&["self".to_owned()], rest].concat(), left),
            other => Some(other),
        },
        (Meaning::External(name), rest) => Some(Meaning::External(format!("{name}::{}", rest.join("::")))),
        (item, _) => Some(item),
    }
}

/// What a single name means in a module.
fn named(root: &Module, path: &[String], name: &str, left: usize) -> Option<Meaning> {
    let module = root.at(path)?;
    if module.modules.contains_key(name) {
        return Some(Meaning::Module([path, &[name.to_owned()]].concat()));
    }
    if module.items.iter().any(|item| defines(item, name)) {
        return Some(Meaning::Item(path.to_vec(), name.to_owned()));
    }
    let uses = module.items.iter().filter_map(|item| match item {
        Item::Use(item) => Some(imports(&item.tree)),
        _ => None,
    });
    let uses: Vec<_> = uses.flatten().collect();
    if let Some(import) = uses.iter().find(|import| import.name == name) {
        return steps(root, path, &import.path, left);
    }
    uses.iter().filter(|import| import.name == "*").find_map(|import| {
        match steps(root, path, &import.path, left)? {
            Meaning::Module(inner) => named(root, &inner, name, left.checked_sub(1)?),
            _ => None,
        }
    })
}

/// Whether an item is one of this name; those that a macro makes are recognised by the name in its call.
fn defines(item: &Item, name: &str) -> bool {
    match item {
        Item::Macro(call) => {
            call.ident.is_none() && super::text::tokens(call.mac.tokens.clone()).any(|token| token == name)
        }
        item => visible(item).is_some_and(|(_, ident)| ident == name),
    }
}

/// An item's visibility and name.
pub(super) fn visible(item: &Item) -> Option<(&Visibility, String)> {
    let (visibility, ident) = match item {
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        Item::Static(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    Some((visibility, ident.to_string()))
}
