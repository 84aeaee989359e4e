//! Looks at the settings without starting anything: what a part would do with them, or what is wrong.

use std::{
    fmt::{Debug, Display},
    io::{self, Write},
    process::ExitCode,
};

use chassis::{
    client::breaker_setting::BreakerSetting,
    config::{ConfigError, Env},
    process::{EXIT_USAGE, PartArgs},
};
use clap::{Args, Subcommand};

use crate::{part::Part, together};

#[derive(Subcommand)]
pub(crate) enum What {
    /// Says what each part would do with the settings of this environment, without passwords; ends
    /// with 64 if one of them could not start
    Check(CheckArgs),
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The parts, as each runs alone; unless named, all of them as `serve` runs them
    #[arg(value_enum)]
    parts: Vec<Part>,
    #[command(flatten)]
    args: PartArgs,
}

pub(crate) fn run(What::Check(CheckArgs { parts, args }): &What) -> ExitCode {
    let env = Env::of_process();
    let (parts, env) = if parts.is_empty() {
        (&Part::ALL[..], together::neighbours(args, env))
    } else {
        (&parts[..], env)
    };
    let mut all_well = true;
    for part in parts {
        let said = match lines(*part, args, &env) {
            Ok(lines) => {
                let lines: Vec<_> =
                    lines.iter().map(|(name, value)| format!("  {name:<10} {value}\n")).collect();
                writeln!(io::stdout(), "{}\n{}", part.name(), lines.concat())
            }
            Err(wrong) => {
                all_well = false;
                writeln!(io::stderr(), "{} cannot start: {wrong}", part.name())
            }
        };
        if said.is_err() {
            return ExitCode::FAILURE; // Nobody is left to hear it.
        }
    }
    if all_well { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) }
}

type Lines = Vec<(&'static str, String)>;

fn lines(part: Part, args: &PartArgs, env: &Env) -> Result<Lines, ConfigError> {
    Ok(match part {
        Part::Vaccine => {
            let config = vaccine::Config::from_env(args, env)?;
            vec![
                ("listens on", config.listen.to_string()),
                ("data", config.database.to_string()),
                ("events", shown(&config.events)),
            ]
        }
        Part::Booking => {
            let config = booking::Config::from_env(args, env)?;
            vec![
                ("listens on", config.listen.to_string()),
                ("data", config.database.to_string()),
                ("events", shown(&config.events)),
                ("vaccine", config.vaccine.to_string()),
                ("injection", or_unset(config.injection.as_ref())),
                ("mypage", or_unset(config.mypage.as_ref())),
                ("breaker", BreakerSetting::from(&config.breaker).to_string()),
            ]
        }
        Part::Injection => {
            let config = injection::Config::from_env(args, env)?;
            vec![
                ("listens on", config.listen.to_string()),
                ("data", config.database.to_string()),
                ("events", shown(&config.events)),
                ("vaccine", or_unset(config.vaccine.as_ref())),
                ("booking", or_unset(config.booking.as_ref())),
                ("mypage", or_unset(config.mypage.as_ref())),
            ]
        }
        Part::Mypage => {
            let config = mypage::Config::from_env(args, env)?;
            vec![
                ("listens on", config.listen.to_string()),
                ("data", config.database.to_string()),
                ("events", shown(&config.events)),
            ]
        }
        Part::Gateway => {
            let config = gateway::Config::from_env(args, env)?;
            vec![
                ("listens on", config.listen.to_string()),
                ("vaccine", config.vaccine.to_string()),
                ("booking", config.booking.to_string()),
                ("injection", or_unset(config.injection.as_ref())),
                ("mypage", or_unset(config.mypage.as_ref())),
                ("breaker", BreakerSetting::from(&config.breaker).to_string()),
            ]
        }
    })
}

/// How events travel. `Debug` leaves out what must stay secret.
fn shown(events: &impl Debug) -> String {
    format!("{events:?}")
}

fn or_unset<T: Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "not set".to_owned(), ToString::to_string)
}
