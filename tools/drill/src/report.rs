//! The result of a drill: a verdict with its reasons, figures, and charts.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    audit::Audit,
    chart::{Chart, Mark},
    load::summary::Outcome,
    observations::Observations,
};

/// The limit of every response time: 3.2 s, and some slack for a busy machine.
const LONGEST: Duration = Duration::from_millis(3_500);

/// How many findings of an audit the report quotes; the JSON file has more.
const FINDINGS_MAX: usize = 5;

/// The result of a drill.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The subcommand.
    pub(crate) name: &'static str,
    /// What was drilled, in a sentence or two.
    pub(crate) about: String,
    /// The reasons of the verdict: all of them must pass.
    pub(crate) checks: Vec<Check>,
    /// Further figures: a name and a value with its unit.
    pub(crate) facts: Vec<(String, String)>,
    /// What the figures stand for, and what they do not.
    pub(crate) notes: Vec<String>,
    /// In the order of the page.
    pub(crate) charts: Vec<Chart>,
    /// Everything measured, for programs.
    pub(crate) figures: Value,
}

/// A requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// The requirement, in words.
    pub(crate) what: String,
    /// What was found.
    pub(crate) found: String,
    /// Whether it was met.
    pub(crate) passed: bool,
}

impl Report {
    pub(crate) fn new(name: &'static str, about: impl Into<String>) -> Self {
        Self { name, about: about.into(), ..Self::default() }
    }

    /// Whether every check passed, and there was one.
    pub(crate) fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }

    pub(crate) fn check(
        &mut self,
        passed: bool,
        what: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.checks.push(Check { what: what.into(), found: found.into(), passed });
    }

    /// A check that something happened, with what is found if it did not.
    pub(crate) fn check_time(
        &mut self,
        after: Option<Duration>,
        what: impl Into<String>,
        never: &str,
    ) {
        let found = after.map_or(never.to_owned(), |after| format!("after {}", seconds(after)));
        self.check(after.is_some(), what, found);
    }

    pub(crate) fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push((name.into(), value.into()));
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Every response is "booked", "sold out" or has Retry-After, and is in time.
    pub(crate) fn check_responses(&mut self, observations: &Observations) {
        let raw = observations.count(|outcome| {
            !matches!(outcome, Outcome::Status(201 | 409) | Outcome::RetryLater(_))
        });
        let found = format!("{raw} of {} do", observations.all().len());
        self.check(raw == 0, "no request ends in a raw error", found);
        self.check_response_times(observations);
    }

    /// No response took longer than [`LONGEST`].
    pub(crate) fn check_response_times(&mut self, observations: &Observations) {
        let longest = observations.longest();
        let what = format!("no response takes longer than {}", seconds(LONGEST));
        self.check(longest <= LONGEST, what, milliseconds(longest));
    }

    /// Adds what every report ends with: the audit, the outcomes, two charts, and their figures beside
    /// those of the drill.
    pub(crate) fn conclude(
        &mut self,
        observations: &Observations,
        audit: Option<&Audit>,
        marks: &[Mark],
        figures: Value,
    ) {
        if let Some(audit) = audit {
            let what = "the ledgers of all services agree";
            self.check(audit.is_clean(), what, audit.to_string());
            let findings = audit.findings.iter().take(FINDINGS_MAX);
            self.notes.extend(findings.map(|finding| format!("Audit: {finding}")));
        }
        let outcomes: BTreeMap<_, _> = observations.outcomes().into_iter().collect();
        for (name, count) in &outcomes {
            self.fact(*name, count.to_string());
        }
        self.charts.push(observations.outcome_chart(marks));
        self.charts.push(observations.latency_chart(marks));
        self.figures = figures;
        self.figures["responses"] = json!(outcomes);
        self.figures["longest_response_ms"] = json!(observations.longest().as_millis());
        self.figures["audit"] = json!(audit);
    }

    /// Everything, for programs.
    pub(crate) fn json(&self) -> String {
        let facts: BTreeMap<_, _> = self.facts.iter().cloned().collect();
        let all = json!({
            "drill": self.name,
            "passed": self.passed(),
            "about": self.about,
            "checks": self.checks,
            "facts": facts,
            "notes": self.notes,
            "figures": self.figures,
        });
        format!("{all:#}\n")
    }

    pub(crate) fn verdict(&self) -> &'static str {
        match (self.name, self.passed()) {
            ("opening-day", true) => "go",
            ("opening-day", false) => "no-go",
            (_, true) => "passed",
            (_, false) => "failed",
        }
    }
}

/// The verdict and its reasons, for a terminal.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}: {}", self.name, self.verdict())?;
        for Check { what, found, passed } in &self.checks {
            writeln!(out, "  {}  {what}: {found}", if *passed { "ok  " } else { "FAIL" })?;
        }
        let width = self.facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &self.facts {
            writeln!(out, "        {name:<width$}  {value}")?;
        }
        for note in &self.notes {
            writeln!(out, "        {note}")?;
        }
        Ok(())
    }
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(checks: &[bool]) -> Report {
        let mut report = Report::new("crash", "Kills.");
        for passed in checks {
            report.check(*passed, "nothing is <lost>", "0");
        }
        report.fact("rounds", "3");
        report
    }

    #[test]
    fn one_failed_check_fails_a_drill_and_no_check_does_not_pass_it() {
        let verdicts = [&[][..], &[true], &[true, false]].map(|checks| report(checks).passed());
        assert_eq!(verdicts, [false, true, false]);
    }

    #[test]
    fn the_terminal_shows_the_verdict_with_its_reasons() {
        let text = report(&[true, false]).to_string();
        let expected = "crash: failed\n  ok    nothing is <lost>: 0\n  FAIL  nothing is <lost>: 0\n        \
                        rounds  3\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_json_has_the_same_content() {
        let json: Value = serde_json::from_str(&report(&[true]).json()).expect("JSON");
        assert_eq!((&json["passed"], &json["facts"]["rounds"]), (&json!(true), &json!("3")));
        assert_eq!(json["checks"][0]["what"], "nothing is <lost>");
    }
}
