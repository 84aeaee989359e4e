//! Whether stored bookings make further ones slower.

use std::time::{Duration, Instant};

use drill::{DrillError, Stop};
use serde::Serialize;

use super::{
    contest,
    plan::{CLIENTS, Plan},
    rounds::median_or_nan,
};
use crate::{machine::count_of, system::TestSystem};

/// After this time, what is stored is enough.
const STORED_WITHIN: Duration = Duration::from_mins(30);

const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(30);

/// The rate is measured in so many steps on the way.
const STEPS: u64 = 20;

/// A load before each measurement, which does not count.
const WARM_UP: Duration = Duration::from_secs(1);

#[derive(Debug, Default, Serialize)]
pub(super) struct Stored {
    /// Stored before the rounds.
    pub(super) bookings: u64,
    /// Resident memory then.
    pub(super) memory_mib: f64,
    /// Bookings stored, and the rate of the step that led there.
    pub(super) growth: Vec<(f64, f64)>,
    /// How long it took to store them, and then until the consumers had caught up.
    pub(super) filled_within_s: f64,
    pub(super) caught_up_s: f64,
    /// Of each round: the rate of an empty store, and of the full one.
    pub(super) rates: Vec<(f64, f64)>,
}

impl Stored {
    /// NaN without rounds.
    pub(super) fn ratio(&self) -> f64 {
        self.middle(|(empty, full)| full / empty)
    }

    /// The medians of the empty store and of the full one.
    pub(super) fn middle_rates(&self) -> [f64; 2] {
        [self.middle(|rates| rates.0), self.middle(|rates| rates.1)]
    }

    fn middle(&self, value: impl Fn(&(f64, f64)) -> f64) -> f64 {
        median_or_nan(&self.rates.iter().map(value).collect::<Vec<_>>())
    }
}

pub(super) async fn measure(plan: &Plan) -> Result<Stored, DrillError> {
    let full = TestSystem::serve().await?;
    let vaccine = full.stock().await?;
    let mut stored = store(&full, vaccine, plan.bookings).await?;
    for round in 1..=plan.turns {
        let empty = TestSystem::serve().await?;
        let other = empty.stock().await?;
        booked_per_second(&empty, other, Stop::after(WARM_UP)).await?;
        let under = booked_per_second(&empty, other, Stop::after(plan.lasting)).await?;
        drop(empty);
        booked_per_second(&full, vaccine, Stop::after(WARM_UP)).await?;
        let over = booked_per_second(&full, vaccine, Stop::after(plan.lasting)).await?;
        full.caught_up(vaccine, CAUGHT_UP_WITHIN).await?;
        eprintln!("stored {round}: {over:.0}/s, empty {under:.0}/s");
        stored.rates.push((under, over));
    }
    Ok(stored)
}

async fn store(full: &TestSystem, vaccine: i64, bookings: u64) -> Result<Stored, DrillError> {
    let start = Instant::now();
    let mut stored = Stored::default();
    for step in 1..=STEPS {
        let missing = (bookings * step / STEPS).saturating_sub(stored.bookings);
        let left = STORED_WITHIN.saturating_sub(start.elapsed());
        if missing == 0 || left.is_zero() {
            continue;
        }
        let stop = Stop::requests(missing).or_after(left);
        let rate = booked_per_second(full, vaccine, stop).await?;
        stored.bookings = full.stored_bookings().await?;
        eprintln!("{} bookings stored, the last ones at {rate:.0}/s", stored.bookings);
        stored.growth.push((count_of(stored.bookings), rate));
    }
    stored.filled_within_s = start.elapsed().as_secs_f64();
    stored.caught_up_s = full.caught_up(vaccine, CAUGHT_UP_WITHIN).await?.as_secs_f64();
    stored.memory_mib = full.memory_mib()?;
    Ok(stored)
}

async fn booked_per_second(
    system: &TestSystem,
    vaccine: i64,
    stop: Stop,
) -> Result<f64, DrillError> {
    let summary = contest::load_expecting(&system.entry, CLIENTS, stop, (201, vaccine)).await?;
    Ok(summary.rate_per_second(201))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_store_is_compared_with_the_empty_one_of_its_round() {
        let rates = vec![(100.0, 90.0), (10.0, 9.0), (100.0, 50.0)];
        let stored = Stored { rates, ..Stored::default() };
        assert_eq!(format!("{} {:?}", stored.ratio(), stored.middle_rates()), "0.9 [100.0, 50.0]");
        assert!(Stored::default().ratio().is_nan());
    }
}
