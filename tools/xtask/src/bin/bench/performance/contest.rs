//! The contestants, each started once, and their turns.

use std::{rc::Rc, time::Duration};

use drill::{DrillError, Load, Reconnect, Stop, Summary, Target};
use xtask::background::{BackgroundServers, ServerKind};

use super::{
    figures::{Figures, Turn, of_load},
    pgbench::Pgbench,
    plan::{CLIENTS, CONTESTANTS, ON_POSTGRES, Plan, Subject},
    redis::Redis,
};
use crate::{
    machine,
    system::{STOCK, TestSystem},
};

/// A first turn of each, which does not count.
const WARM_UP: Duration = Duration::from_secs(1);

const MEMORY_INTERVAL: Duration = Duration::from_millis(100);

/// How long consumers may take after a turn; the aim is shorter.
pub(super) const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(2);

/// The contestants take turns in every round, in reverse order in every second one.
pub(super) async fn run(plan: &Plan, figures: &mut Figures) -> Result<(), DrillError> {
    let mut field = Field::start(plan).await?;
    for (_, contestant) in &mut field.contestants {
        contestant.turn(WARM_UP).await?;
    }
    for round in 1..=plan.turns {
        let mut turns = Vec::new();
        for (who, contestant) in &mut field.contestants {
            let turn = contestant.turn(plan.lasting).await?;
            eprintln!("round {round} of {}: {who} {turn:.1?}", plan.turns);
            turns.push((*who, turn));
        }
        // Only whole rounds, since a ratio compares turns of one round.
        for (who, turn) in turns {
            figures.push(who, turn);
        }
        field.contestants.reverse();
    }
    Ok(())
}

/// The contestants that take part, running.
struct Field {
    contestants: Vec<(Subject, Contestant)>,
    // Dropped last, since the others are their clients.
    _servers: Option<BackgroundServers>,
}

enum Contestant {
    /// Our load generator books the vaccine, and every response must have the status.
    Http {
        system: Rc<TestSystem>,
        vaccine: i64,
        status: u16,
        postgres: Option<Pgbench>,
    },
    Pgbench(Pgbench, &'static str),
    Redis(Redis),
}

impl Field {
    async fn start(plan: &Plan) -> Result<Self, DrillError> {
        let on_postgres = plan.includes_any(&ON_POSTGRES).then_some(ServerKind::DurablePostgres);
        let on_redis = plan.includes(Subject::Redis).then_some(ServerKind::Redis);
        let kinds: Vec<_> = on_postgres.into_iter().chain(on_redis).collect();
        let servers = if kinds.is_empty() { None } else { Some(BackgroundServers::start(&kinds)?) };
        let address = |kind| {
            let address = servers.as_ref().and_then(|servers| servers.address(kind));
            address.ok_or("a server without an address")
        };
        let pgbench = || Pgbench::prepare(address(ServerKind::DurablePostgres)?);
        let mut sqlite = None;
        let mut contestants = Vec::new();
        for who in CONTESTANTS.into_iter().filter(|&who| plan.includes(who)) {
            let contestant = match who {
                Subject::Echo => {
                    let system = Rc::new(TestSystem::echo().await?);
                    // Its responses do not depend on the vaccine.
                    Contestant::Http { system, vaccine: 1, status: 200, postgres: None }
                }
                Subject::Sqlite | Subject::SoldOut => {
                    let system = match sqlite.take() {
                        Some(system) => system,
                        None => Rc::new(TestSystem::serve().await?),
                    };
                    sqlite = Some(Rc::clone(&system));
                    let is_sold_out = who == Subject::SoldOut;
                    let status = if is_sold_out { 409 } else { 201 };
                    let vaccine = system.register(if is_sold_out { 0 } else { STOCK }).await?;
                    Contestant::Http { system, vaccine, status, postgres: None }
                }
                Subject::Postgres => {
                    let url = address(ServerKind::DurablePostgres)?;
                    let system = Rc::new(TestSystem::on_postgres(url).await?);
                    let (vaccine, postgres) = (system.register(STOCK).await?, Some(pgbench()?));
                    Contestant::Http { system, vaccine, status: 201, postgres }
                }
                Subject::HotRow => Contestant::Pgbench(pgbench()?, "hot_row"),
                Subject::OneStatement => Contestant::Pgbench(pgbench()?, "one_statement"),
                Subject::Redis => Contestant::Redis(Redis::prepare(address(ServerKind::Redis)?)?),
                Subject::Alone | Subject::Siege | Subject::Start | Subject::Stored => continue,
            };
            contestants.push((who, contestant));
        }
        Ok(Self { contestants, _servers: servers })
    }
}

impl Contestant {
    async fn turn(&mut self, lasting: Duration) -> Result<Turn, DrillError> {
        match self {
            Self::Http { system, vaccine, status, postgres } => {
                let (stop, expected) = (Stop::after(lasting), (*status, *vaccine));
                let load = load_expecting(&system.entry, CLIENTS, stop, expected);
                let (summary, memory) =
                    machine::highest_while(load, MEMORY_INTERVAL, || system.memory_mib()).await?;
                let mut turn = of_load(&summary?, *status);
                turn.push(("memory_mib", memory));
                // No work is left for the next turn.
                if *status == 201 {
                    let caught_up = system.caught_up(*vaccine, CAUGHT_UP_WITHIN).await?;
                    turn.push(("caught_up_s", caught_up.as_secs_f64()));
                }
                postgres.as_ref().map_or(Ok(()), Pgbench::write_back)?;
                Ok(turn)
            }
            Self::Pgbench(pgbench, script) => {
                let turn = pgbench.turn(script, lasting)?;
                pgbench.write_back()?;
                Ok(turn)
            }
            Self::Redis(redis) => redis.turn(lasting),
        }
    }
}

/// One load on keep-alive connections; an error if any response has another status.
pub(super) async fn load_expecting(
    target: &Target,
    users: u16,
    stop: Stop,
    (expected, vaccine): (u16, i64),
) -> Result<Summary, DrillError> {
    let request = drill::booking_request(vaccine).into();
    let summary = Load { users, reconnect: Reconnect::Never, stop, request }.run(target).await;
    if summary.count(expected) != summary.sent {
        return Err(format!("not every response was {expected}:\n{summary}").into());
    }
    Ok(summary)
}
