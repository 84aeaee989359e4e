//! `anticorona events dead-letters`: the dead letters of a running system.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Subcommand;
use contracts::event::DeadLetteredEvents;
use platform_rest::client::Client;
use platform_service::Env;
use platform_telemetry::{BoxError, error_chain};

use crate::{command, services};

/// How long a service may take to answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Subcommand)]
pub(crate) enum EventsCommand {
    /// Lists dead letters, one a line: service, since when, type, source and sequence, reason, payload.
    /// `VACCINE_URL`, `BOOKING_URL`, … say where services listen, if not on this machine
    DeadLetters {
        /// As the system was started with
        #[arg(long, default_value_t = 0, value_name = "N")]
        port_offset: u16,
    },
}

pub(crate) fn run(EventsCommand::DeadLetters { port_offset }: EventsCommand) -> ExitCode {
    command::run(dead_letters(port_offset))
}

async fn dead_letters(port_offset: u16) -> Result<(), BoxError> {
    let env = Env::of_process();
    let (mut total, mut failures) = (0, Vec::new());
    for service in services::owning_data() {
        let (name, url) = (service.name, services::url(service, &env, port_offset)?);
        let client = Client::new(url);
        match client.get::<DeadLetteredEvents>("/events/dead-letters", RESPONSE_TIMEOUT).await {
            Ok(events) => {
                total += events.total;
                print(name, &events)?;
            }
            Err(error) => failures.push(format!("{name}: {}", error_chain(&error))),
        }
    }
    writeln!(io::stdout(), "{total} dead letters")?;
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}

fn print(service: &str, letters: &DeadLetteredEvents) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for event in &letters.events {
        let id = format!("{}/{}", event.source, event.sequence);
        writeln!(
            out,
            "{service}\t{}\t{}\t{id}\t{}\t{}",
            event.since, event.r#type, event.reason, event.data
        )?;
    }
    let more = letters.total.saturating_sub(u64::try_from(letters.events.len()).unwrap_or(0));
    if more > 0 {
        writeln!(out, "{service}\tand {more} more")?;
    }
    Ok(())
}
