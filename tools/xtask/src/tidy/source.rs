//! A file as lines, and a Rust line as code, comment, string literals and paths, so that a check of
//! one does not match the others.

use std::ops::Range;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

#[derive(Default)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    /// As it stands in the file.
    pub(super) text: String,
    /// Without comments; of a string literal only the quotes are left.
    pub(super) code: String,
    /// The whole line if the file is not Rust.
    pub(super) comment: String,
    /// The string literals that begin here.
    pub(super) literals: Vec<String>,
    pub(super) paths: Vec<Path>,
}

/// A path with `::`, or what a `use` names, written out: `a::{b, c::{d}}` is `a::b` and `a::c::d`.
pub(super) struct Path {
    pub(super) name: String,
    pub(super) is_import: bool,
}

/// The lines of a file. One that is not Rust, or that the compiler refuses, has only comments.
pub(super) fn read(text: &str, is_rust: bool) -> Vec<Line> {
    let numbered = (1..).zip(text.split('\n'));
    let mut lines: Vec<_> = numbered
        .map(|(number, text)| Line { number, text: text.to_owned(), ..Line::default() })
        .collect();
    let tokens: TokenStream =
        if is_rust { text.parse().unwrap_or_default() } else { TokenStream::new() };
    let mut ranges = Vec::new();
    flatten(text, tokens.clone(), &mut ranges);
    ranges.push(text.len()..text.len());
    // The next byte, and the line that it is on.
    let (mut at, mut line) = (0, 0);
    for range in ranges {
        let token = &text[range.clone()];
        for (index, between) in text[at..range.start].split('\n').enumerate() {
            line += usize::from(index > 0);
            lines[line].comment += between.trim();
            lines[line].code += if between.is_empty() { "" } else { " " };
        }
        let quoted = || Some(token.split_once('"')?.1.rsplit_once('"')?.0);
        if token.trim_start_matches('b').starts_with('\'') && token.len() > 1 {
            lines[line].code += "' '";
        } else if let Some(literal) = quoted() {
            lines[line].code += "\"\"";
            lines[line].literals.push(literal.to_owned());
        } else {
            lines[line].code += token;
        }
        line += token.matches('\n').count();
        at = range.end;
    }
    read_paths(tokens, "", &mut |span, path| lines[span.start().line - 1].paths.push(path));
    lines
}

/// How many lines stand before the module of tests. A single item for tests does not end production.
pub(super) fn production_lines(lines: &[Line]) -> Option<usize> {
    lines.iter().enumerate().position(|(index, line)| {
        let mut after =
            lines[index + 1..].iter().map(|line| line.code.trim()).filter(|code| !code.is_empty());
        line.code.trim() == "#[cfg(test)]"
            && after
                .find(|code| !code.starts_with("#["))
                .is_some_and(|code| has_word(code, "mod") && code.ends_with('{'))
    })
}

/// Whether `word` stands in `code` with nothing of a name on either side.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(is_of_name) && !code[at + word.len()..].starts_with(is_of_name)
    })
}

/// Whether a character may stand in the name of something.
pub(super) fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the tokens stand, in bytes. Those of a doc comment are left out.
fn flatten(text: &str, tokens: TokenStream, ranges: &mut Vec<Range<usize>>) {
    for token in tokens {
        let range = token.span().byte_range();
        let is_comment = ["//", "/*"].iter().any(|mark| text[range.clone()].starts_with(mark));
        match token {
            _ if is_comment => {}
            TokenTree::Group(group) => {
                ranges.push(group.span_open().byte_range());
                flatten(text, group.stream(), ranges);
                ranges.push(group.span_close().byte_range());
            }
            _ => ranges.push(range),
        }
    }
}

/// `above` is the path before the braces of an import.
fn read_paths(tokens: TokenStream, above: &str, each: &mut impl FnMut(Span, Path)) {
    let mut is_import = !above.is_empty();
    let mut path = String::new();
    let mut start = Span::call_site();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let joins = match &token {
            TokenTree::Ident(_) => path.is_empty() || path.ends_with("::"),
            TokenTree::Punct(punct) => punct.as_char() == ':',
            TokenTree::Group(_) | TokenTree::Literal(_) => false,
        };
        let is_list = matches!(&token, TokenTree::Group(group)
            if group.delimiter() == Delimiter::Brace)
            && (path.ends_with("::") || is_import && path.is_empty());
        if !joins && !is_list {
            end(&mut path, above, is_import, |path| each(start, path));
        }
        if path.is_empty() {
            start = token.span();
        }
        match token {
            TokenTree::Group(group) if is_list => {
                // A list without a path before it is an import too.
                let above = if path.is_empty() && above.is_empty() { "::" } else { above };
                read_paths(group.stream(), &format!("{above}{path}"), each);
                path.clear();
            }
            TokenTree::Group(group) => read_paths(group.stream(), "", each),
            TokenTree::Ident(word) if word == "use" => {
                // Not the `use<'a>` of a bound.
                is_import =
                    !matches!(tokens.peek(), Some(TokenTree::Punct(p)) if p.as_char() == '<');
            }
            TokenTree::Ident(word) if word == "as" && is_import => drop(tokens.next()),
            TokenTree::Ident(word) => path += &word.to_string(),
            TokenTree::Punct(punct) if joins => path.push(punct.as_char()),
            TokenTree::Punct(punct) => is_import &= punct.as_char() != ';',
            TokenTree::Literal(_) => {}
        }
    }
    end(&mut path, above, is_import, |path| each(start, path));
}

fn end(path: &mut String, above: &str, is_import: bool, each: impl FnOnce(Path)) {
    let name = std::mem::take(path);
    let name = name.trim_matches(':');
    if name.contains("::") || is_import && !name.is_empty() {
        let name = format!("{above}{name}").trim_start_matches(':').to_owned();
        each(Path { name, is_import });
    }
}

#[cfg(test)]
mod tests;
