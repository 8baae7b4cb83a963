//! The relays to be probed: the list of aiomoqt's `relay_probe`, a JSON array, or its catalog, an object.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Relays, each with a key of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// In the order of the file.
    pub relays: Vec<Relay>,
}

/// A relay as the list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relay {
    /// The report's key: the list's `id`, else its `name`, else `unknown`. The second of the same key has `-2` behind it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// How long it rests between two probes. `None`: as long as all others.
    pub interval: Option<Duration>,
    /// Where it is reached.
    pub endpoints: Vec<Endpoint>,
    /// Whether the list says that it is not to be probed.
    pub disabled: bool,
    /// The drafts, by number, that it should speak. `None`: nothing is expected.
    pub expected: Option<Vec<u16>>,
}

/// One of a relay's URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// As the list has it.
    pub url: String,
    /// Whether its certificate is to be trusted by the usual rules.
    pub verify: bool,
}

impl Relay {
    /// A relay of one URL.
    pub fn at(url: impl fmt::Display) -> Self {
        let url = url.to_string();
        Self {
            id: url.clone(),
            name: url.clone(),
            interval: None,
            endpoints: vec![Endpoint { url, verify: true }],
            disabled: false,
            expected: None,
        }
    }
}

impl List {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not a list; with its name, the line and the column.
    pub fn read(path: &Path) -> Result<Self, ListError> {
        let text = std::fs::read(path).map_err(|error| ListError {
            path: path.to_owned(),
            problem: Problem::Unreadable(error.to_string()),
        })?;
        Self::parse(&text).map_err(|problem| ListError { path: path.to_owned(), problem })
    }

    fn parse(text: &[u8]) -> Result<Self, Problem> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut list: Self = serde_json::from_slice(text).map_err(|error| Problem::at(&error))?;
        if list.relays.is_empty() {
            return Err(Problem::Empty);
        }
        tell_apart(&mut list.relays);
        Ok(list)
    }
}

/// Gives every relay a key of its own: of two under one key, a report would show only the last.
fn tell_apart(relays: &mut [Relay]) {
    let mut taken = HashSet::new();
    for relay in relays {
        let wanted = relay.id.clone();
        let mut count = 1;
        while !taken.insert(relay.id.clone()) {
            count += 1;
            relay.id = format!("{wanted}-{count}");
        }
    }
}

/// A file that is not a list of relays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Unreadable(String),
    Empty,
    At { line: usize, column: usize, what: String },
}

impl Problem {
    fn at(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = text.strip_suffix(&place).unwrap_or(&text).to_owned();
        Self::At { line: error.line(), column: error.column(), what }
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::Unreadable(reason) => {
                write!(
                    f,
                    "cannot read the list of relays {path}: {reason}; name one by --relays-file, or give a URL"
                )
            }
            Problem::Empty => write!(f, "the list of relays {path} names none"),
            Problem::At { line, column, what } => write!(
                f,
                "{path} is not a list of relays: line {line}, column {column}: {what}; --help shows the two forms of a list"
            ),
        }
    }
}

impl std::error::Error for ListError {}

// --- the two forms ----------------------------------------------------------------------------------------------------

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

struct EitherForm;

impl<'de> Visitor<'de> for EitherForm {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of relays, or an object with an array `relays`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
        let mut relays = Vec::new();
        while let Some(OneRelay(relay, _)) = items.next_element::<OneRelay<ListedFields>>()? {
            relays.push(relay);
        }
        Ok(List { relays })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<List, A::Error> {
        let mut relays = None;
        while let Some(key) = fields.next_key::<String>()? {
            if key == "relays" {
                relays = Some(fields.next_value::<Vec<OneRelay<CataloguedFields>>>()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        let relays = relays.ok_or_else(|| de::Error::missing_field("relays"))?;
        Ok(List { relays: relays.into_iter().map(|OneRelay(relay, _)| relay).collect() })
    }
}

/// A relay as an object of these fields. What is wrong with it as a whole is found at its end, not behind it.
struct OneRelay<F>(Relay, PhantomData<F>);

impl<'de, F: Deserialize<'de> + TryInto<Relay, Error = &'static str>> Deserialize<'de> for OneRelay<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RelayObject(PhantomData))
    }
}

struct RelayObject<F>(PhantomData<F>);

impl<'de, F: Deserialize<'de> + TryInto<Relay, Error = &'static str>> Visitor<'de> for RelayObject<F> {
    type Value = OneRelay<F>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a relay, as an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<OneRelay<F>, A::Error> {
        let fields = F::deserialize(de::value::MapAccessDeserializer::new(fields))?;
        Ok(OneRelay(fields.try_into().map_err(de::Error::custom)?, PhantomData))
    }
}

/// A relay of the array.
#[derive(Deserialize)]
struct ListedFields {
    id: Option<String>,
    name: Option<String>,
    interval: Option<Seconds>,
    url: Option<String>,
    #[serde(default)]
    endpoints: Vec<ListedEndpoint>,
    verify_tls: Option<bool>,
    insecure: Option<bool>,
    drafts: Option<Vec<DraftNumber>>,
    #[serde(default)]
    disabled: bool,
}

impl TryFrom<ListedFields> for Relay {
    type Error = &'static str;

    fn try_from(fields: ListedFields) -> Result<Self, Self::Error> {
        let verify = verified(fields.verify_tls, fields.insecure).unwrap_or(true);
        let mut endpoints: Vec<_> = fields
            .endpoints
            .into_iter()
            .map(|ListedEndpoint { url, verify: own }| Endpoint { url, verify: own.unwrap_or(verify) })
            .collect();
        if endpoints.is_empty() {
            endpoints.extend(fields.url.map(|url| Endpoint { url, verify }));
        }
        if endpoints.is_empty() && !fields.disabled {
            return Err("this relay has neither `endpoints` nor `url`");
        }
        let id = fields.id.or_else(|| fields.name.clone()).unwrap_or_else(|| "unknown".to_owned());
        Ok(Self {
            name: fields.name.unwrap_or_else(|| id.clone()),
            id,
            interval: fields.interval.map(|Seconds(interval)| interval),
            endpoints,
            disabled: fields.disabled,
            expected: fields.drafts.map(numbers),
        })
    }
}

/// `verify_tls` counts before `insecure`.
fn verified(verify_tls: Option<bool>, insecure: Option<bool>) -> Option<bool> {
    verify_tls.or(insecure.map(|insecure| !insecure))
}

/// An endpoint of the array: a URL, or an object with one.
struct ListedEndpoint {
    url: String,
    verify: Option<bool>,
}

impl<'de> Deserialize<'de> for ListedEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UrlOrObject)
    }
}

struct UrlOrObject;

impl<'de> Visitor<'de> for UrlOrObject {
    type Value = ListedEndpoint;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an endpoint: a URL, or an object with `url`")
    }

    fn visit_str<E: de::Error>(self, url: &str) -> Result<ListedEndpoint, E> {
        Ok(ListedEndpoint { url: url.to_owned(), verify: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<ListedEndpoint, A::Error> {
        #[derive(Deserialize)]
        struct Fields {
            url: String,
            verify_tls: Option<bool>,
            insecure: Option<bool>,
        }
        let Fields { url, verify_tls, insecure } =
            Fields::deserialize(de::value::MapAccessDeserializer::new(fields))?;
        Ok(ListedEndpoint { url, verify: verified(verify_tls, insecure) })
    }
}

/// A relay of the catalog.
#[derive(Deserialize)]
struct CataloguedFields {
    name: String,
    #[serde(default)]
    urls: Urls,
    drafts: Option<Vec<DraftNumber>>,
    interval: Option<Seconds>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    disabled: bool,
}

impl TryFrom<CataloguedFields> for Relay {
    type Error = &'static str;

    fn try_from(fields: CataloguedFields) -> Result<Self, Self::Error> {
        if fields.urls.0.is_empty() && !fields.disabled {
            return Err("this relay has no `urls`");
        }
        let verify = !fields.insecure;
        Ok(Self {
            id: fields.name.clone(),
            name: fields.name,
            interval: fields.interval.map(|Seconds(interval)| interval),
            endpoints: fields.urls.0.into_iter().map(|url| Endpoint { url, verify }).collect(),
            disabled: fields.disabled,
            expected: fields.drafts.map(numbers),
        })
    }
}

/// The URLs of a catalog's relay, in the order of the file. A kind without a URL is left out.
#[derive(Default)]
struct Urls(Vec<String>);

impl<'de> Deserialize<'de> for Urls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ByKind)
    }
}

struct ByKind;

impl<'de> Visitor<'de> for ByKind {
    type Value = Urls;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of URLs by kind")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Urls, A::Error> {
        let mut urls = Vec::new();
        while let Some((_, url)) = fields.next_entry::<IgnoredAny, Option<String>>()? {
            urls.extend(url);
        }
        Ok(Urls(urls))
    }
}

/// A draft: 14, or "draft-14".
struct DraftNumber(u16);

fn numbers(drafts: Vec<DraftNumber>) -> Vec<u16> {
    let mut numbers: Vec<_> = drafts.into_iter().map(|DraftNumber(number)| number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

impl<'de> Deserialize<'de> for DraftNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrName)
    }
}

struct NumberOrName;

impl Visitor<'_> for NumberOrName {
    type Value = DraftNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a draft, such as 14 or \"draft-14\"")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<DraftNumber, E> {
        let unexpected = || E::invalid_value(de::Unexpected::Unsigned(number), &self);
        u16::try_from(number).map(DraftNumber).map_err(|_| unexpected())
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<DraftNumber, E> {
        let digits = name.strip_prefix("draft-").unwrap_or(name);
        digits.parse().map(DraftNumber).map_err(|_| E::invalid_value(de::Unexpected::Str(name), &self))
    }
}

/// A time in seconds.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(Duration);

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        Duration::try_from_secs_f64(seconds)
            .map(Self)
            .map_err(|_| "an interval is a number of seconds from 0 on")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Relay> {
        List::parse(text.as_bytes()).unwrap().relays
    }

    fn endpoints(relay: &Relay) -> Vec<(&str, bool)> {
        relay.endpoints.iter().map(|endpoint| (endpoint.url.as_str(), endpoint.verify)).collect()
    }

    #[test]
    fn an_array_is_read_as_relay_probe_reads_it() {
        let relays = parse(
            r#"[
  {"id": "openmoq", "name": "OpenMoQ", "interval": 120,
   "endpoints": [
     {"url": "moqt://host:4433", "verify_tls": false},
     "https://host:4433/moq-relay"
   ]},
  {"name": "short form", "url": "moqt://host:443", "notes": ["whatever"]},
  {"id": "empty", "endpoints": [], "url": "moqt://host", "insecure": true},
  {"url": "moqt://nobody"}
]"#,
        );
        let ids: Vec<_> = relays.iter().map(|relay| (relay.id.as_str(), relay.name.as_str())).collect();
        let expected = [
            ("openmoq", "OpenMoQ"),
            ("short form", "short form"),
            ("empty", "empty"),
            ("unknown", "unknown"),
        ];
        assert_eq!(ids, expected);
        assert_eq!(relays[0].interval, Some(Duration::from_secs(120)));
        assert_eq!(
            endpoints(&relays[0]),
            [("moqt://host:4433", false), ("https://host:4433/moq-relay", true)]
        );
        assert_eq!(endpoints(&relays[1]), [("moqt://host:443", true)]);
        assert_eq!(endpoints(&relays[2]), [("moqt://host", false)]);
        assert!(relays.iter().all(|relay| relay.expected.is_none() && !relay.disabled));
    }

    #[test]
    fn what_an_endpoint_says_of_verification_goes_before_what_its_relay_says() {
        let relays = parse(
            r#"[{"name": "a", "insecure": true, "endpoints": [
                {"url": "moqt://a"}, {"url": "moqt://b", "verify_tls": true}, {"url": "moqt://c", "insecure": false}]}]"#,
        );
        assert_eq!(endpoints(&relays[0]), [("moqt://a", false), ("moqt://b", true), ("moqt://c", true)]);
    }

    #[test]
    fn a_catalog_is_read_with_what_it_expects_and_what_it_disables() {
        let relays = parse(
            r#"{"_schema": {"name": "its name"},
 "relays": [
  {"name": "moqx-main",
   "urls": {"raw-quic": "moqt://host:4433", "h3-wt": "https://host:4433/moq", "none": null},
   "drafts": [18, 14, "draft-16", 14], "pub_mode": "publish", "insecure": true, "disabled": false,
   "disabled_suites": ["relay-fetch"], "notes": "…"},
  {"name": "gone", "urls": {}, "disabled": true}]}"#,
        );
        assert_eq!(endpoints(&relays[0]), [("moqt://host:4433", false), ("https://host:4433/moq", false)]);
        assert_eq!(relays[0].expected, Some(vec![14, 16, 18]));
        assert_eq!((relays[0].disabled, relays[1].disabled), (false, true));
    }

    #[test]
    fn relays_of_the_same_key_are_told_apart() {
        let relays =
            parse(r#"[{"url": "moqt://a"}, {"url": "moqt://b"}, {"id": "unknown-2", "url": "moqt://c"}]"#);
        let ids: Vec<_> = relays.iter().map(|relay| relay.id.as_str()).collect();
        assert_eq!(ids, ["unknown", "unknown-2", "unknown-2-2"]);
    }

    #[test]
    fn what_is_not_a_list_is_told_with_line_and_column() {
        for (text, line, column, what) in [
            ("", 1, 0, "EOF"),
            ("relays:\n  - moqt://host", 1, 1, "expected value"),
            ("[\n  {\"url\": \"moqt://host\"},\n]", 3, 1, "trailing comma"),
            ("\"moqt://host\"", 1, 13, "an array of relays"),
            ("42", 1, 2, "an array of relays"),
            ("{\n \"urls\": []\n}", 3, 1, "missing field `relays`"),
            ("[\n  \"moqt://host\"\n]", 2, 15, "a relay, as an object"),
            ("[\n {\"name\": \"a\"}\n]", 2, 14, "neither `endpoints` nor `url`"),
            ("[{\"url\": \"moqt://host\", \"interval\": -1}]", 1, 39, "number of seconds"),
            ("[{\"endpoints\": [7]}]", 1, 17, "an endpoint"),
            ("{\"relays\": [{\"name\": \"a\", \"urls\": [\"moqt://host\"]}]}", 1, 34, "URLs by kind"),
            (
                "{\"relays\": [{\"name\": \"a\", \"urls\": {\"q\": \"moqt://h\"}, \"drafts\": [-14]}]}",
                1,
                67,
                "a draft",
            ),
        ] {
            let Err(Problem::At { line: at_line, column: at_column, what: told }) =
                List::parse(text.as_bytes())
            else {
                panic!("{text}")
            };
            assert!(told.contains(what), "{text}: {told}");
            assert_eq!((at_line, at_column), (line, column), "{text}: {told}");
            let error =
                ListError { path: "relays.json".into(), problem: Problem::At { line, column, what: told } };
            let place = format!("line {line}, column {column}: ");
            assert!(error.to_string().starts_with(&format!("relays.json is not a list of relays: {place}")));
        }
    }

    #[test]
    fn a_list_of_nobody_is_refused() {
        assert_eq!(List::parse(b"[]"), Err(Problem::Empty));
        assert_eq!(List::parse(b"{\"relays\": []}"), Err(Problem::Empty));
    }
}
