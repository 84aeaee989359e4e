//! The real siege, with the reference's options, and its summary.

use std::{
    fs,
    process::{Output, Stdio},
    time::Duration,
};

use serde::Deserialize;
use tokio::{process::Command, time::timeout};

use crate::{error::DrillError, target::Target};

/// A run of siege against the bookings of a system.
#[derive(Clone, Debug)]
pub struct Siege {
    /// Concurrent users.
    pub users: u16,
    /// When it ends.
    pub limit: SiegeLimit,
    /// How many failures it tolerates.
    pub failures_max: u32,
    /// What it books.
    pub vaccine: i64,
}

/// When a siege ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiegeLimit {
    /// After this time.
    Time(Duration),
    /// When each user has sent so many requests.
    RequestsPerUser(u32),
}

/// Siege's summary.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct SiegeSummary {
    /// In percent.
    pub availability: f64,
    /// Requests with a response that is not a failure.
    pub transactions: i64,
    /// Requests that succeeded.
    #[serde(rename = "successful_transactions")]
    pub successful: i64,
    /// Requests without a response, or with a failure of the server.
    #[serde(rename = "failed_transactions")]
    pub failed: i64,
    /// Transactions per second.
    #[serde(rename = "transaction_rate")]
    pub rate: f64,
    /// Of the longest transaction.
    #[serde(rename = "longest_transaction")]
    pub longest_seconds: f64,
}

/// Siege's own default.
const FAILURES_MAX: u32 = 1_024;

/// How long siege may take to end after its time, or for all requests of its users.
const END_WITHIN: Duration = Duration::from_mins(1);

/// How often a siege that hung is repeated by [`Siege::run_again_if_hung`].
const RUNS_MAX: u32 = 5;

impl Siege {
    /// The reference's: that many users for ten seconds.
    pub fn reference(users: u16, vaccine: i64) -> Self {
        let limit = SiegeLimit::Time(Duration::from_secs(10));
        Self { users, limit, failures_max: FAILURES_MAX, vaccine }
    }

    /// Runs it to its end. None if it hung there and was killed: siege cancels its users' threads wherever
    /// they are, and the others wait for ever if one of them is inside malloc (siege 4.0.7: 1 run of 33).
    pub async fn run(&self, booking: &Target) -> Result<Option<SiegeSummary>, DrillError> {
        let home = tempfile::tempdir()?; // siege keeps its settings there.
        let settings = home.path().join("siege.conf");
        let failures = self.failures_max;
        fs::write(&settings, format!("json_output = true\nfailures = {failures}\n"))?;
        let (limit, lasting) = match self.limit {
            SiegeLimit::Time(time) => (format!("-t{}S", time.as_secs()), time),
            SiegeLimit::RequestsPerUser(requests) => (format!("-r{requests}"), Duration::ZERO),
        };
        let mut siege = Command::new("siege");
        siege
            .arg(format!("-c{}", self.users))
            .arg(limit)
            .args(["-v", "--content-type", "application/json"])
            .arg(format!(
                "{booking}/bookings POST {{\"vaccineId\":{}, \"vcName\":\"FIZER\", \"userId\":5, \
                 \"status\":\"BOOCKED\"}}",
                self.vaccine
            ))
            .arg("-R")
            .arg(&settings)
            .env("HOME", home.path());
        let Some(output) = output_within(&mut siege, lasting + END_WITHIN).await? else {
            return Ok(None);
        };
        if !output.status.success() {
            return Err(format!("siege: {}", output.status).into());
        }
        SiegeSummary::read(&String::from_utf8_lossy(&output.stdout)).map(Some)
    }

    /// As [`Self::run`], for measurements that may be repeated; an error after five runs that hung.
    pub async fn run_again_if_hung(&self, booking: &Target) -> Result<SiegeSummary, DrillError> {
        for _ in 0..RUNS_MAX {
            if let Some(summary) = self.run(booking).await? {
                return Ok(summary);
            }
        }
        Err(format!("siege hung {RUNS_MAX} times").into())
    }
}

/// What a program prints; none if it was killed because it did not end in time.
async fn output_within(
    command: &mut Command,
    limit: Duration,
) -> Result<Option<Output>, DrillError> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let Ok(output) = timeout(limit, output).await else { return Ok(None) };
    let program = command.as_std().get_program().display();
    Ok(Some(output.map_err(|error| {
        format!("{program} could not be started ({error}): on Debian, `apt-get install {program}`")
    })?))
}

impl SiegeSummary {
    fn read(output: &str) -> Result<Self, DrillError> {
        // A line for each request comes before it.
        let (_, summary) = output.split_at(output.rfind('{').unwrap_or_default());
        serde_json::from_str(summary)
            .map_err(|error| format!("no summary in siege's output ({error}):\n{output}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_siege_is_read() {
        let output = "HTTP/1.1 201     0.00 secs:      88 bytes ==> POST http://127.0.0.1:1/\n\
                    {\t\"transactions\":\t\t\t1000,\n\t\"availability\":\t\t\t99.50,\n\
                    \t\"transaction_rate\":\t\t331.13,\n\t\"successful_transactions\":\t600,\n\
                    \t\"failed_transactions\":\t5,\n\t\"longest_transaction\":\t0.15\n}\n";
        let summary = SiegeSummary::read(output).expect("complete");
        assert_eq!((summary.transactions, summary.successful, summary.failed), (1_000, 600, 5));
        assert!((summary.rate - 331.13).abs() < 1e-9);
        assert!(SiegeSummary::read("").is_err());
    }

    /// The clock of this test advances as soon as nothing else is left to wait for.
    #[tokio::test(start_paused = true)]
    async fn a_program_that_hangs_is_killed() {
        let mut hangs = Command::new("tail");
        hangs.args(["-f", "/dev/null"]);
        assert!(output_within(&mut hangs, END_WITHIN).await.expect("it is started").is_none());
    }

    #[tokio::test]
    async fn the_error_of_a_program_that_is_missing_says_how_it_is_installed() {
        let output = output_within(&mut Command::new("anticorona-siege"), END_WITHIN).await;
        let error = output.expect_err("no such program").to_string();
        assert!(error.contains("apt-get install anticorona-siege"), "{error}");
    }
}
