//! Every item that can be reached from a crate's root, a line each.

use std::collections::BTreeSet;

use quote::ToTokens;
use syn::{
    Attribute, Fields, FnArg, ImplItem, Item, ItemEnum, ItemImpl, ItemStruct, ItemTrait, Meta, Pat,
    TraitItem, Type, Visibility,
};

use super::names::{Import, Meaning, ModulePath, imports, resolve, visible};
use super::source::{Module, attributes};
use super::text::{text, tokens};

/// Walks a crate.
pub(super) struct Lister<'a> {
    root: &'a Module,
    /// Sorted by the path of what a line tells of.
    lines: BTreeSet<(String, String)>,
    walked: BTreeSet<(ModulePath, String)>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(root: &'a Module) -> Self {
        Self { root, lines: BTreeSet::new(), walked: BTreeSet::new() }
    }

    /// The lines of a crate of this name.
    pub(super) fn list(mut self, name: &str) -> Vec<String> {
        self.module(&[], name);
        self.lines.into_iter().map(|(_, line)| line).collect()
    }

    fn line(&mut self, path: &str, line: String) {
        self.lines.insert((path.to_owned(), line));
    }

    /// The public items of a module, which users see at `public`.
    fn module(&mut self, path: &[String], public: &str) {
        if !self.walked.insert((path.to_vec(), public.to_owned())) {
            return;
        }
        let Some(module) = self.root.at(path) else { return };
        for item in &module.items {
            match item {
                Item::Mod(inner) if is_public(&inner.vis) => {
                    let (name, below) = (inner.ident.to_string(), format!("{public}::{}", inner.ident));
                    self.line(&below, format!("pub mod {below}"));
                    self.module(&[path, &[name]].concat(), &below);
                }
                Item::Use(item) if is_public(&item.vis) => {
                    for import in imports(&item.tree) {
                        self.import(path, &import, public);
                    }
                }
                Item::Macro(call) if is_exported(&call.attrs) => {
                    if let Some(name) = &call.ident {
                        let path = format!("{}::{name}", public.split("::").next().unwrap_or(public));
                        self.line(&path, format!("macro {path}!"));
                    }
                }
                item => {
                    if let Some((visibility, name)) = visible(item)
                        && is_public(visibility)
                    {
                        self.item(path, item, &format!("{public}::{name}"));
                    }
                }
            }
        }
    }

    fn import(&mut self, module: &[String], import: &Import, public: &str) {
        let meaning = resolve(self.root, module, &import.path);
        let seen = format!("{public}::{}", import.name);
        match meaning {
            Some(Meaning::Module(path)) if import.name == "*" => self.module(&path, public),
            Some(Meaning::Module(path)) => {
                self.line(&seen, format!("pub mod {seen}"));
                self.module(&path, &seen);
            }
            Some(Meaning::Item(path, name)) => {
                let Some(module) = self.root.at(&path) else { return };
                let named = |item: &&Item| visible(item).is_some_and(|(_, ident)| ident == name);
                match module.items.iter().find(named) {
                    Some(item) => self.item(&path, item, &seen),
                    None => self.made_by_macro(module, &name, &seen),
                }
            }
            _ => {
                let line = format!("pub use {} as {seen}", import.path.join("::"));
                self.line(&seen, line);
            }
        }
    }

    /// An item that only a macro's expansion has: the call's tokens stand for it.
    fn made_by_macro(&mut self, module: &Module, name: &str, public: &str) {
        let call = module.items.iter().find_map(|item| match item {
            Item::Macro(call) if call.ident.is_none() => {
                tokens(call.mac.tokens.clone()).any(|token| token == name).then_some(&call.mac)
            }
            _ => None,
        });
        if let Some(call) = call {
            self.line(public, format!("{}! {public} {{ {} }}", text(&call.path), text(&call.tokens)));
        }
    }

    fn item(&mut self, module: &[String], item: &Item, public: &str) {
        let mut marks = marks(attributes(item));
        match item {
            Item::Struct(item) => {
                self.structure(item, public, &marks);
                self.implementations(module, &item.ident.to_string(), &item.attrs, public);
            }
            Item::Enum(item) => {
                self.enumeration(item, public, &marks);
                self.implementations(module, &item.ident.to_string(), &item.attrs, public);
            }
            Item::Trait(item) => self.contract(item, public, &marks),
            Item::Fn(item) => {
                let line = function(&item.sig, public);
                self.line(public, format!("{marks}pub {line}"));
            }
            Item::Const(item) => {
                self.line(public, format!("{marks}pub const {public}: {}", text(&item.ty)));
            }
            Item::Static(item) => {
                self.line(public, format!("{marks}pub static {public}: {}", text(&item.ty)));
            }
            Item::Type(item) => {
                marks.push_str("pub type ");
                self.line(public, format!("{marks}{public}{} = {}", text(&item.generics), text(&item.ty)));
            }
            _ => {}
        }
    }

    fn structure(&mut self, item: &ItemStruct, public: &str, marks: &str) {
        let hidden = item.fields.iter().any(|field| !is_public(&field.vis));
        let rest = if hidden { " { .. }" } else { "" };
        self.line(public, format!("{marks}pub struct {public}{}{rest}", text(&item.generics)));
        for (index, field) in item.fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis)) {
            let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
            let path = format!("{public}::{name}");
            self.line(&path, format!("pub {path}: {}", text(&field.ty)));
        }
    }

    fn enumeration(&mut self, item: &ItemEnum, public: &str, marks: &str) {
        self.line(public, format!("{marks}pub enum {public}{}", text(&item.generics)));
        for variant in &item.variants {
            let path = format!("{public}::{}", variant.ident);
            let fields = match &variant.fields {
                Fields::Named(_) => format!(" {}", text(&variant.fields)),
                fields => text(fields),
            };
            let marks = self::marks(&variant.attrs);
            self.line(&path, format!("{marks}variant {path}{fields}"));
        }
    }

    fn contract(&mut self, item: &ItemTrait, public: &str, marks: &str) {
        let bounds = if item.supertraits.is_empty() {
            String::new()
        } else {
            format!(": {}", text(&item.supertraits))
        };
        self.line(public, format!("{marks}pub trait {public}{}{bounds}", text(&item.generics)));
        for inner in &item.items {
            match inner {
                TraitItem::Fn(method) => {
                    let path = format!("{public}::{}", method.sig.ident);
                    let provided = if method.default.is_some() { " { .. }" } else { "" };
                    self.line(&path, format!("{}{provided}", function(&method.sig, &path)));
                }
                TraitItem::Type(associated) => {
                    let path = format!("{public}::{}", associated.ident);
                    self.line(&path, format!("type {path}: {}", text(&associated.bounds)));
                }
                TraitItem::Const(associated) => {
                    let path = format!("{public}::{}", associated.ident);
                    self.line(&path, format!("const {path}: {}", text(&associated.ty)));
                }
                _ => {}
            }
        }
    }

    /// What is implemented for a type anywhere in the crate, and what is derived.
    fn implementations(&mut self, module: &[String], name: &str, attributes: &[Attribute], public: &str) {
        for derived in derives(attributes) {
            self.line(public, format!("impl {derived} for {public}"));
        }
        let wanted = Meaning::Item(module.to_vec(), name.to_owned());
        let mut found = Vec::new();
        collect(self.root, self.root, &mut Vec::new(), &wanted, &mut found);
        for implementation in found {
            self.implementation(implementation, public);
        }
    }

    fn implementation(&mut self, item: &ItemImpl, public: &str) {
        if let Some((contract, _)) = &item.trait_ {
            let contract = contract.segments.last().map(text).unwrap_or_default();
            self.line(public, format!("impl{} {contract} for {public}", text(&item.generics)));
            return;
        }
        for inner in &item.items {
            match inner {
                ImplItem::Fn(method) if is_public(&method.vis) => {
                    let path = format!("{public}::{}", method.sig.ident);
                    self.line(&path, format!("{}pub {}", marks(&method.attrs), function(&method.sig, &path)));
                }
                ImplItem::Const(constant) if is_public(&constant.vis) => {
                    let path = format!("{public}::{}", constant.ident);
                    self.line(&path, format!("pub const {path}: {}", text(&constant.ty)));
                }
                _ => {}
            }
        }
    }
}

/// The implementations whose type is `wanted`, in a module and those within.
fn collect<'a>(
    root: &Module,
    module: &'a Module,
    path: &mut ModulePath,
    wanted: &Meaning,
    found: &mut Vec<&'a ItemImpl>,
) {
    for item in &module.items {
        if let Item::Impl(item) = item
            && let Type::Path(of) = &*item.self_ty
        {
            let of: Vec<_> = of.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            if resolve(root, path, &of).as_ref() == Some(wanted) {
                found.push(item);
            }
        }
    }
    for (name, inner) in &module.modules {
        path.push(name.clone());
        collect(root, inner, path, wanted, found);
        path.pop();
    }
}

/// A signature with the whole path in the place of the name. Whether an argument may change is no matter of the caller's.
fn function(signature: &syn::Signature, path: &str) -> String {
    let mut signature = signature.clone();
    for argument in &mut signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => receiver.mutability = None,
            FnArg::Typed(argument) => {
                if let Pat::Ident(name) = &mut *argument.pat {
                    name.mutability = None;
                }
            }
        }
    }
    let text = text(&signature);
    text.replacen(&format!("fn {}", signature.ident), &format!("fn {path}"), 1)
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_exported(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("macro_export"))
}

/// Attributes that are part of the promise.
fn marks(attributes: &[Attribute]) -> String {
    let kept = ["non_exhaustive", "must_use", "deprecated"];
    let kept = attributes.iter().filter(|attribute| kept.iter().any(|name| attribute.path().is_ident(name)));
    kept.map(|attribute| format!("#[{}] ", text(attribute.path()))).collect()
}

/// The traits of a type's `derive`, those under a `cfg_attr` too.
fn derives(attributes: &[Attribute]) -> Vec<String> {
    let lists = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("derive") => Some(list.tokens.to_token_stream()),
        _ => None,
    });
    let names = lists.flat_map(|list| text(&list).split(", ").map(str::to_owned).collect::<Vec<_>>());
    names.map(|name| name.trim_end_matches(',').to_owned()).filter(|name| !name.is_empty()).collect()
}
