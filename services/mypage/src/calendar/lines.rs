//! Content lines of iCalendar: folded, and ended by CRLF (RFC 5545, section 3.1).

use std::fmt::{self, Display, Write};

/// The octets of a line without its end; a longer one is folded.
pub const LINE_MAX: usize = 75;

/// Content lines.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    /// Adds a property. Its value is text only if it is escaped: see [`Text`].
    pub(super) fn add(&mut self, name: &str, value: impl Display) {
        let mut length = 0;
        for char in format!("{name}:{value}").chars() {
            if length + char.len_utf8() > LINE_MAX {
                self.0.push_str("\r\n ");
                length = 1;
            }
            self.0.push(char);
            length += char.len_utf8();
        }
        self.0.push_str("\r\n");
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A value of type TEXT, escaped (RFC 5545, section 3.3.11).
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\n' => f.write_str("\\n")?,
                '\\' | ';' | ',' => write!(f, "\\{char}")?,
                _ if char.is_control() => {}
                _ => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: &str) -> String {
        let mut lines = Lines::default();
        lines.add("A", Text(value));
        lines.into_text()
    }

    #[test]
    fn a_line_is_folded_after_75_octets() {
        let (fits, longer) = ("x".repeat(73), "x".repeat(74));
        assert_eq!(line(&fits), format!("A:{fits}\r\n"));
        assert_eq!(line(&longer), format!("A:{fits}\r\n x\r\n"));
        let twice = "x".repeat(73 + 74 + 1);
        assert_eq!(line(&twice), format!("A:{fits}\r\n {longer}\r\n x\r\n"));
    }

    /// A syllable has three octets: 24 of them fit, beside the two of the name.
    #[test]
    fn a_line_is_not_folded_within_a_character() {
        let [fits, one_more] = [24, 25].map(|count| "가".repeat(count));
        assert_eq!(line(&one_more), format!("A:{fits}\r\n 가\r\n"));
    }

    #[test]
    fn separators_and_line_ends_of_a_text_are_escaped_and_other_control_characters_left_out() {
        assert_eq!(line("a,b;c\\d\ne\r\u{7}f:\"g\""), "A:a\\,b\\;c\\\\d\\nef:\"g\"\r\n");
    }
}
