//! What was measured, as tables, as JSON, and as a page with charts.

use std::{fmt::Write, fs, path::Path};

use drill::{Broken, Chart, Mark, Scale, Series, Span, Style};
use serde_json::{Value, json};

use super::{
    Contestant, FACTORS, PEAK_USERS,
    scenario::{Phases, Trial},
};
use crate::machine;

/// Every figure of one run.
pub(super) struct Report {
    phases: Phases,
    store_delay_us: u32,
    machine: String,
    date: String,
    pub(super) peaks: Vec<(Contestant, f64)>,
    pub(super) trials: Vec<Trial>,
}

impl Report {
    pub(super) fn new(phases: Phases, store_delay_us: u32) -> Result<Self, Broken> {
        let (machine, date) = (machine::describe()?, machine::today()?);
        let (peaks, trials) = (Vec::new(), Vec::new());
        Ok(Self { phases, store_delay_us, machine, date, peaks, trials })
    }

    pub(super) fn tables(&self) -> String {
        let mut text = self.peak_table();
        for factor in FACTORS {
            text.push_str(&self.table(factor));
        }
        text
    }

    fn peak_table(&self) -> String {
        let mut text = format!(
            "\nWhat each can do: the best of closed loops of {PEAK_USERS:?} users, the store of vaccine \
             slowed by {} µs per command\n\n| | bookings |\n|---|---|\n",
            self.store_delay_us
        );
        for (contestant, peak) in &self.peaks {
            line(&mut text, &format!("| {} | {peak:.0}/s |", contestant.name()));
        }
        text
    }

    fn table(&self, factor: u32) -> String {
        let lasting = self.phases.fall - self.phases.rise;
        let mut text = format!(
            "\n{factor} times as much for {lasting} s\n\n\
             | | offered | goodput | of the peak | p99 of accepted | p99 of refused | refused, \
             promised later | refused, not promised | failed | not sent | memory before, highest, \
             after | accepted again after |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for trial in self.trials.iter().filter(|trial| trial.scenario.factor == factor) {
            line(&mut text, &self.row(trial));
        }
        text
    }

    fn row(&self, trial: &Trial) -> String {
        let span = trial.overload();
        let share =
            |count: u64| format!("{:.1} %", 100.0 * count_of(count) / count_of(span.offered));
        let again = trial
            .accepted_again_after()
            .map_or_else(|| "not".to_owned(), |after| format!("{:.2} s", after.as_secs_f64()));
        format!(
            "| {} | {:.0}/s | {:.0}/s | **{:.0} %** | {} | {} | {} | {} | {} | {} | {:.0}, {:.0}, \
             {:.0} MiB | {again} |",
            trial.scenario.contestant.name(),
            self.per_second(span.offered),
            self.per_second(span.goodput),
            100.0 * self.per_second(span.goodput) / trial.scenario.peak,
            milliseconds(span.accepted_ms(99.0)),
            milliseconds(span.refused_ms(99.0)),
            share(span.promised_later),
            share(span.refused),
            share(span.failed),
            share(span.not_sent),
            trial.memory.before,
            trial.memory.highest,
            trial.memory.after,
        )
    }

    /// Within the overload.
    fn per_second(&self, count: u64) -> f64 {
        count_of(count) / count_of(self.phases.fall - self.phases.rise)
    }

    pub(super) fn json(&self) -> String {
        let peaks: Vec<Value> = self
            .peaks
            .iter()
            .map(|(contestant, peak)| json!({"name": contestant.name(), "per_second": peak}))
            .collect();
        let trials: Vec<Value> = self.trials.iter().map(|trial| self.trial_json(trial)).collect();
        let figures = json!({
            "machine": self.machine,
            "date": self.date,
            "store_delay_us": self.store_delay_us,
            "load_rises_s": self.phases.rise,
            "load_falls_s": self.phases.fall,
            "peaks": peaks,
            "trials": trials,
        });
        format!("{figures:#}\n")
    }

    fn trial_json(&self, trial: &Trial) -> Value {
        let span = trial.overload();
        json!({
            "name": trial.scenario.contestant.name(),
            "factor": trial.scenario.factor,
            "offered_per_second": self.per_second(span.offered),
            "goodput_per_second": self.per_second(span.goodput),
            "goodput_of_peak": self.per_second(span.goodput) / trial.scenario.peak,
            "overload": counts(&span),
            "accepted_p50_ms": span.accepted_ms(50.0),
            "accepted_p99_ms": span.accepted_ms(99.0),
            "refused_p50_ms": span.refused_ms(50.0),
            "refused_p99_ms": span.refused_ms(99.0),
            "generator_late_p99_ms": trial.measured.lateness_ms(99.0),
            "memory_mib": {
                "before": trial.memory.before,
                "highest": trial.memory.highest,
                "after": trial.memory.after,
            },
            "accepted_again_after_s": trial.accepted_again_after().map(|after| after.as_secs_f64()),
            "seconds": trial.measured.seconds.iter().map(counts).collect::<Vec<_>>(),
        })
    }

    /// The page and its charts.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Broken> {
        let charts = folder.join("charts");
        fs::create_dir_all(&charts)?;
        for factor in FACTORS {
            let goodput = charts.join(format!("overload-{factor}x-goodput.svg"));
            fs::write(goodput, self.goodput_chart(factor).svg())?;
            let latency = charts.join(format!("overload-{factor}x-latency.svg"));
            fs::write(latency, self.latency_chart(factor).svg())?;
        }
        fs::write(folder.join("overload.md"), self.page())?;
        Ok(())
    }

    fn page(&self) -> String {
        let command = format!(
            "cargo xtask bench overload --seconds {} --store-delay-us {}",
            self.phases.fall - self.phases.rise,
            self.store_delay_us
        );
        let lateness =
            self.trials.iter().map(|trial| trial.measured.lateness_ms(99.0)).fold(0.0, f64::max);
        let mut page = include_str!("page.md")
            .replace("{machine}", &self.machine)
            .replace("{date}", &self.date)
            .replace("{command}", &command)
            .replace("{misses}", &self.misses())
            .replace("{lateness}", &format!("{lateness:.1}"));
        page.push_str(&self.peak_table());
        for factor in FACTORS {
            page.push_str(&self.table(factor));
            let _ = write!(
                page,
                "\n![Goodput over time at {factor} times the capacity](charts/overload-{factor}x-goodput.svg)\n\n\
                 ![Latency over time at {factor} times the capacity](charts/overload-{factor}x-latency.svg)\n"
            );
        }
        page
    }

    /// What of the aims that are numbers ours does not reach.
    fn misses(&self) -> String {
        let mut misses = Vec::new();
        for trial in &self.trials {
            if trial.scenario.contestant != Contestant::Ours {
                continue;
            }
            let span = trial.overload();
            let again = trial.accepted_again_after().map(|after| after.as_secs_f64());
            let is_over = |value: Option<f64>, limit: f64| value.is_some_and(|value| value > limit);
            for (is_missed, what) in [
                (self.per_second(span.goodput) < 0.9 * trial.scenario.peak, "goodput"),
                (is_over(span.accepted_ms(99.0), 1_000.0), "p99 of accepted"),
                (is_over(span.refused_ms(99.0), 20.0), "p99 of refused"),
                (again.is_none_or(|after| after > 2.0), "accepted again"),
            ] {
                if is_missed {
                    misses.push(format!("{what} at {} times", trial.scenario.factor));
                }
            }
        }
        if misses.is_empty() { "nothing".to_owned() } else { misses.join(", ") }
    }

    fn goodput_chart(&self, factor: u32) -> Chart {
        Chart {
            title: format!("Goodput at {factor} times the capacity"),
            y_label: "goodput (% of the peak)".to_owned(),
            series: self.series(factor, |trial, second| {
                100.0 * count_of(second.goodput) / trial.scenario.peak
            }),
            ..self.chart()
        }
    }

    fn latency_chart(&self, factor: u32) -> Chart {
        Chart {
            title: format!("99th percentile of accepted bookings at {factor} times the capacity"),
            y_label: "latency (ms)".to_owned(),
            y_scale: Scale::Logarithmic,
            series: self.series(factor, |_, second| second.accepted_ms(99.0).unwrap_or(f64::NAN)),
            ..self.chart()
        }
    }

    fn chart(&self) -> Chart {
        let mark = |second: u64, name: &str| Mark { x: count_of(second), name: name.to_owned() };
        Chart {
            x_label: "time (s)".to_owned(),
            marks: vec![mark(self.phases.rise, "load rises"), mark(self.phases.fall, "load falls")],
            ..Chart::default()
        }
    }

    fn series(&self, factor: u32, value: impl Fn(&Trial, &Span) -> f64) -> Vec<Series> {
        let trials = self.trials.iter().filter(|trial| trial.scenario.factor == factor);
        trials
            .map(|trial| {
                // In the middle of its second.
                let middles = (0..self.phases.end).map(|second| count_of(second) + 0.5);
                let seconds = middles.zip(&trial.measured.seconds);
                let is_ours = trial.scenario.contestant == Contestant::Ours;
                Series {
                    name: trial.scenario.contestant.name().to_owned(),
                    style: if is_ours { Style::Area } else { Style::Line },
                    points: seconds.map(|(x, second)| (x, value(trial, second))).collect(),
                }
            })
            .collect()
    }
}

fn counts(span: &Span) -> Value {
    json!({
        "offered": span.offered,
        "accepted": span.accepted,
        "queued": span.queued,
        "promised_later": span.promised_later,
        "refused": span.refused,
        "failed": span.failed,
        "not_sent": span.not_sent,
        "goodput": span.goodput,
    })
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1} ms"))
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn count_of(count: u64) -> f64 {
    count as f64
}
