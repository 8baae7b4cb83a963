//! Second opinions: random instances of every message kind, stream and datagram written by us and read by aiomoqt, and
//! the reverse, compared field by field. Every difference must be a departure of aiomoqt that is listed, and every
//! departure that is listed must be seen.

mod compare;
mod departures;
mod messages;
mod neutral;
mod sample;
mod unit;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use clap::Args;
use moqingbird_wire::Version;
use serde_json::{Value, json};

use crate::Outcome;
use compare::Difference;
use departures::{Departure, Place, Writer};
use sample::Sample;
use unit::{DATAGRAM, FETCH_STREAM, SUBGROUP_STREAM, Unit};

/// Instances of every kind from each side.
const COUNT: usize = 200;
/// Examples that are shown of one unexpected difference.
const EXAMPLES: usize = 2;
/// The exit status of `python.sh` where there is no Python and need not be.
const SKIPPED: i32 = 77;

/// The flags of the chore.
#[derive(Args)]
pub(crate) struct Options {
    /// Where the random instances begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Asks both sides, and fails unless the differences are those that are listed.
pub(crate) fn run(options: &Options) -> Outcome {
    let Options { seed } = *options;
    let root = crate::root();
    let folder = root.join("interop/peers/opinions");
    let list = folder.join("departures.tsv");
    let list = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let list = Departure::list(&list)?;
    let Some(python) = python(&root)? else { return Ok(()) };

    let aiomoqt = Aiomoqt { python, program: folder.join("opinions.py") };
    let mut report = Report::new(list);
    our_instances(&aiomoqt, seed, &mut report)?;
    their_instances(&aiomoqt, seed, &mut report)?;
    report.conclude()
}

/// The kinds of a draft, in its words.
fn kinds(version: Version) -> impl Iterator<Item = &'static str> {
    const BOTH: &[&str] = &[
        "CLIENT_SETUP",
        "SERVER_SETUP",
        "GOAWAY",
        "MAX_REQUEST_ID",
        "REQUESTS_BLOCKED",
        "SUBSCRIBE",
        "SUBSCRIBE_OK",
        "UNSUBSCRIBE",
        "PUBLISH",
        "PUBLISH_OK",
        "PUBLISH_DONE",
        "FETCH",
        "FETCH_OK",
        "FETCH_CANCEL",
        "TRACK_STATUS",
        "PUBLISH_NAMESPACE",
        "PUBLISH_NAMESPACE_DONE",
        "PUBLISH_NAMESPACE_CANCEL",
        "SUBSCRIBE_NAMESPACE",
        SUBGROUP_STREAM,
        FETCH_STREAM,
        DATAGRAM,
    ];
    const ONLY_14: &[&str] = &[
        "SUBSCRIBE_UPDATE",
        "SUBSCRIBE_ERROR",
        "PUBLISH_ERROR",
        "FETCH_ERROR",
        "TRACK_STATUS_OK",
        "TRACK_STATUS_ERROR",
        "PUBLISH_NAMESPACE_OK",
        "PUBLISH_NAMESPACE_ERROR",
        "SUBSCRIBE_NAMESPACE_OK",
        "SUBSCRIBE_NAMESPACE_ERROR",
        "UNSUBSCRIBE_NAMESPACE",
    ];
    const ONLY_16: &[&str] =
        &["REQUEST_OK", "REQUEST_ERROR", "REQUEST_UPDATE", "NAMESPACE", "NAMESPACE_DONE"];
    let own = if version == Version::Draft14 { ONLY_14 } else { ONLY_16 };
    BOTH.iter().chain(own).copied()
}

// --- the two directions -----------------------------------------------------------------------------------------------

/// An instance that its writer has written.
struct Written {
    version: Version,
    kind: String,
    fields: Value,
    /// The bytes, or why there are none.
    bytes: Result<Bytes, String>,
}

impl Written {
    fn place(&self, writer: Writer) -> Place<'_> {
        Place { draft: self.version.number(), writer, kind: &self.kind }
    }
}

fn our_instances(aiomoqt: &Aiomoqt, seed: u64, report: &mut Report) -> Result<(), String> {
    let instances = ours(seed)?;
    let mut asked = String::new();
    for Written { version, kind, bytes, .. } in &instances {
        let hex = neutral::hex(bytes.clone()?);
        asked += &format!("{}\n", json!({ "draft": version.number(), "kind": kind, "hex": hex }));
    }
    let answers = aiomoqt.decode(&asked)?;
    if answers.len() != instances.len() {
        return Err(format!("aiomoqt gave {} answers to {} questions", answers.len(), instances.len()));
    }
    for (written, answer) in instances.iter().zip(answers) {
        let found = match answer["error"].as_str() {
            Some(error) => vec![Difference::refused(error.to_owned())],
            None => compare::differences(&written.fields, &answer["fields"]),
        };
        report.take(written, Writer::Us, found);
    }
    Ok(())
}

fn ours(seed: u64) -> Result<Vec<Written>, String> {
    let mut sample = Sample::new(seed);
    let mut instances = Vec::new();
    for &version in Version::ALL {
        let draft = version.draft();
        for kind in kinds(version) {
            for _ in 0..COUNT {
                let unit = Unit::random(version, kind, &mut sample)?;
                let bytes =
                    unit.encode(draft).map_err(|error| format!("{version} {kind}: {error}\n{unit:?}"))?;
                let fields = neutral::fields(draft, &unit);
                instances.push(Written { version, kind: kind.to_owned(), fields, bytes: Ok(bytes) });
            }
        }
    }
    Ok(instances)
}

fn their_instances(aiomoqt: &Aiomoqt, seed: u64, report: &mut Report) -> Result<(), String> {
    let instances = aiomoqt.encode(seed)?;
    for &version in Version::ALL {
        for kind in kinds(version) {
            let count = instances.iter().filter(|one| one.version == version && one.kind == kind).count();
            if count != COUNT {
                return Err(format!("aiomoqt wrote {count} instances of {version} {kind}, not {COUNT}"));
            }
        }
    }
    for written in &instances {
        let draft = written.version.draft();
        let read = written
            .bytes
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|bytes| Unit::decode(draft, &written.kind, bytes));
        let found = match read {
            Ok(unit) => compare::differences(&written.fields, &neutral::fields(draft, &unit)),
            Err(error) => vec![Difference::refused(error)],
        };
        report.take(written, Writer::Aiomoqt, found);
    }
    Ok(())
}

// --- aiomoqt ----------------------------------------------------------------------------------------------------------

/// The Python of the peers' virtual environment; `None` where there is none and need not be.
fn python(root: &Path) -> Result<Option<PathBuf>, String> {
    let script = root.join("interop/peers/python.sh");
    let done = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", script.display()))?;
    let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    match done.status.code() {
        Some(0) => Ok(Some(PathBuf::from(said))),
        Some(SKIPPED) => {
            println!("{said}");
            Ok(None)
        }
        _ => Err(said),
    }
}

struct Aiomoqt {
    python: PathBuf,
    program: PathBuf,
}

impl Aiomoqt {
    /// What it reads in each of these units.
    fn decode(&self, units: &str) -> Result<Vec<Value>, String> {
        let asked = std::env::temp_dir().join(format!("moqingbird-opinions-{}", std::process::id()));
        let failed = |error| format!("{}: {error}", asked.display());
        fs::write(&asked, units).map_err(failed)?;
        let answers =
            fs::File::open(&asked).map_err(failed).and_then(|file| self.run(&["decode"], file.into()));
        fs::remove_file(&asked).map_err(failed)?;
        answers
    }

    /// Its own instances.
    fn encode(&self, seed: u64) -> Result<Vec<Written>, String> {
        let lines = self.run(&["encode", &seed.to_string(), &COUNT.to_string()], Stdio::null())?;
        lines
            .into_iter()
            .map(|line| written(&line).ok_or_else(|| format!("aiomoqt's line makes no sense: {line}")))
            .collect()
    }

    fn run(&self, arguments: &[&str], input: Stdio) -> Result<Vec<Value>, String> {
        let done = Command::new(&self.python)
            .arg("-B")
            .arg(&self.program)
            .args(arguments)
            .stdin(input)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("{}: {error}", self.python.display()))?;
        if !done.status.success() {
            return Err(format!("{} {arguments:?} ended with {}", self.program.display(), done.status));
        }
        let text = String::from_utf8_lossy(&done.stdout);
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}")))
            .collect()
    }
}

fn written(line: &Value) -> Option<Written> {
    let bytes = match line["hex"].as_str() {
        Some(hex) => Ok(octets(hex)?),
        None => Err(line["error"].as_str()?.to_owned()),
    };
    Some(Written {
        version: Version::from_number(line["draft"].as_u64()?.try_into().ok()?)?,
        kind: line["kind"].as_str()?.to_owned(),
        fields: line["fields"].clone(),
        bytes,
    })
}

fn octets(hex: &str) -> Option<Bytes> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

// --- the verdict ------------------------------------------------------------------------------------------------------

struct Report {
    departures: Vec<(Departure, usize)>,
    /// The instances that each side wrote.
    instances: BTreeMap<(u16, &'static str), usize>,
    /// By place and field, how often, and examples.
    unexpected: BTreeMap<String, (usize, Vec<String>)>,
}

impl Report {
    fn new(list: Vec<Departure>) -> Self {
        let departures = list.into_iter().map(|departure| (departure, 0)).collect();
        Self { departures, instances: BTreeMap::new(), unexpected: BTreeMap::new() }
    }

    fn take(&mut self, written: &Written, writer: Writer, found: Vec<Difference>) {
        let place = written.place(writer);
        *self.instances.entry((place.draft, writer.name())).or_default() += 1;
        for difference in found {
            match self.departures.iter_mut().find(|(listed, _)| listed.explains(place, &difference)) {
                Some((_, seen)) => *seen += 1,
                None => self.note(written, place, &difference),
            }
        }
    }

    fn note(&mut self, written: &Written, place: Place<'_>, difference: &Difference) {
        let Place { draft, writer, kind } = place;
        let field = if difference.field.is_empty() { "-" } else { &difference.field };
        let name = format!("draft-{draft} {kind} written by {}, {field}", writer.name());
        let (count, examples) = self.unexpected.entry(name).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            let read = match &difference.read {
                Ok(value) => format!("{} written, {value} read", difference.written),
                Err(error) => format!("refused: {error}"),
            };
            let bytes = written.bytes.as_ref().map_or_else(String::clone, neutral::hex);
            examples.push(format!("    {read}\n    {bytes}"));
        }
    }

    /// Prints what was seen.
    fn conclude(self) -> Outcome {
        for ((draft, writer), count) in &self.instances {
            println!("draft-{draft}: {count} instances written by {writer}");
        }
        for (departure, seen) in &self.departures {
            println!("{seen:5} times {} ({})", departure.text(), departure.row);
        }
        for (name, (count, examples)) in &self.unexpected {
            println!("UNEXPECTED {name}: {count} times\n{}", examples.join("\n"));
        }
        let unseen = self.departures.iter().filter(|(_, seen)| *seen == 0);
        let unseen: Vec<_> =
            unseen.map(|(departure, _)| format!("not seen any more: {}", departure.text())).collect();
        match (self.unexpected.len(), &unseen[..]) {
            (0, []) => Ok(()),
            (0, unseen) => Err(unseen.join("\n")),
            (count, _) => {
                Err(format!("{count} differences are not in interop/peers/opinions/departures.tsv"))
            }
        }
    }
}
