//! The codec alone: what a header costs before any transport comes into play.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moqingbird::wire::buf::Writer;
use moqingbird::wire::model::{
    Extensions, FullTrackName, Message, ObjectHeader, ObjectStatus, Opening, Request, RequestId,
    SubgroupHeader, SubgroupId, Subscribe, TrackAlias, TrackNamespace,
};
use moqingbird::wire::stream::{OpeningReader, SubgroupReader, SubgroupWriter};
use moqingbird::wire::{Assembler, Draft};
use serde_json::{Value, json};

use crate::args::CodecArgs;
use crate::usage::Usage;
use crate::{Error, Workload, plot};

/// How much of a stream is handed over at once: what QUIC delivers of a packet.
const CHUNK: usize = 1200;
/// Objects on the stream that is read and written.
const OBJECTS: u64 = 1000;

pub(crate) fn run(args: &CodecArgs) -> Result<(), Error> {
    let draft = args.workload.version().draft();
    let each = Duration::from_secs_f64((args.workload.duration / 4.0).max(0.05));
    let payload = Bytes::from(vec![0; args.workload.object_size as usize]);
    let subscribe = subscribe()?;
    let frame = encoded(draft, &subscribe)?;
    let stream = stream(draft, &payload)?;
    let figures = [
        ("subscribe_encode_ns", time(each, 1, || black_box(encoded(draft, &subscribe)).map(drop))?),
        ("subscribe_decode_ns", time(each, 1, || decoded(draft, &frame))?),
        ("object_write_ns", time(each, OBJECTS, || black_box(headers(draft, &payload)).map(drop))?),
        ("object_read_ns", time(each, OBJECTS, || read(draft, &stream))?),
    ];
    if let Some(file) = &args.output.plot {
        plot::bars(&figures, "time of one, ns", file)?;
    }
    let mut out = io::stdout().lock();
    if args.output.json {
        let mut object = common(&args.workload, figures[2].1 + figures[3].1);
        figures.iter().for_each(|(name, ns)| object[*name] = json!(ns));
        writeln!(out, "{object}")?;
    } else if args.output.csv {
        writeln!(out, "{}", figures.map(|(name, _)| name).join(","))?;
        writeln!(out, "{}", figures.map(|(_, ns)| ns.to_string()).join(","))?;
    } else {
        for (name, ns) in figures {
            writeln!(out, "{name:<22}{ns:>10.1}")?;
        }
    }
    Ok(())
}

/// The figures that every bench has, of objects that are written and read within `ns` each: nothing is sent, lost or late.
fn common(workload: &Workload, ns: f64) -> Value {
    let bytes = f64::from(workload.object_size);
    json!({
        "bench": "codec",
        "objects_per_s": 1e9 / ns,
        "payload_mbit_per_s": bytes * 8e3 / ns,
        "latency_us": null,
        "lost": 0,
        "cpu_s_per_gb": ns / bytes,
        "peak_rss_bytes": Usage::of(std::process::id()).peak_rss_bytes,
    })
}

/// Nanoseconds of each of the `count` things that `work` does at a time: the best of many rounds, since everything that
/// disturbs only adds.
fn time(budget: Duration, count: u64, mut work: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let started = Instant::now();
    let mut best = f64::INFINITY;
    while started.elapsed() < budget {
        let round = Instant::now();
        let repeats = (1_000 / count).max(1);
        for _ in 0..repeats {
            work()?;
        }
        best = best.min(round.elapsed().as_nanos() as f64 / (repeats * count) as f64);
    }
    Ok(best)
}

fn subscribe() -> Result<Message, Error> {
    let track = FullTrackName::new(TrackNamespace::from_path("live/cam/one")?, "video")?;
    Ok(Message::Request { id: RequestId(0), request: Request::Subscribe(Subscribe::new(track)) })
}

fn encoded(draft: &dyn Draft, message: &Message) -> Result<Bytes, Error> {
    let mut w = Writer::new();
    draft.encode_control(message, &mut w)?;
    Ok(w.take())
}

fn decoded(draft: &dyn Draft, frame: &Bytes) -> Result<(), Error> {
    let mut assembler = Assembler::new();
    assembler.push(frame.clone());
    let frame = assembler.next_frame().ok_or("the frame is whole")?;
    black_box(draft.decode_control(&frame)?);
    Ok(())
}

fn header() -> SubgroupHeader {
    SubgroupHeader {
        track_alias: TrackAlias(1),
        group_id: 7,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: Some(128),
        extensions: false,
        end_of_group: false,
    }
}

/// The pieces of a stream as they are written.
fn headers(draft: &'static dyn Draft, payload: &Bytes) -> Result<Vec<Bytes>, Error> {
    let mut writer = SubgroupWriter::new(draft, header());
    let mut pieces = Vec::with_capacity(2 * OBJECTS as usize + 1);
    pieces.push(writer.opening()?);
    for object_id in 0..OBJECTS {
        pieces.push(writer.object(&ObjectHeader {
            object_id,
            extensions: Extensions::NONE,
            status: ObjectStatus::Normal,
            payload_length: payload.len() as u64,
        })?);
        pieces.push(payload.clone());
    }
    Ok(pieces)
}

/// The same stream as it arrives.
fn stream(draft: &'static dyn Draft, payload: &Bytes) -> Result<Vec<Bytes>, Error> {
    let all = Bytes::from(headers(draft, payload)?.concat());
    Ok((0..all.len()).step_by(CHUNK).map(|at| all.slice(at..all.len().min(at + CHUNK))).collect())
}

fn read(draft: &'static dyn Draft, chunks: &[Bytes]) -> Result<(), Error> {
    let mut opening = OpeningReader::new();
    let mut chunks = chunks.iter().cloned();
    let header = loop {
        opening.push(chunks.next().ok_or("the header is whole")?);
        if let Some(Opening::Subgroup(header)) = opening.next_opening(draft)? {
            break header;
        }
    };
    let mut reader = SubgroupReader::new(draft, header, opening.into_leftover());
    loop {
        while let Some(item) = reader.next_item().map_err(|error| error.to_string())? {
            black_box(item);
        }
        match chunks.next() {
            Some(chunk) => reader.push(chunk),
            None => return Ok(()),
        }
    }
}
