//! How fast it starts, and what it holds before anybody comes.

use crate::system::System;
use drill::Broken;

/// How often it is started.
const STARTS: usize = 5;

/// Of each start.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// To the first answer on every port, in milliseconds.
    pub(super) ready_ms: Vec<f64>,
    /// Resident memory then.
    pub(super) memory_mib: Vec<f64>,
}

pub(super) async fn measure() -> Result<Starts, Broken> {
    let mut starts = Starts::default();
    for _ in 0..STARTS {
        let system = System::together().await?;
        starts.ready_ms.push(system.ready_after().as_secs_f64() * 1_000.0);
        starts.memory_mib.push(system.memory_mib()?);
    }
    Ok(starts)
}
