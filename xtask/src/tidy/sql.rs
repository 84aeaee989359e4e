//! SQL is text in the `store.rs` of its part, once for both databases; a migration has two texts.

use std::collections::BTreeSet;

use super::{
    Finding,
    source::is_of_name,
    tree::{File, Tree},
};

/// A literal that holds both words of a pair, in this order, is SQL.
const STATEMENTS: [(&str, &str); 5] = [
    ("SELECT", "FROM"),
    ("INSERT", "INTO"),
    ("UPDATE", "SET"),
    ("DELETE", "FROM"),
    ("CREATE", "TABLE"),
];

/// The folders in which SQL is at home.
const HOMES: [&str; 2] = ["storage", "migrations"];

/// The file of a part in which it is.
const HOME: &str = "store.rs";

pub(super) fn sql_stays_in_its_place(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust_files().filter(|(file, _)| !is_home(file)) {
        let production = file.production_lines();
        for literal in source.literals.iter().filter(|literal| literal.line <= production) {
            if let Some((first, second)) = statement(&literal.text) {
                findings.push(Finding::at(
                    &file.path,
                    literal.line,
                    format!("the statement {first} … {second} is out of place"),
                    "move it into the store.rs of its part, and call it from there",
                ));
            }
        }
    }
    findings
}

/// A page begins at a known place, and the last place is how many there are: whoever skips rows or
/// counts them pays for the whole list.
pub(super) fn pages_begin_at_a_known_place(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust_files().filter(|(file, _)| file.name() == HOME) {
        let production = file.production_lines();
        for literal in source.literals.iter().filter(|literal| literal.line <= production) {
            let text = literal.text.to_uppercase();
            let mut words = text.split(|c| !is_of_name(c));
            let skips = words.any(|word| word == "OFFSET");
            if statement(&text).is_some() && (skips || text.contains("COUNT(")) {
                findings.push(Finding::at(
                    &file.path,
                    literal.line,
                    "this statement costs more the longer the list is",
                    "give the rows places without gaps, as docs/adr/0011-places-in-lists.md says",
                ));
            }
        }
    }
    findings
}

pub(super) fn migrations_have_twins(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in tree.crates() {
        let folders =
            ["sqlite", "postgres"].map(|backend| format!("{}/migrations/{backend}", member.folder));
        let names = folders.each_ref().map(|folder| tree.names_in(folder));
        if names.iter().any(BTreeSet::is_empty) {
            continue;
        }
        for (here, there) in [(0, 1), (1, 0)] {
            for name in names[there].difference(&names[here]) {
                findings.push(Finding::at(
                    &format!("{}/{name}", folders[here]),
                    1,
                    "only the other backend has this migration",
                    "write the same step for this backend, under the same name",
                ));
            }
        }
    }
    findings
}

fn is_home(file: &File) -> bool {
    file.name() == HOME || HOMES.iter().any(|folder| file.is_in(folder))
}

fn statement(text: &str) -> Option<(&'static str, &'static str)> {
    STATEMENTS.into_iter().find(|(first, second)| {
        let mut words = text.split(|c| !is_of_name(c));
        words.any(|word| word == *first) && words.any(|word| word == *second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "//!\nconst Q: &str = \"\n    SELECT seats\n      FROM slots\";\n";

    #[test]
    fn sql_is_at_home_in_stores_and_tests() {
        let in_tests = format!("//!\n#[cfg(test)]\nmod tests {{\n{QUERY}}}\n");
        let tree = Tree::of(&[
            ("booking/src/store.rs", QUERY),
            ("storage/src/outbox.rs", QUERY),
            ("booking/tests/store.rs", QUERY),
            ("booking/src/api.rs", &in_tests),
        ]);
        assert_eq!(sql_stays_in_its_place(&tree), []);
    }

    #[test]
    fn sql_elsewhere_is_found() {
        let statements = [
            "INSERT OR IGNORE INTO t",
            "UPDATE t\n SET a = 1",
            "DELETE FROM t",
            "CREATE TABLE t (a)",
            "WITH a AS (SELECT b FROM c) SELECT 1",
        ];
        for sql in statements {
            let text = format!("//!\nconst Q: &str = \"{sql}\";\n");
            let findings = sql_stays_in_its_place(&Tree::of(&[("booking/src/api.rs", &text)]));
            assert_eq!(findings.len(), 1, "{sql}");
            assert_eq!(findings[0].line, 2);
        }
        assert_eq!(sql_stays_in_its_place(&Tree::of(&[("booking/src/stores.rs", QUERY)])).len(), 1);
    }

    #[test]
    fn prose_and_comments_are_no_sql() {
        for text in [
            "let a = \"Select a slot from the list\";",
            "let a = \"FROM x SELECT\"; let b = \"INSERTS INTO\";",
            "// SELECT a FROM b",
            "const SELECT: &str = \"\"; const FROM: &str = \"\";",
        ] {
            let tree = Tree::of(&[("web/src/pages.rs", text)]);
            assert_eq!(sql_stays_in_its_place(&tree), [], "{text}");
        }
    }

    #[test]
    fn a_page_that_begins_at_a_known_place_may_stay() {
        let page = "SELECT seats FROM slots WHERE place > ?1 ORDER BY place LIMIT ?2";
        let text = format!("//!\nconst Q: &str = \"{page}\";\nconst B: &str = \"an OFFSET\";\n");
        let in_tests =
            "//!\n#[cfg(test)]\nmod tests {\nconst Q: &str = \"SELECT count(*) FROM a\";\n}\n";
        let tree = Tree::of(&[("booking/src/store.rs", &text), ("mypage/src/store.rs", in_tests)]);
        assert_eq!(pages_begin_at_a_known_place(&tree), []);
    }

    #[test]
    fn whoever_skips_or_counts_rows_is_found() {
        for sql in ["SELECT a FROM b LIMIT ?2 OFFSET ?1", "SELECT count(*) FROM b"] {
            let text = format!("//!\nconst Q: &str = \"{sql}\";\n");
            let findings =
                pages_begin_at_a_known_place(&Tree::of(&[("mypage/src/store.rs", &text)]));
            assert_eq!(findings.len(), 1, "{sql}");
            assert_eq!(findings[0].line, 2);
        }
    }

    #[test]
    fn a_migration_exists_for_both_backends_or_for_one_only() {
        let both = [
            ("booking/migrations/sqlite/0001-slots.sql", ""),
            ("booking/migrations/postgres/0001-slots.sql", ""),
            ("vaccine/migrations/sqlite/0001-stock.sql", ""),
        ];
        let tree = Tree::of(&both).with_crate("booking", &[]).with_crate("vaccine", &[]);
        assert_eq!(migrations_have_twins(&tree), []);
    }

    #[test]
    fn a_migration_without_its_twin_is_found() {
        let files = [
            ("booking/migrations/sqlite/0001-slots.sql", ""),
            ("booking/migrations/sqlite/0002-lots.sql", ""),
            ("booking/migrations/postgres/0001-slot.sql", ""),
        ];
        let findings = migrations_have_twins(&Tree::of(&files).with_crate("booking", &[]));
        let paths: Vec<_> = findings.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "booking/migrations/sqlite/0001-slot.sql",
                "booking/migrations/postgres/0001-slots.sql",
                "booking/migrations/postgres/0002-lots.sql",
            ]
        );
    }
}
