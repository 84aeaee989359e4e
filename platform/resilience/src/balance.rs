//! Which of several endpoints is called: the less loaded of two random ones.
//!
//! Two choices keep the load almost as even as comparing all of them, and do not send all callers to
//! the same idle endpoint at once: Mitzenmacher, "The power of two choices in randomized load
//! balancing" (1996).
//!
//! The load is the number of calls in flight. By that alone, an endpoint that fails at once looks
//! idle and attracts all calls; so an endpoint that failed a moment ago counts as more loaded than
//! any that did not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::time::{Moment, nanos};

/// For how long a failure raises the load of an endpoint.
pub const FAILURE_MEMORY: Duration = Duration::from_secs(1);

/// As how many calls in flight a recent failure counts.
pub const FAILURE_LOAD: u64 = 1_000_000;

/// Picks the index of one of the endpoints; `None` if none accepts calls.
///
/// `load` is the load of an endpoint, `None` if it accepts no calls. `previous` is excluded: a retry
/// goes to another endpoint. `random` is any number; among equals each endpoint is equally likely.
pub fn pick<E>(
    endpoints: &[E],
    previous: Option<usize>,
    random: u64,
    load: impl Fn(&E) -> Option<u64>,
) -> Option<usize> {
    let others = endpoints.iter().enumerate().filter(|(index, _)| Some(*index) != previous);
    let accepting: Vec<(usize, u64)> =
        others.filter_map(|(index, endpoint)| Some((index, load(endpoint)?))).collect();
    let first = scaled(random >> 32, accepting.len());
    // The second is one of the others: those behind the first move up by one.
    let second = scaled(random & u64::from(u32::MAX), accepting.len().saturating_sub(1));
    let second = if second >= first { second + 1 } else { second };
    // Among equals the first choice is picked, wherever it stands.
    let choices = [first, second].into_iter().filter_map(|number| accepting.get(number));
    choices.min_by_key(|(_, load)| *load).map(|(index, _)| *index)
}

/// A number below `count` (or 0) from 32 random bits.
fn scaled(random: u64, count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(0).min(u64::from(u32::MAX));
    usize::try_from((random * count) >> 32).unwrap_or(0)
}

/// The load of an endpoint, seen from this process.
#[derive(Debug, Default)]
pub struct EndpointLoad {
    in_flight: AtomicU64,
    /// When it failed last, in nanoseconds, plus one; 0 for never.
    failed_at: AtomicU64,
}

impl EndpointLoad {
    /// A call begins: it counts until it is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { load: Arc::clone(self) }
    }

    /// The load for [`pick`].
    pub fn weight(&self, now: Moment) -> u64 {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        let since = now.as_nanos().saturating_sub(failed_at.saturating_sub(1));
        let failed_lately = failed_at > 0 && since < nanos(FAILURE_MEMORY);
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        in_flight + if failed_lately { FAILURE_LOAD } else { 0 }
    }
}

/// A call in flight.
#[derive(Debug)]
#[must_use = "dropped at once, it counts for nothing"]
pub struct InFlight {
    load: Arc<EndpointLoad>,
}

impl InFlight {
    /// The call failed: other endpoints are preferred for a while.
    pub fn failed(self, now: Moment) {
        self.load.failed_at.fetch_max(now.as_nanos().saturating_add(1), Ordering::Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// How often each is picked, over random numbers that cover the range evenly.
    fn picks(loads: &[Option<u64>], previous: Option<usize>) -> BTreeMap<Option<usize>, u32> {
        let mut picks = BTreeMap::new();
        for first in 0..64_u64 {
            for second in 0..64_u64 {
                let random = (first << 58) | (second << 26);
                *picks.entry(pick(loads, previous, random, |load| *load)).or_default() += 1;
            }
        }
        picks
    }

    #[test]
    fn the_less_loaded_of_two_is_picked() {
        assert_eq!(picks(&[Some(3), Some(2)], None), [(Some(1), 4_096)].into());
    }

    #[test]
    fn the_most_loaded_of_many_is_never_picked() {
        let picks = picks(&[Some(0), Some(0), Some(9), Some(0)], None);
        assert!(!picks.contains_key(&Some(2)));
        assert_eq!(picks.len(), 3);
    }

    #[test]
    fn equals_are_picked_equally_often() {
        for count in picks(&[Some(1); 4], None).values() {
            assert_eq!(*count, 1_024);
        }
    }

    #[test]
    fn a_retry_never_goes_to_the_previous_endpoint() {
        assert!(!picks(&[Some(0), Some(9), Some(9)], Some(0)).contains_key(&Some(0)));
        assert_eq!(picks(&[Some(0)], Some(0)), [(None, 4_096)].into());
    }

    #[test]
    fn an_endpoint_that_accepts_no_calls_is_never_picked() {
        assert_eq!(picks(&[None, Some(7), None], None), [(Some(1), 4_096)].into());
        assert_eq!(picks(&[None, None], None), [(None, 4_096)].into());
        assert_eq!(picks(&[], None), [(None, 4_096)].into());
    }

    #[test]
    fn an_endpoint_that_fails_at_once_does_not_attract_the_calls() {
        let [good, bad] = [Arc::new(EndpointLoad::default()), Arc::new(EndpointLoad::default())];
        let now = Moment::default();
        bad.begin().failed(now);
        let _in_flight: Vec<_> = (0..100).map(|_| good.begin()).collect();
        let loads = [bad.weight(now), good.weight(now)];
        assert_eq!(pick(&loads, None, 0, |load| Some(*load)), Some(1));
        let later = now.after(FAILURE_MEMORY);
        assert_eq!((bad.weight(later), good.weight(later)), (0, 100));
    }

    proptest! {
        #[test]
        fn the_picked_endpoint_accepts_calls_and_is_not_the_previous(
            loads in prop::collection::vec(prop::option::of(0_u64..5), 0..9),
            previous in prop::option::of(0_usize..9),
            random: u64,
        ) {
            let accepting =
                (0..loads.len()).filter(|index| loads[*index].is_some() && Some(*index) != previous);
            let accepting: Vec<_> = accepting.collect();
            let picked = pick(&loads, previous, random, |load| *load);
            prop_assert!(picked.map_or(accepting.is_empty(), |index| accepting.contains(&index)));
        }
    }
}
