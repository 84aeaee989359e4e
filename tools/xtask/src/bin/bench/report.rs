//! Where the figures of a measurement go: a JSON file, and a page whose text is partly written by hand.

use std::{env, fmt::Write, fs, path::Path};

use drill::{Chart, DrillError};
use serde::Serialize;
use serde_json::json;

use crate::machine;

/// The figures are between the line with the first mark and the second mark.
const FROM: &str = "<!-- measured:";
const TO: &str = "<!-- /measured -->";

/// Where, when and how something was measured.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) machine: String,
    date: String,
    command: String,
}

impl Source {
    pub(crate) fn of_this_run() -> Result<Self, DrillError> {
        let words = ["cargo", "xtask", "bench"].map(str::to_owned).into_iter();
        let command = words.chain(env::args().skip(1)).collect::<Vec<_>>().join(" ");
        Ok(Self { machine: machine::describe()?, date: machine::today()?, command })
    }

    /// The first line of the measured text.
    pub(crate) fn line(&self) -> String {
        let Self { machine, date, command } = self;
        format!("{machine}; {date}; `{command}`.\n")
    }
}

/// A line of a table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) cells: Vec<Cell>,
}

/// A heading, a figure, none where there was nothing to measure, and its unit.
#[derive(Debug, Serialize)]
pub(crate) struct Cell(pub(crate) &'static str, pub(crate) Option<f64>, pub(crate) &'static str);

/// The rows, which have the same headings.
pub(crate) fn table<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let line = |first: &str, cells: Vec<String>| format!("| {first} | {} |\n", cells.join(" | "));
    let mut text = String::new();
    for Row { name, cells } in rows {
        if text.is_empty() {
            text +=
                &line("", cells.iter().map(|Cell(heading, ..)| (*heading).to_owned()).collect());
            text += &line("---", vec!["---".to_owned(); cells.len()]);
        }
        let figures = cells.iter().map(|Cell(_, figure, unit)| match figure {
            None => "–".to_owned(),
            Some(figure) if *figure < 10.0 => format!("{figure:.2}{unit}"),
            Some(figure) if *figure < 1_000.0 => format!("{figure:.1}{unit}"),
            Some(figure) => format!("{figure:.0}{unit}"),
        });
        text += &line(name, figures.collect());
    }
    text
}

/// Writes the figures, if a file is given.
pub(crate) fn write_json(
    file: Option<&Path>,
    source: &Source,
    figures: &impl Serialize,
) -> Result<(), DrillError> {
    if let Some(file) = file {
        let Source { machine, date, command } = source;
        let document =
            json!({"machine": machine, "date": date, "command": command, "figures": figures});
        let text = serde_json::to_string_pretty(&document)?;
        fs::write(file, text + "\n")?;
        println!("Every figure is in {}.", file.display());
    }
    Ok(())
}

/// Writes the charts, and puts the text with the charts below it between the marks of the page.
pub(crate) fn write_page(
    folder: &Path,
    page: &str,
    measured: &str,
    charts: &[(&str, Chart)],
) -> Result<(), DrillError> {
    let (mut measured, page) = (measured.to_owned(), folder.join(page));
    fs::create_dir_all(folder.join("charts"))?;
    for (name, chart) in charts {
        if chart.series.iter().any(|series| !series.points.is_empty()) {
            fs::write(folder.join(format!("charts/{name}.svg")), chart.svg())?;
            write!(measured, "\n![{}](charts/{name}.svg)\n", chart.title)?;
        }
    }
    let after = between_the_marks(&fs::read_to_string(&page)?, &measured)
        .ok_or_else(|| format!("{} lacks the marks {FROM} … --> and {TO}", page.display()))?;
    fs::write(page, after)?;
    println!("The page and its charts are in {}.", folder.display());
    Ok(())
}

/// The page with `measured` between its marks; none if a mark is missing.
fn between_the_marks(page: &str, measured: &str) -> Option<String> {
    let (before, rest) = page.split_once(FROM)?;
    let (mark, _) = rest.split_once('\n')?;
    let (_, after) = rest.split_once(TO)?;
    Some(format!("{before}{FROM}{mark}\n{}\n\n{TO}{after}", measured.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_headings_and_a_dash_for_no_figure() {
        let row = |name: &str, rate, latency| {
            let cells = vec![Cell("rate", Some(rate), "/s"), Cell("p99", latency, " ms")];
            Row { name: name.to_owned(), cells }
        };
        assert_eq!(
            table(&[row("a", 12_345.6, Some(1.5)), row("b", 23.45, None)]),
            "|  | rate | p99 |\n| --- | --- | --- |\n| a | 12346/s | 1.50 ms |\n| b | 23.4/s | – |\n"
        );
    }

    #[test]
    fn text_outside_of_the_marks_is_kept() {
        let page = format!("# A\n\n{FROM} here -->\n{TO}\n\n## By hand\n");
        let first = between_the_marks(&page, "| b / a | 0.40 |\n").unwrap();
        let second = between_the_marks(&first, "| b / a | 0.55 |\n").unwrap();
        assert!(second.contains("0.55") && !second.contains("0.40"), "{second}");
        assert!(second.starts_with("# A\n") && second.ends_with("\n\n## By hand\n"), "{second}");
        assert_eq!(second.matches(FROM).count(), 1);
        assert_eq!(between_the_marks(&second, "| b / a | 0.55 |\n").unwrap(), second);
    }

    #[test]
    fn a_page_without_marks_is_refused() {
        assert_eq!(between_the_marks("# All by hand\n", "0.5"), None);
    }
}
