//! PostgreSQL alone: doses in one row, one row per booking, and `pgbench` with 32 clients.

use std::{process::Command, time::Duration};

use drill::DrillError;
use xtask::{child, tools};

use super::figures::Turn;

/// A common number; more would only wait for the same row.
const CLIENTS: &str = "32";

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/bench/performance/pgbench");

const DO_THIS: &str = "read what it printed above, or leave d and e out with `--only`";

/// A server with its tables.
#[derive(Debug)]
pub(super) struct Pgbench {
    address: String,
}

impl Pgbench {
    /// Creates the tables; an error if commits are not durable.
    pub(super) fn prepare(address: &str) -> Result<Self, DrillError> {
        let this = Self { address: address.to_owned() };
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            if this.psql(&["--command", &format!("SHOW {setting}")])?.trim() != "on" {
                return Err(format!("PostgreSQL runs without {setting}").into());
            }
        }
        this.psql(&["--file", &format!("{SCRIPTS}/tables.sql")])?;
        Ok(this)
    }

    /// Books with one of the scripts.
    pub(super) fn turn(&self, script: &str, lasting: Duration) -> Result<Turn, DrillError> {
        let seconds = lasting.as_secs().max(1).to_string();
        let mut pgbench = program("pgbench");
        pgbench.args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2"]);
        pgbench.args(["--client", CLIENTS, "--time", &seconds]);
        pgbench.args(["--file", &format!("{SCRIPTS}/{script}.sql"), &self.address]);
        let printed = child::printed(&mut pgbench, DO_THIS)?;
        let per_second =
            rate(&printed).ok_or_else(|| format!("pgbench printed no rate:\n{printed}"))?;
        Ok(vec![("per_second", per_second)])
    }

    /// Writes dirty pages to disk, so that this does not happen in the next turn.
    pub(super) fn write_back(&self) -> Result<(), DrillError> {
        self.psql(&["--command", "CHECKPOINT"])?;
        Ok(())
    }

    fn psql(&self, arguments: &[&str]) -> Result<String, DrillError> {
        let mut psql = program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
        psql.args(["--set", "ON_ERROR_STOP=1"]).args(arguments).arg(&self.address);
        psql.env("PGOPTIONS", "-c client_min_messages=warning");
        Ok(child::printed(&mut psql, DO_THIS)?)
    }
}

fn program(name: &str) -> Command {
    let mut command = child::program(name);
    command.env("PATH", tools::search_path()).env("LC_ALL", "C");
    command
}

/// Transactions per second; none if one failed.
fn rate(printed: &str) -> Option<f64> {
    let field = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name));
    let failed = field("number of failed transactions: ");
    if failed.is_some_and(|failed| !failed.starts_with("0 ")) {
        return None;
    }
    field("tps = ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "transaction type: hot_row.sql\n\
        number of clients: 32\n\
        number of failed transactions: 0 (0.000%)\n\
        latency average = 42.150 ms\n\
        tps = 759.193722 (without initial connection time)\n";

    #[test]
    fn the_rate_is_the_one_without_connection_time() {
        assert_eq!(rate(PRINTED), Some(759.193_722));
        assert_eq!(rate("tps = many"), None);
    }

    #[test]
    fn a_run_with_failed_transactions_has_no_rate() {
        assert_eq!(rate(&PRINTED.replace("transactions: 0 (", "transactions: 3 (")), None);
    }
}
