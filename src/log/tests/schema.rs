//! The table of all that may be written (`schema.tsv`), as a judge of records.

use serde_json::Value;

/// A row of the table.
#[derive(Debug)]
struct Row {
    revision: &'static str,
    kind: &'static str,
    field: &'static str,
    need: &'static str,
    content: &'static str,
}

#[derive(Debug)]
pub(super) struct Schema {
    rows: Vec<Row>,
}

type Verdict = Result<(), String>;

impl Schema {
    pub(super) fn load() -> Self {
        let lines = include_str!("../schema.tsv").lines().filter(|line| !line.starts_with('#'));
        let rows = lines.map(|line| {
            let cells: Vec<_> = line.split('\t').collect();
            let [revision, kind, field, need, content] = cells[..] else { panic!("not five cells: {line}") };
            Row { revision, kind, field, need, content }
        });
        Self { rows: rows.collect() }
    }

    /// The names of all events.
    pub(super) fn events(&self) -> Vec<&'static str> {
        self.rows.iter().filter(|row| row.kind == "event").map(|row| row.field).collect()
    }

    /// The `type` of all control messages.
    pub(super) fn messages(&self) -> Vec<&'static str> {
        let rows = self.rows.iter().filter(|row| row.field == "type" && row.content.starts_with('"'));
        let mut names: Vec<_> = rows.map(|row| row.content.trim_matches('"')).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the first record of a file is in order.
    pub(super) fn check_header(&self, record: &Value) -> Verdict {
        let fields = record.as_object().ok_or("no object")?;
        let (trace, rest): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| *name == "trace");
        let file = rest.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        self.check("LogFile", &Value::Object(file))?;
        let outer = trace.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        self.check("QlogFileSeq", &Value::Object(outer))
    }

    /// Whether a record other than the first is in order.
    pub(super) fn check_event(&self, record: &Value) -> Verdict {
        self.check("Event", record)?;
        let name = record["name"].as_str().unwrap_or_default();
        let event = self.rows.iter().find(|row| row.kind == "event" && row.field == name);
        self.check(event.ok_or(format!("no event {name}"))?.content, &record["data"])
    }

    fn check(&self, content: &str, value: &Value) -> Verdict {
        let whole = |bound: u64| value.as_u64().is_some_and(|number| number <= bound);
        let wrong = || Err(format!("not {content}: {value}"));
        let fits = match content {
            "uint64" => whole(u64::MAX),
            "uint16" => whole(u64::from(u16::MAX)),
            "uint8" => whole(u64::from(u8::MAX)),
            "float64" => value.is_f64(),
            "bool" => value.is_boolean(),
            "text" | "TimeFormat" | "GroupID" | "RFC3339DateTime" => value.is_string(),
            "hexstring" => value.as_str().is_some_and(is_hex),
            // The event's name tells more.
            "$ProtocolEventData" => value.is_object(),
            "$MOQTControlMessage" => return self.check_socket("", "type", value),
            "$MOQTParameter" => return self.check_socket("Parameter", "name", value),
            "$MOQTSetupOption" | "$MOQTSetupParameter" => {
                let option = self.check_socket("SetupOption", "name", value);
                return option.or_else(|_| self.check_socket("SetupParameter", "name", value));
            }
            _ if content.starts_with('[') => {
                let inner = content.trim_matches(['[', ']', ' ', '*', '+']);
                let Some(items) = value.as_array() else { return wrong() };
                return items.iter().try_for_each(|item| self.check(inner, item));
            }
            _ if content.contains(" / ") => content.split(" / ").any(|one| self.check(one, value).is_ok()),
            _ if content.starts_with('"') => value.as_str() == Some(content.trim_matches('"')),
            _ => return self.check_named(content, value),
        };
        if fits { Ok(()) } else { wrong() }
    }

    /// A value that its field `tag` sorts among the types that end so.
    fn check_socket(&self, ending: &str, tag: &str, value: &Value) -> Verdict {
        let literal = format!("\"{}\"", value[tag].as_str().unwrap_or_default());
        let mut verdict = Err(format!("no {tag} {literal} of a {ending}: {value}"));
        let kinds = self.rows.iter().filter(|row| row.field == tag && row.content == literal);
        for row in kinds.filter(|row| row.kind.ends_with(ending)) {
            verdict = self.check_named(row.kind, value);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }

    /// A value of a type of the table: as one of the revisions has it.
    fn check_named(&self, kind: &str, value: &Value) -> Verdict {
        let rows = || self.rows.iter().filter(|row| row.kind == kind);
        if rows().any(|row| row.need == "|") {
            let fits = rows().any(|row| self.check(row.content, value).is_ok());
            return if fits { Ok(()) } else { Err(format!("no {kind}: {value}")) };
        }
        let mut verdict = Err(format!("no type {kind} in the table"));
        for revision in ["main", "07", "06", "05", "04"] {
            let fields: Vec<_> = rows().filter(|row| row.revision == revision).collect();
            if !fields.is_empty() && verdict.is_err() {
                verdict = self.check_fields(kind, &fields, value);
            }
        }
        verdict
    }

    fn check_fields(&self, kind: &str, rows: &[&Row], value: &Value) -> Verdict {
        let Some(fields) = value.as_object() else { return Err(format!("no object for {kind}: {value}")) };
        if let Some(row) = rows.iter().find(|row| row.need == "!" && !fields.contains_key(row.field)) {
            return Err(format!("{kind} without {}: {value}", row.field));
        }
        for (name, value) in fields {
            let row =
                rows.iter().find(|row| row.field == name).ok_or(format!("{kind} has no field {name}"))?;
            self.check(row.content, value).map_err(|why| format!("{kind}.{name}: {why}"))?;
        }
        Ok(())
    }
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2)
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[test]
fn a_field_that_no_text_has_is_found_out() {
    let schema = Schema::load();
    let event =
        |data: Value| serde_json::json!({ "time": 0.5, "name": "moqt:fetch_header_parsed", "data": data });
    let good = serde_json::json!({ "stream_id": 1, "request_id": 2 });
    assert_eq!(schema.check_event(&event(good)), Ok(()));
    for bad in [
        serde_json::json!({ "stream_id": 1, "request_id": 2, "mood": "good" }),
        serde_json::json!({ "stream_id": 1 }),
        serde_json::json!({ "stream_id": 1, "request_id": "2" }),
    ] {
        assert!(schema.check_event(&event(bad.clone())).is_err(), "{bad}");
    }
}

/// `MOQT_QLOG_TEXTS=DIR cargo test -p moqingbird --lib the_table_is -- --ignored`: DIR holds the Markdown sources
/// `draft-pardue-moq-qlog-moq-events-NN.md` and `draft-ietf-quic-qlog-main-schema.md`.
#[test]
#[ignore = "needs the texts of the drafts, in the directory MOQT_QLOG_TEXTS"]
fn the_table_is_what_the_texts_say() {
    let texts = std::env::var("MOQT_QLOG_TEXTS").expect("MOQT_QLOG_TEXTS names the directory of the texts");
    for row in Schema::load().rows {
        let name = match row.revision {
            "main" => "draft-ietf-quic-qlog-main-schema.md".to_owned(),
            number => format!("draft-pardue-moq-qlog-moq-events-{number}.md"),
        };
        let text = std::fs::read_to_string(std::path::Path::new(&texts).join(&name)).expect(&name);
        assert!(is_in(&row, &text), "{name} does not say {row:?}");
    }
}

fn is_in(row: &Row, text: &str) -> bool {
    let definition = |kind: &str| {
        let starts = |line: &str| {
            line.strip_prefix(kind).is_some_and(|rest| [" =", " /="].iter().any(|eq| rest.starts_with(eq)))
        };
        let mut lines = text.lines().skip_while(move |line| !starts(line)).map(str::trim);
        let head = lines.next()?;
        let end = if head.ends_with('{') { "}" } else { "" };
        let body = lines.take_while(move |line| *line != end && *line != "~~~");
        Some((head.to_owned(), body.map(str::to_owned).collect::<Vec<_>>()))
    };
    if row.kind == "event" {
        let heading = row.field.split(':').next_back().unwrap_or_default();
        let mut headings = text.lines().filter(|line| line.starts_with('#'));
        return headings.any(|line| line.split(' ').nth(1) == Some(heading))
            && definition(row.content).is_some();
    }
    let Some((head, body)) = definition(row.kind) else { return false };
    let spaceless = |text: &str| text.replace(' ', "");
    if row.need == "|" {
        let words = format!("{head} {}", body.join(" "));
        return words.split_whitespace().any(|word| word == row.content);
    }
    let optional = if row.need == "?" { "?" } else { "" };
    let wanted = spaceless(&format!("{optional}{}:{}", row.field, row.content));
    body.iter().any(|line| {
        let line = line.split(" .default").next().unwrap_or_default();
        spaceless(line) == wanted
    })
}
