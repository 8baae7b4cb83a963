//! Tokens as text, always spaced alike.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// Any piece of syntax as text, without its attributes.
pub(super) fn text(syntax: &impl ToTokens) -> String {
    let mut text = String::new();
    let mut before = String::new();
    let mut tokens = tokens(syntax.to_token_stream()).peekable();
    while let Some(token) = tokens.next() {
        // Where lines are broken a list ends with a comma.
        if token == "," && tokens.peek().is_some_and(|next| [")", "]", "}", ">"].contains(&next.as_str())) {
            continue;
        }
        if !binds(&before) && needs_space(&before, &token) {
            text.push(' ');
        }
        text.push_str(&token);
        before = token;
    }
    text
}

/// The tokens in order, groups opened up, operators whole, attributes left out.
pub(super) fn tokens(stream: TokenStream) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    flatten(stream, &mut found);
    found.into_iter()
}

fn flatten(stream: TokenStream, found: &mut Vec<String>) {
    let mut trees = stream.into_iter().peekable();
    let mut operator = String::new();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(punct)
                if punct.as_char() == '#' && matches!(trees.peek(), Some(TokenTree::Group(_))) =>
            {
                trees.next();
            }
            TokenTree::Punct(punct) => {
                operator.push(punct.as_char());
                let more = punct.spacing() == Spacing::Joint
                    && matches!(operator.as_str(), "-" | "=" | ":" | "." | "..")
                    || operator == "'";
                if !more {
                    found.push(std::mem::take(&mut operator));
                }
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                found.push(open.to_owned());
                flatten(group.stream(), found);
                found.push(close.to_owned());
            }
            other => found.push(std::mem::take(&mut operator) + &other.to_string()),
        }
    }
    if !operator.is_empty() {
        found.push(operator);
    }
}

/// Whether a token stands right before the next.
fn binds(token: &str) -> bool {
    matches!(token, "" | "(" | "[" | "<" | "&" | "::" | "." | "!" | "*" | "?")
}

fn needs_space(before: &str, token: &str) -> bool {
    match token {
        "" | ")" | "]" | "," | ";" | ":" | "." | "::" | "<" | ">" | "?" | "!" => false,
        "(" | "[" => {
            before.starts_with('\'')
                || !before.ends_with(|last: char| last.is_alphanumeric() || "_>".contains(last))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn syntax_is_spaced_as_people_do() {
        let signature: syn::Signature = syn::parse_str(
            "async fn a<'a, T: Into<B> + 'a>(&mut self, #[x] b: impl Fn(u8) -> Vec<u8>, c: &'a [u8],) \
             -> Result<Option<(T, crate::U)>, E> where T: X",
        )
        .unwrap();
        assert_eq!(
            text(&signature),
            "async fn a<'a, T: Into<B> + 'a>(&mut self, b: impl Fn(u8) -> Vec<u8>, c: &'a [u8]) \
             -> Result<Option<(T, crate::U)>, E> where T: X"
        );
    }
}
