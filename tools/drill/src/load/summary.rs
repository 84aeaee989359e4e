//! The result of a load, with siege's accounting.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;

use crate::response::{RequestError, Response};

/// Longer responses are counted as this; the client's timeout is shorter anyway.
const LATENCY_MAX_MICROS: u64 = 60_000_000;

/// Three significant digits: 1,234 µs and 1,235 µs are distinguished, 12,345 µs and 12,346 µs not.
const LATENCY_DIGITS: u8 = 3;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A response of this status.
    Status(u16),
    /// 503 or 429 with Retry-After.
    RetryLater(u16),
    /// No response, or none that is valid and complete.
    Socket,
    /// Not sent, because the limit of requests in flight was reached.
    NotSent,
}

/// The result of a load.
#[derive(Debug)]
pub struct Summary {
    /// How many requests were sent, or were to be sent and failed to connect or exceeded the limit in flight.
    pub sent: u64,
    /// The counts add up to `sent`.
    pub by_outcome: BTreeMap<Outcome, u64>,
    /// Of complete responses, in microseconds.
    pub latency: Histogram<u64>,
    /// From the start of the first user to the end of the last.
    pub elapsed: Duration,
    /// The first cause of [`Outcome::Socket`].
    pub first_error: Option<RequestError>,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            sent: 0,
            by_outcome: BTreeMap::new(),
            latency: latencies([]),
            elapsed: Duration::ZERO,
            first_error: None,
        }
    }
}

impl Summary {
    pub(crate) fn record_response(&mut self, outcome: Outcome, took: Duration) {
        self.record(outcome);
        self.latency.saturating_record(micros(took));
    }

    pub(crate) fn record_error(&mut self, error: RequestError) {
        self.record(Outcome::Socket);
        self.first_error.get_or_insert(error);
    }

    pub(crate) fn record(&mut self, outcome: Outcome) {
        self.sent += 1;
        *self.by_outcome.entry(outcome).or_insert(0) += 1;
    }

    /// How many requests ended so; `count(201)` is `count(Outcome::Status(201))`.
    pub fn count(&self, outcome: impl Into<Outcome>) -> u64 {
        self.by_outcome.get(&outcome.into()).copied().unwrap_or(0)
    }

    /// How many ended as [`Outcome::RetryLater`].
    pub fn retry_later(&self) -> u64 {
        self.count_where(|outcome| matches!(outcome, Outcome::RetryLater(_)))
    }

    /// How many requests ended so in a second.
    pub fn rate_per_second(&self, outcome: impl Into<Outcome>) -> f64 {
        ratio(self.count(outcome), self.elapsed.as_secs_f64())
    }

    /// The latency that `percent` of the complete responses did not exceed.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        milliseconds(self.latency.value_at_percentile(percent))
    }

    /// Siege: requests with a response that is not a failure.
    pub fn transactions(&self) -> u64 {
        self.sent - self.failed()
    }

    /// Siege: requests that succeeded.
    pub fn successful(&self) -> u64 {
        self.count_where(|outcome| matches!(outcome, Outcome::Status(0..=399 | 401)))
    }

    /// Siege: requests without a response, or with a failure of the server.
    pub fn failed(&self) -> u64 {
        self.count_where(is_failure)
    }

    /// Siege: transactions among all requests.
    pub fn availability_percent(&self) -> f64 {
        100.0 * ratio(self.transactions(), float(self.sent))
    }

    fn count_where(&self, counts: impl Fn(Outcome) -> bool) -> u64 {
        self.by_outcome
            .iter()
            .filter(|&(&outcome, _)| counts(outcome))
            .map(|(_, count)| count)
            .sum()
    }
}

impl From<u16> for Outcome {
    fn from(status: u16) -> Self {
        Self::Status(status)
    }
}

impl Outcome {
    /// Of a request with a response.
    pub fn of(response: &Response) -> Self {
        match (response.status, response.retry_after_seconds) {
            (429 | 503, Some(_)) => Self::RetryLater(response.status),
            (status, _) => Self::Status(status),
        }
    }
}

/// Whether siege counts it as a failure instead of a transaction, found by running siege 4.0.7 against a
/// server that responds with each status. Siege does not know Retry-After.
fn is_failure(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Socket | Outcome::NotSent => true,
        Outcome::Status(status) | Outcome::RetryLater(status) => matches!(status, 408 | 500..),
    }
}

/// A histogram of these latencies in microseconds.
pub(crate) fn latencies(took: impl IntoIterator<Item = Duration>) -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "both limits are constants that it accepts")]
    let mut latencies = Histogram::new_with_max(LATENCY_MAX_MICROS, LATENCY_DIGITS)
        .expect("constants within the limits of the histogram");
    took.into_iter().for_each(|took| latencies.saturating_record(micros(took)));
    latencies
}

pub(crate) fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(LATENCY_MAX_MICROS)
}

/// Siege's lines first, then what siege does not print.
impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = self.elapsed.as_secs_f64();
        let rate = ratio(self.transactions(), elapsed);
        let longest = milliseconds(self.latency.max()) / 1_000.0;
        writeln!(out, "Transactions:            {:>11} hits", self.transactions())?;
        writeln!(out, "Availability:            {:>11.2} %", self.availability_percent())?;
        writeln!(out, "Elapsed time:            {elapsed:>11.2} secs")?;
        writeln!(out, "Transaction rate:        {rate:>11.2} trans/sec")?;
        writeln!(out, "Successful transactions: {:>11}", self.successful())?;
        writeln!(out, "Failed transactions:     {:>11}", self.failed())?;
        writeln!(out, "Longest transaction:     {longest:>11.3} secs")?;
        for percent in [50.0, 99.0, 99.9] {
            let name = format!("Latency {percent} %:");
            writeln!(out, "{name:<24} {:>11.3} ms", self.percentile_ms(percent))?;
        }
        for (outcome, count) in &self.by_outcome {
            writeln!(out, "{:<24} {count:>11}", format!("{outcome}:"))?;
        }
        match &self.first_error {
            Some(error) => writeln!(out, "First error: {error}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(out, "Status {status}"),
            Self::RetryLater(status) => write!(out, "Status {status}, retry later"),
            Self::Socket => write!(out, "Socket errors"),
            Self::NotSent => write!(out, "Not sent"),
        }
    }
}

pub(crate) fn milliseconds(micros: u64) -> f64 {
    float(micros) / 1_000.0
}

/// 0 of 0 is 0.
pub(crate) fn ratio(count: u64, of: f64) -> f64 {
    if of > 0.0 { float(count) / of } else { 0.0 }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(outcomes: &[Outcome], errors: usize) -> Summary {
        let mut summary = Summary { elapsed: Duration::from_secs(2), ..Summary::default() };
        for &outcome in outcomes {
            summary.record_response(outcome, Duration::from_millis(2));
        }
        (0..errors).for_each(|_| summary.record_error(RequestError::Closed));
        summary
    }

    fn siege(outcome: Outcome) -> [u64; 3] {
        let summary = summary(&[outcome], 0);
        [summary.transactions(), summary.successful(), summary.failed()]
    }

    #[test]
    fn each_status_counts_as_siege_counts_it() {
        for status in [200, 201, 204, 301, 401] {
            assert_eq!(siege(Outcome::Status(status)), [1, 1, 0], "{status}: a success");
        }
        for status in [400, 404, 409, 429] {
            assert_eq!(siege(Outcome::Status(status)), [1, 0, 0], "{status}: a transaction");
        }
        for status in [408, 500, 503] {
            assert_eq!(siege(Outcome::Status(status)), [0, 0, 1], "{status}: a failure");
        }
    }

    #[test]
    fn retry_after_changes_nothing_for_siege() {
        assert_eq!(siege(Outcome::RetryLater(429)), siege(Outcome::Status(429)));
        assert_eq!(siege(Outcome::RetryLater(503)), siege(Outcome::Status(503)));
    }

    #[test]
    fn an_empty_load_divides_by_nothing() {
        let summary = Summary::default();
        assert_eq!((summary.sent, summary.transactions()), (0, 0));
        let rates = [summary.availability_percent(), summary.rate_per_second(200)];
        assert!(rates.iter().all(|rate| rate.abs() < f64::EPSILON));
    }

    #[test]
    fn it_prints_siege_s_lines() {
        let outcomes = [201, 201, 409].map(Outcome::Status);
        let expected = "\
Transactions:                      3 hits
Availability:                  75.00 %
Elapsed time:                   2.00 secs
Transaction rate:               1.50 trans/sec
Successful transactions:           2
Failed transactions:               1
Longest transaction:           0.002 secs
Latency 50 %:                  2.000 ms
Latency 99 %:                  2.000 ms
Latency 99.9 %:                2.000 ms
Status 201:                        2
Status 409:                        1
Socket errors:                     1
First error: the connection was closed before any byte of the response
";
        assert_eq!(summary(&outcomes, 1).to_string(), expected);
    }
}
