//! The event log's option, for those subcommands that have sessions.

use std::path::PathBuf;

use moqingbird::EventLog;
use tokio::time::timeout;

use crate::connection::FAREWELL;
use crate::exit::Failure;

/// Where sessions are logged.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MlogArgs {
    /// Write what each session says and hears into a file of its own in this directory: qlog, as CONNECTION-ID_client.sqlog or CONNECTION-ID_server.sqlog
    #[arg(long, value_name = "DIR", env = "MOQT_MLOG_DIR")]
    mlog_dir: Option<PathBuf>,
}

impl MlogArgs {
    /// The log, if one is wanted. An empty name counts as none.
    pub(crate) fn open(&self) -> Result<Option<EventLog>, Failure> {
        let directory = self.mlog_dir.as_ref().filter(|directory| !directory.as_os_str().is_empty());
        directory.map(EventLog::new).transpose().map_err(Failure::input)
    }
}

/// Waits, but not for long, until the files are whole.
pub(crate) async fn finish(log: Option<EventLog>) {
    if let Some(log) = log {
        let _ = timeout(FAREWELL, log.finished()).await;
        if log.dropped() > 0 {
            tracing::warn!("{} records are not in the event log", log.dropped());
        }
    }
}
