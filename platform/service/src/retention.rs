//! Retention: what nobody needs any more is deleted once it is old enough, in the background.

use std::time::{Duration, Instant};

use platform_events::Published;
use platform_store::{Aggregate, Commands, Prune, WriteError};
use platform_telemetry::clock;
use tokio::time::sleep;
use tracing::{info, warn};

/// How many times as long as a deletion the pause after it is: requests have the rest of the time.
const PAUSE_FACTOR: u32 = 9;

/// The shortest pause.
const PAUSE_MIN: Duration = Duration::from_millis(25);

/// How often it is looked for old rows: a thousand times while a row gets old, at least once in this time.
const INTERVAL_MAX: Duration = Duration::from_hours(1);

/// How long a deletion may wait for its commit.
const WRITE_TIMEOUT: Duration = Duration::from_millis(2_500);

/// Deletes what is older than `retention`, and of the events only those that every one of these destinations has.
pub(crate) async fn run<A: Aggregate>(
    commands: Commands<A>,
    destinations: Vec<Published>,
    retention: Duration,
) {
    loop {
        sleep((retention / 1_000).clamp(PAUSE_MIN, INTERVAL_MAX)).await;
        match prune_all(&commands, &destinations, retention).await {
            Ok(0) => {}
            Ok(rows) => info!(rows, "old rows deleted"),
            Err(error) => warn!("old rows could not be deleted: {error}"),
        }
    }
}

/// Deletes all that is old now, a little at a time; returns how many rows, of the table with the most.
async fn prune_all<A: Aggregate>(
    commands: &Commands<A>,
    destinations: &[Published],
    retention: Duration,
) -> Result<usize, WriteError> {
    let before_ms = (clock::now() - retention).as_millisecond();
    let mut rows = 0;
    loop {
        // Without a destination nobody needs the events.
        let published = destinations.iter().map(Published::up_to).min();
        let events_up_to = published.unwrap_or(i64::MAX.cast_unsigned());
        let start = Instant::now();
        let prune = Prune { before_ms, events_up_to };
        let pruned = commands.prune(prune, start + WRITE_TIMEOUT).await?;
        if pruned == 0 {
            return Ok(rows);
        }
        rows += pruned;
        sleep((start.elapsed() * PAUSE_FACTOR).max(PAUSE_MIN)).await;
    }
}
