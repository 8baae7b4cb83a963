//! Keeps tokens out of logs, whoever writes them: also libraries below us log URLs.

use std::borrow::Cow;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// What stands where a token was.
const MASK: &[u8] = b"[redacted]";
/// What a token follows in a URL.
const KEYS: [&[u8]; 2] = [b"token=", b"jwt="];
/// How every JSON Web Token begins: `{"` in base64url.
const JWT: &[u8] = b"eyJ";

/// Stderr without tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

impl Write for Stderr {
    /// A subscriber writes a whole event at once.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&redacted(event)).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The text with every token masked.
fn redacted(text: &[u8]) -> Cow<'_, [u8]> {
    let (mut out, mut copied, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        match token(&text[at..]) {
            Some((prefix, length)) if length > 0 => {
                out.extend_from_slice(&text[copied..at + prefix]);
                out.extend_from_slice(MASK);
                at += prefix + length;
                copied = at;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return text.into();
    }
    out.extend_from_slice(&text[copied..]);
    out.into()
}

/// Whether a token stands here: how much goes before it, and how long it is.
fn token(text: &[u8]) -> Option<(usize, usize)> {
    let length = |from: usize| text[from..].iter().take_while(|byte| is_of_token(**byte)).count();
    if let Some(key) = KEYS.iter().find(|key| text.starts_with(key)) {
        return Some((key.len(), length(key.len())));
    }
    let is_jwt = text.starts_with(JWT) && text[..length(0)].iter().filter(|byte| **byte == b'.').count() == 2;
    is_jwt.then(|| (0, length(0)))
}

const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        String::from_utf8(redacted(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn tokens_are_masked_wherever_they_stand() {
        assert_eq!(shown("path=/live?token=secret&x=1"), "path=/live?token=[redacted]&x=1");
        assert_eq!(shown(r#"query: Some("jwt=a.b.c")"#), r#"query: Some("jwt=[redacted]")"#);
        assert_eq!(shown("got eyJh.eyJi.c-_ and eyJh.eyJi.d"), "got [redacted] and [redacted]");
    }

    #[test]
    fn what_is_no_token_stays() {
        for text in ["nothing here", "token= ", "a token", "eyJust two.dots", ""] {
            assert_eq!(shown(text), text);
        }
        assert!(matches!(redacted(b"nothing here"), Cow::Borrowed(_)));
    }
}
