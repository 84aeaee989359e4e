//! One client alone: the latency of a booking, beside that of a disk sync.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use drill::{DrillError, Stop};

use super::{
    contest,
    figures::{Figures, median},
    plan::Plan,
};
use crate::system::{STOCK, TestSystem};

/// As large as a page of SQLite and a block of the file system.
const BLOCK: [u8; 4_096] = [0x5a; 4_096];

/// Syncs per round, and how long they may take in all.
const SYNCS: u64 = 300;
const SYNCS_WITHIN: Duration = Duration::from_secs(5);

/// In each round, the medians of bookings, and of an `fdatasync` after a block was appended, so that
/// the file system keeps a new length too, and after one was written over.
pub(super) async fn measure(plan: &Plan, figures: &mut Figures) -> Result<(), DrillError> {
    let test = TestSystem::serve().await?;
    let vaccine = test.register(STOCK).await?;
    let folder = tempfile::tempdir()?;
    for round in 1..=plan.turns {
        let appended = sync_ms(folder.path(), |number| number)?;
        let overwritten = sync_ms(folder.path(), |_| 0)?;
        let stop = Stop::after(plan.lasting);
        let summary = contest::load_expecting(&test.entry, 1, stop, (201, vaccine)).await?;
        let booking = summary.percentile_ms(50.0);
        eprintln!("alone {round}: booking {booking:.2} ms, {appended:.2} and {overwritten:.2} ms");
        let syncs = [("appended_ms", appended), ("overwritten_ms", overwritten)];
        figures.push("alone", [syncs.as_slice(), &[("booking_ms", booking)]].concat());
    }
    Ok(())
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
    fn the_file_of_the_sync_measurement_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(sync_ms(folder.path(), |number| number).unwrap() > 0.0);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
