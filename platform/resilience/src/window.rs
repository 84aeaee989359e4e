//! Counts over a sliding window of time, in ten buckets.
//!
//! Fixed buckets rather than a decaying average: a burst keeps its weight for the whole window.

use std::time::Duration;

use crate::time::{Moment, nanos};

const BUCKETS: u64 = 10;

/// A window of counts `T`. A bucket is cleared when it is used for another tenth of the window.
#[derive(Clone, Debug)]
pub(crate) struct Window<T> {
    bucket_nanos: u64,
    buckets: [Bucket<T>; 10],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket<T> {
    /// Which tenth of a window since the origin of the clock.
    epoch: u64,
    counts: T,
}

impl<T: Copy + Default> Window<T> {
    pub(crate) fn new(length: Duration) -> Self {
        Self { bucket_nanos: (nanos(length) / BUCKETS).max(1), buckets: [Bucket::default(); 10] }
    }

    /// The counts of the bucket that contains `now`.
    pub(crate) fn current(&mut self, now: Moment) -> &mut T {
        let epoch = self.epoch(now);
        let bucket = &mut self.buckets[usize::try_from(epoch % BUCKETS).unwrap_or(0)];
        if bucket.epoch != epoch {
            *bucket = Bucket { epoch, counts: T::default() };
        }
        &mut bucket.counts
    }

    /// The counts of each bucket in the window that ends now; also of the one after it, as other
    /// threads may have read the clock a moment later.
    pub(crate) fn recent(&self, now: Moment) -> impl Iterator<Item = T> {
        let newest = self.epoch(now);
        let epochs = newest.saturating_sub(BUCKETS - 1)..=newest + 1;
        self.buckets
            .iter()
            .filter(move |bucket| epochs.contains(&bucket.epoch))
            .map(|bucket| bucket.counts)
    }

    pub(crate) fn clear(&mut self) {
        self.buckets = [Bucket::default(); 10];
    }

    fn epoch(&self, now: Moment) -> u64 {
        now.as_nanos() / self.bucket_nanos
    }
}
