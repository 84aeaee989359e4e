//! What a durable booking costs, beside an answer that costs nothing, and beside other ways to count
//! doses down; and every other figure that has an aim.
//!
//! The contestants are all up, and take turns within each round. A ratio is taken within its round,
//! and the median of these counts: whatever else the machine does disturbs neighbours alike.

mod aim;
mod alone;
mod contest;
mod page;
mod pgbench;
mod redis;
mod report;
mod rounds;
mod siege;
mod start;
mod stored;

use drill::Broken;
use std::{fmt, fs, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use xtask::{
    child,
    tools::{self, ThisMachine, Tool},
};

use self::report::Report;
use crate::server;

/// Users, each on a connection of its own.
const CLIENTS: u16 = 100;

/// What `cargo xtask bench` alone takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds, in each of which every contestant has a turn [default: 5, quick: 2]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=20))]
    turns: Option<u8>,
    /// Seconds per turn [default: 5, quick: 2]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: Option<u64>,
    /// A first look: short turns of a, b, c and g
    #[arg(long)]
    quick: bool,
    /// Measures only these
    #[arg(long, value_delimiter = ',', value_name = "SUBJECT,…")]
    only: Vec<Subject>,
    /// Bookings that are stored before `stored` measures again; 0 leaves it out
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(..=5_000_000))]
    bookings: u64,
    /// Writes every figure to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes performance.md and its charts to this folder [default: docs, if everything is measured]
    #[arg(long, value_name = "FOLDER")]
    docs: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Subject {
    /// A constant answer on the same chassis
    #[value(name = "a")]
    Echo,
    /// Ours on SQLite, everything in one process
    #[value(name = "b")]
    Sqlite,
    /// Ours on PostgreSQL, a process a part
    #[value(name = "c")]
    Postgres,
    /// PostgreSQL alone, one transaction a booking
    #[value(name = "d")]
    HotRow,
    /// PostgreSQL alone, one statement a booking
    #[value(name = "e")]
    OneStatement,
    /// Redis alone, with a script
    #[value(name = "f")]
    Redis,
    /// Ours on SQLite when nothing is left
    #[value(name = "g")]
    SoldOut,
    /// One client, beside what the disk takes
    Alone,
    /// The seed's load with the real siege
    Siege,
    /// Start-up and idle memory
    Start,
    /// With many bookings stored
    Stored,
}

/// Those who take turns.
const CONTESTANTS: [Subject; 7] = [
    Subject::Echo,
    Subject::Sqlite,
    Subject::Postgres,
    Subject::HotRow,
    Subject::OneStatement,
    Subject::Redis,
    Subject::SoldOut,
];

/// Who shares the one PostgreSQL.
const ON_POSTGRES: [Subject; 3] = [Subject::Postgres, Subject::HotRow, Subject::OneStatement];

/// Those of a first look.
const QUICK: [Subject; 4] = [Subject::Echo, Subject::Sqlite, Subject::Postgres, Subject::SoldOut];

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Err(fmt::Error), |value| f.write_str(value.get_name()))
    }
}

/// What is measured, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    subjects: Vec<Subject>,
    turns: u8,
    lasting: Duration,
    bookings: u64,
}

impl Plan {
    fn of(options: &Options) -> Self {
        let mut subjects = match &options.only[..] {
            [] if options.quick => QUICK.to_vec(),
            [] => Subject::value_variants().to_vec(),
            only => only.to_vec(),
        };
        if options.bookings == 0 {
            subjects.retain(|&subject| subject != Subject::Stored);
        }
        let (turns, seconds) = if options.quick { (2, 2) } else { (5, 5) };
        Self {
            subjects,
            turns: options.turns.unwrap_or(turns),
            lasting: Duration::from_secs(options.seconds.unwrap_or(seconds)),
            bookings: options.bookings,
        }
    }

    fn includes(&self, subject: Subject) -> bool {
        self.subjects.contains(&subject)
    }

    fn is_everything(&self) -> bool {
        Subject::value_variants().iter().all(|&subject| self.includes(subject))
    }

    /// The programs from outside that it takes.
    fn tools(&self) -> Vec<Tool> {
        let needs: [(Tool, &[Subject]); 3] = [
            (tools::POSTGRES, &ON_POSTGRES),
            (tools::REDIS, &[Subject::Redis]),
            (tools::SIEGE, &[Subject::Siege]),
        ];
        let needed = needs.into_iter().filter(|(_, by)| by.iter().any(|&who| self.includes(who)));
        needed.map(|(tool, _)| tool).collect()
    }

    /// What to type for the same.
    fn command(&self) -> String {
        let Self { subjects, turns, lasting, bookings } = self;
        let seconds = lasting.as_secs();
        let mut words = vec![format!("cargo xtask bench --turns {turns} --seconds {seconds}")];
        if self.includes(Subject::Stored) {
            words.push(format!("--bookings {bookings}"));
        }
        if !self.is_everything() {
            let names: Vec<_> = subjects.iter().map(Subject::to_string).collect();
            words.push(format!("--only {}", names.join(",")));
        }
        words.join(" ")
    }
}

/// Measures and reports.
pub(crate) fn run(options: &Options) -> Result<(), Broken> {
    let plan = Plan::of(options);
    for tool in plan.tools() {
        tools::provide(&tool, &mut ThisMachine)?;
    }
    server::build(&[server::ANTICORONA, server::ECHO])?;
    let mut report = Report::new(plan.clone())?;
    let done = crate::on_one_thread(measure(&plan, &mut report))?;
    // Also after a failure: what came before it took its time.
    println!("{report}");
    if let Some(file) = &options.json {
        fs::write(file, report.json())?;
        println!("Every figure is in {}.", file.display());
    }
    done?;
    let usual = plan.is_everything().then(|| child::root().join("docs"));
    if let Some(folder) = options.docs.clone().or(usual) {
        page::write(&report, &folder)?;
        println!("The page and its charts are in {}.", folder.display());
    }
    Ok(())
}

async fn measure(plan: &Plan, report: &mut Report) -> Result<(), Broken> {
    if CONTESTANTS.iter().any(|&who| plan.includes(who)) {
        contest::run(plan, &mut report.rounds).await?;
    }
    if plan.includes(Subject::Alone) {
        report.alone = Some(alone::measure(plan).await?);
    }
    if plan.includes(Subject::Siege) {
        siege::run(plan, &mut report.sieges).await?;
    }
    if plan.includes(Subject::Start) {
        report.start = Some(start::measure().await?);
    }
    if plan.includes(Subject::Stored) {
        report.stored = Some(stored::measure(plan).await?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn plan(line: &str) -> Plan {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Plan::of(&Line::try_parse_from(words).map_err(|error| error.to_string()).unwrap().options)
    }

    #[test]
    fn everything_is_measured_unless_less_is_asked_for() {
        assert!(plan("").is_everything());
        assert_eq!(plan("--only a,stored").subjects, [Subject::Echo, Subject::Stored]);
        assert_eq!(plan("--quick").subjects, QUICK);
        assert_eq!(plan("--quick --only f").subjects, [Subject::Redis]);
        assert!(!plan("--bookings 0").includes(Subject::Stored));
    }

    #[test]
    fn a_first_look_is_short_but_may_be_longer() {
        assert_eq!((plan("--quick").turns, plan("--quick").lasting.as_secs()), (2, 2));
        assert_eq!((plan("").turns, plan("").lasting.as_secs()), (5, 5));
        assert_eq!(plan("--quick --turns 3 --seconds 1").turns, 3);
    }

    #[test]
    fn the_command_does_the_same_again() {
        for line in ["", "--quick", "--only b,f,alone --turns 2", "--bookings 0 --seconds 9"] {
            let first = plan(line);
            let command = first.command();
            let again = plan(command.strip_prefix("cargo xtask bench").unwrap());
            let of = |plan: &Plan| (plan.subjects.clone(), plan.turns, plan.lasting);
            assert_eq!(of(&again), of(&first), "{command}");
        }
    }

    #[test]
    fn only_what_is_measured_has_to_be_installed() {
        let packages =
            |line| plan(line).tools().iter().map(|tool| tool.package).collect::<Vec<_>>();
        assert!(packages("--only a,b,g,alone,start,stored").is_empty());
        assert_eq!(packages("--only c,f,siege"), ["postgresql", "redis-server", "siege"]);
    }
}
