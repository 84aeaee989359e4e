//! What somebody sees who waits for a drill.

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

/// How often the bar moves.
const MOVE_EVERY: Duration = Duration::from_millis(100);

/// A bar on a terminal; elsewhere a line for each step. Clones are the same bar.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    answered: Arc<AtomicU64>,
    began: Instant,
}

impl Progress {
    /// For something that takes about that long.
    pub fn over(lasting: Duration) -> Self {
        let answered = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&answered);
        let bar = ProgressBar::new(u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX));
        let count = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            // Writing to a terminal's buffer does not fail.
            let _ = write!(out, "{}", shown.load(Relaxed));
        };
        let template = "{elapsed_precise} [{bar:30}] {answers} answers  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> ").with_key("answers", count));
        }
        Self { bar, answered, began: Instant::now() }
    }

    /// Says what happens now.
    pub fn say(&self, what: impl Into<String>) {
        let what = what.into();
        if self.bar.is_hidden() {
            // Whoever closed the other end does not want to know.
            drop(writeln!(io::stderr(), "{:>6.1} s  {what}", self.began.elapsed().as_secs_f64()));
        }
        self.bar.set_message(what);
    }

    /// One more answer.
    pub fn answered(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    /// Moves the bar for as long as it is polled.
    pub async fn moves(&self) {
        let mut moves = interval(MOVE_EVERY);
        loop {
            moves.tick().await;
            let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            // Nobody knows whether it is done before it is.
            self.bar.set_position(elapsed.min(self.bar.length().unwrap_or(0).saturating_sub(1)));
        }
    }

    /// Takes the bar away.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}
