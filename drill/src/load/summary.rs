//! What a load came to, with siege's accounting.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;

use crate::client::{Error, reply::Reply};

/// Longer answers are counted as this; no answer takes longer than the client's timeout anyway.
pub(crate) const LATENCY_MAX_MICROS: u64 = 60_000_000;

/// Three significant digits: 1,234 µs and 1,235 µs are told apart, 12,345 µs and 12,346 µs not.
const LATENCY_DIGITS: u8 = 3;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// An answer of this status.
    Status(u16),
    /// 503 or 429 with Retry-After: not now, but a promise when to ask again.
    PromisedLater(u16),
    /// No answer, or none that is valid and complete.
    Socket,
    /// It was to be sent, but as many as may be were in flight.
    NotSent,
}

/// What a load came to.
#[derive(Debug)]
pub struct Summary {
    /// How many requests were sent, or were to be sent and found no connection or no room.
    pub sent: u64,
    /// How they ended; the counts add up to `sent`.
    pub by_outcome: BTreeMap<Outcome, u64>,
    /// How long complete answers took, in microseconds.
    pub latency: Histogram<u64>,
    /// From the start of the first user to the end of the last.
    pub elapsed: Duration,
    /// The first error behind [`Outcome::Socket`], so that the cause need not be guessed.
    pub first_error: Option<Error>,
}

impl Summary {
    /// How many requests ended so; `count(201)` is `count(Outcome::Status(201))`.
    pub fn count(&self, outcome: impl Into<Outcome>) -> u64 {
        self.by_outcome.get(&outcome.into()).copied().unwrap_or(0)
    }

    /// How many were told to come back later.
    pub fn promised_later(&self) -> u64 {
        self.count_where(|outcome| matches!(outcome, Outcome::PromisedLater(_)))
    }

    /// How many requests ended so in a second.
    pub fn rate_per_second(&self, outcome: impl Into<Outcome>) -> f64 {
        ratio(self.count(outcome), self.elapsed.as_secs_f64())
    }

    /// The latency that `percent` of the complete answers did not exceed.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        milliseconds(self.latency.value_at_percentile(percent))
    }

    /// Siege: what was answered and not failed.
    pub fn transactions(&self) -> u64 {
        self.sent - self.failed()
    }

    /// Siege: what was answered with what was asked for.
    pub fn successful(&self) -> u64 {
        self.count_where(|outcome| verdict(outcome) == Verdict::Successful)
    }

    /// Siege: what the server owes an answer.
    pub fn failed(&self) -> u64 {
        self.count_where(|outcome| verdict(outcome) == Verdict::Failed)
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
    /// How a request that was answered ended.
    pub fn of(reply: &Reply) -> Self {
        match (reply.status, reply.retry_after_seconds) {
            (429 | 503, Some(_)) => Self::PromisedLater(reply.status),
            (status, _) => Self::Status(status),
        }
    }
}

/// Siege's classes, found by running siege 4.0.7 against a server that answers with each status.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// A transaction, and a successful one.
    Successful,
    /// A transaction, for the server answered; it is the client that was wrong, or late.
    Refused,
    /// No transaction.
    Failed,
}

fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Socket | Outcome::NotSent => Verdict::Failed,
        // Siege does not know Retry-After.
        Outcome::Status(status) | Outcome::PromisedLater(status) => match status {
            0..400 | 401 => Verdict::Successful,
            408 | 500.. => Verdict::Failed,
            400..500 => Verdict::Refused,
        },
    }
}

/// Collects while the load runs.
pub(crate) struct Tally {
    by_outcome: BTreeMap<Outcome, u64>,
    latency: Histogram<u64>,
    first_error: Option<Error>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { by_outcome: BTreeMap::new(), latency: latencies(), first_error: None }
    }
}

impl Tally {
    pub(crate) fn replied(&mut self, outcome: Outcome, took: Duration) {
        *self.by_outcome.entry(outcome).or_insert(0) += 1;
        self.latency.saturating_record(micros(took));
    }

    pub(crate) fn failed(&mut self, error: Error) {
        *self.by_outcome.entry(Outcome::Socket).or_insert(0) += 1;
        self.first_error.get_or_insert(error);
    }

    pub(crate) fn not_sent(&mut self) {
        *self.by_outcome.entry(Outcome::NotSent).or_insert(0) += 1;
    }

    pub(crate) fn summary(self, elapsed: Duration) -> Summary {
        let Self { by_outcome, latency, first_error } = self;
        let sent = by_outcome.values().sum();
        Summary { sent, by_outcome, latency, elapsed, first_error }
    }
}

/// Room for latencies in microseconds.
pub(crate) fn latencies() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "both limits are constants that it accepts")]
    Histogram::new_with_max(LATENCY_MAX_MICROS, LATENCY_DIGITS)
        .expect("constants within the limits of the histogram")
}

pub(crate) fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(LATENCY_MAX_MICROS)
}

/// Siege's lines first, for those who know them, then what siege does not tell.
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
            Self::PromisedLater(status) => write!(out, "Status {status}, retry later"),
            Self::Socket => write!(out, "Socket errors"),
            Self::NotSent => write!(out, "Not sent"),
        }
    }
}

fn milliseconds(micros: u64) -> f64 {
    float(micros) / 1_000.0
}

/// 0 of 0 is 0.
fn ratio(count: u64, of: f64) -> f64 {
    if of > 0.0 { float(count) / of } else { 0.0 }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(outcomes: &[Outcome], errors: usize) -> Summary {
        let mut tally = Tally::default();
        for &outcome in outcomes {
            tally.replied(outcome, Duration::from_millis(2));
        }
        (0..errors).for_each(|_| tally.failed(Error::Closed));
        tally.summary(Duration::from_secs(2))
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
    fn a_promise_changes_nothing_for_siege() {
        assert_eq!(siege(Outcome::PromisedLater(429)), siege(Outcome::Status(429)));
        assert_eq!(siege(Outcome::PromisedLater(503)), siege(Outcome::Status(503)));
    }

    #[test]
    fn an_empty_load_divides_by_nothing() {
        let summary = Tally::default().summary(Duration::ZERO);
        assert_eq!((summary.sent, summary.transactions()), (0, 0));
        let rates = [summary.availability_percent(), summary.rate_per_second(200)];
        assert!(rates.iter().all(|rate| rate.abs() < f64::EPSILON));
    }

    #[test]
    fn it_reads_like_siege() {
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
First error: the connection was closed before any byte of the answer
";
        assert_eq!(summary(&outcomes, 1).to_string(), expected);
    }
}
