//! Redis without us: a script takes a dose, and the answer waits for the disk. There is no HTTP,
//! and nobody is written down.

use drill::Broken;
use std::{process::Command, time::Duration};

use xtask::{child, tools};

use super::{CLIENTS, rounds::Turn};

/// Takes a dose if there is one, as an atomic step.
const TAKE: &str = "if tonumber(redis.call('GET', KEYS[1])) > 0 then \
                    return redis.call('DECR', KEYS[1]) else return -1 end";

/// How many are taken to find out how many make a turn; `redis-benchmark` knows no time.
const PROBE: f64 = 5_000.0;

/// What a failure of its programs asks for.
const DO_THIS: &str = "read what it says above, or leave f out with `--only`";

/// A server with doses.
#[derive(Debug)]
pub(super) struct Redis {
    port: String,
    /// The name under which it keeps the script.
    script: String,
    /// Of the last turn.
    per_second: f64,
}

impl Redis {
    /// Puts doses there, and makes sure that an answer is worth what it should be.
    pub(super) fn prepare(address: &str) -> Result<Self, Broken> {
        let (_, port) = address.rsplit_once(':').ok_or("Redis without a port")?;
        let port = port.to_owned();
        let this = Self { port, script: String::new(), per_second: PROBE };
        if !this.ask(&["CONFIG", "GET", "appendfsync"])?.contains("always") {
            return Err("Redis answers before the disk has it".into());
        }
        this.ask(&["SET", "doses", "1000000000"])?;
        let script = this.ask(&["SCRIPT", "LOAD", TAKE])?.trim().to_owned();
        Ok(Self { script, ..this })
    }

    /// Waits for its turn to end, which takes about as long as asked for.
    pub(super) fn turn(&mut self, lasting: Duration) -> Result<Turn, Broken> {
        let requests = format!("{:.0}", (self.per_second * lasting.as_secs_f64()).max(1.0));
        let mut benchmark = self.program("redis-benchmark");
        benchmark.args(["-c", &CLIENTS.to_string(), "-n", &requests, "--csv"]);
        benchmark.args(["EVALSHA", &self.script, "1", "doses"]);
        let said = child::printed(&mut benchmark, DO_THIS)?;
        let turn = turn(&said).ok_or_else(|| format!("redis-benchmark names no rate:\n{said}"))?;
        self.per_second = turn.per_second;
        Ok(turn)
    }

    fn ask(&self, words: &[&str]) -> Result<String, Broken> {
        Ok(child::printed(self.program("redis-cli").args(words), DO_THIS)?)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = child::program(name);
        command.env("PATH", tools::search_path()).args(["-h", "127.0.0.1", "-p", &self.port]);
        command
    }
}

/// The last line, under the names of the first.
fn turn(said: &str) -> Option<Turn> {
    let fields = |line: &str| -> Vec<String> {
        line.trim().trim_matches('"').split("\",\"").map(str::to_owned).collect()
    };
    let mut lines = said.lines();
    let names = fields(lines.find(|line| line.starts_with("\"test\""))?);
    let values = fields(lines.next_back()?);
    let value = |name: &str| -> Option<f64> {
        values.get(names.iter().position(|it| it == name)?)?.parse().ok()
    };
    Some(Turn {
        per_second: value("rps")?,
        p50_ms: value("p50_latency_ms"),
        p99_ms: value("p99_latency_ms"),
        ..Turn::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_and_the_latencies_stand_under_their_names() {
        let said = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\
            \"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
            \"EVALSHA 5c 1 doses\",\"14285.71\",\"6.1\",\"1.0\",\"5.9\",\"9.0\",\"12.5\",\"20.1\"\n";
        let turn = turn(said).expect("it is complete");
        assert_eq!((turn.per_second, turn.p50_ms, turn.p99_ms), (14_285.71, Some(5.9), Some(12.5)));
    }

    #[test]
    fn without_a_result_there_is_no_turn() {
        assert_eq!(turn("\"test\",\"rps\"\n"), None);
        assert_eq!(turn("Could not connect to Redis\n"), None);
    }
}
