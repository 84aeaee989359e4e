//! A Rust file split into code, comments and string literals, so that a check of one does not match
//! the others. It only finds where literals and comments begin and end, which takes no parser.

pub(super) struct Source {
    pub(super) lines: Vec<Line>,
    pub(super) literals: Vec<Literal>,
    /// How many lines stand before the module of tests, if there is one.
    pub(super) production_lines: usize,
}

#[derive(Default)]
pub(super) struct Line {
    /// Without comments; of a string literal only the quotes are left.
    pub(super) code: String,
    pub(super) comment: String,
}

pub(super) struct Literal {
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

impl Source {
    pub(super) fn read(text: &str) -> Self {
        let mut reader = Reader { rest: text, lines: vec![Line::default()], literals: Vec::new() };
        reader.read();
        let Reader { rest: _, lines, literals } = reader;
        let production_lines = first_test_line(&lines).unwrap_or(text.lines().count());
        Self { lines, literals, production_lines }
    }

    /// The lines with their numbers, counted from 1.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Every path that a `use` names, written out, with the line on which its statement begins.
    pub(super) fn imports(&self) -> Vec<(usize, String)> {
        let mut imports = Vec::new();
        let mut lines = self.numbered();
        while let Some((number, line)) = lines.next() {
            let Some(begun) = use_statement(&line.code) else { continue };
            let mut statement = begun.to_owned();
            while !statement.contains(';') {
                let Some((_, line)) = lines.next() else { break };
                statement.push_str(line.code.trim());
            }
            let tree = statement.split(';').next().unwrap_or_default();
            write_out("", tree, &mut |path| imports.push((number, path)));
        }
        imports
    }
}

/// Whether `word` stands in `code` with nothing of a name on either side.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_of_name) && !after.is_some_and(is_of_name)
    })
}

/// Whether a character may stand in the name of something.
pub(super) fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A module of tests that stands in the file. A single item for tests does not end production.
fn first_test_line(lines: &[Line]) -> Option<usize> {
    lines.iter().enumerate().position(|(index, line)| {
        let mut after =
            lines[index + 1..].iter().map(|line| line.code.trim()).filter(|code| !code.is_empty());
        line.code.trim() == "#[cfg(test)]"
            && after
                .find(|code| !code.starts_with("#["))
                .is_some_and(|code| has_word(code, "mod") && code.ends_with('{'))
    })
}

fn use_statement(code: &str) -> Option<&str> {
    let code = code.trim();
    let visible = code.strip_prefix("pub").map(str::trim_start);
    let code = match visible {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1.trim_start(),
        Some(rest) => rest,
        None => code,
    };
    code.strip_prefix("use ")
}

/// `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn write_out(above: &str, tree: &str, each: &mut impl FnMut(String)) {
    let tree = tree.trim();
    let Some((path, list)) = tree.split_once('{') else {
        if !tree.is_empty() {
            each(format!("{above}{tree}"));
        }
        return;
    };
    let above = format!("{above}{}", path.trim());
    let list = list.trim_end().strip_suffix('}').unwrap_or(list);
    let mut depth = 0_usize;
    let between = |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    for branch in list.split(between) {
        write_out(&above, branch, each);
    }
}

/// Walks through a file; `rest` is what has not been read.
struct Reader<'a> {
    rest: &'a str,
    lines: Vec<Line>,
    literals: Vec<Literal>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(next) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                self.comment(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.comment(block_comment_len(self.rest));
            } else if let Some(hashes) = raw_string_hashes(self.rest) {
                self.code(1 + hashes + 1);
                let end = format!("\"{}", "#".repeat(hashes));
                self.literal(self.rest.find(&end).unwrap_or(self.rest.len()));
                self.code(end.len());
            } else if next == '"' {
                self.code(1);
                self.literal(string_len(self.rest));
                self.code(1);
            } else if next == '\'' {
                self.code(char_literal_len(self.rest));
            } else {
                self.code(next.len_utf8());
            }
        }
    }

    fn code(&mut self, len: usize) {
        let text = self.take(len);
        // The character may be a quote, which would read as the start of a string.
        let text = if text.starts_with('\'') && text.len() > 1 { "' '" } else { text };
        self.push(text, |line| &mut line.code);
    }

    fn comment(&mut self, len: usize) {
        let text = self.take(len);
        self.push(text, |line| &mut line.comment);
    }

    fn literal(&mut self, len: usize) {
        let line = self.lines.len();
        let text = self.take(len);
        self.literals.push(Literal { line, text: text.to_owned() });
        // Keeps the numbers of the lines right and drops the text.
        self.lines.extend(text.matches('\n').map(|_| Line::default()));
    }

    fn push(&mut self, text: &str, part: fn(&mut Line) -> &mut String) {
        for (index, piece) in text.split('\n').enumerate() {
            if index > 0 {
                self.lines.push(Line::default());
            }
            if let Some(line) = self.lines.last_mut() {
                part(line).push_str(piece);
            }
        }
    }
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a str {
        let (text, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        text
    }
}

/// Block comments nest.
fn block_comment_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn raw_string_hashes(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let quoted = after.trim_start_matches('#');
    quoted.starts_with('"').then_some(after.len() - quoted.len())
}

/// Up to the closing quote.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    let closing = text.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    closing.unwrap_or(text.len())
}

/// With both quotes; 1 if it is the quote of a lifetime.
fn char_literal_len(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    let Some((_, first)) = chars.next() else { return 1 };
    let closing = if first == '\\' {
        chars.skip(1).find(|(_, c)| *c == '\'')
    } else {
        chars.next().filter(|(_, c)| *c == '\'')
    };
    closing.map_or(1, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests;
