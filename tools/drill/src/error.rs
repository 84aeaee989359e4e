//! The error of whatever keeps a drill from reaching a verdict.

use std::error::Error;

/// Printed with its causes.
pub type DrillError = Box<dyn Error + Send + Sync>;
