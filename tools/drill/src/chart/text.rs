//! Text in an SVG.

/// An upper estimate of the average width of a letter at 12 pixels: no font is measured.
const LETTER_WIDTH: f64 = 6.6;

/// The estimated width of a text, in pixels.
pub(super) fn width_of(text: &str) -> f64 {
    let letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    f64::from(letters) * LETTER_WIDTH
}

/// Safe between tags and in attributes.
pub(crate) fn escaped(text: &str) -> String {
    [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")]
        .into_iter()
        .fold(text.to_owned(), |text, (letter, safe)| text.replace(letter, safe))
}

/// With thousands separators and so many decimals.
pub(super) fn number(value: f64, decimals: usize) -> String {
    let plain = format!("{value:.decimals$}");
    let (whole, fraction) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.char_indices() {
        if (whole.len() - index).is_multiple_of(3) && grouped.ends_with(|it: char| it != '-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (value, decimals, expected) in [
            (0.0, 0, "0"),
            (999.0, 0, "999"),
            (1_000.0, 0, "1,000"),
            (1_234_567.0, 0, "1,234,567"),
            (-12_345.5, 1, "-12,345.5"),
            (0.25, 2, "0.25"),
        ] {
            assert_eq!(number(value, decimals), expected);
        }
    }
}
