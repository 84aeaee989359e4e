//! Where comments and literals begin and end, and what an import names.

use super::*;

fn code(text: &str) -> Vec<String> {
    read(text, true).into_iter().map(|line| line.code).collect()
}

fn literals(text: &str) -> Vec<(usize, String)> {
    let lines = read(text, true).into_iter();
    lines.flat_map(|line| line.literals.into_iter().map(move |it| (line.number, it))).collect()
}

/// The paths of imports, or the others.
fn paths(text: &str, are_imports: bool) -> Vec<String> {
    let paths = read(text, true).into_iter().flat_map(|line| line.paths);
    paths.filter(|path| path.is_import == are_imports).map(|path| path.name).collect()
}

fn imports(text: &str) -> Vec<String> {
    paths(text, true)
}

#[test]
fn comments_are_no_code() {
    assert_eq!(code("a // b\nc"), ["a ", "c"]);
    assert_eq!(code("a /* b /* c */ d */ e"), ["a e"]);
    assert_eq!(code("a /* b\nc */ d"), ["a ", " d"]);
    assert_eq!(code("//! a\n/// b\nc"), [" ", " ", "c"]);
    assert_eq!(read("a // b", true)[0].comment, "// b");
    assert_eq!(read("/// b\na", true)[0].comment, "/// b");
}

#[test]
fn literals_leave_their_quotes_and_keep_the_lines_counted() {
    assert_eq!(code(r#"a("b // c", 1)"#), [r#"a("", 1)"#]);
    assert_eq!(code("a(\"b\nc\")\nd"), ["a(\"\"", ")", "d"]);
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
fn what_is_not_rust_is_a_comment() {
    for text in ["\"a", "r#\"a", "/* a", "'", "use a::{b"] {
        let [line] = &read(text, true)[..] else { panic!("{text} is one line") };
        assert_eq!((line.comment.as_str(), line.literals.len(), line.paths.len()), (text, 0, 0));
    }
    assert_eq!(read("a: b # c", false)[0].comment, "a: b # c");
}

#[test]
fn production_ends_where_the_module_of_tests_begins() {
    let production = |text| production_lines(&read(text, true));
    assert_eq!(production("a\nb"), None);
    assert_eq!(production("a\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n}"), Some(1));
    assert_eq!(production("a\n#[cfg(test)]\npub(crate) mod fixture {\n}"), Some(1));
    assert_eq!(production("#[cfg(test)]\nmod tests;\nfn a() {}"), None);
    assert_eq!(production("#[cfg(test)]\nfn only_in_tests() {}\nfn a() {}"), None);
    assert_eq!(production("a(\"\n#[cfg(test)]\nmod tests {\n\")"), None);
}

#[test]
fn imports_are_written_out() {
    assert_eq!(imports("use std::time::Instant;"), ["std::time::Instant"]);
    assert_eq!(imports("pub use a;\npub(crate) use b::c as d;"), ["a", "b::c"]);
    assert_eq!(
        imports("use std::{\n    fs,\n    time::{self, Instant},\n};\nfn f() {}"),
        ["std::fs", "std::time::self", "std::time::Instant"]
    );
    assert_eq!(imports("fn f() {\n    use {a::b, c};\n}"), ["a::b", "c"]);
    assert!(imports("// use a;\nlet user = \"use b;\";").is_empty());
}

#[test]
fn other_paths_are_read_too() {
    assert_eq!(paths("fn f() { a!(b::c(::d::e), f: g::<H>()) } // j::k", false), ["b::c", "d::e"]);
    assert!(paths("use a::b;\nlet c: d = e as f;", false).is_empty());
    assert!(imports("fn f() -> impl A + use<'_> { b }").is_empty());
}

#[test]
fn a_word_is_not_part_of_a_name() {
    assert!(has_word("use http;", "http") && has_word("http::Uri", "http"));
    assert!(!has_word("https http_body my_http", "http"));
    assert!(has_word("my_http + http", "http"));
}
