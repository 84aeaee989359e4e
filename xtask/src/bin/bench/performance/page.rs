//! The page for readers: what was measured stands between two marks, everything else is written by
//! hand and stays.

use std::{fs, path::Path};

use drill::{Broken, Chart, Scale, Series, Style};

use super::{
    CONTESTANTS, Subject,
    report::{Report, short_name},
};

/// Its name.
const PAGE: &str = "performance.md";

/// How a page begins its life.
const TEMPLATE: &str = include_str!("page.md");

/// What is measured lies between the end of the line with the first and the second.
const FROM: &str = "<!-- measured:";
const TO: &str = "<!-- /measured -->";

/// Writes the charts, and what was measured into the page.
pub(super) fn write(report: &Report, folder: &Path) -> Result<(), Broken> {
    let charts = folder.join("charts");
    fs::create_dir_all(&charts)?;
    let mut shown = Vec::new();
    for (file, chart) in all(report) {
        if chart.series.iter().all(|series| series.points.is_empty()) {
            continue;
        }
        fs::write(charts.join(file), chart.svg())?;
        shown.push(format!("![{}](charts/{file})", chart.title));
    }
    let measured = include_str!("measured.md")
        .replace("{machine}", &report.machine)
        .replace("{date}", &report.date)
        .replace("{command}", &report.plan.command())
        .replace("{table}", &report.to_string())
        .replace("{charts}", &shown.join("\n\n"));
    let page = folder.join(PAGE);
    let before = if page.exists() { fs::read_to_string(&page)? } else { TEMPLATE.to_owned() };
    let after = between_the_marks(&before, &measured)
        .ok_or_else(|| format!("{} has lost its marks: {FROM} … --> and {TO}", page.display()))?;
    fs::write(page, after)?;
    Ok(())
}

/// The page with something else between its marks.
fn between_the_marks(page: &str, measured: &str) -> Option<String> {
    let (before, rest) = page.split_once(FROM)?;
    let (mark, _) = rest.split_once('\n')?;
    let (_, after) = rest.split_once(TO)?;
    Some(format!("{before}{FROM}{mark}\n{}\n\n{TO}{after}", measured.trim_end()))
}

fn all(report: &Report) -> [(&'static str, Chart); 3] {
    [
        ("performance-rates.svg", rates(report)),
        ("performance-ratios.svg", ratios(report)),
        ("performance-stored.svg", stored(report)),
    ]
}

fn rates(report: &Report) -> Chart {
    // Saying no is not booking.
    let contestants = CONTESTANTS.into_iter().filter(|who| *who != Subject::SoldOut);
    let series =
        |who: Subject| series(&format!("{who} {}", short_name(who)), &report.rounds.rates(who));
    Chart {
        title: "Bookings per second, round by round".to_owned(),
        y_label: "per second".to_owned(),
        y_scale: Scale::Logarithmic,
        series: contestants.map(series).collect(),
        ..over_rounds()
    }
}

fn ratios(report: &Report) -> Chart {
    let series = |over: Subject| {
        let ratios = report.rounds.ratios(over, Subject::Echo);
        series(&format!("{over} / {}", Subject::Echo), &ratios)
    };
    Chart {
        title: "Of the rate of an answer that costs nothing, round by round".to_owned(),
        y_label: "ratio".to_owned(),
        series: [Subject::Sqlite, Subject::Postgres, Subject::SoldOut].map(series).into(),
        ..over_rounds()
    }
}

fn stored(report: &Report) -> Chart {
    let growth = report.stored.as_ref().map(|stored| stored.growth.clone()).unwrap_or_default();
    let points = growth.into_iter().map(|(bookings, rate)| (bookings / 1e6, rate)).collect();
    Chart {
        title: "The rate while bookings pile up".to_owned(),
        x_label: "bookings stored (millions)".to_owned(),
        y_label: "bookings per second".to_owned(),
        series: vec![Series { name: "ours on SQLite".to_owned(), style: Style::Area, points }],
        ..Chart::default()
    }
}

fn over_rounds() -> Chart {
    Chart { x_label: "round".to_owned(), ..Chart::default() }
}

fn series(name: &str, values: &[f64]) -> Series {
    let rounds = (1_u32..).map(f64::from);
    let points = rounds.zip(values.iter().copied()).collect();
    Series { name: name.to_owned(), style: Style::Line, points }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_stays() {
        let by_hand = TEMPLATE.replace("Nobody has looked yet.", "In the disk.");
        let first = between_the_marks(&by_hand, "| b / a | 0.40 |\n").unwrap();
        let second = between_the_marks(&first, "| b / a | 0.55 |\n").unwrap();
        assert!(second.contains("0.55") && !second.contains("0.40"), "{second}");
        assert!(second.ends_with("## Where the time goes\n\nIn the disk.\n"), "{second}");
        assert_eq!(second.matches(FROM).count(), 1);
        assert_eq!(between_the_marks(&second, "| b / a | 0.55 |\n").unwrap(), second);
    }

    #[test]
    fn a_page_without_marks_is_left_alone() {
        assert_eq!(between_the_marks("# All by hand\n", "0.5"), None);
    }
}
