//! Where comments and literals begin and end, and what an import names.

use super::*;

fn code(text: &str) -> Vec<String> {
    Source::read(text).lines.into_iter().map(|line| line.code).collect()
}

fn literals(text: &str) -> Vec<(usize, String)> {
    Source::read(text).literals.into_iter().map(|literal| (literal.line, literal.text)).collect()
}

fn imports(text: &str) -> Vec<String> {
    Source::read(text).imports().into_iter().map(|(_, path)| path).collect()
}

#[test]
fn comments_are_no_code() {
    assert_eq!(code("a // b\nc"), ["a ", "c"]);
    assert_eq!(code("a /* b /* c */ d */ e"), ["a  e"]);
    assert_eq!(code("a /* b\nc */ d"), ["a ", " d"]);
    assert_eq!(Source::read("a // b").lines[0].comment, "// b");
}

#[test]
fn literals_leave_their_quotes_and_keep_the_lines_counted() {
    assert_eq!(code(r#"a("b // c", 1)"#), [r#"a("", 1)"#]);
    assert_eq!(code("a(\"b\nc\")\nd"), ["a(\"", "\")", "d"]);
    assert_eq!(literals("a\nb(\"c\nd\")\ne(\"f\")"), [(2, "c\nd".to_owned()), (4, "f".to_owned())]);
}

#[test]
fn an_escaped_quote_does_not_end_a_literal() {
    assert_eq!(
        literals(r#""a\"b" "c\\" "d""#),
        [(1, r#"a\"b"#.to_owned()), (1, r"c\\".to_owned()), (1, "d".to_owned())]
    );
}

#[test]
fn a_raw_literal_ends_with_its_own_hashes() {
    assert_eq!(
        literals(r###"r#"a"b"# br"c\" r##"d"#e"##"###),
        [(1, "a\"b".to_owned()), (1, r"c\".to_owned()), (1, "d\"#e".to_owned())]
    );
    assert_eq!(code("let r#type = for_r;"), ["let r#type = for_r;"]);
}

#[test]
fn a_character_is_not_a_lifetime() {
    assert_eq!(code(r#"f('"', '\'', '\u{1F}', 'é')"#), ["f(' ', ' ', ' ', ' ')"]);
    assert_eq!(
        code("fn f<'a>(a: &'a str, b: &'static str) {} // 'c'"),
        ["fn f<'a>(a: &'a str, b: &'static str) {} "]
    );
    assert_eq!(literals(r#"'"' "a" '"'"#), [(1, "a".to_owned())]);
}

#[test]
fn an_unfinished_file_is_read_to_its_end() {
    for text in ["\"a", "r#\"a", "/* a", "'", "'\\", "é", "use a::{b"] {
        assert_eq!(Source::read(text).lines.len(), 1, "{text}");
        let _no_panic = Source::read(text).imports();
    }
}

#[test]
fn production_ends_where_the_module_of_tests_begins() {
    let production = |text| Source::read(text).production_lines;
    assert_eq!(production("a\nb"), 2);
    assert_eq!(production("a\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n}"), 1);
    assert_eq!(production("a\n#[cfg(test)]\npub(crate) mod fixture {\n}"), 1);
    assert_eq!(production("#[cfg(test)]\nmod tests;\nfn a() {}"), 3);
    assert_eq!(production("#[cfg(test)]\nfn only_in_tests() {}\nfn a() {}"), 3);
    assert_eq!(production("a(\"\n#[cfg(test)]\nmod tests {\n\")"), 4);
}

#[test]
fn imports_are_written_out() {
    assert_eq!(imports("use std::time::Instant;"), ["std::time::Instant"]);
    assert_eq!(imports("pub use a;\npub(crate) use b::c as d;"), ["a", "b::c as d"]);
    assert_eq!(
        imports("use std::{\n    fs,\n    time::{self, Instant},\n};\nfn f() {}"),
        ["std::fs", "std::time::self", "std::time::Instant"]
    );
    assert_eq!(imports("fn f() {\n    use {a::b, c};\n}"), ["a::b", "c"]);
    assert!(imports("// use a;\nlet user = \"use b;\";").is_empty());
}

#[test]
fn a_word_is_not_part_of_a_name() {
    assert!(has_word("use http;", "http") && has_word("http::Uri", "http"));
    assert!(!has_word("https http_body my_http", "http"));
    assert!(has_word("my_http + http", "http"));
}
