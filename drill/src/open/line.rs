//! Connections that have nothing to do, and how a request gets to one of them.
//!
//! The one that was used last is used next: so the load keeps as few connections as it needs, and
//! their memory stays in the cache. Nothing is allocated for a request.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

/// A request to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) number: u64,
    /// When it was to start, from the beginning of the load.
    pub(super) intended: Duration,
}

/// Where a connection waits for its next request.
#[derive(Debug, Default)]
pub(super) struct Slot {
    job: Mutex<Option<Job>>,
    ready: Notify,
}

impl Slot {
    pub(super) fn with(job: Job) -> Arc<Self> {
        let slot = Arc::new(Self::default());
        slot.hand(job);
        slot
    }

    fn hand(&self, job: Job) {
        *lock(&self.job) = Some(job);
        self.ready.notify_one();
    }

    /// The next request; none when there will be no more.
    pub(super) async fn next(&self) -> Option<Job> {
        self.ready.notified().await;
        lock(&self.job).take()
    }
}

/// The connections that have nothing to do.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    slots: Vec<Arc<Slot>>,
    is_over: bool,
}

impl Idle {
    /// Gives the request to a connection; false if all of them are busy.
    pub(super) fn hand(&self, job: Job) -> bool {
        let slot = lock(&self.0).slots.pop();
        match slot {
            Some(slot) => {
                slot.hand(job);
                true
            }
            None => false,
        }
    }

    /// A connection has done its work. False when there will be no more.
    pub(super) fn rest(&self, slot: &Arc<Slot>) -> bool {
        let mut waiting = lock(&self.0);
        if !waiting.is_over {
            waiting.slots.push(Arc::clone(slot));
        }
        !waiting.is_over
    }

    /// There will be no more requests.
    pub(super) fn close(&self) {
        let slots = {
            let mut waiting = lock(&self.0);
            waiting.is_over = true;
            mem::take(&mut waiting.slots)
        };
        for slot in slots {
            slot.ready.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u64) -> Job {
        Job { number, intended: Duration::ZERO }
    }

    async fn number(slot: &Slot) -> Option<u64> {
        slot.next().await.map(|job| job.number)
    }

    #[tokio::test]
    async fn the_connection_used_last_is_used_next() {
        let idle = Idle::default();
        let slots = [Slot::with(job(0)), Slot::with(job(1))];
        for (expected, slot) in (0..).zip(&slots) {
            assert_eq!(number(slot).await, Some(expected));
            assert!(idle.rest(slot));
        }
        assert!(idle.hand(job(2)) && idle.hand(job(3)) && !idle.hand(job(4)));
        assert_eq!((number(&slots[1]).await, number(&slots[0]).await), (Some(2), Some(3)));
    }

    #[tokio::test]
    async fn whoever_waits_or_comes_back_after_the_end_is_sent_away() {
        let idle = Idle::default();
        let [waiting, busy] = [Slot::with(job(0)), Slot::with(job(1))];
        number(&waiting).await;
        assert!(idle.rest(&waiting));
        idle.close();
        assert_eq!(number(&waiting).await, None);
        assert_eq!(number(&busy).await, Some(1));
        assert!(!idle.rest(&busy));
    }
}
