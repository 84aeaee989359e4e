//! What an open load came to: in all, and second by second.

use std::{mem, ops::Range, time::Duration};

use hdrhistogram::Histogram;

use crate::load::summary::{LATENCY_MAX_MICROS, Outcome, Summary, Tally, latencies, micros};

/// Two significant digits: there are two of these for every second.
const SPAN_DIGITS: u8 = 2;

/// What an open load came to. Latencies are measured from the intended starts, in microseconds.
#[derive(Debug)]
pub struct Measured {
    /// Everything that was to be sent, and how it ended.
    pub summary: Summary,
    /// Latencies of what was accepted; see [`Class::Accepted`].
    pub accepted: Histogram<u64>,
    /// Latencies of what was refused; see [`Class::Refused`].
    pub refused: Histogram<u64>,
    /// How much later than intended requests were sent, in microseconds: the generator's own share
    /// of every latency. Sending is paced in steps of a millisecond.
    pub lateness: Histogram<u64>,
    /// The whole load, second by second.
    pub seconds: Vec<Span>,
}

/// What became of what was to be sent within a span of time, by intended start.
#[derive(Debug, Clone)]
pub struct Span {
    /// How many requests were to be sent.
    pub offered: u64,
    /// How many of those were answered 2xx (but not 202) or 409.
    pub accepted: u64,
    /// How many of those were answered 202: they keep their place in a line.
    pub queued: u64,
    /// How many of those were refused with a promise when to come back.
    pub promised_later: u64,
    /// How many of those were refused without one.
    pub refused: u64,
    /// How many of those were answered in another way, or not.
    pub failed: u64,
    /// How many of those were not sent, because too many were in flight.
    pub not_sent: u64,
    /// How many requests, whenever intended, got their accepting answer within this span, and
    /// no later after their intended start than [`super::Open::useful_within`]: the goodput.
    pub goodput: u64,
    /// The latest intended start of a request that was neither accepted nor queued.
    pub last_turned_away: Option<Duration>,
    accepted_latency: Histogram<u32>,
    refused_latency: Histogram<u32>,
}

/// What an outcome means for who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Served or told for good: 2xx or 409, which is an answer to a healthy request.
    Accepted,
    /// Told to come back: 503 or 429.
    Refused,
    /// Anything else.
    Failed,
}

impl Outcome {
    /// What it means for who asked.
    pub fn class(self) -> Class {
        match self {
            Self::Status(200..300 | 409) => Class::Accepted,
            Self::Status(429 | 503) | Self::PromisedLater(_) => Class::Refused,
            Self::Status(_) | Self::Socket | Self::NotSent => Class::Failed,
        }
    }
}

impl Measured {
    /// The latency that `percent` of the accepted did not exceed, in milliseconds.
    pub fn accepted_ms(&self, percent: f64) -> f64 {
        milliseconds(self.accepted.value_at_percentile(percent))
    }

    /// The latency that `percent` of the refused did not exceed, in milliseconds.
    pub fn refused_ms(&self, percent: f64) -> f64 {
        milliseconds(self.refused.value_at_percentile(percent))
    }

    /// Several seconds in one; seconds that there were not are left out.
    pub fn during(&self, seconds: Range<usize>) -> Span {
        let mut span = Span::default();
        for second in self.seconds.iter().take(seconds.end).skip(seconds.start) {
            span.add(second);
        }
        span
    }

    /// How much later than intended `percent` of the requests were sent at most, in milliseconds.
    pub fn lateness_ms(&self, percent: f64) -> f64 {
        milliseconds(self.lateness.value_at_percentile(percent))
    }
}

impl Span {
    /// The latency that `percent` of the accepted did not exceed, in milliseconds, within a
    /// hundredth; none where nothing was accepted.
    pub fn accepted_ms(&self, percent: f64) -> Option<f64> {
        percentile_ms(&self.accepted_latency, percent)
    }

    /// The latency that `percent` of the refused did not exceed, in milliseconds, within a
    /// hundredth; none where nothing was refused.
    pub fn refused_ms(&self, percent: f64) -> Option<f64> {
        percentile_ms(&self.refused_latency, percent)
    }

    fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.accepted += other.accepted;
        self.queued += other.queued;
        self.promised_later += other.promised_later;
        self.refused += other.refused;
        self.failed += other.failed;
        self.not_sent += other.not_sent;
        self.goodput += other.goodput;
        self.last_turned_away = self.last_turned_away.max(other.last_turned_away);
        for (sum, part) in [
            (&mut self.accepted_latency, &other.accepted_latency),
            (&mut self.refused_latency, &other.refused_latency),
        ] {
            // It fails only for a part of a wider range, and all of these are alike.
            let added = sum.add(part);
            debug_assert!(added.is_ok());
        }
    }
}

impl Default for Span {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "both limits are constants that it accepts")]
        let latency = Histogram::new_with_max(LATENCY_MAX_MICROS, SPAN_DIGITS)
            .expect("constants within the limits of the histogram");
        Self {
            offered: 0,
            accepted: 0,
            queued: 0,
            promised_later: 0,
            refused: 0,
            failed: 0,
            not_sent: 0,
            goodput: 0,
            last_turned_away: None,
            accepted_latency: latency.clone(),
            refused_latency: latency,
        }
    }
}

/// Collects while the load runs.
pub(super) struct Record {
    tally: Tally,
    accepted: Histogram<u64>,
    refused: Histogram<u64>,
    lateness: Histogram<u64>,
    useful_within: Duration,
    seconds: Vec<Span>,
}

impl Record {
    pub(super) fn new(useful_within: Duration) -> Self {
        let [accepted, refused, lateness] = [latencies(), latencies(), latencies()];
        let (tally, seconds) = (Tally::default(), Vec::new());
        Self { tally, accepted, refused, lateness, useful_within, seconds }
    }

    /// A request is to be sent.
    pub(super) fn offered(&mut self, intended: Duration) {
        self.at(intended).offered += 1;
    }

    /// A request begins, so much later than intended.
    pub(super) fn sent(&mut self, late: Duration) {
        self.lateness.saturating_record(micros(late));
    }

    /// A request of that intended start was answered, so much later than intended.
    pub(super) fn replied(&mut self, outcome: Outcome, intended: Duration, took: Duration) {
        self.tally.replied(outcome, took);
        let is_useful = took <= self.useful_within;
        let second = self.ended(outcome, intended);
        match outcome.class() {
            Class::Accepted => {
                second.accepted_latency.saturating_record(micros(took));
                self.accepted.saturating_record(micros(took));
                if is_useful && outcome != Outcome::Status(ACCEPTED) {
                    self.at(intended + took).goodput += 1;
                }
            }
            Class::Refused => {
                second.refused_latency.saturating_record(micros(took));
                self.refused.saturating_record(micros(took));
            }
            Class::Failed => {}
        }
    }

    /// A request of that intended start has no answer.
    pub(super) fn failed(&mut self, error: crate::client::Error, intended: Duration) {
        self.tally.failed(error);
        self.ended(Outcome::Socket, intended);
    }

    /// A request was not sent, because too many were in flight.
    pub(super) fn not_sent(&mut self, intended: Duration) {
        self.tally.not_sent();
        self.ended(Outcome::NotSent, intended);
    }

    pub(super) fn measured(&mut self, elapsed: Duration) -> Measured {
        let done = mem::replace(self, Self::new(self.useful_within));
        Measured {
            summary: done.tally.summary(elapsed),
            accepted: done.accepted,
            refused: done.refused,
            lateness: done.lateness,
            seconds: done.seconds,
        }
    }

    fn ended(&mut self, outcome: Outcome, intended: Duration) -> &mut Span {
        let second = self.at(intended);
        *match outcome {
            Outcome::Status(ACCEPTED) => &mut second.queued,
            Outcome::PromisedLater(_) => &mut second.promised_later,
            Outcome::NotSent => &mut second.not_sent,
            Outcome::Status(_) | Outcome::Socket => match outcome.class() {
                Class::Accepted => &mut second.accepted,
                Class::Refused => &mut second.refused,
                Class::Failed => &mut second.failed,
            },
        } += 1;
        if outcome.class() != Class::Accepted {
            second.last_turned_away = second.last_turned_away.max(Some(intended));
        }
        second
    }

    /// The second that a time lies in. They are as many as the longest schedule and the longest
    /// wait for an answer make.
    fn at(&mut self, time: Duration) -> &mut Span {
        let number = usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
        while self.seconds.len() <= number {
            self.seconds.push(Span::default());
        }
        &mut self.seconds[number]
    }
}

/// The status that says "not done yet, but it keeps its place".
const ACCEPTED: u16 = 202;

fn percentile_ms(latencies: &Histogram<u32>, percent: f64) -> Option<f64> {
    (!latencies.is_empty()).then(|| milliseconds(latencies.value_at_percentile(percent)))
}

fn milliseconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Error;

    const MS: Duration = Duration::from_millis(1);

    fn record(outcomes: &[(Outcome, u32, u32)]) -> Measured {
        let mut record = Record::new(3_000 * MS);
        for &(outcome, intended_ms, took_ms) in outcomes {
            let (intended, took) = (intended_ms * MS, took_ms * MS);
            record.offered(intended);
            match outcome {
                Outcome::Socket => record.failed(Error::Closed, intended),
                Outcome::NotSent => record.not_sent(intended),
                Outcome::Status(_) | Outcome::PromisedLater(_) => {
                    record.replied(outcome, intended, took);
                }
            }
        }
        record.measured(5_000 * MS)
    }

    #[test]
    fn every_ending_has_its_count_and_they_add_up() {
        let measured = record(&[
            (Outcome::Status(201), 0, 1),
            (Outcome::Status(409), 1, 1),
            (Outcome::Status(202), 2, 1),
            (Outcome::PromisedLater(503), 3, 1),
            (Outcome::Status(503), 4, 1),
            (Outcome::Status(500), 5, 1),
            (Outcome::Status(404), 6, 1),
            (Outcome::Socket, 7, 1),
            (Outcome::NotSent, 8, 1),
        ]);
        let second = &measured.seconds[0];
        assert_eq!(
            (second.accepted, second.queued, second.promised_later, second.refused),
            (2, 1, 1, 1)
        );
        assert_eq!((second.failed, second.not_sent, second.goodput), (3, 1, 2));
        assert_eq!((second.offered, measured.summary.sent), (9, 9));
        assert_eq!((measured.accepted.len(), measured.refused.len()), (3, 2));
        assert_eq!(second.last_turned_away, Some(8 * MS));
    }

    #[test]
    fn goodput_counts_when_the_answer_came_and_only_if_it_came_in_time() {
        let measured = record(&[
            (Outcome::Status(201), 900, 50),
            (Outcome::Status(201), 900, 2_200),
            (Outcome::Status(201), 900, 3_000),
            (Outcome::Status(201), 900, 3_001),
            (Outcome::Status(503), 900, 50),
        ]);
        let goodput: Vec<_> = measured.seconds.iter().map(|second| second.goodput).collect();
        assert_eq!(goodput, [1, 0, 0, 2]);
        assert_eq!(measured.seconds[0].accepted, 4, "by intended start");
    }

    #[test]
    fn a_second_knows_its_percentiles_or_that_it_has_none() {
        let accepted = (1..=100).map(|ms| (Outcome::Status(201), 0, ms));
        let measured = record(&accepted.collect::<Vec<_>>());
        let percentiles = [50.0, 99.0].map(|p| measured.seconds[0].accepted_ms(p).unwrap_or(0.0));
        let [p50, p99] = percentiles;
        assert!((p50 - 50.0).abs() < 1.0 && (p99 - 99.0).abs() < 1.0, "{p50} {p99}");
        assert_eq!(measured.seconds[0].refused_ms(99.0), None);
        assert!((measured.accepted_ms(99.0) - 99.0).abs() < 0.1);
    }

    #[test]
    fn several_seconds_are_summed_up() {
        let measured = record(&[
            (Outcome::Status(201), 500, 10),
            (Outcome::Status(201), 1_500, 100),
            (Outcome::Status(503), 1_600, 1),
            (Outcome::Status(201), 2_500, 200),
            (Outcome::Socket, 3_500, 1),
        ]);
        let span = measured.during(1..3);
        assert_eq!((span.offered, span.accepted, span.refused, span.failed), (3, 2, 1, 0));
        assert_eq!((span.goodput, span.last_turned_away), (2, Some(1_600 * MS)));
        assert!(span.accepted_ms(0.0).is_some_and(|ms| (ms - 100.0).abs() < 1.0));
        assert!(span.accepted_ms(100.0).is_some_and(|ms| (ms - 200.0).abs() < 2.0));
        assert_eq!(measured.during(3..99).offered, 1);
    }
}
