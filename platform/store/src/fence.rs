//! Keeps commands from a store that was restored from an older backup than its consumers have its events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::timeout};

/// How long commands wait at most, from the start of the writer, while it is not known whether a fence has to be set.
pub const UNKNOWN_MAX: Duration = Duration::from_secs(2);

/// Keeps commands from a store; events are still consumed. It ends when it is dropped.
///
/// At first it is not known whether it has to be set: a consumer has still to say what it has. Commands wait for that, at
/// most [`UNKNOWN_MAX`]: what a restored store writes would have numbers of events that were consumed before.
#[derive(Debug)]
pub struct Fence {
    fences: Arc<Fences>,
    is_known: bool,
    is_set: bool,
}

impl Fence {
    pub(crate) fn new(fences: Arc<Fences>) -> Self {
        fences.unknown.send_modify(|unknown| *unknown += 1);
        Self { fences, is_known: false, is_set: false }
    }

    /// Sets it or not.
    pub fn set(&mut self, is_set: bool) {
        match (self.is_set, is_set) {
            (false, true) => drop(self.fences.set.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.fences.set.fetch_sub(1, Ordering::Relaxed)),
            (true, true) | (false, false) => {}
        }
        self.is_set = is_set;
        if !self.is_known {
            self.is_known = true;
            self.fences.unknown.send_modify(|unknown| *unknown -= 1);
        }
    }

    /// Commands do not wait any longer for an answer that does not come: that of a consumer that is down.
    pub fn open_if_unknown(&mut self) {
        if !self.is_known {
            self.set(false);
        }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// The fences of one store.
#[derive(Debug)]
pub(crate) struct Fences {
    /// How many are set.
    set: AtomicUsize,
    /// Of how many it is not known.
    unknown: watch::Sender<usize>,
    started_at: Instant,
}

impl Default for Fences {
    fn default() -> Self {
        let (set, unknown) = (AtomicUsize::new(0), watch::Sender::new(0));
        Self { set, unknown, started_at: Instant::now() }
    }
}

impl Fences {
    pub(crate) fn is_any_set(&self) -> bool {
        self.set.load(Ordering::Relaxed) > 0
    }

    pub(crate) async fn are_known(&self) {
        if *self.unknown.borrow() > 0 {
            let remaining = UNKNOWN_MAX.saturating_sub(self.started_at.elapsed());
            let mut unknown = self.unknown.subscribe();
            drop(timeout(remaining, unknown.wait_for(|unknown| *unknown == 0)).await);
        }
    }
}
