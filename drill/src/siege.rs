//! The real siege, as the seed runs it, and what it says at its end.

use std::{fs, process::Command, time::Duration};

use crate::{client::target::Target, system::Broken};

/// A run of siege against the bookings of a system.
#[derive(Clone, Debug)]
pub struct Siege {
    /// At the same time.
    pub users: u16,
    /// When it is over.
    pub until: Until,
    /// How many failures it puts up with.
    pub failures_max: u32,
    /// What is booked.
    pub vaccine: i64,
}

/// When a siege is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this time.
    Lasting(Duration),
    /// When each user has sent so many.
    Each(u32),
}

/// What siege says at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Besieged {
    /// In percent.
    pub availability: f64,
    /// Answered, and not failed.
    pub transactions: i64,
    /// With what was asked for.
    pub successful: i64,
    /// The server owes an answer.
    pub failed: i64,
    /// Transactions per second.
    pub rate: f64,
    /// The longest transaction.
    pub longest_seconds: f64,
}

/// What siege puts up with unless it is told otherwise.
const FAILURES_MAX: u32 = 1_024;

impl Siege {
    /// The seed's: that many users for ten seconds.
    pub fn of_the_seed(users: u16, vaccine: i64) -> Self {
        let until = Until::Lasting(Duration::from_secs(10));
        Self { users, until, failures_max: FAILURES_MAX, vaccine }
    }

    /// Runs it to its end, which blocks this thread.
    pub fn run(&self, booking: &Target) -> Result<Besieged, Broken> {
        let home = tempfile::tempdir()?; // siege keeps its settings there.
        let settings = home.path().join("siege.conf");
        let failures = self.failures_max;
        fs::write(&settings, format!("json_output = true\nfailures = {failures}\n"))?;
        let until = match self.until {
            Until::Lasting(time) => format!("-t{}S", time.as_secs()),
            Until::Each(requests) => format!("-r{requests}"),
        };
        let output = Command::new("siege")
            .arg(format!("-c{}", self.users))
            .arg(until)
            .args(["-v", "--content-type", "application/json"])
            .arg(format!(
                "{booking}/bookings POST {{\"vaccineId\":{}, \"vcName\":\"FIZER\", \"userId\":5, \
                 \"status\":\"BOOCKED\"}}",
                self.vaccine
            ))
            .arg("-R")
            .arg(&settings)
            .env("HOME", home.path())
            .output()
            .map_err(|error| {
                format!("siege could not be started ({error}): on Debian, `apt-get install siege`")
            })?;
        if !output.status.success() {
            return Err(format!("siege: {}", output.status).into());
        }
        let said = [output.stdout, output.stderr].concat();
        Besieged::read(&String::from_utf8_lossy(&said))
    }
}

impl Besieged {
    fn read(said: &str) -> Result<Self, Broken> {
        let number = |name: &str| -> Result<f64, Broken> {
            let line = said.lines().find(|line| line.contains(&format!("\"{name}\":")));
            let value = line.and_then(|line| line.split(':').nth(1));
            let value = value.ok_or_else(|| format!("siege did not say {name}:\n{said}"))?;
            Ok(value.trim().trim_end_matches(',').parse()?)
        };
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "whole numbers"
        )]
        let count = |name: &str| number(name).map(|number| number as i64);
        Ok(Self {
            availability: number("availability")?,
            transactions: count("transactions")?,
            successful: count("successful_transactions")?,
            failed: count("failed_transactions")?,
            rate: number("transaction_rate")?,
            longest_seconds: number("longest_transaction")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_siege_says_is_read() {
        let said = "{\t\"transactions\":\t\t\t1000,\n\t\"availability\":\t\t\t99.50,\n\
                    \t\"transaction_rate\":\t\t331.13,\n\t\"successful_transactions\":\t600,\n\
                    \t\"failed_transactions\":\t5,\n\t\"longest_transaction\":\t0.15,\n}";
        let besieged = Besieged::read(said).expect("it is complete");
        assert_eq!((besieged.transactions, besieged.successful, besieged.failed), (1_000, 600, 5));
        assert!((besieged.rate - 331.13).abs() < 1e-9);
        assert!(Besieged::read("").is_err());
    }
}
