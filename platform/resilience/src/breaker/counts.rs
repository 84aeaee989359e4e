//! Calls in a bucket or in the whole window.

use std::ops::Add;

/// A bucket that has counted this many calls is halved, which keeps its ratios.
const BUCKET_CALLS_MAX: u32 = 1 << 20;

/// The most calls that a window of ten buckets is sure to hold.
pub(super) const CALLS_MAX: u32 = 10 * (BUCKET_CALLS_MAX / 2);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) failed: u32,
    pub(super) slow: u32,
    pub(super) slow_failed: u32,
}

impl Counts {
    pub(super) fn record(&mut self, failed: bool, slow: bool) {
        if self.calls == BUCKET_CALLS_MAX {
            self.calls /= 2;
            self.failed /= 2;
            self.slow /= 2;
            self.slow_failed /= 2;
        }
        self.calls += 1;
        self.failed += u32::from(failed);
        self.slow += u32::from(slow);
        self.slow_failed += u32::from(slow && failed);
    }

    /// Whether `part` of the calls is at least so many percent of them.
    pub(super) fn reaches(self, part: u32, percent: u8) -> bool {
        u64::from(part) * 100 >= u64::from(self.calls) * u64::from(percent)
    }

    /// `part` of the calls in percent; `None` below the minimum of calls.
    pub(super) fn rate(self, part: u32, minimum_calls: u32) -> Option<f64> {
        let enough = self.calls > 0 && self.calls >= minimum_calls;
        enough.then(|| f64::from(part) * 100.0 / f64::from(self.calls))
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            failed: self.failed + other.failed,
            slow: self.slow + other.slow,
            slow_failed: self.slow_failed + other.slow_failed,
        }
    }
}
