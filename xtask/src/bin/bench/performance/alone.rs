//! One client alone: how long a booking takes, beside how long the disk does.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use drill::{Broken, Stop};

use super::{Plan, contest, rounds::median};
use crate::{server, system::System};

/// What is written at a time: a page of SQLite, and a block of the file system.
const BLOCK: [u8; 4_096] = [0x5a; 4_096];

/// How many times in a round, and no longer than this.
const SYNCS: u64 = 300;
const SYNCS_WITHIN: Duration = Duration::from_secs(5);

/// Medians of each round, in milliseconds.
#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "a quantity ends in its unit")]
pub(super) struct Alone {
    pub(super) booking_ms: Vec<f64>,
    /// An `fdatasync` after a block was appended, so that the file system keeps a new length too.
    pub(super) appended_ms: Vec<f64>,
    /// An `fdatasync` after a block was written over.
    pub(super) overwritten_ms: Vec<f64>,
}

impl Alone {
    /// How many syncs a booking takes, round by round.
    pub(super) fn ratio(&self, sync_ms: &[f64]) -> Option<f64> {
        let ratios = self.booking_ms.iter().zip(sync_ms).map(|(booking, sync)| booking / sync);
        median(&ratios.collect::<Vec<_>>())
    }
}

pub(super) async fn measure(plan: &Plan) -> Result<Alone, Broken> {
    let system = System::together().await?;
    let vaccine = server::stock(&system.vaccine).await?;
    let folder = system.folder().ok_or("a system without a folder")?;
    let mut alone = Alone::default();
    for round in 1..=plan.turns {
        let appended = sync_ms(folder, |number| number)?;
        let overwritten = sync_ms(folder, |_| 0)?;
        let stop = Stop::after(plan.lasting);
        let summary = contest::answered(&system.booking, 1, stop, (201, vaccine)).await?;
        let booking = summary.percentile_ms(50.0);
        eprintln!("alone {round}: booking {booking:.2} ms, {appended:.2} and {overwritten:.2} ms");
        alone.booking_ms.push(booking);
        alone.appended_ms.push(appended);
        alone.overwritten_ms.push(overwritten);
    }
    Ok(alone)
}

/// How long an `fdatasync` takes after a block was written, where `place` says; the median.
fn sync_ms(folder: &Path, place: impl Fn(u64) -> u64) -> Result<f64, Broken> {
    let path = folder.join("sync");
    let file = File::create(&path)?;
    // It has its first block before the first of them.
    file.write_all_at(&BLOCK, 0)?;
    file.sync_all()?;
    let began = Instant::now();
    let mut took = Vec::new();
    for number in 1..=SYNCS {
        let block_bytes = u64::try_from(BLOCK.len())?;
        file.write_all_at(&BLOCK, place(number) * block_bytes)?;
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
    fn a_booking_is_compared_with_the_disk_of_its_round() {
        let alone = Alone {
            booking_ms: vec![2.0, 20.0, 3.0],
            appended_ms: vec![1.0, 10.0, 1.0],
            overwritten_ms: vec![0.5, 5.0, 0.5],
        };
        assert_eq!(alone.ratio(&alone.appended_ms), Some(2.0));
        assert_eq!(alone.ratio(&alone.overwritten_ms), Some(4.0));
        assert_eq!(Alone::default().ratio(&[]), None);
    }

    #[test]
    fn the_disk_is_measured_and_nothing_is_left_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(sync_ms(folder.path(), |number| number).unwrap() > 0.0);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
