//! The progress of a drill on the terminal.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often the line is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// The elapsed time, the number of responses and the current step: a line on a terminal, elsewhere a line
/// for each step. Clones are the same line.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) =
            ProgressStyle::with_template("{elapsed_precise} {spinner} {pos} responses  {msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(REDRAW_EVERY);
        Self(bar)
    }

    /// Shows the current step.
    pub(crate) fn show(&self, step: impl Into<String>) {
        let step = step.into();
        if self.0.is_hidden() {
            // A closed stderr is not an error of the drill.
            drop(writeln!(io::stderr(), "{:>6.1} s  {step}", self.0.elapsed().as_secs_f64()));
        }
        self.0.set_message(step);
    }

    pub(crate) fn count_response(&self) {
        self.0.inc(1);
    }

    /// Removes the line.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
