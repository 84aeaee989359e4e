//! The contestants, each started once, and their turns.

use std::{rc::Rc, time::Duration};

use drill::{DrillError, Load, Reconnect, Requests, Stop, Summary, Target};
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

/// Pools that are as small as time slots, and their doses; more than a turn books.
const SMALL_POOLS: usize = 2_000;
const SMALL_STOCK: i64 = 40;

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
    /// Our load generator books.
    Http {
        system: Rc<TestSystem>,
        wanted: Wanted,
        postgres: Option<Pgbench>,
    },
    Pgbench(Pgbench, &'static str),
    Redis(Redis),
}

/// What it books.
#[derive(Clone, Copy)]
enum Wanted {
    /// This vaccine; every response must have the status.
    One { vaccine: i64, status: u16 },
    /// This vaccine, each with an `Idempotency-Key` of its own.
    Keyed { vaccine: i64 },
    /// One of [`SMALL_POOLS`] at random, new ones in every turn; some may be sold out in the end.
    SmallPools,
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
                    let wanted = Wanted::One { vaccine: 1, status: 200 };
                    Contestant::Http { system, wanted, postgres: None }
                }
                Subject::Old => {
                    let program = plan.old.clone().ok_or("--old is needed")?;
                    let system = Rc::new(TestSystem::serve_by(program).await?);
                    let wanted =
                        Wanted::One { vaccine: system.register(STOCK).await?, status: 201 };
                    Contestant::Http { system, wanted, postgres: None }
                }
                Subject::SmallPools | Subject::Keyed => {
                    let system = Rc::new(TestSystem::serve().await?);
                    let wanted = if who == Subject::Keyed {
                        Wanted::Keyed { vaccine: system.register(STOCK).await? }
                    } else {
                        Wanted::SmallPools
                    };
                    Contestant::Http { system, wanted, postgres: None }
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
                    Contestant::Http {
                        system,
                        wanted: Wanted::One { vaccine, status },
                        postgres: None,
                    }
                }
                Subject::Postgres => {
                    let url = address(ServerKind::DurablePostgres)?;
                    let system = Rc::new(TestSystem::on_postgres(url).await?);
                    let (vaccine, postgres) = (system.register(STOCK).await?, Some(pgbench()?));
                    Contestant::Http {
                        system,
                        wanted: Wanted::One { vaccine, status: 201 },
                        postgres,
                    }
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
            Self::Http { system, wanted, postgres } => {
                let (request, status, others) = wanted.prepare(system).await?;
                let stop = Stop::after(lasting);
                let load = Load { users: CLIENTS, reconnect: Reconnect::Never, stop, request };
                let expected = [&[status], others].concat();
                let load = run_expecting(load, &system.entry, &expected);
                let (summary, memory) =
                    machine::highest_while(load, MEMORY_INTERVAL, || system.memory_mib()).await?;
                let mut turn = of_load(&summary?, status);
                turn.push(("memory_mib", memory));
                // No work is left for the next turn.
                if status == 201 {
                    let caught_up = match *wanted {
                        Wanted::One { vaccine, .. } | Wanted::Keyed { vaccine } => {
                            system.caught_up(vaccine, CAUGHT_UP_WITHIN).await?
                        }
                        Wanted::SmallPools => system.consumers_caught_up(CAUGHT_UP_WITHIN).await?,
                    };
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
    let load = Load { users, reconnect: Reconnect::Never, stop, request };
    run_expecting(load, target, &[expected]).await
}

/// An error if any response has another status.
async fn run_expecting(
    load: Load,
    target: &Target,
    expected: &[u16],
) -> Result<Summary, DrillError> {
    let summary = load.run(target).await;
    if expected.iter().map(|status| summary.count(*status)).sum::<u64>() != summary.sent {
        return Err(format!("not every response was one of {expected:?}:\n{summary}").into());
    }
    Ok(summary)
}

impl Wanted {
    /// The requests, the status that counts, and others that may come.
    async fn prepare(
        self,
        system: &TestSystem,
    ) -> Result<(Requests, u16, &'static [u16]), DrillError> {
        Ok(match self {
            Self::One { vaccine, status } => (drill::booking_request(vaccine).into(), status, &[]),
            Self::Keyed { vaccine } => {
                let turn = fastrand::u64(..);
                let request = drill::booking_request(vaccine);
                let keyed = move |number| {
                    request.clone().header("idempotency-key", &format!("{turn:x}-{number}"))
                };
                (Requests::made(keyed), 201, &[])
            }
            Self::SmallPools => {
                let mut requests = Vec::with_capacity(SMALL_POOLS);
                for _ in 0..SMALL_POOLS {
                    requests.push(drill::booking_request(system.register(SMALL_STOCK).await?));
                }
                let one = move |_| requests[fastrand::usize(..requests.len())].clone();
                (Requests::made(one), 201, &[409])
            }
        })
    }
}
