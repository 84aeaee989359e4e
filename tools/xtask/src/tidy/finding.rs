//! What a check finds.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_displayed_with_its_place_and_advice() {
        let finding = Finding::at("a.rs", 3, "a tab", "indent with spaces");
        assert_eq!(finding.to_string(), "a.rs:3: a tab\n    what to do: indent with spaces");
    }
}
