//! The seed's load with the real siege, which opens a connection for every request: on ours, and on
//! the answer that costs nothing.

use std::{collections::BTreeMap, time::Duration};

use drill::{Broken, Siege, Target, Until};

use super::{
    CLIENTS, Plan, Subject,
    rounds::{Rounds, Turn},
};
use crate::{
    server::{self, Server},
    system::System,
};

/// How long those who follow may take after a turn.
const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(2);

/// The two take turns, as in the contest.
pub(super) async fn run(plan: &Plan, rounds: &mut Rounds) -> Result<(), Broken> {
    let echo = Server::echo().await?;
    let ours = System::together().await?;
    let vaccine = server::stock(&ours.vaccine).await?;
    for round in 1..=plan.turns {
        let under = siege(&echo.entry, vaccine, plan.lasting)?;
        let over = siege(&ours.booking, vaccine, plan.lasting)?;
        let caught_up = Some(ours.caught_up(vaccine, CAUGHT_UP_WITHIN).await?);
        eprintln!("siege {round}: {over:.0}/s, echo {under:.0}/s");
        rounds.push(BTreeMap::from([
            (Subject::Echo, Turn { per_second: under, ..Turn::default() }),
            (Subject::Sqlite, Turn { per_second: over, caught_up, ..Turn::default() }),
        ]));
    }
    Ok(())
}

/// Transactions per second; an error unless everybody was served.
fn siege(target: &Target, vaccine: i64, lasting: Duration) -> Result<f64, Broken> {
    let until = Until::Lasting(lasting);
    let seen = Siege { until, ..Siege::of_the_seed(CLIENTS, vaccine) }.run(target)?;
    if seen.availability < 100.0 {
        return Err(format!("not everybody was served: {seen:?}").into());
    }
    Ok(seen.rate)
}
