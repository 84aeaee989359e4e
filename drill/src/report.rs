//! What a drill came to: a verdict with its reasons, figures, and charts.

use std::{fmt, time::Duration};

use serde_json::{Value, json};

use crate::{audit::Audit, chart::Chart, load::summary::Outcome, seen::Seen};

mod page;

/// No answer takes longer: 3.2 s, and what a busy machine adds.
const LONGEST: Duration = Duration::from_millis(3_500);

/// How many discrepancies of an audit stand in a report; the file for programs has more.
const NAMED_MAX: usize = 5;

/// What a drill came to.
#[derive(Debug, Default)]
pub struct Report {
    /// As it is typed.
    pub name: &'static str,
    /// What was rehearsed, in a sentence or two.
    pub about: String,
    /// Whether it passed: all of them must.
    pub checks: Vec<Check>,
    /// What else is worth knowing: a name and a value with its unit.
    pub facts: Vec<(String, String)>,
    /// What it says beside its figures: what it stands for, and what it does not.
    pub notes: Vec<String>,
    /// In the order of the page.
    pub charts: Vec<Chart>,
    /// Everything measured, for programs.
    pub figures: Value,
}

/// Something that must be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What must be so.
    pub what: String,
    /// What was found.
    pub found: String,
    /// Whether it was so.
    pub passed: bool,
}

impl Report {
    /// With nothing in it yet.
    pub(crate) fn of(name: &'static str, about: impl Into<String>) -> Self {
        Self { name, about: about.into(), ..Self::default() }
    }

    /// Whether everything was as it must be, and something was looked at.
    pub fn passed(&self) -> bool {
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

    pub(crate) fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push((name.into(), value.into()));
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Everybody was booked, or told "sold out" or when to come back, and in time.
    pub(crate) fn answered(&mut self, seen: &Seen) {
        let raw = seen.count(|outcome| {
            !matches!(outcome, Outcome::Status(201 | 409) | Outcome::PromisedLater(_))
        });
        let found = format!("{raw} of {} do", seen.answers().len());
        self.check(raw == 0, "nobody sees a raw error", found);
        self.in_time(seen);
    }

    /// No answer took longer than [`LONGEST`].
    pub(crate) fn in_time(&mut self, seen: &Seen) {
        let longest = seen.longest();
        let what = format!("no answer takes longer than {}", seconds(LONGEST));
        self.check(longest <= LONGEST, what, milliseconds(longest));
    }

    /// What the ledgers say, as a reason of the verdict.
    pub(crate) fn audited(&mut self, audit: &Audit) {
        self.check(audit.is_clean(), "the ledgers of all parts agree", audit.to_string());
        for what in audit.named.iter().take(NAMED_MAX) {
            self.note(format!("Audit: {what}"));
        }
    }

    /// Everything, for programs.
    pub fn json(&self) -> String {
        let check = |check: &Check| json!({"what": check.what, "found": check.found, "passed": check.passed});
        let facts: serde_json::Map<String, Value> =
            self.facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let all = json!({
            "drill": self.name,
            "passed": self.passed(),
            "about": self.about,
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
            "facts": facts,
            "notes": self.notes,
            "figures": self.figures,
        });
        format!("{all:#}\n")
    }

    /// A page that needs nothing else: no script, no network.
    pub fn html(&self) -> String {
        page::html(self)
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
        let mut report = Report::of("crash", "Kills.");
        for passed in checks {
            report.check(*passed, "nothing is <lost>", "0");
        }
        report.fact("rounds", "3");
        report
    }

    #[test]
    fn one_reason_is_enough_to_fail_and_none_is_not_enough_to_pass() {
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
    fn programs_read_the_same() {
        let json: Value = serde_json::from_str(&report(&[true]).json()).expect("JSON");
        assert_eq!((&json["passed"], &json["facts"]["rounds"]), (&json!(true), &json!("3")));
    }

    #[test]
    fn the_page_fetches_nothing_and_lets_nothing_break_out() {
        let mut report = report(&[false]);
        report.charts.push(Chart::default());
        report.note("<script>alert(1)</script>");
        let html = report.html();
        let elsewhere = html.replace("http://www.w3.org/2000/svg", "");
        for fetch in ["http:", "https:", "url(", "@import", "<script", "<link", "<img", "src="] {
            assert!(!elsewhere.contains(fetch), "{fetch} in {html}");
        }
        assert!(html.contains("nothing is &lt;lost&gt;") && html.contains("default-src 'none'"));
    }
}
