//! The departures of aiomoqt from the drafts that are known: `interop/peers/opinions/departures.tsv`.

use serde_json::Value;

use super::compare::Difference;

/// Where a difference was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) draft: u16,
    pub(super) writer: Writer,
    pub(super) kind: &'a str,
}

/// Who wrote the bytes; the other read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    Us,
    Aiomoqt,
}

impl Writer {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Aiomoqt => "aiomoqt",
        }
    }
}

/// A line of the list.
#[derive(Debug)]
pub(super) struct Departure {
    draft: u16,
    writer: Writer,
    kind: String,
    field: String,
    form: Form,
    /// The rule of the ledger from which aiomoqt departs.
    pub(super) row: String,
    text: String,
}

/// How what is read differs from what was written.
#[derive(Debug)]
enum Form {
    /// Of a list only the last element is left.
    Last,
    /// Of pairs with one type only the last is left.
    LastOfType,
    /// Nothing is read, for a reason that contains this.
    Refused(String),
    /// One value becomes another; `None` is any.
    Value { written: Option<Value>, read: Option<Value>, beside: Option<Beside> },
}

/// A field beside the one that differs must not have this value.
#[derive(Debug)]
struct Beside {
    field: String,
    value: Value,
}

impl Departure {
    /// The lines behind the header of the list.
    pub(super) fn list(text: &str) -> Result<Vec<Self>, String> {
        text.lines()
            .enumerate()
            .skip(1)
            .map(|(index, line)| {
                Self::parse(line).map_err(|error| format!("departures.tsv:{}: {error}", index + 1))
            })
            .collect()
    }

    fn parse(line: &str) -> Result<Self, String> {
        let columns: Vec<&str> = line.split('\t').collect();
        let [draft, writer, kind, field, form, row, evidence] = columns[..] else {
            return Err(format!("{} columns instead of 7", columns.len()));
        };
        let number = draft.parse().map_err(|_| format!("{draft:?} is no draft's number"))?;
        if !in_ledger(number, row) {
            return Err(format!("the ledger of draft-{number} has no row {row:?}"));
        }
        if evidence.is_empty() {
            return Err("no evidence is given".to_owned());
        }
        Ok(Self {
            draft: number,
            writer: match writer {
                "us" => Writer::Us,
                "aiomoqt" => Writer::Aiomoqt,
                other => return Err(format!("{other:?} is no writer: us or aiomoqt")),
            },
            kind: kind.to_owned(),
            field: field.to_owned(),
            form: Form::parse(form)?,
            row: row.to_owned(),
            text: format!("draft-{draft} {kind} written by {writer}, {field}: {form}"),
        })
    }

    /// Whether this is what happened.
    pub(super) fn explains(&self, place: Place<'_>, difference: &Difference) -> bool {
        self.draft == place.draft
            && self.writer == place.writer
            && (self.kind == "*" || self.kind == place.kind)
            && (self.field == difference.field || self.field == "-" && difference.field.is_empty())
            && self.form.fits(difference)
    }

    /// The line in words.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl Form {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(reason) = text.strip_prefix("refused: ") {
            return Ok(Self::Refused(reason.to_owned()));
        }
        match text {
            "last" => Ok(Self::Last),
            "last of type" => Ok(Self::LastOfType),
            _ => Self::parse_value(text),
        }
    }

    /// `X -> Y`, or `X -> Y beside FIELD != Z`.
    fn parse_value(text: &str) -> Result<Self, String> {
        let (values, condition) = match text.split_once(" beside ") {
            Some((values, condition)) => (values, Some(condition)),
            None => (text, None),
        };
        let unknown = || {
            format!(
                "{text:?} is no difference: X -> Y [beside FIELD != Z], last, last of type, refused: TEXT"
            )
        };
        let (written, read) = values.split_once(" -> ").ok_or_else(unknown)?;
        let beside = match condition {
            Some(condition) => {
                let (field, value) = condition.split_once(" != ").ok_or_else(unknown)?;
                Some(Beside { field: field.to_owned(), value: json(value)? })
            }
            None => None,
        };
        Ok(Self::Value { written: pattern(written)?, read: pattern(read)?, beside })
    }

    fn fits(&self, difference: &Difference) -> bool {
        match (self, &difference.read) {
            (Self::Refused(reason), Err(error)) => error.contains(reason),
            (Self::Last, Ok(read)) => *read == last(&difference.written),
            (Self::LastOfType, Ok(read)) => *read == last_of_type(&difference.written),
            (Self::Value { written, read, beside }, Ok(value)) => {
                written.as_ref().is_none_or(|written| *written == difference.written)
                    && read.as_ref().is_none_or(|read| read == value)
                    && beside.as_ref().is_none_or(|other| difference.beside[&other.field] != other.value)
            }
            _ => false,
        }
    }
}

fn pattern(text: &str) -> Result<Option<Value>, String> {
    match text {
        "any" => Ok(None),
        text => json(text).map(Some),
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{text:?}: {error}"))
}

fn last(list: &Value) -> Value {
    list.as_array().map(|list| list.last().into_iter().cloned().collect()).unwrap_or_default()
}

/// The list is in ascending order of types.
fn last_of_type(list: &Value) -> Value {
    let pairs = list.as_array().map_or(&[][..], Vec::as_slice);
    let next = pairs.iter().skip(1).map(Some).chain([None]);
    pairs
        .iter()
        .zip(next)
        .filter(|(pair, next)| next.is_none_or(|next| next[0] != pair[0]))
        .map(|(pair, _)| pair.clone())
        .collect()
}

fn in_ledger(draft: u16, row: &str) -> bool {
    let lines = moqingbird_ledger::LEDGERS
        .iter()
        .filter(|(number, _)| *number == draft)
        .flat_map(|(_, text)| text.lines());
    lines.skip(1).any(|line| line.split('\t').next() == Some(row))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLACE: Place<'_> = Place { draft: 16, writer: Writer::Us, kind: "SUBSCRIBE" };
    const ROW: &str = "D16-9.2.2.1-19\tbecause";

    fn explains(columns: &str, written: Value, read: Value) -> bool {
        let departure = Departure::parse(&format!("{columns}\t{ROW}")).expect("a good line");
        let beside = json!({ "status": 3 });
        departure.explains(PLACE, &Difference { field: "tokens".to_owned(), written, beside, read: Ok(read) })
    }

    #[test]
    fn a_departure_explains_its_place_only() {
        assert!(explains("16\tus\tSUBSCRIBE\ttokens\tany -> null", json!(1), json!(null)));
        assert!(explains("16\tus\t*\ttokens\tany -> null", json!(1), json!(null)));
        assert!(!explains("16\tus\tPUBLISH\ttokens\tany -> null", json!(1), json!(null)));
        assert!(!explains("16\taiomoqt\tSUBSCRIBE\ttokens\tany -> null", json!(1), json!(null)));
        assert!(!explains("16\tus\tSUBSCRIBE\tname\tany -> null", json!(1), json!(null)));
    }

    #[test]
    fn a_departure_explains_its_form_only() {
        assert!(explains("16\tus\t*\ttokens\tlast", json!([1, 2]), json!([2])));
        assert!(!explains("16\tus\t*\ttokens\tlast", json!([1, 2]), json!([1])));
        assert!(explains(
            "16\tus\t*\ttokens\tlast of type",
            json!([[1, 2], [1, 3], [4, 5]]),
            json!([[1, 3], [4, 5]])
        ));
        assert!(!explains("16\tus\t*\ttokens\tlast of type", json!([[1, 2], [4, 5]]), json!([[4, 5]])));
        assert!(!explains("16\tus\t*\ttokens\t1 -> 2", json!(1), json!(3)));
    }

    #[test]
    fn a_departure_may_depend_on_the_field_beside() {
        assert!(explains("16\tus\t*\ttokens\tany -> [] beside status != 0", json!([1]), json!([])));
        assert!(!explains("16\tus\t*\ttokens\tany -> [] beside status != 3", json!([1]), json!([])));
    }

    #[test]
    fn a_departure_names_a_row_of_its_drafts_ledger() {
        let error =
            Departure::parse("14\tus\t*\ttokens\tlast\tD16-9.2.2.1-19\tbecause").expect_err("no such row");
        assert!(error.contains("D16-9.2.2.1-19"), "{error}");
    }

    #[test]
    fn a_refusal_is_known_by_its_reason() {
        let departure =
            Departure::parse(&format!("16\tus\t*\t-\trefused: too long\t{ROW}")).expect("a good line");
        assert!(departure.explains(PLACE, &Difference::refused("much too long".to_owned())));
        assert!(!departure.explains(PLACE, &Difference::refused("too short".to_owned())));
    }
}
