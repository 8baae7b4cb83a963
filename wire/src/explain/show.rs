//! An explanation as people read it: a row for each field, a caret under the byte that is wrong.

use std::fmt;
use std::ops::Range;

use super::{Consequence, Explanation, Field, FieldValue, Trouble, Unit};

/// Bytes in a row of a field.
const ROW: usize = 8;
/// Rows of a field that are shown.
const ROWS: usize = 8;
/// Bytes in the row in which an error is shown.
const DUMP: usize = 16;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unit in &self.units {
            self.unit(unit, f)?;
        }
        match &self.trouble {
            Some(trouble) => self.trouble(trouble, f),
            None => Ok(()),
        }
    }
}

impl Explanation {
    fn unit(&self, unit: &Unit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", unit.name)?;
        let mut whole: Range<usize> = 0..0;
        for field in &unit.fields {
            let is_part = whole.start <= field.range.start && field.range.end <= whole.end;
            self.field(field, if is_part { "  " } else { "" }, f)?;
            if !is_part && field.value == FieldValue::Bytes {
                whole = field.range.clone();
            }
        }
        Ok(())
    }

    fn field(&self, field: &Field, indent: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = &self.bytes[field.range.clone()];
        let at = field.range.start;
        let first = hex(&bytes[..bytes.len().min(ROW)]);
        let name = format!("{indent}{}", field.name);
        writeln!(f, "{at:6}  {first:23}  {name:26}  {}", Said { value: field.value, bytes })?;
        for (row, bytes) in bytes.chunks(ROW).enumerate().take(ROWS).skip(1) {
            writeln!(f, "{:6}  {}", at + row * ROW, hex(bytes))?;
        }
        match bytes.len().saturating_sub(ROW * ROWS) {
            0 => Ok(()),
            more => writeln!(f, "        and {more} bytes more"),
        }
    }

    fn trouble(&self, trouble: &Trouble, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = trouble.offset;
        let row = offset - offset % DUMP;
        let bytes = &self.bytes[row..self.bytes.len().min(row + DUMP)];
        writeln!(f, "error: {trouble}")?;
        writeln!(f, "{row:6}  {}", hex(bytes))?;
        writeln!(f, "{:1$}^^", "", 8 + 3 * (offset - row))?;
        writeln!(f, "{}", trouble.consequence)
    }
}

/// Field, place and rule, in one line.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.field, self.offset, self.rule)
    }
}

/// What follows, as a sentence.
impl fmt::Display for Consequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close { code, number, unless_more } => {
                write!(f, "the session is closed with {code} ({number:#x})")?;
                f.write_str(if *unless_more { " unless more bytes come" } else { "" })
            }
            Self::CancelTrack => f.write_str(
                "the track is malformed: its subscriptions and fetches are cancelled, the session goes on",
            ),
        }
    }
}

/// The value of a field.
struct Said<'a> {
    value: FieldValue,
    bytes: &'a [u8],
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            FieldValue::Number(number) => write!(f, "{number}"),
            FieldValue::Length(length) => write!(f, "length or count {length}"),
            FieldValue::Key { key, name } => write!(f, "type {key:#x} {}", name.unwrap_or("(unknown)")),
            FieldValue::Bytes => match std::str::from_utf8(self.bytes) {
                Ok(text) if text.len() <= ROW * ROWS && !text.contains(char::is_control) => {
                    write!(f, "{text:?}")
                }
                _ => write!(f, "{} bytes", self.bytes.len()),
            },
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
