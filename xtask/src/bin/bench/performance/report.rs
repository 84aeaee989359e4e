//! What was measured, as rows of a table and as JSON.

use drill::Broken;
use std::{fmt, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    CLIENTS, CONTESTANTS, Plan, Subject,
    aim::Aim,
    alone::Alone,
    rounds::{Rounds, median},
    start::Starts,
    stored::Stored,
};
use crate::machine;

/// What one is divided by the other, and what should come out.
const RATIOS: [(Subject, Subject, Option<Aim>); 6] = [
    (Subject::Sqlite, Subject::Echo, Some(Aim::AtLeast(0.5))),
    (Subject::Postgres, Subject::Echo, Some(Aim::AtLeast(0.3))),
    (Subject::Postgres, Subject::HotRow, Some(Aim::AtLeast(20.0))),
    (Subject::Postgres, Subject::OneStatement, None),
    (Subject::Sqlite, Subject::Redis, Some(Aim::AtLeast(1.0))),
    (Subject::SoldOut, Subject::Echo, Some(Aim::AtLeast(0.85))),
];

/// An aim is in MB, the kernel counts in KiB.
const MB_PER_MIB: f64 = 1.048_576;

/// Every figure of one run.
pub(super) struct Report {
    pub(super) plan: Plan,
    /// The machine, and the versions of what else was measured.
    pub(super) machine: String,
    pub(super) date: String,
    pub(super) rounds: Rounds,
    pub(super) alone: Option<Alone>,
    pub(super) sieges: Rounds,
    pub(super) start: Option<Starts>,
    pub(super) stored: Option<Stored>,
}

/// A line of the table.
struct Row {
    /// A letter, two of them with a slash, or a word: its name in JSON.
    key: String,
    what: String,
    figure: f64,
    shown: String,
    aim: Option<Aim>,
}

impl Row {
    fn new(key: &str, what: &str, figure: f64, unit: &str) -> Self {
        let shown = if figure < 100.0 { format!("{figure:.2}") } else { format!("{figure:.0}") };
        let (key, what) = (key.to_owned(), what.to_owned());
        Self { key, what, figure, shown: format!("{shown}{unit}"), aim: None }
    }

    fn aim(self, aim: impl Into<Option<Aim>>) -> Self {
        Self { aim: aim.into(), ..self }
    }

    fn with(self, more: &str) -> Self {
        Self { shown: format!("{}{more}", self.shown), ..self }
    }
}

impl Report {
    pub(super) fn new(plan: Plan) -> Result<Self, Broken> {
        let mut machine = vec![machine::describe()?];
        for tool in plan.tools() {
            let version =
                machine::version(tool.programs.first().ok_or("a tool without programs")?)?;
            machine.push(format!("{} {version}", tool.package));
        }
        Ok(Self {
            plan,
            machine: machine.join(", "),
            date: machine::today()?,
            rounds: Rounds::default(),
            alone: None,
            sieges: Rounds::default(),
            start: None,
            stored: None,
        })
    }

    /// Those who took part, then what has an aim, in the order of the aims.
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<_> =
            CONTESTANTS.into_iter().filter_map(|who| self.contestant(who)).collect();
        rows.extend(RATIOS.into_iter().filter_map(|(over, under, aim)| {
            let ratio = median(&self.rounds.ratios(over, under))?;
            let what = format!("{} over {}", short_name(over), short_name(under));
            Some(Row::new(&format!("{over}/{under}"), &what, ratio, "").aim(aim))
        }));
        rows.extend(self.followers());
        rows.extend(self.memory());
        rows.extend(self.alone.as_ref().map(alone).unwrap_or_default());
        rows.extend(self.siege());
        rows.extend(self.start.as_ref().map(start).unwrap_or_default());
        rows.extend(self.stored.as_ref().map(stored).unwrap_or_default());
        rows
    }

    fn contestant(&self, who: Subject) -> Option<Row> {
        let rates = self.rounds.rates(who);
        let rate = median(&rates)?;
        let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = rates.iter().copied().fold(0.0, f64::max);
        let range = format!(" ({lowest:.0} to {highest:.0})");
        let percentiles =
            [self.rounds.each(who, |turn| turn.p50_ms), self.rounds.each(who, |turn| turn.p99_ms)];
        let latency = match percentiles.each_ref().map(|each| median(each)) {
            [Some(p50), Some(p99)] => format!(", p50 {p50:.1} ms, p99 {p99:.1} ms"),
            _ => String::new(),
        };
        let row = Row::new(&who.to_string(), name(who), rate, "/s");
        Some(row.with(&range).with(&latency))
    }

    /// How long those who follow took after a load, as a part of its length; the slowest counts.
    fn followers(&self) -> impl Iterator<Item = Row> {
        let seconds = self.plan.lasting.as_secs_f64();
        [Subject::Sqlite, Subject::Postgres].into_iter().filter_map(move |who| {
            let waits = self.rounds.each(who, |turn| turn.caught_up.map(|wait| wait.as_secs_f64()));
            let longest = waits.iter().copied().max_by(f64::total_cmp)?;
            let what = format!("{who}: everybody had heard of every booking, of the load's length");
            let row = Row::new(&format!("caught_up_{who}"), &what, longest / seconds, "");
            Some(row.with(&format!(" ({longest:.2} s)")).aim(Aim::AtMost(1.0)))
        })
    }

    fn memory(&self) -> impl Iterator<Item = Row> {
        let rows = [
            (Subject::Sqlite, "b: highest memory while 100 clients book", Some(Aim::AtMost(150.0))),
            (Subject::Postgres, "c: the same, all five processes, without PostgreSQL", None),
        ];
        rows.into_iter().filter_map(|(who, what, aim)| {
            let each = self.rounds.each(who, |turn| turn.memory_mib);
            let highest = each.into_iter().max_by(f64::total_cmp)?;
            Some(Row::new(&format!("memory_mb_{who}"), what, highest * MB_PER_MIB, " MB").aim(aim))
        })
    }

    fn siege(&self) -> Option<Row> {
        let ratio = median(&self.sieges.ratios(Subject::Sqlite, Subject::Echo))?;
        let rate = |who| median(&self.sieges.rates(who)).unwrap_or(f64::NAN);
        let what = format!("the seed's siege (-c{CLIENTS}, reconnecting), over the same on echo");
        let more = format!(" ({:.0}/s, {:.0}/s)", rate(Subject::Sqlite), rate(Subject::Echo));
        Some(Row::new("siege", &what, ratio, "").with(&more).aim(Aim::AtLeast(0.8)))
    }

    /// Every figure, under its letter or word.
    pub(super) fn json(&self) -> String {
        let mut figures = Map::new();
        let mut put = |key: &str, value: Value| figures.insert(key.to_owned(), value);
        put("machine", json!(self.machine));
        put("date", json!(self.date));
        put("command", json!(self.plan.command()));
        for row in self.rows() {
            put(&row.key, json!(row.figure));
        }
        for who in CONTESTANTS {
            let rates = self.rounds.rates(who);
            if !rates.is_empty() {
                put(&who.to_string(), self.details(who, &rates));
            }
        }
        if let Some(alone) = &self.alone {
            put("alone_booking_p50_ms", json!(alone.booking_ms));
            put("alone_fdatasync_appended_ms", json!(alone.appended_ms));
            put("alone_fdatasync_overwritten_ms", json!(alone.overwritten_ms));
        }
        if let Some(stored) = &self.stored {
            put("stored_bookings", json!(stored.bookings));
            put("stored_growth", json!(stored.growth));
            put("stored_empty_and_full_per_second", json!(stored.rates));
        }
        format!("{:#}\n", Value::Object(figures))
    }

    fn details(&self, who: Subject, rates: &[f64]) -> Value {
        let each_ms =
            |each: Vec<Duration>| -> Vec<u128> { each.iter().map(Duration::as_millis).collect() };
        let caught_up = self.rounds.each(who, |turn| Some(turn.caught_up?.as_secs_f64()));
        json!({
            "name": name(who),
            "per_second": median(rates),
            "rounds_per_second": rates,
            "p50_ms": median(&self.rounds.each(who, |turn| turn.p50_ms)),
            "p99_ms": median(&self.rounds.each(who, |turn| turn.p99_ms)),
            "caught_up_ms": each_ms(caught_up.into_iter().map(Duration::from_secs_f64).collect()),
        })
    }
}

/// As the table calls it.
fn name(who: Subject) -> &'static str {
    match who {
        Subject::Echo => "echo; a constant answer on the same chassis",
        Subject::Sqlite => "ours on SQLite; everything in one process",
        Subject::Postgres => "ours on PostgreSQL; one process a part",
        Subject::HotRow => {
            "PostgreSQL's hot row; SELECT … FOR UPDATE, UPDATE, INSERT, 32 clients, no HTTP"
        }
        Subject::OneStatement => {
            "PostgreSQL's one statement; UPDATE and INSERT, 32 clients, no HTTP"
        }
        Subject::Redis => "Redis; decrement in Lua, appendfsync always, 100 clients, no HTTP",
        Subject::SoldOut => "sold out; ours on SQLite has nothing left",
        Subject::Alone => "one client alone",
        Subject::Siege => "the seed's siege",
        Subject::Start => "start",
        Subject::Stored => "bookings stored",
    }
}

/// The name up to its explanation.
pub(super) fn short_name(who: Subject) -> &'static str {
    name(who).split(';').next().unwrap_or_default()
}

fn alone(alone: &Alone) -> Vec<Row> {
    let middle = |values: &[f64]| median(values).unwrap_or(f64::NAN);
    let booking = middle(&alone.booking_ms);
    let row = |key: &str, what: &str, sync_ms: &[f64]| {
        let ratio = alone.ratio(sync_ms).unwrap_or(f64::NAN);
        let more = format!(" ({booking:.2} ms, {:.2} ms)", middle(sync_ms));
        Row::new(key, what, ratio, "").with(&more)
    };
    let appended = "one client alone, booking p50, over one fdatasync (4 KiB appended)";
    let overwritten = "the same, over one fdatasync (4 KiB overwritten)";
    vec![
        row("alone", appended, &alone.appended_ms).aim(Aim::AtMost(6.0)),
        row("alone_overwritten", overwritten, &alone.overwritten_ms),
    ]
}

fn start(starts: &Starts) -> Vec<Row> {
    let middle = |values: &[f64]| median(values).unwrap_or(f64::NAN);
    let ready = "start to ready, everything in one process";
    let idle = middle(&starts.memory_mib) * MB_PER_MIB;
    vec![
        Row::new("start_ms", ready, middle(&starts.ready_ms), " ms").aim(Aim::AtMost(100.0)),
        Row::new("memory_mb_idle", "memory, idle", idle, " MB").aim(Aim::AtMost(40.0)),
    ]
}

fn stored(stored: &Stored) -> Vec<Row> {
    let Stored { bookings, memory_mib, filled_within, caught_up, .. } = stored;
    let what = format!("rate with {bookings} bookings stored, over the rate with none");
    let ratio = stored.ratio().unwrap_or(f64::NAN);
    let middle = |each: fn(&(f64, f64)) -> f64| {
        median(&stored.rates.iter().map(each).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    let rates = format!(" ({:.0}/s, {:.0}/s)", middle(|rates| rates.1), middle(|rates| rates.0));
    let memory = format!("memory after {bookings} bookings");
    let waited = caught_up.as_secs_f64() / filled_within.as_secs_f64();
    let heard = "everybody had heard of all of them, of the time it took to store them";
    let (within, seconds) = (filled_within.as_secs_f64(), caught_up.as_secs_f64());
    vec![
        Row::new("stored", &what, ratio, "").with(&rates).aim(Aim::AtLeast(0.9)),
        Row::new("stored_memory_mb", &memory, memory_mib * MB_PER_MIB, " MB")
            .aim(Aim::AtMost(150.0)),
        Row::new("stored_caught_up", heard, waited, "")
            .with(&format!(" ({seconds:.0} s after {within:.0} s)"))
            .aim(Aim::AtMost(1.0)),
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (turns, seconds) = (self.plan.turns, self.plan.lasting.as_secs());
        writeln!(
            f,
            "\n{CLIENTS} kept connections, {turns} rounds, {seconds} s a turn; medians, ratios within \
             each round\n"
        )?;
        writeln!(f, "| | | measured | aim | |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for Row { key, what, figure, shown, aim } in self.rows() {
            // A word is a name for JSON; what it is follows anyway.
            let key = if key.len() > "a/a".len() { String::new() } else { key.replace('/', " / ") };
            let (limit, verdict) =
                aim.map_or_else(Default::default, |aim| (aim.to_string(), aim.verdict(figure)));
            writeln!(f, "| {key} | {what} | {shown} | {limit} | {verdict} |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::performance::rounds::Turn;

    fn plan() -> Plan {
        let subjects = vec![Subject::Echo, Subject::Sqlite];
        Plan { subjects, turns: 1, lasting: Duration::from_secs(4), bookings: 0 }
    }

    fn report() -> Report {
        let mut report = Report::new(plan()).unwrap();
        let echo =
            Turn { per_second: 10_000.0, p50_ms: Some(4.0), p99_ms: Some(9.0), ..Turn::default() };
        let ours = Turn {
            per_second: 4_000.0,
            caught_up: Some(Duration::from_secs(3)),
            memory_mib: Some(150.0),
            ..Turn::default()
        };
        report.rounds.push(BTreeMap::from([(Subject::Echo, echo), (Subject::Sqlite, ours)]));
        report
    }

    fn line(report: &Report, with: &str) -> String {
        let table = report.to_string();
        let found = table.lines().find(|line| line.contains(with));
        found.unwrap_or_else(|| panic!("{with} is not in {table}")).to_owned()
    }

    #[test]
    fn a_ratio_is_held_against_its_aim() {
        assert_eq!(
            line(&report(), "| b / a |"),
            "| b / a | ours on SQLite over echo | 0.40 | ≥ 0.50 | **missed** |"
        );
    }

    #[test]
    fn what_was_not_measured_is_not_in_the_table() {
        let table = report().to_string();
        assert!(!table.contains("c / a") && !table.contains("siege"), "{table}");
        assert!(!table.contains("NaN"), "{table}");
    }

    #[test]
    fn who_follows_is_measured_by_the_length_of_the_load() {
        assert!(
            line(&report(), "everybody had heard").ends_with("| 0.75 (3.00 s) | ≤ 1.00 | met |")
        );
    }

    #[test]
    fn memory_is_compared_in_the_unit_of_its_aim() {
        assert!(line(&report(), "highest memory").ends_with("| 157 MB | ≤ 150 | **missed** |"));
    }

    #[test]
    fn json_has_every_ratio_under_its_letters_and_every_contestant_under_its_own() {
        let figures: Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(figures["b/a"], 0.4);
        assert_eq!(figures["a"]["per_second"], 10_000.0);
        assert_eq!(figures["b"]["caught_up_ms"], json!([3_000]));
        assert_eq!(figures["c/a"], Value::Null);
        assert_eq!(figures["command"], "cargo xtask bench --turns 1 --seconds 4 --only a,b");
    }
}
