//! What a durable booking costs, beside a constant response and beside other ways to count doses down;
//! and every other figure that has an aim.
//!
//! All contestants run, and take turns within each round. A ratio is computed within a round, since
//! other load on the machine affects neighbouring turns alike; the median of the rounds counts.

mod alone;
mod contest;
mod figures;
mod page;
mod pgbench;
mod plan;
mod redis;
mod stored;

use std::{fmt::Write, time::Duration};

use drill::{DrillError, Siege, SiegeLimit, Target};
use xtask::{
    child,
    tools::{self, ThisMachine},
};

pub(crate) use self::{figures::median, plan::Options};

use self::{
    figures::Figures,
    plan::{CLIENTS, CONTESTANTS, Plan, Subject},
};
use crate::{
    machine,
    report::{self, Source},
    system::{self, STOCK, TestSystem},
};

const STARTS: usize = 5;

/// Measures and reports.
pub(crate) async fn run(options: &Options) -> Result<(), DrillError> {
    let plan = Plan::of(options);
    let mut source = Source::of_this_run()?;
    for tool in plan.tools() {
        tools::provide(&tool, &mut ThisMachine)?;
        let program = tool.programs.last().ok_or("a tool without programs")?;
        write!(source.machine, ", {} {}", tool.package, machine::version(program)?)?;
    }
    system::build(&system::PROGRAM)?;
    system::build(&system::ECHO_PROGRAM)?;
    let mut figures = Figures::default();
    let done = measure(&plan, &mut figures).await;
    // Also after a failure, for the figures before it.
    let measured = format!("{}\n{}", source.line(), page::table(&figures, &plan));
    println!("\n{measured}");
    report::write_json(options.json.as_deref(), &source, &figures)?;
    done?;
    let usual = plan.is_everything().then(|| child::root().join("docs"));
    let Some(folder) = options.docs.clone().or(usual) else { return Ok(()) };
    report::write_page(&folder, "performance.md", &measured, &page::charts(&figures))
}

async fn measure(plan: &Plan, figures: &mut Figures) -> Result<(), DrillError> {
    if plan.includes_any(&CONTESTANTS) {
        contest::run(plan, figures).await?;
    }
    if plan.includes(Subject::Alone) {
        alone::measure(plan, figures).await?;
    }
    if plan.includes(Subject::Siege) {
        sieges(plan, figures).await?;
    }
    if plan.includes(Subject::Start) {
        for _ in 0..STARTS {
            let system = TestSystem::serve().await?;
            let ready_ms = system.ready_after.as_secs_f64() * 1_000.0;
            let start = [("ready_ms", ready_ms), ("memory_mib", system.memory_mib()?)];
            figures.push("start", start.to_vec());
        }
    }
    if plan.includes(Subject::Stored) {
        stored::measure(plan, figures).await?;
    }
    Ok(())
}

/// The reference's load with the real siege, which opens a connection for every request: on the
/// system and on the echo server, in turns.
async fn sieges(plan: &Plan, figures: &mut Figures) -> Result<(), DrillError> {
    let (echo, ours) = (TestSystem::echo().await?, TestSystem::serve().await?);
    let vaccine = ours.register(STOCK).await?;
    for round in 1..=plan.turns {
        let under = siege(&echo.entry, vaccine, plan.lasting).await?;
        let over = siege(&ours.entry, vaccine, plan.lasting).await?;
        ours.caught_up(vaccine, contest::CAUGHT_UP_WITHIN).await?;
        eprintln!("siege {round}: {over:.0}/s, echo {under:.0}/s");
        figures.push("siege", vec![("ours_per_second", over), ("echo_per_second", under)]);
    }
    Ok(())
}

/// Transactions per second; an error unless all succeeded.
async fn siege(target: &Target, vaccine: i64, lasting: Duration) -> Result<f64, DrillError> {
    let limit = SiegeLimit::Time(lasting);
    let siege = Siege { limit, ..Siege::reference(CLIENTS, vaccine) };
    let summary = siege.run_again_if_hung(target).await?;
    if summary.availability < 100.0 {
        return Err(format!("not every transaction succeeded: {summary:?}").into());
    }
    Ok(summary.rate)
}
