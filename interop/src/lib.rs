//! The test client of the MoQ interop runner: cases, TAP 14, and a relay of our own to run them against.
//!
//! - [`cases`]: the table of cases, and one file for each. A case passes only on the message that it names.
//! - [`Runner`] runs [`Point`]s (a case against a pair of [`Target`]s) in lanes and makes a [`Report`] of each.
//! - [`bad`]: relays that are wrong on purpose; [`self_test`] runs the cases against them.
//! - [`matrix`]: the clients of a file against its relays.
//! - [`tap`] writes reports as TAP 14 and knows nothing of MoQT.
//! - [`Args`] and [`Settings`] are the command line and the environment of the runner's contract; [`run`] is the program.
//!
//! Everything written to the output is TAP; logs go elsewhere, by `tracing`.

mod args;
pub mod bad;
pub mod cases;
mod context;
mod drafts;
mod embedded;
pub mod matrix;
mod names;
mod raw;
mod report;
mod run;
mod runner;
mod self_test;
mod settings;
pub mod tap;

pub use args::{Args, Command};
pub use context::{Context, Target, Targets};
pub use drafts::{Drafts, DraftsError};
pub use embedded::{EmbeddedRelay, EmbeddedRelayError};
pub use report::{Cause, Failure, NotPassed, Origin, Report, Role, SessionFacts, Verdict};
pub use run::{FAILED, PASSED, UNSUPPORTED, USAGE, embedded_points, relay_points, run};
pub use runner::{Point, Runner, Summary};
pub use self_test::self_test;
pub use settings::{Settings, SettingsError};
