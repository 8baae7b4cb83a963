//! The probe: whether MoQT relays live, in which drafts and over which transports, and if not, why.
//!
//! Data flows one way:
//!
//! - [`List`] reads the relays that are to be probed: the list of aiomoqt's `relay_probe`, or its catalog.
//! - [`Prober`] opens a real session for each draft at each endpoint and makes a [`RelayReport`] of what came back. What
//!   went wrong is a [`Failure`], with a [`Cause`], in words, and with what to try next.
//! - [`Monitor`] does so again and again, each relay at its own interval, and keeps the last 24 hours.
//! - [`Status`], a line, a page and metrics are the forms in which reports are written.
//! - [`Args`] and [`Settings`] are the command line and the environment; [`run`] is the program.
//!
//! An endpoint lives if a server answered SETUP in any draft. A certificate that is not trusted is reported and does not
//! make an endpoint dead.

mod args;
mod certificate;
mod deep;
mod explain;
mod history;
mod knock;
mod line;
mod list;
mod metrics;
mod monitor;
mod output;
mod page;
mod path;
mod prober;
mod report;
mod run;
mod settings;
mod stamp;

pub use args::{Args, FailOn};
pub use deep::{Answer, Deep};
pub use explain::{Cause, Failure};
pub use list::{Endpoint, List, ListError, Relay};
pub use monitor::Monitor;
pub use prober::{ProbeOptions, Prober};
pub use report::{DraftReport, EndpointReport, Expectation, RelayReport, Status, TlsReport};
pub use run::{DEAD, LIVE, RunError, run};
pub use settings::{Settings, SettingsError};
