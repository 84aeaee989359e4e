//! One client alone: the latency of a booking, beside that of a disk sync.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use drill::{DrillError, Stop};
use serde::Serialize;

use super::{
    contest,
    plan::Plan,
    rounds::{median, median_or_nan},
};
use crate::system::TestSystem;

/// As large as a page of SQLite and a block of the file system.
const BLOCK: [u8; 4_096] = [0x5a; 4_096];

/// Syncs per round, and how long they may take in all.
const SYNCS: u64 = 300;
const SYNCS_WITHIN: Duration = Duration::from_secs(5);

/// Medians of each round, in milliseconds.
#[derive(Debug, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "a quantity ends in its unit")]
pub(super) struct Alone {
    pub(super) booking_ms: Vec<f64>,
    /// An `fdatasync` after a block was appended, so that the file system keeps a new length too.
    pub(super) appended_ms: Vec<f64>,
    /// An `fdatasync` after a block was written over.
    pub(super) overwritten_ms: Vec<f64>,
}

impl Alone {
    /// The latency of a booking in syncs, computed within each round; NaN without rounds.
    pub(super) fn ratio(&self, sync_ms: &[f64]) -> f64 {
        let ratios = self.booking_ms.iter().zip(sync_ms).map(|(booking, sync)| booking / sync);
        median_or_nan(&ratios.collect::<Vec<_>>())
    }
}

pub(super) async fn measure(plan: &Plan) -> Result<Alone, DrillError> {
    let test = TestSystem::serve().await?;
    let vaccine = test.stock().await?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let mut alone = Alone::default();
    for round in 1..=plan.turns {
        let appended = sync_ms(folder, |number| number)?;
        let overwritten = sync_ms(folder, |_| 0)?;
        let stop = Stop::after(plan.lasting);
        let summary = contest::load_expecting(&test.entry, 1, stop, (201, vaccine)).await?;
        let booking = summary.percentile_ms(50.0);
        eprintln!("alone {round}: booking {booking:.2} ms, {appended:.2} and {overwritten:.2} ms");
        alone.booking_ms.push(booking);
        alone.appended_ms.push(appended);
        alone.overwritten_ms.push(overwritten);
    }
    Ok(alone)
}

/// The median latency of an `fdatasync` after writing a block; `block` maps the number of the write
/// to the block that it writes.
fn sync_ms(folder: &Path, block: impl Fn(u64) -> u64) -> Result<f64, DrillError> {
    let path = folder.join("sync");
    let file = File::create(&path)?;
    // The file has one block before the first sync.
    file.write_all_at(&BLOCK, 0)?;
    file.sync_all()?;
    let began = Instant::now();
    let mut took = Vec::new();
    for number in 1..=SYNCS {
        let block_bytes = u64::try_from(BLOCK.len())?;
        file.write_all_at(&BLOCK, block(number) * block_bytes)?;
        let start = Instant::now();
        file.sync_data()?;
        took.push(start.elapsed().as_secs_f64() * 1_000.0);
        if began.elapsed() > SYNCS_WITHIN {
            break;
        }
    }
    std::fs::remove_file(path)?;
    median(&took).ok_or_else(|| "nothing was written".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_booking_is_compared_with_the_syncs_of_its_round() {
        let alone = Alone {
            booking_ms: vec![2.0, 20.0, 3.0],
            appended_ms: vec![1.0, 10.0, 1.0],
            overwritten_ms: vec![0.5, 5.0, 0.5],
        };
        let ratios = [&alone.appended_ms, &alone.overwritten_ms].map(|ms| alone.ratio(ms));
        assert_eq!(format!("{ratios:?}"), "[2.0, 4.0]");
        assert!(Alone::default().ratio(&[]).is_nan());
    }

    #[test]
    fn the_file_of_the_sync_measurement_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(sync_ms(folder.path(), |number| number).unwrap() > 0.0);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
