//! What was measured, as a table, as JSON, and as a page.

use std::{collections::BTreeMap, fmt};

use drill::Broken;
use serde_json::{Value, json};

use crate::{
    cost::{
        THREADS,
        contest::{Contestant, Cost, Fate},
    },
    machine,
};

/// How the figures came about.
const NOTES: &str = "\
How each is called:

- *function*: through its own function around a closure. Ours: `enter` and `record`, and the coarse
  clock read before each; or not read, for whoever has the time already.
- *future*: through its own function around a future that is ready. Our admission: `admit`, and
  `finish` when the work is done.
- *service*: as a tower service around one that is always ready: `poll_ready`, `call`, poll. The
  bare service is the row without protection; its cost is in the others.
- No runtime runs: futures are polled with a waker that does nothing. One that has to wait for a
  lock is woken like any thread; where a breaker wants its caller to sleep for a lock
  (tower-resilience, open), the caller asks again at once.
- Each thread stays on one processor. With more than one, a turn in which they did not get the
  processors is repeated, up to five times.
- Processor time counts neither others on the machine nor the wait for a lock: in favour of those
  who lock. With more than one thread read the medians of a quiet machine: where others take a
  processor now and then, the threads meet less often, and everybody looks cheaper.

What each is asked for:

- All circuit breakers open when half of the calls fail: of the last 100 (recloser), of 100
  (tower-resilience), or of those of 10 s (ours, failsafe); ours and failsafe after five failures in
  a row too, and ours when too many calls are slow. Counting calls is the easier task: recloser
  reads no clock while it is closed.
- tower-resilience has a window of time too, not measured here: it keeps a record of every call,
  and walks through all of them at each.
- Open: by failures, for an hour. The limiter and the admission refuse since somebody fills them.
- The server stack is deadline and admission; the client stack is deadline, retry, the choice of one
  of two endpoints, and its breaker.
";

/// Every figure of one run.
pub(super) struct Table {
    turns: u8,
    millis: u64,
    machine: String,
    date: String,
    rows: Vec<Row>,
}

/// One way of calling one contestant.
struct Row {
    name: &'static str,
    called: &'static str,
    costs: BTreeMap<(Fate, u32), Vec<Cost>>,
}

impl Table {
    pub(super) fn new(turns: u8, millis: u64) -> Result<Self, Broken> {
        let (machine, date) = (machine::describe()?, machine::today()?);
        Ok(Self { turns, millis, machine, date, rows: Vec::new() })
    }

    pub(super) fn enter(&mut self, contestant: &Contestant, threads: u32, cost: Cost) {
        let &Contestant { name, called, fate, .. } = contestant;
        let known = self.rows.iter().position(|row| row.name == name && row.called == called);
        let at = known.unwrap_or(self.rows.len());
        if known.is_none() {
            self.rows.push(Row { name, called, costs: BTreeMap::new() });
        }
        self.rows[at].costs.entry((fate, threads)).or_default().push(cost);
    }

    pub(super) fn json(&self) -> String {
        let rows: Vec<Value> = self.rows.iter().flat_map(Row::json).collect();
        let figures = json!({
            "machine": self.machine,
            "date": self.date,
            "turns": self.turns,
            "ms_per_turn": self.millis,
            "ns_per_call": rows,
        });
        format!("{figures:#}\n")
    }

    /// The page for readers.
    pub(super) fn page(&self) -> String {
        format!("# What a call costs\n\n`cargo xtask bench resilience --write`\n{self}\n{NOTES}")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turns, millis, machine, date, .. } = self;
        writeln!(f, "\nMeasured on {date}, {machine}.\n")?;
        writeln!(
            f,
            "Nanoseconds of processor time for each call: median of {turns} turns of {millis} ms, and in brackets the least.\n"
        )?;
        write!(f, "| | called as |")?;
        for fate in ["closed", "open"] {
            for threads in THREADS {
                write!(f, " {fate}, {threads} thread{} |", if threads == 1 { "" } else { "s" })?;
            }
        }
        writeln!(f, "\n|---|---|{}", "--:|".repeat(2 * THREADS.len()))?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} |", self.name, self.called)?;
        for fate in [Fate::LetThrough, Fate::Refused] {
            for threads in THREADS {
                match self.costs.get(&(fate, threads)).map(|costs| sorted(costs, |c| c.processor)) {
                    Some(costs) => write!(f, " {:.0} ({:.0}) |", median(&costs), costs[0])?,
                    None => write!(f, " |")?,
                }
            }
        }
        Ok(())
    }
}

impl Row {
    fn json(&self) -> Vec<Value> {
        let figures = |costs: Vec<f64>| json!({"median": median(&costs), "turns": costs});
        let row = |(&(fate, threads), costs): (&(Fate, u32), &Vec<Cost>)| {
            json!({
                "name": self.name,
                "called_as": self.called,
                "open": fate == Fate::Refused,
                "threads": threads,
                "processor": figures(sorted(costs, |cost| cost.processor)),
                "elapsed": figures(sorted(costs, |cost| cost.elapsed)),
            })
        };
        self.costs.iter().map(row).collect()
    }
}

fn sorted(costs: &[Cost], which: impl Fn(&Cost) -> f64) -> Vec<f64> {
    let mut sorted: Vec<f64> = costs.iter().map(which).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
