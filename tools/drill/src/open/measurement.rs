//! The result of an open load: in total, and second by second.

use std::{ops::Range, time::Duration};

use hdrhistogram::Histogram;

use crate::{
    load::summary::{Outcome, Summary, latencies, milliseconds},
    response::RequestError,
};

/// The result of an open load. Latencies are measured from the intended starts, in microseconds.
#[derive(Debug)]
pub struct Measurement {
    /// Every request of the schedule, and how it ended.
    pub summary: Summary,
    /// How much later than intended requests were sent: the generator's own share of every latency.
    /// Sending is paced in steps of a millisecond.
    pub lateness: Histogram<u64>,
    /// The whole load, second by second.
    pub seconds: Vec<Span>,
}

/// How the requests with an intended start within a span of time ended.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// How many requests there were.
    pub offered: u64,
    /// Responses 2xx (but not 202) or 409.
    pub accepted: u64,
    /// Responses 202: the request is in the waiting queue.
    pub queued: u64,
    /// Responses 503 or 429 with Retry-After.
    pub retry_later: u64,
    /// Responses 503 or 429 without it.
    pub refused: u64,
    /// Other responses, or none.
    pub failed: u64,
    /// Not sent, because too many were in flight.
    pub not_sent: u64,
    /// How many requests, whatever their intended start, had their accepting response within this span,
    /// and no later after their intended start than the load's `useful_within`.
    pub goodput: u64,
    /// The latest intended start of a request that was neither accepted nor queued.
    pub last_rejected: Option<Duration>,
    accepted_took: Vec<Duration>,
    refused_took: Vec<Duration>,
}

impl Default for Measurement {
    fn default() -> Self {
        Self { summary: Summary::default(), lateness: latencies([]), seconds: Vec::new() }
    }
}

impl Measurement {
    /// The sum of several seconds; seconds after the end are left out.
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

    /// A request of that intended start has a response, so much later than that.
    pub(super) fn responded(
        &mut self,
        outcome: Outcome,
        intended: Duration,
        took: Duration,
        is_useful: bool,
    ) {
        self.summary.record_response(outcome, took);
        let second = self.ended(outcome, intended);
        match outcome {
            Outcome::Status(200..300 | 409) => {
                second.accepted_took.push(took);
                if is_useful && outcome != QUEUED {
                    self.second(intended + took).goodput += 1;
                }
            }
            Outcome::Status(429 | 503) | Outcome::RetryLater(_) => second.refused_took.push(took),
            Outcome::Status(_) | Outcome::Socket | Outcome::NotSent => {}
        }
    }

    /// A request of that intended start has no response.
    pub(super) fn failed(&mut self, error: RequestError, intended: Duration) {
        self.summary.record_error(error);
        self.ended(Outcome::Socket, intended);
    }

    /// A request was not sent, because too many were in flight.
    pub(super) fn not_sent(&mut self, intended: Duration) {
        self.summary.record(Outcome::NotSent);
        self.ended(Outcome::NotSent, intended);
    }

    fn ended(&mut self, outcome: Outcome, intended: Duration) -> &mut Span {
        let second = self.second(intended);
        second.offered += 1;
        *match outcome {
            QUEUED => &mut second.queued,
            Outcome::Status(200..300 | 409) => &mut second.accepted,
            Outcome::RetryLater(_) => &mut second.retry_later,
            Outcome::Status(429 | 503) => &mut second.refused,
            Outcome::Status(_) | Outcome::Socket => &mut second.failed,
            Outcome::NotSent => &mut second.not_sent,
        } += 1;
        if !matches!(outcome, Outcome::Status(200..300 | 409)) {
            second.last_rejected = second.last_rejected.max(Some(intended));
        }
        second
    }

    /// The second that a time lies in. They are as many as the longest schedule and the longest
    /// response time make.
    fn second(&mut self, time: Duration) -> &mut Span {
        let number = usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
        if self.seconds.len() <= number {
            self.seconds.resize_with(number + 1, Span::default);
        }
        &mut self.seconds[number]
    }
}

impl Span {
    /// The latency that `percent` of the accepted did not exceed, in milliseconds; none where nothing
    /// was accepted.
    pub fn accepted_ms(&self, percent: f64) -> Option<f64> {
        percentile_ms(&self.accepted_took, percent)
    }

    /// The latency that `percent` of the refused did not exceed, in milliseconds; none where nothing
    /// was refused.
    pub fn refused_ms(&self, percent: f64) -> Option<f64> {
        percentile_ms(&self.refused_took, percent)
    }

    fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.accepted += other.accepted;
        self.queued += other.queued;
        self.retry_later += other.retry_later;
        self.refused += other.refused;
        self.failed += other.failed;
        self.not_sent += other.not_sent;
        self.goodput += other.goodput;
        self.last_rejected = self.last_rejected.max(other.last_rejected);
        self.accepted_took.extend(&other.accepted_took);
        self.refused_took.extend(&other.refused_took);
    }
}

/// The request is in the waiting queue.
const QUEUED: Outcome = Outcome::Status(202);

fn percentile_ms(took: &[Duration], percent: f64) -> Option<f64> {
    let took = latencies(took.iter().copied());
    (!took.is_empty()).then(|| milliseconds(took.value_at_percentile(percent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn measured(outcomes: &[(Outcome, u32, u32)]) -> Measurement {
        let mut measured = Measurement::default();
        for &(outcome, intended_ms, took_ms) in outcomes {
            let (intended, took) = (intended_ms * MS, took_ms * MS);
            match outcome {
                Outcome::Socket => measured.failed(RequestError::Closed, intended),
                Outcome::NotSent => measured.not_sent(intended),
                Outcome::Status(_) | Outcome::RetryLater(_) => {
                    measured.responded(outcome, intended, took, took <= 3_000 * MS);
                }
            }
        }
        measured
    }

    #[test]
    fn every_outcome_has_its_count_and_they_add_up() {
        let measured = measured(&[
            (Outcome::Status(201), 0, 1),
            (Outcome::Status(409), 1, 1),
            (Outcome::Status(202), 2, 1),
            (Outcome::RetryLater(503), 3, 1),
            (Outcome::Status(503), 4, 1),
            (Outcome::Status(500), 5, 1),
            (Outcome::Status(404), 6, 1),
            (Outcome::Socket, 7, 1),
            (Outcome::NotSent, 8, 1),
        ]);
        let second = &measured.seconds[0];
        assert_eq!(
            (second.accepted, second.queued, second.retry_later, second.refused),
            (2, 1, 1, 1)
        );
        assert_eq!((second.failed, second.not_sent, second.goodput), (3, 1, 2));
        assert_eq!((second.offered, measured.summary.sent), (9, 9));
        assert_eq!(second.last_rejected, Some(8 * MS));
    }

    #[test]
    fn goodput_counts_in_the_second_of_the_response_and_only_if_it_is_in_time() {
        let measured = measured(&[
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
    fn a_second_has_percentiles_or_none() {
        let accepted = (1..=100).map(|ms| (Outcome::Status(201), 0, ms));
        let measured = measured(&accepted.collect::<Vec<_>>());
        let percentiles = [50.0, 99.0].map(|p| measured.seconds[0].accepted_ms(p).unwrap_or(0.0));
        let [p50, p99] = percentiles;
        assert!((p50 - 50.0).abs() < 1.0 && (p99 - 99.0).abs() < 1.0, "{p50} {p99}");
        assert_eq!(measured.seconds[0].refused_ms(99.0), None);
    }

    #[test]
    fn several_seconds_are_summed_up() {
        let measured = measured(&[
            (Outcome::Status(201), 500, 10),
            (Outcome::Status(201), 1_500, 100),
            (Outcome::Status(503), 1_600, 1),
            (Outcome::Status(201), 2_500, 200),
            (Outcome::Socket, 3_500, 1),
        ]);
        let span = measured.during(1..3);
        assert_eq!((span.offered, span.accepted, span.refused, span.failed), (3, 2, 1, 0));
        assert_eq!((span.goodput, span.last_rejected), (2, Some(1_600 * MS)));
        assert!(span.accepted_ms(0.0).is_some_and(|ms| (ms - 100.0).abs() < 1.0));
        assert!(span.accepted_ms(100.0).is_some_and(|ms| (ms - 200.0).abs() < 2.0));
        assert_eq!(measured.during(3..99).offered, 1);
    }
}
