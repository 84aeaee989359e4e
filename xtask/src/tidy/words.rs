//! Words that stand only in certain places, or nowhere.

use super::{
    Finding,
    source::{Source, has_word, is_of_name},
    tree::{File, Tree},
};

/// What a line carries, with the reason behind it, when a test has to wait for real.
const PACED: &str = "tidy: paced";

pub(super) fn environment_is_read_in_one_place(tree: &Tree) -> Vec<Finding> {
    let may_read = |file: &File| {
        file.path.starts_with("xtask/") || ["config.rs", "build.rs"].contains(&file.name())
    };
    let mut findings = Vec::new();
    for (file, source) in tree.rust_files().filter(|(file, _)| !may_read(file)) {
        for (number, line) in source.numbered().take(file.production_lines()) {
            if reads_environment(&line.code) {
                findings.push(Finding::at(
                    &file.path,
                    number,
                    "the environment is read here",
                    "read it in the crate's config.rs, and hand on the value",
                ));
            }
        }
    }
    findings
}

/// Directly, through a library, or by asking a table of settings, as in `env.required("PORT")`.
fn reads_environment(code: &str) -> bool {
    let direct = ["env::var", "from_env(\"", "from_default_env"];
    direct.iter().any(|read| code.contains(read))
        || code.match_indices("env.").any(|(at, table)| {
            let method = code[at + table.len()..].trim_start_matches(is_of_name);
            let is_table = !code[..at].ends_with(is_of_name);
            is_table && (method == "(" || method.starts_with("(\""))
        })
}

pub(super) fn lints_are_expected_not_allowed(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust_files() {
        for (number, line) in source.numbered() {
            if line.code.contains("#[allow(") || line.code.contains("#![allow(") {
                findings.push(Finding::at(
                    &file.path,
                    number,
                    "a lint is switched off for good",
                    "write #[expect(lint, reason = \"…\")], which speaks up once it is not needed",
                ));
            }
        }
    }
    findings
}

pub(super) fn nothing_is_left_for_later(tree: &Tree) -> Vec<Finding> {
    const MARK: &str = "FIXME";
    let mut findings = Vec::new();
    for file in tree.files().filter(|file| may_be_marked(file)) {
        let marked: Vec<usize> = match file.source() {
            Some(source) => marked_comments(source, MARK),
            None => marked_lines(&file.text, MARK),
        };
        findings.extend(marked.into_iter().map(|line| {
            Finding::at(
                &file.path,
                line,
                "something is known to be broken",
                "mend it now, or write a TODO that names an issue",
            )
        }));
    }
    findings
}

/// Prose may speak about the mark.
fn may_be_marked(file: &File) -> bool {
    file.is_written_by_hand() && file.extension() != Some("md")
}

fn marked_comments(source: &Source, mark: &str) -> Vec<usize> {
    let comments = source.numbered().filter(|(_, line)| has_word(&line.comment, mark));
    comments.map(|(number, _)| number).collect()
}

fn marked_lines(text: &str, mark: &str) -> Vec<usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| has_word(line, mark));
    lines.map(|(index, _)| index + 1).collect()
}

pub(super) fn tests_always_run_and_never_wait(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust_files() {
        let production = file.production_lines();
        let mut found = |line, what, do_this| {
            findings.push(Finding::at(&file.path, line, what, do_this));
        };
        for (number, line) in source.numbered() {
            if line.code.contains("#[ignore") {
                found(number, "a test that nobody runs", "make it run everywhere, or delete it");
            }
            if has_word(&line.code, "should_panic") {
                found(
                    number,
                    "a test that any panic pleases",
                    "return the error as a value, and assert on it",
                );
            }
            if number > production && sleeps(&line.code) && !is_paced(source, number) {
                found(
                    number,
                    "a test that waits for real",
                    "await what the test waits for, or pause the clock; if it is paced on purpose, \
                     end the line with `// tidy: paced, because …`",
                );
            }
        }
    }
    findings
}

fn sleeps(code: &str) -> bool {
    ["sleep", "sleep_until", "sleep_ms"].iter().any(|call| {
        has_word(code, call) && (code.contains(&format!("{call}(")) || code.contains("time::sleep"))
    })
}

/// The comment may stand on the line itself or, where that grows too long, on the one above.
fn is_paced(source: &Source, number: usize) -> bool {
    let above = number.saturating_sub(2);
    source.lines[above..number].iter().any(|line| {
        let reason = line.comment.split_once(PACED).map_or("", |(_, reason)| reason);
        reason.chars().any(char::is_alphabetic)
    })
}

#[cfg(test)]
mod tests;
