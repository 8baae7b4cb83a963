//! Where the tests of one file name rows.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Item, LitStr, Meta, Token};

/// One `covers!(..)`.
#[derive(Clone, Debug)]
pub(super) struct Cover {
    /// Relative to the workspace.
    pub(super) file: PathBuf,
    /// The line of the macro.
    pub(super) line: usize,
    /// The name of the test, or of the table.
    pub(super) test: String,
    /// First and last line of the test, or of the table.
    pub(super) body: (usize, usize),
    /// What names the rows.
    pub(super) place: Place,
    /// The ids.
    pub(super) rows: Vec<String>,
    /// Why this does not count.
    pub(super) fault: Option<String>,
}

/// What names rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A statement of a test.
    Test,
    /// A value in a table of cases.
    Case,
}

/// A module that stands in a file of its own.
#[derive(Debug)]
pub(super) struct Child {
    /// The names of the modules of this file around it, and its own.
    pub(super) path: Vec<String>,
    /// Where an attribute says it is.
    pub(super) file: Option<String>,
    /// Why it is not compiled.
    pub(super) fault: Option<String>,
}

/// What one file says.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) covers: Vec<Cover>,
    pub(super) children: Vec<Child>,
}

/// Reads a file whose module is compiled, unless `fault` says why not; `features` are those that are on.
pub(super) fn find(
    file: &Path,
    text: &str,
    fault: Option<&str>,
    features: &[String],
) -> Result<Found, String> {
    let parsed = syn::parse_file(text)
        .map_err(|error| format!("{}:{}: not Rust: {error}", file.display(), error.span().start().line))?;
    let mut search = Search {
        file,
        features,
        mounted: mounted(&parsed.items),
        modules: Vec::new(),
        found: Found::default(),
    };
    let fault = fault.map(str::to_owned).or_else(|| search.left_out(&parsed.attrs));
    search.items(&parsed.items, fault.as_deref());
    Ok(search.found)
}

struct Search<'a> {
    file: &'a Path,
    features: &'a [String],
    /// Names that occur in tests and in macros that make tests: functions and tables of these names are run.
    mounted: Vec<String>,
    modules: Vec<String>,
    found: Found,
}

/// A function or table that may name rows.
struct Holder {
    name: String,
    lines: (usize, usize),
    fault: Option<String>,
}

impl Search<'_> {
    fn items(&mut self, items: &[Item], fault: Option<&str>) {
        for item in items {
            self.item(item, fault);
        }
    }

    fn item(&mut self, item: &Item, fault: Option<&str>) {
        match item {
            Item::Mod(module) => {
                let fault = fault.map(str::to_owned).or_else(|| self.left_out(&module.attrs));
                self.modules.push(module.ident.to_string());
                match &module.content {
                    Some((_, items)) => self.items(items, fault.as_deref()),
                    None => {
                        let child = Child { path: self.modules.clone(), file: path_of(&module.attrs), fault };
                        self.found.children.push(child);
                    }
                }
                self.modules.pop();
            }
            Item::Fn(function) => {
                let run = is_test(&function.attrs) || self.is_mounted(&function.sig.ident);
                let holder = self.holder(&function.sig.ident, &function.attrs, function.span(), run, fault);
                self.search(function.block.to_token_stream(), &holder);
            }
            Item::Const(table) => {
                let run = self.is_mounted(&table.ident);
                let holder = self.holder(&table.ident, &table.attrs, table.span(), run, fault);
                self.search(table.expr.to_token_stream(), &holder);
            }
            Item::Static(table) => {
                let run = self.is_mounted(&table.ident);
                let holder = self.holder(&table.ident, &table.attrs, table.span(), run, fault);
                self.search(table.expr.to_token_stream(), &holder);
            }
            Item::Macro(mac) if mac.ident.is_none() => {
                let fault = fault.map(str::to_owned).or_else(|| self.left_out(&mac.attrs));
                self.functions_of_macro(mac.mac.tokens.clone(), fault.as_deref());
            }
            other => {
                let name = Ident::new("item", Span::call_site());
                let holder = self.holder(&name, &[], other.span(), false, fault);
                self.search(other.to_token_stream(), &holder);
            }
        }
    }

    /// Functions within a macro that makes tests, such as `proptest!`, whose parameters need not be Rust.
    fn functions_of_macro(&mut self, stream: TokenStream, fault: Option<&str>) {
        let mut attributes = TokenStream::new();
        let mut name = None;
        let mut trees = stream.into_iter().peekable();
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if let Some(group @ TokenTree::Group(_)) = trees.peek().cloned() {
                        attributes.extend([TokenTree::Punct(punct), group]);
                    }
                }
                TokenTree::Ident(keyword) if keyword == "fn" => {
                    name = trees.peek().and_then(|tree| match tree {
                        TokenTree::Ident(name) => Some(name.clone()),
                        _ => None,
                    });
                }
                TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                    if let Some(name) = name.take() {
                        let attributes = attributes_of(std::mem::take(&mut attributes));
                        let span = name.span().join(body.span()).unwrap_or_else(|| body.span());
                        let mut holder = self.holder(&name, &attributes, span, true, fault);
                        holder.lines = (name.span().start().line, body.span_close().end().line);
                        self.search(TokenStream::from(TokenTree::Group(body)), &holder);
                    } else {
                        self.functions_of_macro(body.stream(), fault);
                    }
                }
                _ => {}
            }
        }
    }

    fn holder(
        &self,
        name: &Ident,
        attrs: &[Attribute],
        span: Span,
        run: bool,
        fault: Option<&str>,
    ) -> Holder {
        let fault = fault.map(str::to_owned).or_else(|| self.left_out(attrs));
        let fault = fault.or_else(|| self.ignored(attrs));
        let fault = fault.or_else(|| (!run).then(|| "no test of this file runs it".to_owned()));
        Holder { name: name.to_string(), lines: (span.start().line, span.end().line), fault }
    }

    fn is_mounted(&self, name: &Ident) -> bool {
        self.mounted.iter().any(|mounted| name == mounted)
    }

    /// Finds `covers ! (..)` at any depth.
    fn search(&mut self, stream: TokenStream, holder: &Holder) {
        let trees: Vec<_> = stream.into_iter().collect();
        for (at, tree) in trees.iter().enumerate() {
            let TokenTree::Group(group) = tree else { continue };
            match at.checked_sub(2).map(|start| &trees[start..at]) {
                Some([TokenTree::Ident(name), TokenTree::Punct(bang)])
                    if name == "covers" && bang.as_char() == '!' =>
                {
                    let place = if is_statement(&trees, at) { Place::Test } else { Place::Case };
                    self.found.covers.push(self.cover(group, name.span(), place, holder));
                }
                _ => self.search(group.stream(), holder),
            }
        }
    }

    fn cover(&self, arguments: &Group, at: Span, place: Place, holder: &Holder) -> Cover {
        let ids = arguments.stream().into_iter().filter_map(|tree| match tree {
            TokenTree::Literal(literal) => syn::parse2::<LitStr>(TokenTree::Literal(literal).into()).ok(),
            _ => None,
        });
        Cover {
            file: self.file.to_owned(),
            line: at.start().line,
            test: holder.name.clone(),
            body: holder.lines,
            place,
            rows: ids.map(|id| id.value()).collect(),
            fault: holder.fault.clone(),
        }
    }

    /// Why attributes leave an item out of the build that the tests run in.
    fn left_out(&self, attrs: &[Attribute]) -> Option<String> {
        attrs.iter().filter(|attr| attr.path().is_ident("cfg")).find_map(|attr| {
            let condition = attr.parse_args::<Meta>().ok()?;
            (!self.holds(&condition)).then(|| format!("not compiled: cfg({})", condition.to_token_stream()))
        })
    }

    /// Why attributes leave a test out of a run.
    fn ignored(&self, attrs: &[Attribute]) -> Option<String> {
        let list = Punctuated::<Meta, Token![,]>::parse_terminated;
        let ignores = |attr: &Attribute| match attr.path().is_ident("cfg_attr") {
            false => attr.path().is_ident("ignore"),
            true => attr.parse_args_with(list).is_ok_and(|metas| {
                let given = metas.iter().skip(1).any(|meta| meta.path().is_ident("ignore"));
                given && metas.first().is_some_and(|condition| self.holds(condition))
            }),
        };
        attrs.iter().any(ignores).then(|| "the test is ignored".to_owned())
    }

    fn holds(&self, condition: &Meta) -> bool {
        match condition {
            Meta::Path(path) => ["test", "unix", "debug_assertions"].iter().any(|name| path.is_ident(name)),
            Meta::NameValue(pair) => {
                let value = syn::parse2::<LitStr>(pair.value.to_token_stream())
                    .map(|value| value.value())
                    .unwrap_or_default();
                match pair.path.get_ident().map(ToString::to_string).as_deref() {
                    Some("feature") => self.features.contains(&value),
                    Some("target_os") => value == "linux",
                    _ => false,
                }
            }
            Meta::List(list) => {
                let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
                let Ok(inner) = list.parse_args_with(parser) else { return false };
                match list.path.get_ident().map(ToString::to_string).as_deref() {
                    Some("all") => inner.iter().all(|condition| self.holds(condition)),
                    Some("any") => inner.iter().any(|condition| self.holds(condition)),
                    Some("not") => !inner.iter().any(|condition| self.holds(condition)),
                    _ => false,
                }
            }
        }
    }
}

/// Whether the macro whose arguments stand at `at` is a statement of its own.
fn is_statement(trees: &[TokenTree], at: usize) -> bool {
    let is = |tree: Option<&TokenTree>, chars: &[char]| matches!(tree, Some(TokenTree::Punct(p)) if chars.contains(&p.as_char()));
    let mut start = at - 2;
    // A path before the name: moqingbird_ledger::covers!.
    while start >= 3 && is(trees.get(start - 1), &[':']) && is(trees.get(start - 2), &[':']) {
        start -= 3;
    }
    let begins = match start.checked_sub(1).map(|before| &trees[before]) {
        None | Some(TokenTree::Group(_)) => true,
        tree => is(tree, &[';']),
    };
    begins && is(trees.get(at + 1), &[';'])
}

/// Names that occur in tests and in macros that make tests.
fn mounted(items: &[Item]) -> Vec<String> {
    let mut names = Vec::new();
    for item in items {
        match item {
            Item::Fn(function) if is_test(&function.attrs) => {
                names_in(function.block.to_token_stream(), &mut names);
            }
            Item::Macro(mac) if mac.ident.is_none() => names_in(mac.mac.tokens.clone(), &mut names),
            Item::Mod(module) => names.extend(module.content.iter().flat_map(|(_, items)| mounted(items))),
            _ => {}
        }
    }
    names
}

fn names_in(stream: TokenStream, names: &mut Vec<String>) {
    for tree in stream {
        match tree {
            TokenTree::Ident(name) => names.push(name.to_string()),
            TokenTree::Group(group) => names_in(group.stream(), names),
            _ => {}
        }
    }
}

/// `#[test]`, `#[tokio::test]` and their like.
fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| attr.path().segments.last().is_some_and(|name| name.ident == "test"))
}

fn path_of(attrs: &[Attribute]) -> Option<String> {
    attrs.iter().filter(|attr| attr.path().is_ident("path")).find_map(|attr| match &attr.meta {
        Meta::NameValue(pair) => {
            syn::parse2::<LitStr>(pair.value.to_token_stream()).ok().map(|path| path.value())
        }
        _ => None,
    })
}

fn attributes_of(stream: TokenStream) -> Vec<Attribute> {
    syn::parse::Parser::parse2(Attribute::parse_outer, stream).unwrap_or_default()
}
