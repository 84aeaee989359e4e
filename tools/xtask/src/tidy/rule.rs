//! What a check finds, and the checks that look at one line after another.

use std::fmt;

use super::{
    source::Line,
    tree::{File, Tree},
};

/// A place that breaks a rule, with advice.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    pub(super) path: String,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) what: String,
    do_this: &'static str,
}

impl Finding {
    pub(super) fn at(
        path: &str,
        line: usize,
        what: impl Into<String>,
        do_this: &'static str,
    ) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), do_this }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, do_this } = self;
        write!(formatter, "{path}:{line}: {what}\n    what to do: {do_this}")
    }
}

/// What is refused in each line of certain files.
pub(super) struct Rule {
    pub(super) applies_to: fn(&File) -> bool,
    pub(super) part: Part,
    /// Says what is wrong with the line.
    pub(super) refused: fn(&File, &Line) -> Vec<String>,
    pub(super) do_this: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Part {
    Production,
    Tests,
    All,
}

impl Rule {
    pub(super) fn findings(&self, tree: &Tree) -> Vec<Finding> {
        let mut findings = Vec::new();
        for file in tree.files().filter(|file| (self.applies_to)(file)) {
            let (production, tests) = file.lines.split_at(file.production_lines);
            let lines = match self.part {
                Part::Production => production,
                Part::Tests => tests,
                Part::All => &file.lines,
            };
            for line in lines {
                let refused = (self.refused)(file, line).into_iter();
                findings.extend(
                    refused.map(|what| Finding::at(&file.path, line.number, what, self.do_this)),
                );
            }
        }
        findings
    }
}

/// The answer of a rule with one thing to say.
pub(super) fn if_so(is_refused: bool, what: &str) -> Vec<String> {
    if is_refused { vec![what.to_owned()] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_displayed_with_its_place_and_advice() {
        let finding = Finding::at("a.rs", 3, "a tab", "indent with spaces");
        assert_eq!(finding.to_string(), "a.rs:3: a tab\n    what to do: indent with spaces");
    }
}
