//! What makes the configuration of a guard invalid.

use std::{fmt::Debug, ops::RangeInclusive, time::Duration};

use thiserror::Error;

/// The longest that any duration may be that is configured.
pub const DURATION_MAX: Duration = Duration::from_hours(1);

/// The shortest that a duration may be unless it may be zero: the guards count in milliseconds.
pub const DURATION_MIN: Duration = Duration::from_millis(1);

/// A setting with which a guard would never refuse a call, or never permit one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: must be {valid}, not {value}")]
pub struct GuardConfigError {
    field: &'static str,
    valid: String,
    value: String,
}

pub(crate) fn in_range<T: Copy + Debug + PartialOrd>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), GuardConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let valid = format!("{:?} to {:?}", range.start(), range.end());
    Err(GuardConfigError { field, valid, value: format!("{value:?}") })
}
