//! Redis alone: a script decrements the doses, and the reply is sent after the write is on disk.
//! There is no HTTP, and no booking is stored.

use std::{process::Command, time::Duration};

use drill::DrillError;
use xtask::{child, tools};

use super::{figures::Turn, plan::CLIENTS};

/// Takes a dose if one is left, atomically.
const TAKE: &str = "if tonumber(redis.call('GET', KEYS[1])) > 0 then \
                    return redis.call('DECR', KEYS[1]) else return -1 end";

/// The assumed rate of the first turn, since `redis-benchmark` takes a number of requests, no time.
const FIRST_RATE: f64 = 5_000.0;

const DO_THIS: &str = "read what it printed above, or leave f out with `--only`";

/// A server with doses.
#[derive(Debug)]
pub(super) struct Redis {
    port: String,
    /// The hash of the script.
    script: String,
    /// Of the last turn.
    per_second: f64,
}

impl Redis {
    /// Sets the doses; an error if writes are not durable.
    pub(super) fn prepare(address: &str) -> Result<Self, DrillError> {
        let (_, port) = address.rsplit_once(':').ok_or("Redis without a port")?;
        let port = port.to_owned();
        let this = Self { port, script: String::new(), per_second: FIRST_RATE };
        if !this.redis_cli(&["CONFIG", "GET", "appendfsync"])?.contains("always") {
            return Err("Redis replies before the write is on disk".into());
        }
        this.redis_cli(&["SET", "doses", "1000000000"])?;
        let script = this.redis_cli(&["SCRIPT", "LOAD", TAKE])?.trim().to_owned();
        Ok(Self { script, ..this })
    }

    /// Takes about as long as asked for.
    pub(super) fn turn(&mut self, lasting: Duration) -> Result<Turn, DrillError> {
        let requests = format!("{:.0}", (self.per_second * lasting.as_secs_f64()).max(1.0));
        let mut benchmark = self.program("redis-benchmark");
        benchmark.args(["-c", &CLIENTS.to_string(), "-n", &requests, "--csv"]);
        benchmark.args(["EVALSHA", &self.script, "1", "doses"]);
        let printed = child::printed(&mut benchmark, DO_THIS)?;
        let turn =
            turn(&printed).ok_or_else(|| format!("redis-benchmark printed no rate:\n{printed}"))?;
        let [(_, per_second), ..] = turn;
        self.per_second = per_second;
        Ok(turn.to_vec())
    }

    fn redis_cli(&self, words: &[&str]) -> Result<String, DrillError> {
        Ok(child::printed(self.program("redis-cli").args(words), DO_THIS)?)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = child::program(name);
        command.env("PATH", tools::search_path()).args(["-h", "127.0.0.1", "-p", &self.port]);
        command
    }
}

/// The values of the last line of a CSV, under the names of the first.
fn turn(printed: &str) -> Option<[(&'static str, f64); 3]> {
    let fields = |line: &str| -> Vec<String> {
        line.trim().trim_matches('"').split("\",\"").map(str::to_owned).collect()
    };
    let mut lines = printed.lines();
    let names = fields(lines.find(|line| line.starts_with("\"test\""))?);
    let values = fields(lines.next_back()?);
    let value = |name: &str| -> Option<f64> {
        values.get(names.iter().position(|it| it == name)?)?.parse().ok()
    };
    Some([
        ("per_second", value("rps")?),
        ("p50_ms", value("p50_latency_ms")?),
        ("p99_ms", value("p99_latency_ms")?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_and_the_latencies_are_read_by_column_name() {
        let printed = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\
            \"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
            \"EVALSHA 5c 1 doses\",\"14285.71\",\"6.1\",\"1.0\",\"5.9\",\"9.0\",\"12.5\",\"20.1\"\n";
        let expected = [("per_second", 14_285.71), ("p50_ms", 5.9), ("p99_ms", 12.5)];
        assert_eq!(turn(printed), Some(expected));
    }

    #[test]
    fn without_a_result_there_is_no_turn() {
        assert_eq!(turn("\"test\",\"rps\"\n"), None);
        assert_eq!(turn("Could not connect to Redis\n"), None);
    }
}
