//! Where two opinions of the same bytes differ.

use serde_json::Value;

/// One field of which the writer says one thing and the reader another. An absent field is null.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    /// The field, `[]` for an element of a list: `objects[].status`. Empty: the unit as a whole.
    pub(super) field: String,
    pub(super) written: Value,
    /// What is written in the fields beside it.
    pub(super) beside: Value,
    /// What was read, or why nothing was.
    pub(super) read: Result<Value, String>,
}

impl Difference {
    /// The reader did not take the unit, or the writer could not write it.
    pub(super) const fn refused(error: String) -> Self {
        Self { field: String::new(), written: Value::Null, beside: Value::Null, read: Err(error) }
    }
}

/// Every field that differs. Lists of another length differ as one.
pub(super) fn differences(written: &Value, read: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", &Value::Null, written, read, &mut found);
    found
}

fn compare(field: &str, beside: &Value, written: &Value, read: &Value, found: &mut Vec<Difference>) {
    match (written, read) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let others = theirs.keys().filter(|name| !ours.contains_key(*name));
            for name in ours.keys().chain(others) {
                let path = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
                let of = |fields: &serde_json::Map<_, _>| fields.get(name).cloned().unwrap_or(Value::Null);
                compare(&path, written, &of(ours), &of(theirs), found);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let path = format!("{field}[]");
            for (one, other) in ours.iter().zip(theirs) {
                compare(&path, beside, one, other, found);
            }
        }
        _ if written == read => {}
        _ => found.push(Difference {
            field: field.to_owned(),
            written: written.clone(),
            beside: beside.clone(),
            read: Ok(read.clone()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_names_its_field() {
        let written = json!({ "id": 7, "objects": [{ "status": 0 }, { "status": 3 }] });
        let read = json!({ "id": 7, "objects": [{ "status": 0 }, { "status": 4 }] });
        let expected = Difference {
            field: "objects[].status".to_owned(),
            written: json!(3),
            beside: json!({ "status": 3 }),
            read: Ok(json!(4)),
        };
        assert_eq!(differences(&written, &read), [expected]);
    }

    #[test]
    fn an_absent_field_is_null() {
        assert_eq!(differences(&json!({ "a": null }), &json!({})), []);
        assert_eq!(differences(&json!({}), &json!({ "a": 1 }))[0].field, "a");
    }

    #[test]
    fn lists_of_another_length_differ_as_one() {
        assert_eq!(differences(&json!({ "a": [1, 2] }), &json!({ "a": [2] }))[0].field, "a");
    }
}
