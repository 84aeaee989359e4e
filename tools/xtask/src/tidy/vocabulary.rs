//! The words of docs, code, comments, logs and metrics are the standard terms of the field: those of
//! the list below are refused. Names are split into their words, so that `events_told_total` and
//! `EventsTold` contain the word "told".

use super::{
    rule::{Part, Rule},
    source::{Line, has_word},
    tree::File,
};

/// Refused words, with the word to use. A lower-case word or phrase is refused in any case and
/// spelling (`come back`, `come_back`, `ComeBack`); a capitalised one only as a whole name.
const REFUSED: &[(&[&str], &str)] = &[
    (&["teller", "tellers"], "publisher"),
    (&["told"], "published, notified, answered"),
    (&["hears", "heard", "hearing", "unheard"], "consume, consumed, consumer"),
    (&["parked", "put aside"], "dead-lettered"),
    (&["left in peace", "leave in peace"], "circuit open"),
    (&["come back", "comes back", "coming back"], "retry later"),
    (&["turned away", "sent away"], "rejected, shed"),
    (&["holder", "holders"], "owner"),
    (&["place in line", "place in the line"], "position in the queue"),
    (&["drain rate"], "throughput"),
    (&["dice"], "random, fastrand::Rng"),
    (&["town"], "test fixture, TestApp"),
    (&["crowd"], "clients"),
    (&["rehearse", "rehearses", "rehearsed"], "drill"),
    (&["chassis"], "the crate below platform/"),
    (&["eventing"], "events"),
    (&["Desk"], "Commands"),
    (&["Bell", "Ear"], "Notifier, Subscription"),
    (&["Ground"], "TestEnvironment"),
    (&["Wishes"], "BookingHeaders"),
    (&["heed", "heeded"], "mark_seen"),
    (&["whoever", "whomever"], "the subject that acts"),
    (&[THE_SEED], "the reference"),
    (&["settle", "settles", "settled", "unsettled"], "resolve, resolved"),
    (&["give up", "gives up", "gave up", "given up"], "abort, aborted"),
    (&["abandon", "abandons", "abandoned"], "abort, aborted"),
];

const THE_SEED: &str = "the seed";

/// Code that works with the seed of random numbers.
const RANDOM: [&str; 3] = ["seed: u64", "with_seed", "_SEED"];

/// This list with its tests, the examples of what not to write, the history, and the licence.
const EXCEPT: &[&str] = &["src/tidy/vocabulary.rs", "STYLE.md", "CHANGELOG.md", "LICENSE"];

pub(super) const RULE: Rule = Rule {
    applies_to: is_checked,
    part: Part::All,
    refused: refused_words,
    do_this: "use the standard term; the list is in xtask/src/tidy/vocabulary.rs",
};

fn refused_words(file: &File, line: &Line) -> Vec<String> {
    let words = words(&line.text);
    let mut found = Vec::new();
    for (refused, instead) in REFUSED {
        let refused = refused.iter().filter(|refused| contains(&line.text, &words, refused));
        found.extend(refused.map(|refused| format!("the word \"{refused}\"; write: {instead}")));
    }
    let is_random = || RANDOM.iter().any(|code| file.text.contains(code));
    found.retain(|what| !(what.contains(THE_SEED) && is_random()));
    found
}

/// JSON below docs/ is generated from the code.
fn is_checked(file: &File) -> bool {
    let is_text = file.is_written_by_hand()
        || file.path.starts_with("deploy/") && file.extension() == Some("json");
    is_text && !EXCEPT.iter().any(|except| file.path.ends_with(except))
}

fn contains(line: &str, words: &str, refused: &str) -> bool {
    if refused.starts_with(char::is_uppercase) {
        return has_word(line, refused);
    }
    words.contains(&format!(" {refused} "))
}

/// The words of a line in lower case, with one space around each.
fn words(line: &str) -> String {
    let mut words = String::from(" ");
    let mut before = ' ';
    for c in line.chars() {
        let is_new_word = c.is_uppercase() && before.is_lowercase();
        if (is_new_word || !c.is_alphanumeric()) && !words.ends_with(' ') {
            words.push(' ');
        }
        if c.is_alphanumeric() {
            words.extend(c.to_lowercase());
        }
        before = c;
    }
    words.push(' ');
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Tree;

    fn found(path: &str, text: &str) -> Vec<String> {
        let findings = RULE.findings(&Tree::of(&[(path, text)]));
        findings.into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
    }

    #[test]
    fn standard_words_and_words_that_contain_a_refused_one_pass() {
        let text = "//! The publisher retries later; clients wait.\n\
            let placeholder = retold(settlement); // crowded, a town-hall's owner\n\
            let desk = \"injection desk\"; let pace = 1; struct Desktop; struct Settler;\n";
        assert_eq!(found("a/src/b.rs", &text.replace("town-hall", "city")), [""; 0]);
        assert!(found("docs/openapi/a.json", "told").is_empty(), "generated");
        assert!(found("tools/xtask/src/tidy/vocabulary.rs", "told").is_empty(), "the list");
    }

    #[test]
    fn a_refused_word_is_found_in_every_kind_of_text() {
        for (path, text) in [
            ("a.rs", "events_told_total"),
            ("a.rs", "fn EventsTold() {}"),
            ("README.md", "Told at once."),
            ("deploy/a.yaml", "# was told"),
            ("deploy/grafana/a.json", "sum(events_told_total)"),
            ("a.sql", "-- who is told,"),
        ] {
            let what = "1: the word \"told\"; write: published, notified, answered";
            assert_eq!(found(path, text), [what], "{path}");
        }
    }

    #[test]
    fn a_phrase_is_found_in_any_spelling() {
        for text in ["come back", "COME_BACK_AFTER", "comeBack", "Come-back", "(come  back)"] {
            assert_eq!(
                found("a.rs", text),
                ["1: the word \"come back\"; write: retry later"],
                "{text}"
            );
        }
    }

    #[test]
    fn the_seed_of_random_numbers_passes() {
        assert_eq!(found("a.rs", "// Of the seed.\nlet rng = Rng::with_seed(seed);"), [""; 0]);
        assert_eq!(
            found("a.rs", "// The seed's users."),
            ["1: the word \"the seed\"; write: the reference"]
        );
    }

    #[test]
    fn a_capitalised_word_is_found_as_a_whole_name_only() {
        assert_eq!(
            found("a.rs", "struct Desk;\nstruct DeskTop; desk"),
            ["1: the word \"Desk\"; write: Commands"]
        );
    }
}
