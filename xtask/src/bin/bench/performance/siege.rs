//! The seed's load with the real siege, which opens a connection for every request: on ours, and on
//! the answer that costs nothing.

use std::{collections::BTreeMap, fs, time::Duration};

use drill::{Broken, Target};
use serde_json::Value;
use xtask::{child, tools};

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

/// Transactions per second.
fn siege(target: &Target, vaccine: i64, lasting: Duration) -> Result<f64, Broken> {
    // It keeps its settings there.
    let home = tempfile::tempdir()?;
    let settings = home.path().join("siege.conf");
    fs::write(&settings, "json_output = true\n")?;
    let mut siege = child::program("siege");
    siege.args([format!("-c{CLIENTS}"), format!("-t{}S", lasting.as_secs())]);
    siege.args(["-v", "--content-type", "application/json"]);
    let body = format!(
        "{{\"vaccineId\":{vaccine}, \"vcName\":\"FIZER\", \"userId\":5, \"status\":\"BOOCKED\"}}"
    );
    siege.arg(format!("{target}/bookings POST {body}")).arg("-R").arg(&settings);
    siege.env("HOME", home.path()).env("PATH", tools::search_path());
    let said = child::printed(&mut siege, "read what it says above, or leave `siege` out")?;
    rate(&said).ok_or_else(|| format!("not everybody was served:\n{}", tail(&said)).into())
}

/// From what it says at its end; none unless everybody was served.
fn rate(said: &str) -> Option<f64> {
    let figures: Value = serde_json::from_str(said.get(said.rfind('{')?..)?).ok()?;
    let all = figures["availability"].as_f64()? >= 100.0;
    all.then(|| figures["transaction_rate"].as_f64()).flatten()
}

fn tail(said: &str) -> &str {
    said.rfind('{').map_or(said, |at| &said[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "HTTP/1.1 201     0.01 secs:     240 bytes ==> POST http://127.0.0.1:8082/\n\
        {\t\"transactions\":\t\t\t51234,\n\t\"availability\":\t\t\t100.00,\n\
        \t\"transaction_rate\":\t\t5123.40\n}\n";

    #[test]
    fn the_rate_stands_in_what_it_says_at_its_end() {
        assert_eq!(rate(SAID), Some(5_123.4));
        assert_eq!(rate("siege aborted"), None);
    }

    #[test]
    fn a_siege_that_was_not_served_has_no_rate() {
        assert_eq!(rate(&SAID.replace("100.00", "99.98")), None);
    }
}
