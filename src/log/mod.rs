//! The event log: what a session says and hears, as qlog.
//!
//! The events are those of draft-pardue-moq-qlog-moq-events-07: every control message, the header of every data stream,
//! and every datagram without its payload. The files are qlog's JSON-SEQ (draft-ietf-quic-qlog-main-schema, "QlogFileSeq";
//! RFC 7464): one for each connection and each of its ends, named `CONNECTION-ID_client.sqlog` or
//! `CONNECTION-ID_server.sqlog`.
//!
//! Revision 07 follows draft-ietf-moq-transport-17. What it lacks of the drafts that this crate speaks is written with the
//! names of the newest revision that has it (`schema.tsv` tells which). What it requires and these drafts do not have
//! (`required_request_id_delta`, GOAWAY's `timeout`) is written as 0: none. Values that a draft writes as fixed fields, or
//! leaves out because they are the default, appear among the `parameters`, which `number_of_parameters` counts. Streams
//! have the session's numbers, not the transport's.
//!
//! **Secrets.** The value of a token is never written, only its length. Nor is what often carries one: the query of PATH,
//! the user of AUTHORITY, GOAWAY's URI, the values of unknown setup parameters and of extension headers.
//!
//! **Cost.** A session hands over what it saw and goes on; a task formats it, and a thread for blocking work writes it. If
//! they fall behind, records are dropped and counted, and the file says so.

mod message;
mod parameter;
mod record;
mod show;
mod writer;

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use moqingbird_wire::Draft;
use tokio::sync::{mpsc, watch};

use crate::session::{Instant, Side, Trace};

use record::Recorder;
pub(crate) use show::{is_shown, show};
use writer::Sink;

/// How many records of a session wait for being written, unless something else is said.
const CAPACITY: usize = 1024;

/// Where sessions are logged, and which of them. Clones are the same log.
///
/// ```no_run
/// # fn example() -> Result<(), moqingbird::EventLogError> {
/// let mut options = moqingbird::ClientOptions::default();
/// options.event_log = Some(moqingbird::EventLog::new("/var/log/moqt")?.with_sampling(0.01));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct EventLog {
    directory: Arc<Path>,
    sampling: f64,
    capacity: usize,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    /// Records that no file has.
    dropped: AtomicU64,
    /// Files that are being written.
    open: watch::Sender<usize>,
}

impl EventLog {
    /// Logs every session into files in `directory`, which is created if there is none.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self, EventLogError> {
        let directory = directory.into();
        match std::fs::create_dir_all(&directory) {
            Ok(()) => Ok(Self {
                directory: directory.into(),
                sampling: 1.0,
                capacity: CAPACITY,
                counts: Arc::new(Counts { dropped: AtomicU64::new(0), open: watch::channel(0).0 }),
            }),
            Err(error) => Err(EventLogError { directory, error }),
        }
    }

    /// Logs only this fraction of the connections, between 0 (none) and 1 (all). The connection's id decides, so that
    /// both ends of a connection come to the same decision if they log the same fraction.
    #[must_use]
    pub fn with_sampling(mut self, fraction: f64) -> Self {
        self.sampling = fraction;
        self
    }

    /// How many records of one session may wait for being written, at least one; 1,024 unless set. What comes while so
    /// many wait is dropped.
    #[must_use]
    pub fn with_capacity(mut self, records: usize) -> Self {
        self.capacity = records.max(1);
        self
    }

    /// How many records were dropped in all sessions, because their files could not be written, or not in time.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Waits until the files of all sessions that have ended are written, and there is no session that has not. To be
    /// awaited before a program exits. Cancel-safe.
    pub async fn finished(&self) {
        // An error means that no file will be opened any more.
        let _ = self.counts.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Begins the log of a session, if it is one of those that are logged. Must be called within a Tokio runtime.
    pub(crate) fn begin(
        &self,
        id: Option<String>,
        side: Side,
        draft: &'static dyn Draft,
    ) -> Option<SessionLog> {
        let id = id.unwrap_or_else(unique_id);
        if !sampled(&id, self.sampling) {
            return None;
        }
        let (entries, written) = mpsc::channel(self.capacity);
        let lost = Arc::new(AtomicU64::new(0));
        let recorder = Recorder::new(id, side, draft);
        let path = self.directory.join(recorder.file_name());
        let sink = Sink::new(path, recorder, lost.clone(), Open::new(self.counts.clone()));
        tokio::spawn(writer::run(sink, written));
        Some(SessionLog { entries, lost, counts: self.counts.clone() })
    }
}

/// Keeps a file counted as being written.
#[derive(Debug)]
struct Open {
    counts: Arc<Counts>,
}

impl Open {
    fn new(counts: Arc<Counts>) -> Self {
        counts.open.send_modify(|open| *open += 1);
        Self { counts }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.open.send_modify(|open| *open -= 1);
    }
}

/// The log of one session. Its file is finished when this is dropped.
#[derive(Debug)]
pub(crate) struct SessionLog {
    entries: mpsc::Sender<(Instant, Trace)>,
    /// Records of this session that did not fit.
    lost: Arc<AtomicU64>,
    counts: Arc<Counts>,
}

impl SessionLog {
    /// Hands over what the session saw. Never waits.
    pub(crate) fn record(&self, now: Instant, trace: Trace) {
        if self.entries.try_send((now, trace)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Why there is no event log. Its text names the directory.
#[derive(Debug)]
pub struct EventLogError {
    directory: PathBuf,
    error: io::Error,
}

impl fmt::Display for EventLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, error } = self;
        write!(f, "no event log: the directory {} cannot be created: {error}", directory.display())
    }
}

impl Error for EventLogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Whether the connection of this id is among the fraction that is logged.
fn sampled(id: &str, fraction: f64) -> bool {
    // FNV-1a, and a final mix, because it leaves the high bits of short inputs alike.
    let mut hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    // 53 bits: what a float holds exactly, so that the place is in 0..1.
    let place = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    place < fraction
}

/// An id for a connection whose transport has none.
fn unique_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{nanos:016x}{:08x}{:08x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
