//! The progress of a drill on the terminal.

use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::time::{Instant, interval};

/// How often the bar is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// A bar on a terminal; elsewhere a line for each step. Clones are the same bar.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    responses: Arc<AtomicU64>,
    began: Instant,
}

impl Progress {
    /// For a drill of about that duration.
    pub(crate) fn new(expected: Duration) -> Self {
        let responses = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&responses);
        let bar = ProgressBar::new(u64::try_from(expected.as_millis()).unwrap_or(u64::MAX));
        let count = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            // Writing to a terminal's buffer does not fail.
            let _ = write!(out, "{}", shown.load(Relaxed));
        };
        let template = "{elapsed_precise} [{bar:30}] {responses} responses  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> ").with_key("responses", count));
        }
        Self { bar, responses, began: Instant::now() }
    }

    /// Shows the current step.
    pub(crate) fn show(&self, step: impl Into<String>) {
        let step = step.into();
        if self.bar.is_hidden() {
            // A closed stderr is not an error of the drill.
            drop(writeln!(io::stderr(), "{:>6.1} s  {step}", self.began.elapsed().as_secs_f64()));
        }
        self.bar.set_message(step);
    }

    pub(crate) fn count_response(&self) {
        self.responses.fetch_add(1, Relaxed);
    }

    /// Redraws the bar for as long as it is polled.
    pub(crate) async fn redraw(&self) {
        let mut ticks = interval(REDRAW_EVERY);
        loop {
            ticks.tick().await;
            let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            // Never full before the end.
            self.bar.set_position(elapsed.min(self.bar.length().unwrap_or(0).saturating_sub(1)));
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
