//! How the program ends: its status, and one line for people.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;

/// What a subcommand comes to.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// Why a subcommand did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input cannot be used: exit status 2.
    Input(String),
    /// It failed on the way: exit status 1.
    Failed(String),
    /// What was written is not taken: silence if its reader has gone, as a pipe's may; else exit status 1.
    Output(io::Error),
}

impl Failure {
    pub(crate) fn input(error: impl fmt::Display) -> Self {
        Self::Input(error.to_string())
    }

    pub(crate) fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Prints the line and gives the status.
pub(crate) fn report(outcome: Outcome) -> ExitCode {
    let (status, line) = match outcome {
        Ok(status) => return status,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Err(Failure::Output(error)) => (1, format!("cannot write the output: {error}")),
        Err(Failure::Failed(line)) => (1, line),
        Err(Failure::Input(line)) => (2, line),
    };
    complain(&line);
    ExitCode::from(status)
}

/// Help and version as asked for; a wrong command line in one line.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone wants no more help.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            complain(&one_line(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

/// What clap says on several lines: the error, what was missing, tips; then usage, which `--help` tells better.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let told: Vec<_> =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more")).collect();
    let line = told.join(" ").replace(" tip:", "; tip:");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    if line.contains("--help") { line.to_owned() } else { format!("{line}; --help tells more") }
}

fn complain(line: &str) {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "moqt: {}", line.replace('\n', " "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clap_says_on_many_lines_becomes_one() {
        let missing = "error: the following required arguments were not provided:\n  <URL>\n  <TRACK>\n\n\
                       Usage: moqt sub <URL> <TRACK>\n\nFor more information, try '--help'.\n";
        let line = "the following required arguments were not provided: <URL> <TRACK>; --help tells more";
        assert_eq!(one_line(missing), line);
        let tip = "error: unexpected argument '--bnd' found\n\n  tip: a similar argument exists: '--bind'\n\nUsage: x\n";
        let line =
            "unexpected argument '--bnd' found; tip: a similar argument exists: '--bind'; --help tells more";
        assert_eq!(one_line(tip), line);
    }
}
