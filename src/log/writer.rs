//! The file of one session, and the task that fills it.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::Open;
use super::record::Recorder;
use crate::session::{Instant, Trace};

/// The most records that are formatted and written at once.
const BATCH: usize = 256;

/// Writes what comes until the session's end.
pub(super) async fn run(mut sink: Sink, mut entries: mpsc::Receiver<(Instant, Trace)>) {
    loop {
        let mut batch = Vec::new();
        let ended = entries.recv_many(&mut batch, BATCH).await == 0;
        let written = spawn_blocking(move || {
            sink.write(batch);
            sink
        });
        match written.await {
            Ok(back) if !ended => sink = back,
            // The end, or the runtime is being shut down.
            _ => return,
        }
    }
}

/// A session's file.
#[derive(Debug)]
pub(super) struct Sink {
    path: PathBuf,
    file: Target,
    recorder: Recorder,
    /// How many records did not fit into the queue, and how many of those the file tells of.
    lost: Arc<AtomicU64>,
    told: u64,
    last: Instant,
    open: Open,
}

#[derive(Debug)]
enum Target {
    /// Nothing has been written yet.
    New,
    Open(File),
    /// It cannot be written.
    Broken,
}

impl Sink {
    pub(super) fn new(path: PathBuf, recorder: Recorder, lost: Arc<AtomicU64>, open: Open) -> Self {
        Self { path, file: Target::New, recorder, lost, told: 0, last: Instant::default(), open }
    }

    /// Writes these records, and how many are missing before them. Blocks.
    fn write(&mut self, batch: Vec<(Instant, Trace)>) {
        if matches!(self.file, Target::Broken) {
            return self.dropped(batch.len());
        }
        let count = batch.len();
        let text = self.format(batch);
        if let Err(error) = self.append(&text) {
            tracing::warn!(path = %self.path.display(), %error, "the event log cannot be written, and ends");
            self.file = Target::Broken;
            self.dropped(count);
        }
    }

    fn dropped(&self, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.open.counts.dropped.fetch_add(records, Ordering::Relaxed);
    }

    fn format(&mut self, batch: Vec<(Instant, Trace)>) -> Vec<u8> {
        let mut text = Vec::new();
        if matches!(self.file, Target::New) {
            frame(&mut text, &self.recorder.header());
        }
        for (now, trace) in batch {
            self.last = now;
            for record in self.recorder.records(now, &trace) {
                frame(&mut text, &record);
            }
        }
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > self.told {
            frame(&mut text, &self.recorder.missing(self.last, lost - self.told));
            self.told = lost;
        }
        text
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if matches!(self.file, Target::New) {
            // An id names one connection: what is there is another's and is kept.
            self.file = Target::Open(File::create_new(&self.path)?);
        }
        match &mut self.file {
            Target::Open(file) => file.write_all(text),
            Target::New | Target::Broken => Ok(()),
        }
    }
}

/// A record of a JSON text sequence (RFC 7464 §2.2): a record separator, the text, a line feed.
fn frame(out: &mut Vec<u8>, record: &Value) {
    out.push(0x1e);
    out.extend_from_slice(record.to_string().as_bytes());
    out.push(b'\n');
}
