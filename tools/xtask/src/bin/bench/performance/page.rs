//! The figures as a table with their aims, and as charts.

use std::fmt::Write;

use drill::{Chart, Scale, Series, Style};

use super::{
    figures::{Figures, median},
    plan::{CLIENTS, CONTESTANTS, Plan, Subject},
};

/// Ratios of rates, with their aims.
const RATIOS: [(Subject, Subject, Option<Aim>); 9] = [
    (Subject::Sqlite, Subject::Echo, Some(Aim::AtLeast(0.5))),
    (Subject::Postgres, Subject::Echo, Some(Aim::AtLeast(0.32))),
    (Subject::Postgres, Subject::HotRow, Some(Aim::AtLeast(20.0))),
    (Subject::Postgres, Subject::OneStatement, None),
    (Subject::Sqlite, Subject::Redis, Some(Aim::AtLeast(1.0))),
    (Subject::SoldOut, Subject::Echo, Some(Aim::AtLeast(0.88))),
    (Subject::Keyed, Subject::Sqlite, Some(Aim::AtLeast(0.9))),
    (Subject::Sqlite, Subject::Old, Some(Aim::AtLeast(1.65))),
    (Subject::SmallPools, Subject::Old, Some(Aim::AtLeast(0.9))),
];

/// Aims are in MB, the kernel counts in KiB.
const MB_PER_MIB: f64 = 1.048_576;

/// The limit of a figure.
#[derive(Clone, Copy)]
enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    /// The limit, and whether the figure meets it. NaN misses every aim.
    fn cells(self, figure: f64) -> (String, &'static str) {
        let (sign, limit, is_met) = match self {
            Self::AtLeast(limit) => ('≥', limit, figure >= limit),
            Self::AtMost(limit) => ('≤', limit, figure <= limit),
        };
        let decimals = if limit < 10.0 { 2 } else { 0 };
        (format!("{sign} {limit:.decimals$}"), if is_met { "met" } else { "**missed**" })
    }
}

/// The rows of the table, each a line of text.
struct Table(String);

impl Table {
    /// `letters` are a contestant, a ratio of two, or empty; `more` follows the figure. No row without
    /// a figure.
    fn row(
        &mut self,
        letters: &str,
        (what, more): (&str, &str),
        (figure, unit): (Option<f64>, &str),
        aim: impl Into<Option<Aim>>,
    ) {
        let Some(figure) = figure else { return };
        let decimals = if figure < 100.0 { 2 } else { 0 };
        let (limit, verdict) = aim.into().map(|aim| aim.cells(figure)).unwrap_or_default();
        let figure = format!("{figure:.decimals$}{unit}{more}");
        let _ = writeln!(self.0, "| {letters} | {what} | {figure} | {limit} | {verdict} |");
    }
}

/// The contestants, then the figures with an aim.
pub(super) fn table(figures: &Figures, plan: &Plan) -> String {
    let (turns, seconds) = (plan.turns, plan.lasting.as_secs_f64());
    let mut table = Table(format!(
        "{CLIENTS} keep-alive connections, {turns} rounds, {seconds} s per turn; medians, ratios \
         within each round\n\n| | | measured | aim | |\n|---|---|---|---|---|\n"
    ));
    for who in CONTESTANTS {
        let rates = figures.each(&rate(who));
        let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = rates.iter().copied().fold(0.0, f64::max);
        let [p50, p99] = ["p50", "p99"].map(|name| {
            let median = figures.median(&format!("{who}.{name}_ms"));
            median.map(|ms| format!(", {name} {ms:.1} ms")).unwrap_or_default()
        });
        let more = format!(" ({lowest:.0} to {highest:.0}){p50}{p99}");
        table.row(&who.to_string(), (&who.name(), &more), (median(rates), "/s"), None);
    }
    for (over, under, aim) in RATIOS {
        let what = format!("{} over {}", over.short_name(), under.short_name());
        let ratio = median(&figures.ratios(&rate(over), &rate(under)));
        table.row(&format!("{over} / {under}"), (&what, ""), (ratio, ""), aim);
    }
    for who in [Subject::Sqlite, Subject::Postgres] {
        let longest = figures.highest(&format!("{who}.caught_up_s"));
        let what =
            format!("{who}: time until all consumers caught up, over the duration of the load");
        let more = format!(" ({:.2} s)", longest.unwrap_or(f64::NAN));
        table.row("", (&what, &more), (longest.map(|it| it / seconds), ""), Aim::AtMost(1.0));
    }
    for (who, what, aim) in [
        (Subject::Sqlite, "b: highest memory while 100 clients book", Some(Aim::AtMost(130.0))),
        (Subject::Postgres, "c: the same, all processes, without PostgreSQL", None),
    ] {
        table.row("", (what, ""), megabytes(figures.highest(&format!("{who}.memory_mib"))), aim);
    }
    others(figures, &mut table);
    table.0
}

fn others(figures: &Figures, table: &mut Table) {
    let shown = |name: &str| figures.median(name).unwrap_or(f64::NAN);
    let ratio = |over: &str, under: &str| (median(&figures.ratios(over, under)), "");
    for (kind, aim) in [("appended", Some(Aim::AtMost(2.5))), ("overwritten", None)] {
        let (booking, sync) = ("alone.booking_ms", format!("alone.{kind}_ms"));
        let what = format!("one client alone, booking p50, over one fdatasync (4 KiB {kind})");
        let more = format!(" ({:.2} ms, {:.2} ms)", shown(booking), shown(&sync));
        table.row("", (&what, &more), ratio(booking, &sync), aim);
    }
    let (ours, echo) = ("siege.ours_per_second", "siege.echo_per_second");
    let what = format!("the reference's siege (-c{CLIENTS}, reconnecting), over the same on echo");
    let more = format!(" ({:.0}/s, {:.0}/s)", shown(ours), shown(echo));
    table.row("", (&what, &more), ratio(ours, echo), Aim::AtLeast(0.8));
    let what = "start to ready, everything in one process";
    table.row("", (what, ""), (figures.median("start.ready_ms"), " ms"), Aim::AtMost(100.0));
    let memory = megabytes(figures.median("start.memory_mib"));
    table.row("", ("memory, idle", ""), memory, Aim::AtMost(40.0));
    let bookings = figures.highest("stored.bookings").unwrap_or_default();
    let (full, empty) = ("stored.full_per_second", "stored.empty_per_second");
    let what = format!("rate with {bookings} bookings stored, over the rate with none");
    let more = format!(" ({:.0}/s, {:.0}/s)", shown(full), shown(empty));
    table.row("", (&what, &more), ratio(full, empty), Aim::AtLeast(0.95));
    let bytes = (figures.median("stored.bytes_per_booking"), " B");
    table.row("", ("disk per stored booking, all stores", ""), bytes, Aim::AtMost(350.0));
    let what = format!("memory after {bookings} bookings");
    let memory = megabytes(figures.median("stored.memory_mib"));
    table.row("", (&what, ""), memory, Aim::AtMost(150.0));
    let (caught_up, filled) = ("stored.caught_up_s", "stored.filled_within_s");
    let what = "time until all consumers caught up, over the time to store them";
    let more = format!(" ({:.0} s after {:.0} s)", shown(caught_up), shown(filled));
    table.row("", (what, &more), ratio(caught_up, filled), Aim::AtMost(1.0));
}

pub(super) fn charts(figures: &Figures) -> [(&'static str, Chart); 3] {
    let chart = |title: &str, [x, y]: [&str; 2], series| Chart {
        title: title.to_owned(),
        x_label: x.to_owned(),
        y_label: y.to_owned(),
        series,
        ..Chart::default()
    };
    // A rejection is not a booking.
    let contestants = CONTESTANTS.into_iter().filter(|who| *who != Subject::SoldOut);
    let rates = contestants
        .map(|who| series(format!("{who} {}", who.short_name()), figures.each(&rate(who))));
    let title = "Bookings per second, round by round";
    let rates = chart(title, ["round", "per second"], rates.collect());
    let ratios = [Subject::Sqlite, Subject::Postgres, Subject::SoldOut].map(|over| {
        let ratios = figures.ratios(&rate(over), &rate(Subject::Echo));
        series(format!("{over} / {}", Subject::Echo), &ratios)
    });
    let title = "Share of the rate of echo, round by round";
    let ratios = chart(title, ["round", "ratio"], ratios.into());
    let bookings = figures.each("stored.bookings").iter().map(|bookings| bookings / 1e6);
    let points = bookings.zip(figures.each("stored.step_per_second").iter().copied()).collect();
    let stored = Series { name: "ours on SQLite".to_owned(), style: Style::Area, points };
    let labels = ["bookings stored (millions)", "bookings per second"];
    let stored = chart("Rate by number of stored bookings", labels, vec![stored]);
    [
        ("performance-rates", Chart { y_scale: Scale::Logarithmic, ..rates }),
        ("performance-ratios", ratios),
        ("performance-stored", stored),
    ]
}

fn rate(who: Subject) -> String {
    format!("{who}.per_second")
}

fn megabytes(mib: Option<f64>) -> (Option<f64>, &'static str) {
    (mib.map(|mib| mib * MB_PER_MIB), " MB")
}

fn series(name: String, values: &[f64]) -> Series {
    let rounds = (1_u32..).map(f64::from);
    let points = rounds.zip(values.iter().copied()).collect();
    Series { name, style: Style::Line, points }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_aim_is_met_at_its_limit_and_missed_beyond() {
        for (aim, limit, met, missed) in [
            (Aim::AtLeast(0.5), "≥ 0.50", 0.5, 0.499),
            (Aim::AtLeast(20.0), "≥ 20", 20.0, f64::NAN),
            (Aim::AtMost(6.0), "≤ 6.00", 6.0, 6.001),
            (Aim::AtMost(150.0), "≤ 150", 150.0, f64::NAN),
        ] {
            assert_eq!(aim.cells(met), (limit.to_owned(), "met"));
            assert_eq!(aim.cells(missed).1, "**missed**");
        }
    }

    #[test]
    fn the_table_has_what_was_measured_with_its_aims() {
        let mut figures = Figures::default();
        let echo = [("per_second", 10_000.0), ("p50_ms", 4.0), ("p99_ms", 9.0)];
        figures.push("a", echo.to_vec());
        let ours = [("per_second", 4_000.0), ("caught_up_s", 3.0), ("memory_mib", 150.0)];
        figures.push("b", ours.to_vec());
        let full = [("full_per_second", 90.0), ("empty_per_second", 100.0)];
        figures.push("stored", [full.as_slice(), &[("bookings", 5_000_000.0)]].concat());
        let subjects = vec![Subject::Echo, Subject::Sqlite];
        let lasting = Duration::from_secs(4);
        let plan = Plan { subjects, old: None, turns: 1, lasting, bookings: 0 };
        let expected = "\
100 keep-alive connections, 1 rounds, 4 s per turn; medians, ratios within each round

| | | measured | aim | |
|---|---|---|---|---|
| a | echo; a constant response on the same HTTP stack | 10000/s (10000 to 10000), p50 4.0 ms, p99 9.0 ms |  |  |
| b | ours on SQLite; everything in one process | 4000/s (4000 to 4000) |  |  |
| b / a | ours on SQLite over echo | 0.40 | ≥ 0.50 | **missed** |
|  | b: time until all consumers caught up, over the duration of the load | 0.75 (3.00 s) | ≤ 1.00 | met |
|  | b: highest memory while 100 clients book | 157 MB | ≤ 130 | **missed** |
|  | rate with 5000000 bookings stored, over the rate with none | 0.90 (90/s, 100/s) | ≥ 0.95 | **missed** |
";
        assert_eq!(table(&figures, &plan), expected);
    }
}
