//! What was seen, second by second, as charts.

use std::time::Duration;

use super::{Answer, Seen};
use crate::{
    chart::{Chart, Mark, Scale, Series, Style},
    load::summary::{Outcome, latencies, micros},
};

const SECOND: Duration = Duration::from_secs(1);

/// What was over sooner is drawn in finer steps.
const SHORT: Duration = Duration::from_secs(10);

type Kind = fn(Outcome) -> bool;

/// The ways in which a request ends, as they are told apart in charts and tables.
const KINDS: [(&str, Kind); 7] = [
    ("201 booked", |outcome| outcome == Outcome::Status(201)),
    ("202 in line", |outcome| outcome == Outcome::Status(202)),
    ("409 sold out", |outcome| outcome == Outcome::Status(409)),
    ("503 come back in …", |outcome| matches!(outcome, Outcome::PromisedLater(_))),
    ("503 no promise", |outcome| outcome == Outcome::Status(503)),
    ("no answer", |outcome| matches!(outcome, Outcome::Socket | Outcome::NotSent)),
    ("other", |outcome| match outcome {
        Outcome::Status(status) => !matches!(status, 201 | 202 | 409 | 503),
        Outcome::PromisedLater(_) | Outcome::Socket | Outcome::NotSent => false,
    }),
];

impl Seen {
    /// How many ended in each way; what there was none of is left out.
    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let counts = KINDS.map(|(name, counts)| (name, self.count(counts)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// How requests ended, per second.
    pub fn outcome_chart(&self, marks: &[Mark]) -> Chart {
        let present = self.outcomes();
        let kinds = KINDS.iter().filter(|(name, _)| present.iter().any(|(found, _)| found == name));
        let series = kinds.map(|(name, counts)| {
            let style = if *name == KINDS[0].0 { Style::Area } else { Style::Line };
            let counted = self.over_time(|answers, step| {
                let found = answers.iter().filter(|answer| counts(answer.outcome)).count();
                f64::from(u32::try_from(found).unwrap_or(u32::MAX)) / step.as_secs_f64()
            });
            Series { name: (*name).to_owned(), style, points: counted }
        });
        Chart {
            title: "How requests ended".to_owned(),
            x_label: "time (s)".to_owned(),
            y_label: "requests (1/s)".to_owned(),
            y_scale: Scale::Linear,
            series: series.collect(),
            marks: marks.to_vec(),
        }
    }

    /// How long answers took, per second.
    pub fn latency_chart(&self, marks: &[Mark]) -> Chart {
        let series = [(50.0, "half of them"), (99.0, "99 %"), (100.0, "the longest")];
        let series = series.map(|(percent, name)| {
            let points = self.over_time(|answers, _| {
                let mut latency = latencies();
                for answer in answers.iter().filter(|answer| answer.outcome != Outcome::Socket) {
                    latency.saturating_record(micros(answer.took));
                }
                let micros = latency.value_at_percentile(percent);
                f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1_000.0
            });
            Series { name: name.to_owned(), style: Style::Line, points }
        });
        Chart {
            title: "How long answers took".to_owned(),
            x_label: "time (s)".to_owned(),
            y_label: "latency (ms)".to_owned(),
            y_scale: Scale::Logarithmic,
            series: series.to_vec(),
            marks: marks.to_vec(),
        }
    }

    /// A value for each second, at its middle; for each tenth where it was over soon.
    fn over_time(&self, value: impl Fn(&[Answer], Duration) -> f64) -> Vec<(f64, f64)> {
        let Some(last) = self.answers.last() else { return Vec::new() };
        let step = if last.at < SHORT { SECOND / 10 } else { SECOND };
        let (mut rest, mut begin, mut points) = (&self.answers[..], Duration::ZERO, Vec::new());
        while begin <= last.at {
            let end = begin + step;
            let (these, others) = rest.split_at(rest.partition_point(|answer| answer.at < end));
            points.push(((begin + step / 2).as_secs_f64(), value(these, step)));
            (rest, begin) = (others, end);
        }
        points
    }
}
