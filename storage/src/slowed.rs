//! A store that takes longer than it needs: a slow disk, for rehearsals.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::writer::{Store, StoreError};

/// Another store, slowed: each command costs some time more, so that the capacity is a number of
/// commands per second, however large the batches are.
#[derive(Debug)]
pub struct Slowed<S> {
    store: S,
    delay_us: Arc<AtomicU64>,
}

impl<S> Slowed<S> {
    /// Slows a store by so many microseconds per command; whoever else has the number may change
    /// it at any time. It is added to what the store itself takes.
    pub fn new(store: S, delay_us: Arc<AtomicU64>) -> Self {
        Self { store, delay_us }
    }
}

impl<S: Store> Store for Slowed<S> {
    type Command = S::Command;
    type Outcome = S::Outcome;

    fn apply(&mut self, batch: &[S::Command]) -> Result<Vec<S::Outcome>, StoreError> {
        let commands = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let delay_us = self.delay_us.load(Ordering::Relaxed).saturating_mul(commands);
        if delay_us > 0 {
            thread::sleep(Duration::from_micros(delay_us));
        }
        self.store.apply(batch)
    }
}
