//! What was measured, as a table and as JSON.

use std::{fmt, time::Duration};

use drill::Summary;
use serde_json::json;

/// Every figure of one run.
pub(crate) struct Report {
    turns: u8,
    seconds: u64,
    pub(crate) echo: Vec<Summary>,
    pub(crate) booking: Vec<Summary>,
    pub(crate) settled_within: Option<Duration>,
    pub(crate) start_ms: Vec<f64>,
    pub(crate) idle_memory_mib: f64,
    /// Bookings stored, and resident memory then.
    pub(crate) full: Option<(u64, f64)>,
}

impl Report {
    pub(crate) fn new(turns: u8, seconds: u64) -> Self {
        Self {
            turns,
            seconds,
            echo: Vec::new(),
            booking: Vec::new(),
            settled_within: None,
            start_ms: Vec::new(),
            idle_memory_mib: 0.0,
            full: None,
        }
    }

    fn echo_rate(&self) -> f64 {
        median(self.echo.iter().map(|turn| turn.rate_per_second(200)))
    }

    fn booking_rate(&self) -> f64 {
        median(self.booking.iter().map(|turn| turn.rate_per_second(201)))
    }

    /// Turn by turn, since neighbouring turns met the same machine.
    fn ratio(&self) -> f64 {
        let pairs = self.booking.iter().zip(&self.echo);
        median(pairs.map(|(ours, echo)| ours.rate_per_second(201) / echo.rate_per_second(200)))
    }

    pub(crate) fn json(&self) -> String {
        let full =
            self.full.map(|(bookings, mib)| json!({"bookings": bookings, "memory_mib": mib}));
        let figures = json!({
            "a": {"echo_per_second": self.echo_rate()},
            "b": {
                "bookings_per_second": self.booking_rate(),
                "p50_ms": self.latency(50.0),
                "p99_ms": self.latency(99.0),
                "caught_up_ms": self.settled_within.map(|within| within.as_millis()),
            },
            "b/a": self.ratio(),
            "start_ms": median(self.start_ms.iter().copied()),
            "memory_idle_mib": self.idle_memory_mib,
            "full": full,
        });
        format!("{figures:#}\n")
    }

    fn latency(&self, percentile: f64) -> f64 {
        median(self.booking.iter().map(|turn| turn.percentile_ms(percentile)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (clients, turns, seconds) = (super::CLIENTS, self.turns, self.seconds);
        writeln!(f, "\n{clients} kept connections, {turns} turns of {seconds} s each, medians\n")?;
        writeln!(f, "| | | measured | aim |")?;
        writeln!(f, "|---|---|---|---|")?;
        writeln!(
            f,
            "| a | echo: a constant answer on the same chassis | {:.0}/s | |",
            self.echo_rate()
        )?;
        writeln!(
            f,
            "| b | durable bookings: both services, SQLite FULL | {:.0}/s, p50 {:.1} ms, p99 {:.1} ms | |",
            self.booking_rate(),
            self.latency(50.0),
            self.latency(99.0)
        )?;
        writeln!(f, "| | **b / a** | **{:.2}** | ≥ 0.30 |", self.ratio())?;
        if let Some(within) = self.settled_within {
            writeln!(
                f,
                "| | the ledger had heard of every booking after | {} ms | |",
                within.as_millis()
            )?;
        }
        let start = median(self.start_ms.iter().copied());
        writeln!(f, "| | start to ready, everything in one process | {start:.0} ms | ≤ 100 ms |")?;
        writeln!(f, "| | resident memory, idle | {:.0} MiB | ≤ 40 MB |", self.idle_memory_mib)?;
        if let Some((bookings, mib)) = self.full {
            writeln!(
                f,
                "| | resident memory after {bookings} bookings | {mib:.0} MiB | ≤ 150 MB |"
            )?;
        }
        Ok(())
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
