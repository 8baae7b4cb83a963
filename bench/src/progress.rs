//! What a person at a terminal sees while a run goes on. Pipes see nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

/// A line on stderr for as long as it lives.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    ticking: Option<JoinHandle<()>>,
}

impl Progress {
    /// Something that takes a known time.
    pub(crate) fn of(what: &'static str, duration: Duration) -> Self {
        let tenths = u64::try_from(duration.as_millis() / 100).unwrap_or(u64::MAX);
        let bar = ProgressBar::new(tenths).with_message(what);
        bar.set_style(style("{msg} {wide_bar} {eta}"));
        let ticked = bar.clone();
        let ticking = tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(100));
            for _ in 0..tenths {
                every.tick().await;
                ticked.inc(1);
            }
        });
        Self { bar, ticking: Some(ticking) }
    }

    /// Something that takes as long as it takes.
    pub(crate) fn waiting(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, ticking: None }
    }

    /// Several runs, of which [`Progress::step`] counts the finished ones.
    pub(crate) fn steps(what: &'static str, steps: u32) -> Self {
        let bar = ProgressBar::new(steps.into()).with_message(what);
        bar.set_style(style("{msg} {wide_bar} {pos}/{len} {eta}"));
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, ticking: None }
    }

    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// A line above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.println(line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(ticking) = &self.ticking {
            ticking.abort();
        }
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
