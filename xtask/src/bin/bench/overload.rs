//! More than can be served: what is still served, how fast the rest is told, and whether it is over
//! when the load is.
//!
//! Every contestant is a front that takes bookings, and asks the same kind of vaccine, in a process
//! of its own, for a dose. The store of vaccine is slowed by so much per command that it, and
//! neither the generator nor a processor, is what limits them.

mod report;
mod scenario;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use drill::{Broken, Load, Reconnect, Stop, Target};
use serde_json::json;

use self::{
    report::Report,
    scenario::{Phases, Scenario},
};
use crate::{
    emulation::Policy,
    server::{self, Server},
};

/// How many users find out what a contestant can do; the best rate counts, whoever is refused.
const PEAK_USERS: [u16; 3] = [25, 50, 100];

/// How long each of these takes.
const PEAK_LASTING: Duration = Duration::from_secs(3);

/// How many times what can be done is offered.
const FACTORS: [u32; 3] = [2, 5, 10];

/// How long the dust may take to settle between two scenarios.
const CALM_WITHIN: Duration = Duration::from_mins(1);

/// An answer within this time says that nothing waits any more.
const CALM_ANSWER: Duration = Duration::from_millis(200);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What `cargo xtask bench overload` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of overload per scenario
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=60))]
    seconds: u64,
    /// Microseconds that each command takes longer in the store of vaccine
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    store_delay_us: u32,
    /// Leaves the emulations out
    #[arg(long)]
    only_ours: bool,
    /// Writes every figure to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes overload.md and its charts to this folder
    #[arg(long, value_name = "FOLDER")]
    docs: Option<PathBuf>,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    Ours,
    Emulated(Policy),
}

/// In the order of the tables.
const CONTESTANTS: [Contestant; 4] = [
    Contestant::Ours,
    Contestant::Emulated(Policy::Unprotected),
    Contestant::Emulated(Policy::Bulkhead),
    Contestant::Emulated(Policy::Breaker),
];

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Emulated(Policy::Unprotected) => "no protection (emulation)",
            Self::Emulated(Policy::Bulkhead) => "fixed bulkhead (emulation)",
            Self::Emulated(Policy::Breaker) => "breaker alone (emulation)",
        }
    }
}

/// Measures and reports.
pub(crate) fn run(options: &Options) -> Result<(), Broken> {
    server::build(&[server::ANTICORONA])?;
    let report = crate::on_one_thread(contest(options))??;
    println!("{}", report.tables());
    if let Some(file) = &options.json {
        std::fs::write(file, report.json())?;
        println!("Every figure is in {}.", file.display());
    }
    if let Some(folder) = &options.docs {
        report.write(folder)?;
        println!("The page and its charts are in {}.", folder.display());
    }
    Ok(())
}

async fn contest(options: &Options) -> Result<Report, Broken> {
    let phases = Phases::around(options.seconds);
    let mut report = Report::new(phases, options.store_delay_us)?;
    for contestant in CONTESTANTS {
        if options.only_ours && contestant != Contestant::Ours {
            continue;
        }
        eprintln!("{}: what it can do", contestant.name());
        let pair = Pair::start(contestant, options.store_delay_us).await?;
        let peak = pair.peak().await?;
        report.peaks.push((contestant, peak));
        for factor in FACTORS {
            eprintln!("{}: {factor} times {peak:.0}/s", contestant.name());
            pair.calm().await?;
            let scenario = Scenario { contestant, factor, peak, phases };
            report.trials.push(scenario.run(&pair.front, pair.vaccine_id).await?);
        }
    }
    Ok(report)
}

/// A front and the vaccine that it asks.
struct Pair {
    front: Server,
    vaccine: Server,
    vaccine_id: i64,
    contestant: Contestant,
}

impl Pair {
    async fn start(contestant: Contestant, store_delay_us: u32) -> Result<Self, Broken> {
        let vaccine = Server::vaccine().await?;
        let vaccine_id = server::stock(&vaccine.entry).await?;
        let slow = json!({"mode": "none", "storeDelayUs": store_delay_us});
        drill::set_faults(&vaccine.entry, &slow).await?;
        let front = match contestant {
            Contestant::Ours => Server::booking(&vaccine.entry.to_string()).await?,
            Contestant::Emulated(policy) => {
                Server::emulation(&policy.to_string(), &vaccine.entry).await?
            }
        };
        Ok(Self { front, vaccine, vaccine_id, contestant })
    }

    /// Bookings per second of the best of several closed loops.
    async fn peak(&self) -> Result<f64, Broken> {
        let mut peak: f64 = 0.0;
        for users in PEAK_USERS {
            let load = Load {
                users,
                reconnect: Reconnect::Never,
                stop: Stop::after(PEAK_LASTING),
                request: drill::book(self.vaccine_id).into(),
            };
            let summary = load.run(&self.front.entry).await;
            eprintln!("{users} users: {:.0}/s", summary.rate_per_second(201));
            peak = peak.max(summary.rate_per_second(201));
        }
        if peak > 0.0 { Ok(peak) } else { Err("nothing is booked without any overload".into()) }
    }

    /// Waits until nothing of the scenario before is left to do.
    async fn calm(&self) -> Result<(), Broken> {
        let since = std::time::Instant::now();
        while !is_calm(&self.front.entry, self.vaccine_id).await {
            if since.elapsed() > CALM_WITHIN {
                return Err("it is still busy a minute after the load".into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if self.contestant == Contestant::Ours {
            server::nothing_unsettled(&self.vaccine.entry, CALM_WITHIN).await?;
        }
        Ok(())
    }
}

async fn is_calm(front: &Target, vaccine: i64) -> bool {
    let reply = drill::send(front, &drill::book(vaccine)).await;
    reply.is_ok_and(|reply| reply.status == 201 && reply.took < CALM_ANSWER)
}
