//! Whether many stored bookings make the next one slower.

use std::time::{Duration, Instant};

use drill::{Broken, Stop};

use super::{CLIENTS, Plan, contest, rounds::median};
use crate::{server, system::System};

/// How long it may take to store them; what is stored by then counts.
const STORED_WITHIN: Duration = Duration::from_mins(30);

/// How long those who follow may take after that.
const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(30);

/// Storing them is measured in so many steps.
const STEPS: u64 = 20;

/// A load on an empty store that does not count: it is as warm as the full one then.
const WARM_UP: Duration = Duration::from_secs(1);

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// How many were stored before the rounds.
    pub(super) bookings: u64,
    /// Resident memory then.
    pub(super) memory_mib: f64,
    /// Bookings stored, and the rate of the step that led there.
    pub(super) growth: Vec<(f64, f64)>,
    /// How long it took to store them, and then until those who follow had heard of all.
    pub(super) filled_within: Duration,
    pub(super) caught_up: Duration,
    /// Round by round: the rate of an empty store, and of the full one.
    pub(super) rates: Vec<(f64, f64)>,
}

impl Stored {
    pub(super) fn ratio(&self) -> Option<f64> {
        median(&self.rates.iter().map(|(empty, full)| full / empty).collect::<Vec<_>>())
    }
}

pub(super) async fn measure(plan: &Plan) -> Result<Stored, Broken> {
    let full = System::together().await?;
    let vaccine = server::stock(&full.vaccine).await?;
    let mut stored = store(&full, vaccine, plan.bookings).await?;
    for round in 1..=plan.turns {
        let empty = System::together().await?;
        let other = server::stock(&empty.vaccine).await?;
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

async fn store(full: &System, vaccine: i64, bookings: u64) -> Result<Stored, Broken> {
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
        stored.bookings = full.booked().await?;
        eprintln!("{} bookings stored, the last ones at {rate:.0}/s", stored.bookings);
        stored.growth.push((count_of(stored.bookings), rate));
    }
    stored.filled_within = start.elapsed();
    stored.caught_up = full.caught_up(vaccine, CAUGHT_UP_WITHIN).await?;
    stored.memory_mib = full.memory_mib()?;
    Ok(stored)
}

async fn booked_per_second(system: &System, vaccine: i64, stop: Stop) -> Result<f64, Broken> {
    let summary = contest::answered(&system.booking, CLIENTS, stop, (201, vaccine)).await?;
    Ok(summary.rate_per_second(201))
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn count_of(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_store_is_compared_with_the_empty_one_of_its_round() {
        let rates = vec![(100.0, 90.0), (10.0, 9.0), (100.0, 50.0)];
        assert_eq!(Stored { rates, ..Stored::default() }.ratio(), Some(0.9));
        assert_eq!(Stored::default().ratio(), None);
    }
}
