//! Whether stored bookings make further ones slower.

use std::time::{Duration, Instant};

use drill::{DrillError, Stop};

use super::{
    contest,
    figures::Figures,
    plan::{CLIENTS, Plan},
};
use crate::{
    machine::count_of,
    system::{STOCK, TestSystem},
};

/// After this time, what is stored is enough.
const STORED_WITHIN: Duration = Duration::from_mins(30);

const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(30);

/// The rate is measured in so many steps on the way.
const STEPS: u64 = 20;

/// A load before each measurement, which does not count.
const WARM_UP: Duration = Duration::from_secs(1);

/// In each round, the rates of an empty store and of the full one.
pub(super) async fn measure(plan: &Plan, figures: &mut Figures) -> Result<(), DrillError> {
    let full = TestSystem::serve().await?;
    let vaccine = full.register(STOCK).await?;
    store(&full, vaccine, plan.bookings, figures).await?;
    for round in 1..=plan.turns {
        let empty = TestSystem::serve().await?;
        let other = empty.register(STOCK).await?;
        booked_per_second(&empty, other, Stop::after(WARM_UP)).await?;
        let under = booked_per_second(&empty, other, Stop::after(plan.lasting)).await?;
        drop(empty);
        booked_per_second(&full, vaccine, Stop::after(WARM_UP)).await?;
        let over = booked_per_second(&full, vaccine, Stop::after(plan.lasting)).await?;
        full.caught_up(vaccine, CAUGHT_UP_WITHIN).await?;
        eprintln!("stored {round}: {over:.0}/s, empty {under:.0}/s");
        figures.push("stored", vec![("empty_per_second", under), ("full_per_second", over)]);
    }
    Ok(())
}

/// Stores the bookings; the number and the rate of each step, then how long all of it took, until the
/// consumers had caught up, and the resident memory.
async fn store(
    full: &TestSystem,
    vaccine: i64,
    bookings: u64,
    figures: &mut Figures,
) -> Result<(), DrillError> {
    let start = Instant::now();
    let mut stored = 0;
    for step in 1..=STEPS {
        let missing = (bookings * step / STEPS).saturating_sub(stored);
        let left = STORED_WITHIN.saturating_sub(start.elapsed());
        if missing == 0 || left.is_zero() {
            continue;
        }
        let stop = Stop::requests(missing).or_after(left);
        let rate = booked_per_second(full, vaccine, stop).await?;
        stored = full.stored_bookings().await?;
        eprintln!("{stored} bookings stored, the last ones at {rate:.0}/s");
        figures.push("stored", vec![("bookings", count_of(stored)), ("step_per_second", rate)]);
    }
    let filled_within = start.elapsed().as_secs_f64();
    let caught_up = full.caught_up(vaccine, CAUGHT_UP_WITHIN).await?.as_secs_f64();
    let times = [("filled_within_s", filled_within), ("caught_up_s", caught_up)];
    figures.push("stored", times.to_vec());
    let bytes = count_of(full.stored_bytes()?) / count_of(stored.max(1));
    figures.push("stored", vec![("memory_mib", full.memory_mib()?), ("bytes_per_booking", bytes)]);
    Ok(())
}

async fn booked_per_second(
    system: &TestSystem,
    vaccine: i64,
    stop: Stop,
) -> Result<f64, DrillError> {
    let summary = contest::load_expecting(&system.entry, CLIENTS, stop, (201, vaccine)).await?;
    Ok(summary.rate_per_second(201))
}
