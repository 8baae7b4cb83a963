//! Test Anything Protocol, version 14, as the runner's parser and `prove` read it.

use std::io::{self, Write};

use moqingbird::TransportKind;

use crate::report::{NotPassed, Report, Role, SessionFacts};

/// The name and version of this client in diagnostics.
const IMPLEMENTATION: &str = concat!("moqingbird-interop/", env!("CARGO_PKG_VERSION"));

/// Writes one run. Every call ends a line and flushes, so that a run that is cut short has said all it knows.
#[derive(Debug)]
pub struct Tap<W> {
    out: W,
    points: usize,
}

impl<W: Write> Tap<W> {
    /// Begins with the version line.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        writeln!(out, "TAP version 14")?;
        out.flush()?;
        Ok(Self { out, points: 0 })
    }

    /// A line for people.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn comment(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "# {}", one_line(text))?;
        self.out.flush()
    }

    /// How many points follow.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn plan(&mut self, points: usize) -> io::Result<()> {
        writeln!(self.out, "1..{points}")?;
        self.out.flush()
    }

    /// The next point, with its diagnostics.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn point(&mut self, report: &Report) -> io::Result<()> {
        let skip = match &report.verdict {
            Err(NotPassed::Skipped(reason)) => Some(reason.as_str()),
            _ => None,
        };
        let is_ok = !matches!(report.verdict, Err(NotPassed::Failed(_)));
        self.line(is_ok, &report.name, skip, &diagnostics(report))
    }

    /// The next point, which is no run of a case, with diagnostics of its own.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn check(&mut self, is_ok: bool, name: &str, diagnostics: &[(&str, &str)]) -> io::Result<()> {
        let lines: Vec<_> = diagnostics.iter().map(|(key, value)| pair(key, value)).collect();
        self.line(is_ok, name, None, &lines)
    }

    fn line(
        &mut self,
        is_ok: bool,
        name: &str,
        skip: Option<&str>,
        diagnostics: &[String],
    ) -> io::Result<()> {
        self.points += 1;
        let not = if is_ok { "" } else { "not " };
        let directive = skip.map(|reason| format!(" # SKIP {}", escaped(reason))).unwrap_or_default();
        writeln!(self.out, "{not}ok {} - {}{directive}", self.points, escaped(name))?;
        if !diagnostics.is_empty() {
            writeln!(self.out, "  ---")?;
            for line in diagnostics {
                writeln!(self.out, "  {line}")?;
            }
            writeln!(self.out, "  ...")?;
        }
        self.out.flush()
    }

    /// Nothing more can work.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn bail_out(&mut self, reason: &str) -> io::Result<()> {
        writeln!(self.out, "Bail out! {}", one_line(reason))?;
        self.out.flush()
    }
}

/// The lines of the YAML block, without their indentation.
fn diagnostics(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!("duration_ms: {}", report.duration.as_millis()),
        pair("defined_by", report.origin.name()),
        pair("implementation_version", IMPLEMENTATION),
    ];
    lines.extend(report.revision.map(|revision| format!("test_spec_revision: {revision}")));
    match &report.verdict {
        Ok(received) => lines.push(pair("received", received)),
        Err(NotPassed::Skipped(_)) => {}
        Err(NotPassed::Failed(failure)) => {
            lines.push(pair("expected", &failure.expected));
            lines.push(pair("received", &failure.received));
            lines.push(pair("message", &failure.message));
        }
    }
    let roles = named_roles(&report.sessions);
    for (session, role) in report.sessions.iter().zip(&roles) {
        let key =
            if session.role == Role::Client { "connection_id" } else { &format!("{role}_connection_id") };
        lines.extend(session.connection_id.as_ref().map(|id| pair(key, id)));
    }
    if !report.sessions.is_empty() {
        lines.push("sessions:".to_owned());
    }
    for (session, role) in report.sessions.iter().zip(&roles) {
        lines.push(format!("  {role}:"));
        lines.extend(facts(session).map(|line| format!("    {line}")));
    }
    lines
}

/// The role of each session, numbered where several have the same: `subscriber_1`.
fn named_roles(sessions: &[SessionFacts]) -> Vec<String> {
    let of = |role: Role, sessions: &[SessionFacts]| sessions.iter().filter(|it| it.role == role).count();
    let name = |(at, session): (usize, &SessionFacts)| match of(session.role, sessions) {
        1 => session.role.name().to_owned(),
        _ => format!("{}_{}", session.role.name(), of(session.role, &sessions[..=at])),
    };
    sessions.iter().enumerate().map(name).collect()
}

fn facts(session: &SessionFacts) -> impl Iterator<Item = String> {
    let protocol = session.protocol.as_deref();
    let (transport, alpn, webtransport) = match session.transport {
        TransportKind::WebTransport => ("webtransport-h3", Some("h3"), protocol),
        TransportKind::Quic => ("quic", protocol, None),
        _ => ("memory", None, None),
    };
    [
        Some(pair("moqt_version", &session.version.to_string())),
        Some(pair("transport", transport)),
        alpn.map(|name| pair("alpn", name)),
        webtransport.map(|name| pair("webtransport_protocol", name)),
        session.connection_id.as_ref().map(|id| pair("quic_initial_destination_connection_id", id)),
    ]
    .into_iter()
    .flatten()
}

fn pair(key: &str, value: &str) -> String {
    format!("{key}: {}", scalar(value))
}

/// A YAML scalar that every reader takes for this very string: in quotes unless it is a plain word, and a connection id
/// that looks like a number (`12e4567`) is not a plain word.
fn scalar(text: &str) -> String {
    let word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.' | '/');
    let begins = text.starts_with(|char: char| char.is_ascii_alphanumeric());
    let number = text.parse::<f64>().is_ok() || text.starts_with("0x") || text.starts_with("0o");
    let keyword = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|keyword| text.eq_ignore_ascii_case(keyword));
    if begins && text.chars().all(word) && !number && !keyword {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => quoted.push(char),
        }
    }
    quoted + "\""
}

/// What a reader of TAP counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Points that are `ok`, or `not ok` with the directive for what is still to do.
    pub passed: usize,
    /// Points that are `not ok`.
    pub failed: usize,
    /// Points that are `ok` with SKIP.
    pub skipped: usize,
}

/// Counts as the interop runner's `lib/tap-parser.sh` does: a prefix of docker-compose is taken off, lines behind four spaces
/// are passed over, directives are found in any case, and neither the plan nor the numbers are looked at. What does not
/// begin as TAP has no points.
pub fn counts(tap: &str) -> Counts {
    let mut counts = Counts::default();
    if !["TAP version 13", "TAP version 14"].iter().any(|version| tap.contains(version)) {
        return counts;
    }
    for line in tap.lines().map(without_docker_prefix).filter(|line| !line.starts_with("    ")) {
        let directive = |name: &str| line.to_lowercase().contains(&format!(" # {name}"));
        let numbered =
            line.strip_prefix("ok ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if numbered || line.starts_with("ok - ") || line == "ok" {
            if directive("skip") { counts.skipped += 1 } else { counts.passed += 1 }
        } else if line.starts_with("not ok") {
            if directive("todo") { counts.passed += 1 } else { counts.failed += 1 }
        }
    }
    counts
}

/// `^[A-Za-z0-9._-]*\s*\|\s*`
fn without_docker_prefix(line: &str) -> &str {
    let name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match line.trim_start_matches(name).trim_start().strip_prefix('|') {
        Some(rest) => rest.trim_start(),
        None => line,
    }
}

/// A `#` would begin a directive.
fn escaped(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('#', "\\#")
}

/// A line break would end the line that TAP needs whole.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain() {
        for word in
            ["timeout", "PUBLISH_NAMESPACE_OK", "draft-16", "84ee7793841adcadd926a1baf1c677cc", "moq-00"]
        {
            assert_eq!(scalar(word), word);
        }
    }

    #[test]
    fn what_yaml_would_take_for_something_else_is_quoted() {
        for text in ["", "123", "12e4567", "no", "0x10", "- a", "a: b", "a #b", "~", ".5"] {
            assert_eq!(scalar(text), format!("\"{text}\""));
        }
    }

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(scalar("say \"no\\\"\n"), "\"say \\\"no\\\\\\\"\\u000a\"");
    }
}
