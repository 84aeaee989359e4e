//! Code and comments that are refused, everywhere or in certain places.

use super::{
    finding::Finding,
    source::{Line, has_word, is_of_name},
    tree::{File, Tree},
};

/// The comment, with a reason behind it, on a test that has to wait for real.
const PACED: &str = "tidy: paced";

/// Code that is refused in certain lines of certain files.
struct Rule {
    applies_to: fn(&File) -> bool,
    part: Part,
    is_refused: fn(&str) -> bool,
    what: &'static str,
    do_this: &'static str,
}

#[derive(PartialEq, Eq)]
enum Part {
    Production,
    Tests,
    All,
}

/// clippy refuses `#[allow]` (`allow_attributes`), but no inner attribute.
const RULES: [Rule; 5] = [
    Rule {
        applies_to: |file| !may_read_environment(file),
        part: Part::Production,
        is_refused: reads_environment,
        what: "the environment is read here",
        do_this: "read it in the crate's config.rs, and pass the value on",
    },
    Rule {
        applies_to: |_| true,
        part: Part::All,
        is_refused: |code| code.contains("#![allow("),
        what: "a lint is switched off for good",
        do_this: "write #![expect(lint, reason = \"…\")], which warns once it is not needed",
    },
    Rule {
        applies_to: |_| true,
        part: Part::All,
        is_refused: |code| code.contains("#[ignore"),
        what: "a test that does not run",
        do_this: "make it run everywhere, or delete it",
    },
    Rule {
        applies_to: |_| true,
        part: Part::All,
        is_refused: |code| has_word(code, "should_panic"),
        what: "a test that passes with any panic",
        do_this: "return the error as a value, and assert on it",
    },
    Rule {
        applies_to: |_| true,
        part: Part::Tests,
        is_refused: sleeps,
        what: "a test that sleeps",
        do_this: "await what the test waits for, or pause the clock; if it is paced on purpose, \
                  end the line with `// tidy: paced, because …`",
    },
];

pub(super) fn refused_code_is_absent(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust_files() {
        let production = file.production_lines();
        for rule in RULES.iter().filter(|rule| (rule.applies_to)(file)) {
            for (number, line) in source.numbered() {
                let in_part = match rule.part {
                    Part::Production => number <= production,
                    Part::Tests => number > production && !is_paced(&source.lines, number),
                    Part::All => true,
                };
                if in_part && (rule.is_refused)(&line.code) {
                    findings.push(Finding::at(&file.path, number, rule.what, rule.do_this));
                }
            }
        }
    }
    findings
}

fn may_read_environment(file: &File) -> bool {
    file.path.starts_with("tools/") || ["config.rs", "logs.rs", "build.rs"].contains(&file.name())
}

/// Directly, through a library, or from a table of settings, as in `env.required("PORT")`.
fn reads_environment(code: &str) -> bool {
    let direct = ["env::var", "from_env(\"", "from_default_env"];
    direct.iter().any(|read| code.contains(read))
        || code.match_indices("env.").any(|(at, table)| {
            let method = code[at + table.len()..].trim_start_matches(is_of_name);
            let is_table = !code[..at].ends_with(is_of_name);
            is_table && (method == "(" || method.starts_with("(\""))
        })
}

fn sleeps(code: &str) -> bool {
    ["sleep", "sleep_until", "sleep_ms"].iter().any(|call| {
        has_word(code, call) && (code.contains(&format!("{call}(")) || code.contains("time::sleep"))
    })
}

/// The comment may be on the line itself or on the one above.
fn is_paced(lines: &[Line], number: usize) -> bool {
    lines[number.saturating_sub(2)..number].iter().any(|line| {
        let reason = line.comment.split_once(PACED).map_or("", |(_, reason)| reason);
        reason.chars().any(char::is_alphabetic)
    })
}

pub(super) fn nothing_is_left_for_later(tree: &Tree) -> Vec<Finding> {
    const MARK: &str = "FIXME";
    let mut findings = Vec::new();
    // Prose may mention the mark.
    let code = |file: &&File| file.is_written_by_hand() && file.extension() != Some("md");
    for file in tree.files().filter(code) {
        let comments: Vec<&str> = match file.source() {
            Some(source) => source.lines.iter().map(|line| line.comment.as_str()).collect(),
            None => file.text.lines().collect(),
        };
        for (index, _) in comments.iter().enumerate().filter(|(_, text)| has_word(text, MARK)) {
            let advice = "fix it now, or write a TODO that names an issue";
            findings.push(Finding::at(&file.path, index + 1, "a known defect", advice));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
