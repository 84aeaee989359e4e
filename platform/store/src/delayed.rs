//! A store that takes longer than it needs: a slow disk, for drills.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{error::StoreError, writer::Store};

/// Another store with a delay per command, so that its capacity is a number of commands per second,
/// however large the batches are.
#[derive(Debug)]
pub struct DelayedStore<S> {
    store: S,
    delay_us: Arc<AtomicU64>,
}

impl<S> DelayedStore<S> {
    /// Delays a store by so many microseconds per command, on top of its own time. The number may be
    /// changed at any time.
    pub fn new(store: S, delay_us: Arc<AtomicU64>) -> Self {
        Self { store, delay_us }
    }
}

impl<S: Store> Store for DelayedStore<S> {
    type Command = S::Command;
    type Reply = S::Reply;

    fn apply(&mut self, batch: &[S::Command]) -> Result<Vec<S::Reply>, StoreError> {
        let commands = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let delay_us = self.delay_us.load(Ordering::Relaxed).saturating_mul(commands);
        if delay_us > 0 {
            thread::sleep(Duration::from_micros(delay_us));
        }
        self.store.apply(batch)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.store.probe()
    }
}
