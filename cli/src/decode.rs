//! `moqt decode`.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use clap::ValueEnum;
use moqingbird::wire::{Version, explain};

use crate::exit::{Failure, Outcome};

/// Show what bytes say, field by field, and what is wrong with them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The draft of the bytes
    #[arg(long, value_name = "N", value_parser = draft, default_value = "16")]
    draft: Version,
    /// What the bytes are
    kind: Kind,
    /// The bytes in hexadecimal (spaces, colons and a leading 0x do not matter), or a file that holds them or their
    /// hexadecimal digits; - is standard input
    #[arg(value_name = "HEX|FILE")]
    input: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// A control stream: messages, one behind the other
    Control,
    /// A unidirectional stream: a subgroup or the answer to a FETCH
    Uni,
    /// A datagram
    Datagram,
}

const EXAMPLES: &str = "\
Examples:
  moqt decode control 03000a02010161016201210102
  moqt decode --draft 14 uni capture.bin
  moqt decode datagram '00 07 03 05 80 68 69'
  xxd -r -p capture.txt | moqt decode uni -";

fn draft(text: &str) -> Result<Version, String> {
    text.parse().ok().and_then(Version::from_number).ok_or_else(|| "write 14 or 16".to_owned())
}

/// Exit status 1 if something is wrong with the bytes, which is shown with them.
pub(crate) fn run(args: &Args) -> Outcome {
    let bytes = read(&args.input)?;
    let draft = args.draft.draft();
    let explanation = match args.kind {
        Kind::Control => explain::control(draft, bytes),
        Kind::Uni => explain::uni(draft, bytes),
        Kind::Datagram => explain::datagram(draft, bytes),
    };
    write!(io::stdout(), "{explanation}")?;
    match explanation.trouble {
        None => Ok(ExitCode::SUCCESS),
        Some(trouble) => Err(Failure::failed(trouble)),
    }
}

fn read(input: &str) -> Result<Bytes, Failure> {
    if let Some(bytes) = hex(input.as_bytes()) {
        return Ok(bytes.into());
    }
    if input == "-" {
        let mut content = Vec::new();
        io::stdin().read_to_end(&mut content)?;
        return Ok(hex(&content).unwrap_or(content).into());
    }
    if !Path::new(input).exists() {
        let line = format!("`{input}` is neither hexadecimal nor a file: write pairs of digits, or a path");
        return Err(Failure::input(line));
    }
    let content =
        fs::read(input).map_err(|error| Failure::input(format!("cannot read `{input}`: {error}")))?;
    Ok(hex(&content).unwrap_or(content).into())
}

/// The bytes whose digits these are; `None` if they are anything but digits.
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_prefix(b"0x").unwrap_or(text);
    let digits = text.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b':');
    let digits: Option<Vec<_>> =
        digits.map(|digit| char::from(*digit).to_digit(16).map(|value| value as u8)).collect();
    let (pairs, odd) = digits.as_ref()?.as_chunks::<2>();
    (odd.is_empty() && !pairs.is_empty()).then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn hexadecimal_is_read_with_what_people_put_between() {
        for text in ["0x030aFF", "03 0a\nff\n", "03:0A:ff"] {
            assert_eq!(hex(text.as_bytes()), Some(vec![0x03, 0x0a, 0xff]), "{text:?}");
        }
        for text in ["", "030", "03 0g", "capture.bin", "0x"] {
            assert_eq!(hex(text.as_bytes()), None, "{text:?}");
        }
    }
}
