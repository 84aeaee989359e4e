//! What is measured, and for how long.

use std::{fmt, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::PossibleValue};
use xtask::tools::{self, Tool};

/// Clients, each on a connection of its own.
pub(super) const CLIENTS: u16 = 100;

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds, with one turn of each contestant [default: 5, quick: 2]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=20))]
    turns: Option<u8>,
    /// Seconds per turn [default: 5, quick: 2]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: Option<u64>,
    /// Short turns of a, b, c and g
    #[arg(long)]
    quick: bool,
    /// Measures only these
    #[arg(long, value_delimiter = ',', value_name = "SUBJECT,…")]
    only: Vec<Subject>,
    /// Bookings that are stored before `stored` measures again; 0 leaves it out
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(..=5_000_000))]
    bookings: u64,
    /// An earlier build of `anticorona` that takes turns too, as o
    #[arg(long, value_name = "PROGRAM")]
    old: Option<PathBuf>,
    /// Writes every figure to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Updates performance.md and its charts in this folder [default: docs, if everything is measured]
    #[arg(long, value_name = "FOLDER")]
    pub(super) docs: Option<PathBuf>,
}

/// A measurement. The help of a contestant is its name in the table, with an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Subject {
    /// echo; a constant response on the same HTTP stack
    #[value(name = "a")]
    Echo,
    /// ours on SQLite; everything in one process
    #[value(name = "b")]
    Sqlite,
    /// ours on PostgreSQL; one process per service
    #[value(name = "c")]
    Postgres,
    /// PostgreSQL's hot row; SELECT … FOR UPDATE, UPDATE, INSERT, 32 clients, no HTTP
    #[value(name = "d")]
    HotRow,
    /// PostgreSQL's one statement; UPDATE and INSERT, 32 clients, no HTTP
    #[value(name = "e")]
    OneStatement,
    /// Redis; decrement in Lua, appendfsync always, 100 clients, no HTTP
    #[value(name = "f")]
    Redis,
    /// sold out; ours on SQLite, no dose left
    #[value(name = "g")]
    SoldOut,
    /// ours with keys; b with an Idempotency-Key on every request
    #[value(name = "k")]
    Keyed,
    /// ours with small pools; on SQLite, one of 2,000 vaccines of 40 doses at random
    #[value(name = "p")]
    SmallPools,
    /// an earlier build; as b, the program of --old
    #[value(name = "o", hide = true)]
    Old,
    /// One client alone, beside disk syncs
    Alone,
    /// The reference's load with the real siege
    Siege,
    /// Time to start and memory without load
    Start,
    /// With many bookings stored
    Stored,
}

/// What takes turns.
pub(super) const CONTESTANTS: [Subject; 10] = [
    Subject::Echo,
    Subject::Sqlite,
    Subject::Postgres,
    Subject::HotRow,
    Subject::OneStatement,
    Subject::Redis,
    Subject::SoldOut,
    Subject::Keyed,
    Subject::SmallPools,
    Subject::Old,
];

pub(super) const ON_POSTGRES: [Subject; 3] =
    [Subject::Postgres, Subject::HotRow, Subject::OneStatement];

const QUICK: [Subject; 4] = [Subject::Echo, Subject::Sqlite, Subject::Postgres, Subject::SoldOut];

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Err(fmt::Error), |value| f.write_str(value.get_name()))
    }
}

impl Subject {
    pub(super) fn name(self) -> String {
        let help = |value: PossibleValue| Some(value.get_help()?.to_string());
        self.to_possible_value().and_then(help).unwrap_or_default()
    }

    /// The name up to its explanation.
    pub(super) fn short_name(self) -> String {
        self.name().split(';').next().unwrap_or_default().to_owned()
    }
}

/// What is measured, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) subjects: Vec<Subject>,
    /// The earlier build.
    pub(super) old: Option<PathBuf>,
    pub(super) turns: u8,
    pub(super) lasting: Duration,
    pub(super) bookings: u64,
}

impl Plan {
    pub(super) fn of(options: &Options) -> Self {
        let mut subjects = match &options.only[..] {
            [] if options.quick => QUICK.to_vec(),
            [] => Subject::value_variants().to_vec(),
            only => only.to_vec(),
        };
        if options.bookings == 0 {
            subjects.retain(|&subject| subject != Subject::Stored);
        }
        subjects.retain(|&subject| subject != Subject::Old);
        subjects.extend(options.old.is_some().then_some(Subject::Old));
        let (turns, seconds) = if options.quick { (2, 2) } else { (5, 5) };
        Self {
            subjects,
            old: options.old.clone(),
            turns: options.turns.unwrap_or(turns),
            lasting: Duration::from_secs(options.seconds.unwrap_or(seconds)),
            bookings: options.bookings,
        }
    }

    pub(super) fn includes(&self, subject: Subject) -> bool {
        self.subjects.contains(&subject)
    }

    pub(super) fn is_everything(&self) -> bool {
        let mut all = Subject::value_variants().iter().filter(|&&subject| subject != Subject::Old);
        all.all(|&subject| self.includes(subject))
    }

    pub(super) fn includes_any(&self, subjects: &[Subject]) -> bool {
        subjects.iter().any(|&subject| self.includes(subject))
    }

    /// The installed programs that it needs.
    pub(super) fn tools(&self) -> Vec<Tool> {
        let needs: [(Tool, &[Subject]); 3] = [
            (tools::POSTGRES, &ON_POSTGRES),
            (tools::REDIS, &[Subject::Redis]),
            (tools::SIEGE, &[Subject::Siege]),
        ];
        let needed = needs.into_iter().filter(|(_, by)| self.includes_any(by));
        needed.map(|(tool, _)| tool).collect()
    }
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
    fn everything_is_measured_by_default() {
        assert!(plan("").is_everything());
        assert_eq!(plan("--only a,stored").subjects, [Subject::Echo, Subject::Stored]);
        assert_eq!(plan("--only a,o").subjects, [Subject::Echo]);
        assert_eq!(plan("--only a --old x").subjects, [Subject::Echo, Subject::Old]);
        assert_eq!(plan("--quick").subjects, QUICK);
        assert_eq!(plan("--quick --only f").subjects, [Subject::Redis]);
        assert!(!plan("--bookings 0").includes(Subject::Stored));
    }

    #[test]
    fn quick_changes_the_defaults_of_turns_and_seconds() {
        assert_eq!((plan("--quick").turns, plan("--quick").lasting.as_secs()), (2, 2));
        assert_eq!((plan("").turns, plan("").lasting.as_secs()), (5, 5));
        assert_eq!(plan("--quick --turns 3 --seconds 1").turns, 3);
    }

    #[test]
    fn only_tools_of_measured_subjects_are_needed() {
        let packages =
            |line| plan(line).tools().iter().map(|tool| tool.package).collect::<Vec<_>>();
        assert!(packages("--only a,b,g,k,p,alone,start,stored").is_empty());
        assert_eq!(packages("--only c,f,siege"), ["postgresql", "redis-server", "siege"]);
    }
}
