//! The contestants, each started once, and their turns.

use std::{collections::BTreeMap, time::Duration};

use drill::{Broken, Load, Reconnect, Stop, Summary, Target};
use xtask::services::{Kind, Services};

use super::{
    CLIENTS, CONTESTANTS, ON_POSTGRES, Plan, Subject,
    pgbench::{Pgbench, Script},
    redis::Redis,
    rounds::{Rounds, Turn},
};
use crate::{
    machine,
    server::{self, Server},
    system::System,
};

/// A first turn of each that does not count.
const WARM_UP: Duration = Duration::from_secs(1);

/// How often memory is read during a load.
const MEMORY_EVERY: Duration = Duration::from_millis(100);

/// How long those who follow may take after a turn; the aim is shorter.
const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(2);

/// The contestants take turns in every round, in the other direction in every second one.
pub(super) async fn run(plan: &Plan, rounds: &mut Rounds) -> Result<(), Broken> {
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

/// Who was started, as far as they take part.
struct Field {
    echo: Option<Server>,
    sqlite: Option<Ours>,
    postgres: Option<Ours>,
    pgbench: Option<Pgbench>,
    redis: Option<Redis>,
    // Last, since the others talk to them.
    _services: Option<Services>,
}

/// The system, a vaccine that does not run out, and one that has.
struct Ours {
    system: System,
    vaccine: i64,
    sold_out: i64,
}

impl Field {
    async fn start(plan: &Plan) -> Result<Self, Broken> {
        let takes_part = |whoever: &[Subject]| whoever.iter().any(|&who| plan.includes(who));
        let mut kinds = Vec::new();
        if takes_part(&ON_POSTGRES) {
            kinds.push(Kind::DurablePostgres);
        }
        if plan.includes(Subject::Redis) {
            kinds.push(Kind::Redis);
        }
        let services = if kinds.is_empty() { None } else { Some(Services::start(&kinds)?) };
        let address = |kind| services.as_ref().and_then(|services| services.address(kind));
        let postgres = address(Kind::DurablePostgres);
        let echo = if plan.includes(Subject::Echo) { Some(Server::echo().await?) } else { None };
        let sqlite = if takes_part(&[Subject::Sqlite, Subject::SoldOut]) {
            Some(Ours::with_stock(System::together().await?).await?)
        } else {
            None
        };
        let apart = match postgres {
            Some(address) if plan.includes(Subject::Postgres) => {
                Some(Ours::with_stock(System::apart(address).await?).await?)
            }
            _ => None,
        };
        let pgbench = postgres.map(Pgbench::prepare).transpose()?;
        let redis = address(Kind::Redis).map(Redis::prepare).transpose()?;
        Ok(Self { echo, sqlite, postgres: apart, pgbench, redis, _services: services })
    }

    async fn turn(&mut self, who: Subject, lasting: Duration) -> Result<Turn, Broken> {
        let absent = || format!("{who} was not started");
        let turn = match who {
            Subject::Echo => {
                let echo = self.echo.as_ref().ok_or_else(absent)?;
                // It answers everything, whatever the vaccine.
                Turn::seen(&load(&echo.entry, lasting, 200, 1).await?, 200)
            }
            Subject::Sqlite => self.sqlite.as_ref().ok_or_else(absent)?.book(lasting).await?,
            Subject::Postgres => self.postgres.as_ref().ok_or_else(absent)?.book(lasting).await?,
            Subject::SoldOut => self.sqlite.as_ref().ok_or_else(absent)?.refuse(lasting).await?,
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
    async fn with_stock(system: System) -> Result<Self, Broken> {
        let vaccine = server::stock(&system.vaccine).await?;
        let sold_out = drill::register(&system.vaccine, 0).await?;
        Ok(Self { system, vaccine, sold_out })
    }

    /// Bookings, and the time until everybody has heard of them: nothing is left to do in the next
    /// one's turn.
    async fn book(&self, lasting: Duration) -> Result<Turn, Broken> {
        let Self { system, vaccine, .. } = self;
        let booking = load(&system.booking, lasting, 201, *vaccine);
        let (summary, memory) =
            machine::highest_while(booking, MEMORY_EVERY, || system.memory_mib()).await?;
        let caught_up = system.caught_up(*vaccine, CAUGHT_UP_WITHIN).await?;
        Ok(Turn {
            caught_up: Some(caught_up),
            memory_mib: Some(memory),
            ..Turn::seen(&summary?, 201)
        })
    }

    async fn refuse(&self, lasting: Duration) -> Result<Turn, Broken> {
        Ok(Turn::seen(&load(&self.system.booking, lasting, 409, self.sold_out).await?, 409))
    }
}

async fn load(
    target: &Target,
    lasting: Duration,
    expected: u16,
    vaccine: i64,
) -> Result<Summary, Broken> {
    answered(target, CLIENTS, Stop::after(lasting), (expected, vaccine)).await
}

/// One load on kept connections; every answer must be the expected one, or the rate would mean
/// nothing.
pub(super) async fn answered(
    target: &Target,
    users: u16,
    stop: Stop,
    (expected, vaccine): (u16, i64),
) -> Result<Summary, Broken> {
    let request = drill::book(vaccine).into();
    let summary = Load { users, reconnect: Reconnect::Never, stop, request }.run(target).await;
    if summary.count(expected) != summary.sent {
        return Err(format!("not every answer was {expected}:\n{summary}").into());
    }
    Ok(summary)
}
