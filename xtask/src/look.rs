//! Waiting for what other programs do.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Pause between two looks: short beside how long a program takes to start.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Looks again and again until there is something, or time is up.
pub fn look<T>(within: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return Some(found);
        }
        if begun.elapsed() > within {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
}
