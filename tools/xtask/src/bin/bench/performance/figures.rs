//! The figures: as a table with their aims, and as charts.

use std::fmt::Write;

use drill::{Chart, Scale, Series, Style};
use serde::Serialize;

use super::{
    aim::Aim,
    alone::Alone,
    plan::{CLIENTS, CONTESTANTS, Plan, Subject},
    rounds::{Rounds, median, median_or_nan},
    stored::Stored,
};

/// Ratios of rates, with their aims.
const RATIOS: [(Subject, Subject, Option<Aim>); 6] = [
    (Subject::Sqlite, Subject::Echo, Some(Aim::AtLeast(0.5))),
    (Subject::Postgres, Subject::Echo, Some(Aim::AtLeast(0.3))),
    (Subject::Postgres, Subject::HotRow, Some(Aim::AtLeast(20.0))),
    (Subject::Postgres, Subject::OneStatement, None),
    (Subject::Sqlite, Subject::Redis, Some(Aim::AtLeast(1.0))),
    (Subject::SoldOut, Subject::Echo, Some(Aim::AtLeast(0.85))),
];

/// Aims are in MB, the kernel counts in KiB.
const MB_PER_MIB: f64 = 1.048_576;

#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) rounds: Rounds,
    pub(super) alone: Option<Alone>,
    pub(super) sieges: Rounds,
    pub(super) start: Option<Starts>,
    pub(super) stored: Option<Stored>,
}

/// One value for each start.
#[derive(Debug, Default, Serialize)]
pub(super) struct Starts {
    /// To the first healthy response on every port.
    pub(super) ready_ms: Vec<f64>,
    /// Resident memory then.
    pub(super) memory_mib: Vec<f64>,
}

/// The rows of the table, each a line of text.
struct Table(String);

impl Table {
    /// `letters` are a contestant, a ratio of two, or empty; `more` follows the figure.
    fn row(
        &mut self,
        letters: &str,
        (what, more): (&str, &str),
        (figure, unit): (f64, &str),
        aim: impl Into<Option<Aim>>,
    ) {
        let shown = if figure < 100.0 { format!("{figure:.2}") } else { format!("{figure:.0}") };
        let (limit, verdict) =
            aim.into().map_or_else(Default::default, |aim| (aim.to_string(), aim.verdict(figure)));
        let text = &mut self.0;
        let _ =
            writeln!(text, "| {letters} | {what} | {shown}{unit}{more} | {limit} | {verdict} |");
    }
}

impl Figures {
    /// The contestants, then the figures with an aim.
    pub(super) fn table(&self, plan: &Plan) -> String {
        let (turns, seconds) = (plan.turns, plan.lasting.as_secs_f64());
        let mut table = Table(format!(
            "{CLIENTS} keep-alive connections, {turns} rounds, {seconds} s per turn; medians, ratios \
             within each round\n\n| | | measured | aim | |\n|---|---|---|---|---|\n"
        ));
        for who in CONTESTANTS {
            self.contestant(who, &mut table);
        }
        for (over, under, aim) in RATIOS {
            if let Some(ratio) = median(&self.rounds.ratios(over, under)) {
                let what = format!("{} over {}", short_name(over), short_name(under));
                table.row(&format!("{over} / {under}"), (&what, ""), (ratio, ""), aim);
            }
        }
        for who in [Subject::Sqlite, Subject::Postgres] {
            if let Some(longest) = self.rounds.highest(who, |turn| turn.caught_up_s) {
                let what = format!(
                    "{who}: time until all consumers caught up, over the duration of the load"
                );
                let more = format!(" ({longest:.2} s)");
                table.row("", (&what, &more), (longest / seconds, ""), Aim::AtMost(1.0));
            }
        }
        for (who, what, aim) in [
            (Subject::Sqlite, "b: highest memory while 100 clients book", Some(Aim::AtMost(150.0))),
            (Subject::Postgres, "c: the same, all processes, without PostgreSQL", None),
        ] {
            if let Some(highest) = self.rounds.highest(who, |turn| turn.memory_mib) {
                table.row("", (what, ""), (highest * MB_PER_MIB, " MB"), aim);
            }
        }
        self.others(&mut table);
        table.0
    }

    fn contestant(&self, who: Subject, table: &mut Table) {
        let rates = self.rounds.rates(who);
        let Some(rate) = median(&rates) else { return };
        let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = rates.iter().copied().fold(0.0, f64::max);
        let percentile = |each: Vec<f64>, name| {
            median(&each).map(|ms| format!(", {name} {ms:.1} ms")).unwrap_or_default()
        };
        let p50 = percentile(self.rounds.each(who, |turn| turn.p50_ms), "p50");
        let p99 = percentile(self.rounds.each(who, |turn| turn.p99_ms), "p99");
        let more = format!(" ({lowest:.0} to {highest:.0}){p50}{p99}");
        table.row(&who.to_string(), (name(who), &more), (rate, "/s"), None);
    }

    fn others(&self, table: &mut Table) {
        if let Some(alone) = &self.alone {
            let booking = median_or_nan(&alone.booking_ms);
            for (kind, sync_ms, aim) in [
                ("appended", &alone.appended_ms, Some(Aim::AtMost(6.0))),
                ("overwritten", &alone.overwritten_ms, None),
            ] {
                let what =
                    format!("one client alone, booking p50, over one fdatasync (4 KiB {kind})");
                let more = format!(" ({booking:.2} ms, {:.2} ms)", median_or_nan(sync_ms));
                table.row("", (&what, &more), (alone.ratio(sync_ms), ""), aim);
            }
        }
        if let Some(ratio) = median(&self.sieges.ratios(Subject::Sqlite, Subject::Echo)) {
            let [ours, echo] =
                [Subject::Sqlite, Subject::Echo].map(|who| median_or_nan(&self.sieges.rates(who)));
            let what =
                format!("the reference's siege (-c{CLIENTS}, reconnecting), over the same on echo");
            let more = format!(" ({ours:.0}/s, {echo:.0}/s)");
            table.row("", (&what, &more), (ratio, ""), Aim::AtLeast(0.8));
        }
        if let Some(Starts { ready_ms, memory_mib }) = &self.start {
            let ready = (median_or_nan(ready_ms), " ms");
            let what = "start to ready, everything in one process";
            table.row("", (what, ""), ready, Aim::AtMost(100.0));
            let idle = (median_or_nan(memory_mib) * MB_PER_MIB, " MB");
            table.row("", ("memory, idle", ""), idle, Aim::AtMost(40.0));
        }
        if let Some(stored) = &self.stored {
            let Stored { bookings, memory_mib, filled_within_s, caught_up_s, .. } = stored;
            let what = format!("rate with {bookings} bookings stored, over the rate with none");
            let [empty, full] = stored.middle_rates();
            let more = format!(" ({full:.0}/s, {empty:.0}/s)");
            table.row("", (&what, &more), (stored.ratio(), ""), Aim::AtLeast(0.9));
            let what = format!("memory after {bookings} bookings");
            table.row("", (&what, ""), (memory_mib * MB_PER_MIB, " MB"), Aim::AtMost(150.0));
            let what = "time until all consumers caught up, over the time to store them";
            let more = format!(" ({caught_up_s:.0} s after {filled_within_s:.0} s)");
            let ratio = caught_up_s / filled_within_s;
            table.row("", (what, &more), (ratio, ""), Aim::AtMost(1.0));
        }
    }

    pub(super) fn charts(&self) -> [(&'static str, Chart); 3] {
        // A rejection is not a booking.
        let contestants = CONTESTANTS.into_iter().filter(|who| *who != Subject::SoldOut);
        let rate =
            |who: Subject| series(&format!("{who} {}", short_name(who)), &self.rounds.rates(who));
        let ratio = |over: Subject| {
            let ratios = self.rounds.ratios(over, Subject::Echo);
            series(&format!("{over} / {}", Subject::Echo), &ratios)
        };
        let growth = self.stored.as_ref().map_or(&[][..], |stored| &stored.growth);
        let points = growth.iter().map(|(bookings, rate)| (bookings / 1e6, *rate)).collect();
        let chart = |title: &str, x: &str, y: &str, series| Chart {
            title: title.to_owned(),
            x_label: x.to_owned(),
            y_label: y.to_owned(),
            series,
            ..Chart::default()
        };
        let title = "Bookings per second, round by round";
        let rates = chart(title, "round", "per second", contestants.map(rate).collect());
        let rates = Chart { y_scale: Scale::Logarithmic, ..rates };
        let over_echo = [Subject::Sqlite, Subject::Postgres, Subject::SoldOut].map(ratio);
        let title = "Share of the rate of echo, round by round";
        let ratios = chart(title, "round", "ratio", over_echo.into());
        let stored = Series { name: "ours on SQLite".to_owned(), style: Style::Area, points };
        let stored = chart(
            "Rate by number of stored bookings",
            "bookings stored (millions)",
            "bookings per second",
            vec![stored],
        );
        [
            ("performance-rates", rates),
            ("performance-ratios", ratios),
            ("performance-stored", stored),
        ]
    }
}

fn series(name: &str, values: &[f64]) -> Series {
    let rounds = (1_u32..).map(f64::from);
    let points = rounds.zip(values.iter().copied()).collect();
    Series { name: name.to_owned(), style: Style::Line, points }
}

/// A contestant in the table.
fn name(who: Subject) -> &'static str {
    match who {
        Subject::Echo => "echo; a constant response on the same HTTP stack",
        Subject::Sqlite => "ours on SQLite; everything in one process",
        Subject::Postgres => "ours on PostgreSQL; one process per service",
        Subject::HotRow => {
            "PostgreSQL's hot row; SELECT … FOR UPDATE, UPDATE, INSERT, 32 clients, no HTTP"
        }
        Subject::OneStatement => {
            "PostgreSQL's one statement; UPDATE and INSERT, 32 clients, no HTTP"
        }
        Subject::Redis => "Redis; decrement in Lua, appendfsync always, 100 clients, no HTTP",
        Subject::SoldOut => "sold out; ours on SQLite, no dose left",
        Subject::Alone | Subject::Siege | Subject::Start | Subject::Stored => "",
    }
}

/// The name up to its explanation.
fn short_name(who: Subject) -> &'static str {
    name(who).split(';').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use serde_json::json;

    use super::*;
    use crate::performance::rounds::Turn;

    fn figures() -> Figures {
        let mut figures = Figures::default();
        let echo = Turn { p50_ms: Some(4.0), p99_ms: Some(9.0), ..Turn::of_rate(10_000.0) };
        let ours =
            Turn { caught_up_s: Some(3.0), memory_mib: Some(150.0), ..Turn::of_rate(4_000.0) };
        figures.rounds.push(BTreeMap::from([(Subject::Echo, echo), (Subject::Sqlite, ours)]));
        figures
    }

    fn table() -> String {
        let subjects = vec![Subject::Echo, Subject::Sqlite];
        let plan = Plan { subjects, turns: 1, lasting: Duration::from_secs(4), bookings: 0 };
        figures().table(&plan)
    }

    #[test]
    fn the_table_has_what_was_measured_with_its_aims() {
        let expected = "\
100 keep-alive connections, 1 rounds, 4 s per turn; medians, ratios within each round

| | | measured | aim | |
|---|---|---|---|---|
| a | echo; a constant response on the same HTTP stack | 10000/s (10000 to 10000), p50 4.0 ms, p99 9.0 ms |  |  |
| b | ours on SQLite; everything in one process | 4000/s (4000 to 4000) |  |  |
| b / a | ours on SQLite over echo | 0.40 | ≥ 0.50 | **missed** |
|  | b: time until all consumers caught up, over the duration of the load | 0.75 (3.00 s) | ≤ 1.00 | met |
|  | b: highest memory while 100 clients book | 157 MB | ≤ 150 | **missed** |
";
        assert_eq!(table(), expected);
    }

    #[test]
    fn json_has_every_round_with_contestants_under_their_letters() {
        let figures = serde_json::to_value(figures()).unwrap();
        assert_eq!(figures["rounds"][0]["a"]["per_second"], json!(10_000.0));
        assert_eq!(figures["rounds"][0]["b"]["caught_up_s"], json!(3.0));
    }
}
