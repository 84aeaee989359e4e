//! The contestants, each started once, and their turns.

use std::{collections::BTreeMap, time::Duration};

use drill::{DrillError, Load, Reconnect, Stop, Summary, Target};
use xtask::background::{BackgroundServers, ServerKind};

use super::{
    pgbench::{Pgbench, Script},
    plan::{CLIENTS, CONTESTANTS, ON_POSTGRES, Plan, Subject},
    redis::Redis,
    rounds::{Rounds, Turn},
};
use crate::{machine, system::TestSystem};

/// A first turn of each, which does not count.
const WARM_UP: Duration = Duration::from_secs(1);

const MEMORY_INTERVAL: Duration = Duration::from_millis(100);

/// How long consumers may take after a turn; the aim is shorter.
pub(super) const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(2);

/// The contestants take turns in every round, in reverse order in every second one.
pub(super) async fn run(plan: &Plan, rounds: &mut Rounds) -> Result<(), DrillError> {
    let mut field = Field::start(plan).await?;
    let mut contestants: Vec<_> =
        CONTESTANTS.into_iter().filter(|&who| plan.includes(who)).collect();
    for &who in &contestants {
        field.turn(who, WARM_UP).await?;
    }
    for round in 1..=plan.turns {
        let mut turns = BTreeMap::new();
        for &who in &contestants {
            let turn = field.turn(who, plan.lasting).await?;
            eprintln!("round {round} of {}: {who} {:.0}/s", plan.turns, turn.per_second);
            turns.insert(who, turn);
        }
        rounds.push(turns);
        contestants.reverse();
    }
    Ok(())
}

/// The contestants that take part, running.
struct Field {
    echo: Option<TestSystem>,
    sqlite: Option<Ours>,
    postgres: Option<Ours>,
    pgbench: Option<Pgbench>,
    redis: Option<Redis>,
    // Dropped last, since the others are their clients.
    _servers: Option<BackgroundServers>,
}

/// The system with a vaccine in stock and one that is sold out.
struct Ours {
    system: TestSystem,
    vaccine: i64,
    sold_out: i64,
}

impl Field {
    async fn start(plan: &Plan) -> Result<Self, DrillError> {
        let any_of = |subjects: &[Subject]| subjects.iter().any(|&who| plan.includes(who));
        let mut kinds = Vec::new();
        if any_of(&ON_POSTGRES) {
            kinds.push(ServerKind::DurablePostgres);
        }
        if plan.includes(Subject::Redis) {
            kinds.push(ServerKind::Redis);
        }
        let servers = if kinds.is_empty() { None } else { Some(BackgroundServers::start(&kinds)?) };
        let address = |kind| servers.as_ref().and_then(|servers| servers.address(kind));
        let postgres = address(ServerKind::DurablePostgres);
        let echo =
            if plan.includes(Subject::Echo) { Some(TestSystem::echo().await?) } else { None };
        let sqlite = if any_of(&[Subject::Sqlite, Subject::SoldOut]) {
            Some(Ours::with_stock(TestSystem::serve().await?).await?)
        } else {
            None
        };
        let on_postgres = match postgres {
            Some(url) if plan.includes(Subject::Postgres) => {
                Some(Ours::with_stock(TestSystem::on_postgres(url).await?).await?)
            }
            _ => None,
        };
        let pgbench = postgres.map(Pgbench::prepare).transpose()?;
        let redis = address(ServerKind::Redis).map(Redis::prepare).transpose()?;
        Ok(Self { echo, sqlite, postgres: on_postgres, pgbench, redis, _servers: servers })
    }

    async fn turn(&mut self, who: Subject, lasting: Duration) -> Result<Turn, DrillError> {
        let absent = || format!("{who} was not started");
        let turn = match who {
            Subject::Echo => {
                let echo = self.echo.as_ref().ok_or_else(absent)?;
                // Its responses do not depend on the vaccine.
                Turn::of_load(&load(&echo.entry, lasting, 200, 1).await?, 200)
            }
            Subject::Sqlite => self.sqlite.as_ref().ok_or_else(absent)?.book(lasting).await?,
            Subject::Postgres => self.postgres.as_ref().ok_or_else(absent)?.book(lasting).await?,
            Subject::SoldOut => self.sqlite.as_ref().ok_or_else(absent)?.sell_out(lasting).await?,
            Subject::HotRow => {
                self.pgbench.as_ref().ok_or_else(absent)?.turn(Script::HotRow, lasting)?
            }
            Subject::OneStatement => {
                self.pgbench.as_ref().ok_or_else(absent)?.turn(Script::OneStatement, lasting)?
            }
            Subject::Redis => self.redis.as_mut().ok_or_else(absent)?.turn(lasting)?,
            Subject::Alone | Subject::Siege | Subject::Start | Subject::Stored => {
                return Err(format!("{who} is no contestant").into());
            }
        };
        match &self.pgbench {
            Some(pgbench) if ON_POSTGRES.contains(&who) => pgbench.write_back()?,
            _ => {}
        }
        Ok(turn)
    }
}

impl Ours {
    async fn with_stock(system: TestSystem) -> Result<Self, DrillError> {
        let (vaccine, sold_out) = (system.stock().await?, system.register(0).await?);
        Ok(Self { system, vaccine, sold_out })
    }

    /// Books, then waits until every consumer has caught up, so that no work is left for the next
    /// turn.
    async fn book(&self, lasting: Duration) -> Result<Turn, DrillError> {
        let Self { system, vaccine, .. } = self;
        let booking = load(&system.entry, lasting, 201, *vaccine);
        let (summary, memory) =
            machine::highest_while(booking, MEMORY_INTERVAL, || system.memory_mib()).await?;
        let caught_up = system.caught_up(*vaccine, CAUGHT_UP_WITHIN).await?;
        Ok(Turn {
            caught_up_s: Some(caught_up.as_secs_f64()),
            memory_mib: Some(memory),
            ..Turn::of_load(&summary?, 201)
        })
    }

    async fn sell_out(&self, lasting: Duration) -> Result<Turn, DrillError> {
        Ok(Turn::of_load(&load(&self.system.entry, lasting, 409, self.sold_out).await?, 409))
    }
}

async fn load(
    target: &Target,
    lasting: Duration,
    expected: u16,
    vaccine: i64,
) -> Result<Summary, DrillError> {
    load_expecting(target, CLIENTS, Stop::after(lasting), (expected, vaccine)).await
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
