//! Text and code that is refused, everywhere or in certain places.

use super::{
    rule::{Part, Rule, if_so},
    source::{has_word, is_of_name},
    tree::File,
};

/// The comment, with a reason behind it, on a test that has to wait for real.
const PACED: &str = "tidy: paced";

const PRODUCTION_LINES_MAX: usize = 500;

/// File names that fit any content. clippy refuses none of them.
const EMPTY_NAMES: [&str; 4] = ["mod.rs", "utils.rs", "helpers.rs", "common.rs"];

/// clippy refuses `#[allow]` (`allow_attributes`), but no inner attribute.
pub(super) const RULES: &[Rule] = &[
    Rule {
        applies_to: |file| file.is_rust() && !may_read_environment(file),
        part: Part::Production,
        refused: |_, line| if_so(reads_environment(&line.code), "the environment is read here"),
        do_this: "read it in the crate's config.rs, and pass the value on",
    },
    Rule {
        applies_to: File::is_rust,
        part: Part::All,
        refused: |_, line| {
            if_so(line.code.contains("#![allow("), "a lint is switched off for good")
        },
        do_this: "write #![expect(lint, reason = \"…\")], which warns once it is not needed",
    },
    Rule {
        applies_to: File::is_rust,
        part: Part::All,
        refused: |_, line| if_so(line.code.contains("#[ignore"), "a test that does not run"),
        do_this: "make it run everywhere, or delete it",
    },
    Rule {
        applies_to: File::is_rust,
        part: Part::All,
        refused: |_, line| {
            if_so(has_word(&line.code, "should_panic"), "a test that passes with any panic")
        },
        do_this: "return the error as a value, and assert on it",
    },
    Rule {
        applies_to: File::is_rust,
        part: Part::Tests,
        refused: |file, line| {
            if_so(sleeps(&line.code) && !is_paced(file, line.number), "a test that sleeps")
        },
        do_this: "await what the test waits for, or pause the clock; if it is paced on purpose, \
                  end the line with `// tidy: paced, because …`",
    },
    Rule {
        // Prose may mention the mark.
        applies_to: |file| file.is_written_by_hand() && file.extension() != Some("md"),
        part: Part::All,
        refused: |_, line| if_so(has_word(&line.comment, "FIXME"), "a known defect"),
        do_this: "fix it now, or write a TODO that names an issue",
    },
    Rule {
        // rustfmt checks Rust files only.
        applies_to: File::is_written_by_hand,
        part: Part::All,
        refused: |_, line| if_so(line.text.ends_with([' ', '\t', '\r']), "trailing whitespace"),
        do_this: "delete it; an editor can do so when it saves",
    },
    Rule {
        applies_to: File::is_rust,
        part: Part::All,
        refused: |file, line| {
            let begun = ["//!", "#![doc = include_str!"];
            let is_open = begun.iter().any(|begun| file.text.starts_with(begun));
            if_so(line.number == 1 && !is_open, "the file has no documentation")
        },
        do_this: "open it with `//!` and a sentence that says what the file is for",
    },
    Rule {
        applies_to: |file| EMPTY_NAMES.contains(&file.name()),
        part: Part::All,
        refused: |_, line| if_so(line.number == 1, "the name of the file fits any file"),
        do_this: "name the file after its subject; a module `foo` is foo.rs next to foo/",
    },
    Rule {
        applies_to: File::is_rust,
        part: Part::Production,
        refused: |_, line| {
            if_so(line.number == PRODUCTION_LINES_MAX + 1, "more than 500 lines before the tests")
        },
        do_this: "move one of its subjects into a file of its own",
    },
];

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
fn is_paced(file: &File, number: usize) -> bool {
    file.lines[number.saturating_sub(2)..number].iter().any(|line| {
        let reason = line.comment.split_once(PACED).map_or("", |(_, reason)| reason);
        reason.chars().any(char::is_alphabetic)
    })
}

#[cfg(test)]
mod tests;
