//! Observations second by second, as charts.

use std::time::Duration;

use super::{Observation, Observations};
use crate::{
    chart::{Chart, Mark, Series, Style, axis::Scale},
    load::summary::Outcome,
};

const SECOND: Duration = Duration::from_secs(1);

/// Shorter loads are drawn in finer steps.
const SHORT: Duration = Duration::from_secs(10);

type Kind = fn(Outcome) -> bool;

/// The outcomes that charts and tables distinguish.
const KINDS: [(&str, Kind); 7] = [
    ("201 booked", |outcome| outcome == Outcome::Status(201)),
    ("202 queued", |outcome| outcome == Outcome::Status(202)),
    ("409 sold out", |outcome| outcome == Outcome::Status(409)),
    ("503 with Retry-After", |outcome| matches!(outcome, Outcome::RetryLater(_))),
    ("503 without Retry-After", |outcome| outcome == Outcome::Status(503)),
    ("no response", |outcome| matches!(outcome, Outcome::Socket | Outcome::NotSent)),
    ("other", |outcome| match outcome {
        Outcome::Status(status) => !matches!(status, 201 | 202 | 409 | 503),
        Outcome::RetryLater(_) | Outcome::Socket | Outcome::NotSent => false,
    }),
];

impl Observations {
    /// How many requests had each outcome; outcomes of none are left out.
    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let counts = KINDS.map(|(name, counts)| (name, self.count(counts)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Outcomes per second.
    pub fn outcome_chart(&self, marks: &[Mark]) -> Chart {
        let present = self.outcomes();
        let kinds = KINDS.iter().filter(|(name, _)| present.iter().any(|(found, _)| found == name));
        let series = kinds.map(|(name, counts)| {
            let style = if *name == KINDS[0].0 { Style::Area } else { Style::Line };
            let counted = self.over_time(|observed, step| {
                let found = observed.iter().filter(|it| counts(it.outcome)).count();
                f64::from(u32::try_from(found).unwrap_or(u32::MAX)) / step.as_secs_f64()
            });
            Series::new(name, style, counted)
        });
        Chart::over_time("Outcomes", "requests (1/s)", series.collect(), marks)
    }

    /// Response times per second.
    pub fn latency_chart(&self, marks: &[Mark]) -> Chart {
        let series = [(50.0, "p50"), (99.0, "p99"), (100.0, "maximum")];
        let series = series.map(|(percent, name)| {
            let points = self.over_time(|observed, _| {
                let micros = Self::latencies(observed).value_at_percentile(percent);
                f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1_000.0
            });
            Series::new(name, Style::Line, points)
        });
        let chart = Chart::over_time("Response times", "latency (ms)", series.to_vec(), marks);
        Chart { y_scale: Scale::Logarithmic, ..chart }
    }

    /// A value for each second, at its middle; for each tenth of a second in a short load.
    fn over_time(&self, value: impl Fn(&[Observation], Duration) -> f64) -> Vec<(f64, f64)> {
        let Some(last) = self.0.last() else { return Vec::new() };
        let step = if last.ended_at < SHORT { SECOND / 10 } else { SECOND };
        let (mut rest, mut begin, mut points) = (&self.0[..], Duration::ZERO, Vec::new());
        while begin <= last.ended_at {
            let end = begin + step;
            let (these, others) = rest.split_at(rest.partition_point(|it| it.ended_at < end));
            points.push(((begin + step / 2).as_secs_f64(), value(these, step)));
            (rest, begin) = (others, end);
        }
        points
    }
}
