//! SQL is text in the `store.rs` of its service, for both databases; a migration has two texts.

use super::{
    rule::{Finding, Part, Rule, if_so},
    source::is_of_name,
    tree::{File, Tree},
};

/// A literal with both words of a pair, in this order, is SQL.
const STATEMENTS: [(&str, &str); 5] = [
    ("SELECT", "FROM"),
    ("INSERT", "INTO"),
    ("UPDATE", "SET"),
    ("DELETE", "FROM"),
    ("CREATE", "TABLE"),
];

/// The folders that may contain SQL.
const FOLDERS: [&str; 2] = ["migrations", "store"];

/// The file of a service that may.
const FILE: &str = "store.rs";

pub(super) const SQL_STAYS_IN_STORES: Rule = Rule {
    applies_to: |file| file.is_rust() && !may_contain_sql(file),
    part: Part::Production,
    refused: |_, line| {
        let found = line.literals.iter().filter_map(|text| statement(text));
        found.map(|(a, b)| format!("the statement {a} … {b} is out of place")).collect()
    },
    do_this: "move it into the store.rs of its service, and call it from there",
};

/// Both cost more the longer a list is. The tests of query plans check the pages.
pub(super) const NO_STATEMENT_SKIPS_OR_COUNTS_ROWS: Rule = Rule {
    applies_to: |file| file.is_rust() && may_contain_sql(file),
    part: Part::Production,
    refused: |_, line| {
        let is_costly = |text: &String| statement(text).is_some() && (counts(text) || skips(text));
        let what = "this statement costs more the longer the list is";
        if_so(line.literals.iter().any(is_costly), what)
    },
    do_this: "begin at a keyset cursor (`platform_store::Keyset`), keep a counter, or leave the \
              total out",
};

/// Dead letters are few, and so are rows with a limit.
fn counts(text: &str) -> bool {
    let text = text.to_uppercase();
    let is_limited = text.contains("FROM (SELECT") && text.contains("LIMIT ?");
    text.contains("COUNT(") && !text.contains("DEAD_LETTERS") && !is_limited
}

/// A keyset statement may skip rows near the beginning of a list: its third parameter is limited.
fn skips(text: &str) -> bool {
    text.split_once("OFFSET").is_some_and(|(before, after)| {
        let is_keyset = before.contains("ORDER BY") && before.trim_end().ends_with("LIMIT ?2");
        !(is_keyset && after.trim() == "?3")
    })
}

pub(super) fn migrations_have_twins(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &tree.crates {
        let folders = ["sqlite", "postgres"]
            .map(|backend| format!("{}/migrations/{backend}", member.folder()));
        let [sqlite, postgres] = folders.each_ref().map(|folder| tree.names_in(folder));
        if sqlite.is_empty() || postgres.is_empty() {
            continue;
        }
        let [of_sqlite, of_postgres] = folders;
        let missing = postgres.difference(&sqlite).map(|name| format!("{of_sqlite}/{name}"));
        let others = sqlite.difference(&postgres).map(|name| format!("{of_postgres}/{name}"));
        findings.extend(missing.chain(others).map(|path| {
            let advice = "write the same step for this backend, under the same name";
            Finding::at(&path, 1, "only the other backend has this migration", advice)
        }));
    }
    findings
}

fn may_contain_sql(file: &File) -> bool {
    file.name() == FILE || FOLDERS.iter().any(|folder| file.is_in(folder))
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
    fn sql_is_allowed_in_stores_and_tests() {
        let in_tests = format!("//!\n#[cfg(test)]\nmod tests {{\n{QUERY}}}\n");
        let tree = Tree::of(&[
            ("booking/src/store.rs", QUERY),
            ("platform/store/src/outbox.rs", QUERY),
            ("booking/tests/store.rs", QUERY),
            ("booking/src/api.rs", &in_tests),
        ]);
        assert_eq!(SQL_STAYS_IN_STORES.findings(&tree), []);
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
            let findings =
                SQL_STAYS_IN_STORES.findings(&Tree::of(&[("booking/src/api.rs", &text)]));
            assert_eq!(findings.len(), 1, "{sql}");
            assert_eq!(findings[0].line, 2);
        }
        assert_eq!(
            SQL_STAYS_IN_STORES.findings(&Tree::of(&[("booking/src/stores.rs", QUERY)])).len(),
            1
        );
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
            assert_eq!(SQL_STAYS_IN_STORES.findings(&tree), [], "{text}");
        }
    }

    fn costly(path: &str, sql: &str) -> Vec<usize> {
        let text = format!("//!\nconst Q: &str = \"{sql}\";\n");
        let findings = NO_STATEMENT_SKIPS_OR_COUNTS_ROWS.findings(&Tree::of(&[(path, &text)]));
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn keyset_statements_and_counts_of_dead_letters_pass() {
        let store = "booking/src/store.rs";
        for sql in [
            "SELECT seats FROM slots WHERE id > ?1 ORDER BY id LIMIT ?2",
            "SELECT a FROM b WHERE id > ?1 ORDER BY id LIMIT ?2\n OFFSET ?3",
            "SELECT COUNT(*) FROM dead_letters",
            "SELECT count(*) FROM (SELECT 1 FROM a WHERE b = ?1 LIMIT ?2) AS c",
            "a COUNT(",
        ] {
            assert!(costly(store, sql).is_empty(), "{sql}");
        }
        assert!(costly("booking/tests/store.rs", "SELECT count(*) FROM a").is_empty());
    }

    #[test]
    fn a_statement_that_counts_or_skips_rows_is_found() {
        for sql in [
            "SELECT a, count(b) FROM c GROUP BY a",
            "SELECT COUNT(*) FROM b",
            "SELECT a FROM b ORDER BY id LIMIT ?1 OFFSET ?2",
            "SELECT a FROM b LIMIT ?2 OFFSET ?3",
        ] {
            assert_eq!(costly("mypage/src/store.rs", sql), [2], "{sql}");
            assert_eq!(costly("platform/store/src/outbox.rs", sql), [2], "{sql}");
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
