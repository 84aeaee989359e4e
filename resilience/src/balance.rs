//! Which of several endpoints is asked: the less busy of two that chance picks.
//!
//! Two choices keep the load almost as even as looking at all of them, and do not send everybody
//! to the same idle one at once: Mitzenmacher, "The power of two choices in randomized load
//! balancing" (1996).
//!
//! Busy is who has much in flight. By that alone, an endpoint that fails at once looks idle and
//! draws all calls; so whoever failed a moment ago counts as busier than any that did not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::time::{Moment, nanos};

/// For how long a failure makes an endpoint look busy.
pub const FAILURE_MEMORY: Duration = Duration::from_secs(1);

/// As how many calls in flight a failure of a moment ago counts.
pub const FAILURE_LOAD: u64 = 1_000_000;

/// Picks one of the endpoints, or none if all refuse.
///
/// `load` is how busy one is, `None` if it refuses. `previous` is left out: who retries asks
/// somebody else. `dice` is any number; each endpoint is as likely as the others among equals.
pub fn pick<E>(
    endpoints: &[E],
    previous: Option<usize>,
    dice: u64,
    load: impl Fn(&E) -> Option<u64>,
) -> Option<usize> {
    let open = || {
        let others = endpoints.iter().enumerate().filter(|(place, _)| Some(*place) != previous);
        others.filter_map(|(place, endpoint)| Some((place, load(endpoint)?)))
    };
    let count = u64::try_from(open().count()).unwrap_or(u64::MAX);
    let first = scaled(dice >> 32, count);
    // The second is one of the others: those behind the first move up by one.
    let second = scaled(dice & u64::from(u32::MAX), count.saturating_sub(1));
    let second = if second >= first { second + 1 } else { second };

    let mut picked: Option<(usize, u64)> = None;
    for (number, (place, load)) in (0..).zip(open()) {
        let chosen = number == first || number == second;
        // Among equals the first choice stays, wherever it stands.
        let better =
            picked.is_none_or(|(_, least)| load < least || load == least && number == first);
        if chosen && better {
            picked = Some((place, load));
        }
    }
    // Who accepted may refuse by now: then it is whoever still accepts.
    picked.or_else(|| open().next()).map(|(place, _)| place)
}

/// A number below `count` (or 0) from the 32 bits of a dice.
const fn scaled(dice: u64, count: u64) -> u64 {
    (dice * (count & 0xFFFF_FFFF)) >> 32
}

/// How busy an endpoint is, seen from here.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU64,
    /// When it failed last, in nanoseconds, plus one; 0 for never.
    failed_at: AtomicU64,
}

impl Load {
    /// A call begins: it counts until it is dropped.
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy { load: Arc::clone(self) }
    }

    /// How many calls are in flight.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How busy it looks: for [`pick`].
    pub fn weight(&self, now: Moment) -> u64 {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        let since = now.as_nanos().saturating_sub(failed_at.saturating_sub(1));
        let failing = failed_at > 0 && since < nanos(FAILURE_MEMORY);
        self.in_flight() + if failing { FAILURE_LOAD } else { 0 }
    }
}

/// A call in flight.
#[derive(Debug)]
#[must_use = "dropped at once, it counts for nothing"]
pub struct Busy {
    load: Arc<Load>,
}

impl Busy {
    /// The call failed: the others are asked first for a while.
    pub fn failed(self, now: Moment) {
        self.load.failed_at.fetch_max(now.as_nanos().saturating_add(1), Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// How often each is picked, over dice that cover the range evenly.
    fn picks(loads: &[Option<u64>], previous: Option<usize>) -> BTreeMap<Option<usize>, u32> {
        let mut picks = BTreeMap::new();
        for first in 0..64_u64 {
            for second in 0..64_u64 {
                let dice = (first << 58) | (second << 26);
                *picks.entry(pick(loads, previous, dice, |load| *load)).or_default() += 1;
            }
        }
        picks
    }

    #[test]
    fn the_less_busy_of_two_is_asked() {
        assert_eq!(picks(&[Some(3), Some(2)], None), [(Some(1), 4_096)].into());
    }

    #[test]
    fn the_busiest_of_many_is_never_asked() {
        let picks = picks(&[Some(0), Some(0), Some(9), Some(0)], None);
        assert!(!picks.contains_key(&Some(2)));
        assert_eq!(picks.len(), 3);
    }

    #[test]
    fn equals_are_asked_equally_often() {
        for count in picks(&[Some(1); 4], None).values() {
            assert_eq!(*count, 1_024);
        }
    }

    #[test]
    fn a_retry_never_goes_where_the_first_try_went() {
        assert!(!picks(&[Some(0), Some(9), Some(9)], Some(0)).contains_key(&Some(0)));
        assert_eq!(picks(&[Some(0)], Some(0)), [(None, 4_096)].into());
    }

    #[test]
    fn who_refuses_is_skipped_and_where_all_refuse_nobody_is_asked() {
        assert_eq!(picks(&[None, Some(7), None], None), [(Some(1), 4_096)].into());
        assert_eq!(picks(&[None, None], None), [(None, 4_096)].into());
        assert_eq!(picks(&[], None), [(None, 4_096)].into());
    }

    #[test]
    fn an_endpoint_that_fails_at_once_does_not_draw_the_calls() {
        let [good, bad] = [Arc::new(Load::default()), Arc::new(Load::default())];
        let now = Moment::default();
        bad.begin().failed(now);
        let _busy: Vec<_> = (0..100).map(|_| good.begin()).collect();
        let loads = [bad.weight(now), good.weight(now)];
        assert_eq!(pick(&loads, None, 0, |load| Some(*load)), Some(1));
        let later = now.after(FAILURE_MEMORY);
        assert_eq!((bad.weight(later), good.weight(later)), (0, 100));
    }

    proptest! {
        #[test]
        fn whoever_is_picked_accepts_and_is_not_the_previous(
            loads in prop::collection::vec(prop::option::of(0_u64..5), 0..9),
            previous in prop::option::of(0_usize..9),
            dice: u64,
        ) {
            let accepting =
                (0..loads.len()).filter(|place| loads[*place].is_some() && Some(*place) != previous);
            let accepting: Vec<_> = accepting.collect();
            let picked = pick(&loads, previous, dice, |load| *load);
            prop_assert!(picked.map_or(accepting.is_empty(), |place| accepting.contains(&place)));
        }
    }
}
