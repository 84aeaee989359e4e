//! `anticorona events`: the dead letters of a running system are listed, retried and dismissed.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, Write},
    process::ExitCode,
    str::FromStr,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use contracts::event::{DeadLetteredEvent, DeadLetteredEvents, DismissDeadLetter};
use platform_rest::client::{Call, Client};
use platform_service::{Env, Service};
use platform_telemetry::{BoxError, error_chain};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{command, services};

/// How long a service may take to answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Subcommand)]
pub(crate) enum EventsCommand {
    /// Lists dead letters, one a line: service, since when, type, source and sequence, reason, payload;
    /// of dismissed ones also when and why they were dismissed.
    /// `VACCINE_URL`, `BOOKING_URL`, … say where services listen, if not on this machine
    DeadLetters {
        /// Those that were dismissed, the last ones first
        #[arg(long)]
        dismissed: bool,
        /// As the system was started with
        #[arg(long, default_value_t = 0, value_name = "N")]
        port_offset: u16,
    },
    /// Applies dead letters, once their cause is mended; ends with 1 if one still cannot be applied, which
    /// then stays with the new reason
    Retry {
        #[command(flatten)]
        owner: OwnerArgs,
        /// The dead letter, as it is listed
        #[arg(value_name = "SOURCE/SEQUENCE", required_unless_present = "all")]
        id: Option<EventId>,
        /// Every open dead letter of the service, the oldest ones first
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Marks a dead letter as dismissed: it will not be applied, and is kept for auditors
    Dismiss {
        #[command(flatten)]
        owner: OwnerArgs,
        /// The dead letter, as it is listed
        #[arg(value_name = "SOURCE/SEQUENCE")]
        id: EventId,
        /// Why it will not be applied, without personal data
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Args)]
pub(crate) struct OwnerArgs {
    /// The service that could not apply it
    #[arg(value_parser = services::owner_of_data)]
    service: &'static Service,
    /// As the system was started with
    #[arg(long, default_value_t = 0, value_name = "N")]
    port_offset: u16,
}

/// An event, as it is listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventId {
    source: Uuid,
    sequence: u64,
}

impl FromStr for EventId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(source, sequence)| {
            Some(Self { source: source.parse().ok()?, sequence: sequence.parse().ok()? })
        });
        parsed.ok_or("not the id of a store, a slash and a number")
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.sequence)
    }
}

pub(crate) fn run(command: EventsCommand) -> ExitCode {
    match command {
        EventsCommand::DeadLetters { dismissed, port_offset } => {
            command::run(list(dismissed, port_offset))
        }
        EventsCommand::Retry { owner, id: Some(id), all: _ } => command::run(retry(owner, id)),
        EventsCommand::Retry { owner, id: None, all: _ } => command::run(retry_all(owner)),
        EventsCommand::Dismiss { owner, id, reason } => command::run(dismiss(owner, id, reason)),
    }
}

async fn list(dismissed: bool, port_offset: u16) -> Result<(), BoxError> {
    let env = Env::of_process();
    let (mut total, mut failures) = (0, Vec::new());
    for service in services::owning_data() {
        let letters = DeadLetters::of(service, &env, port_offset)?;
        match letters.list(dismissed).await {
            Ok(events) => {
                total += events.total;
                print(service.name, &events)?;
            }
            Err(error) => failures.push(format!("{}: {}", service.name, error_chain(&*error))),
        }
    }
    let which = if dismissed { "dismissed dead letters" } else { "dead letters" };
    writeln!(io::stdout(), "{total} {which}")?;
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}

fn print(service: &str, letters: &DeadLetteredEvents) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for event in &letters.events {
        let DeadLetteredEvent { source, sequence, r#type, data, reason, since, dismissal } = event;
        write!(out, "{service}\t{since}\t{type}\t{source}/{sequence}\t{reason}\t{data}")?;
        if let Some(dismissal) = dismissal {
            write!(out, "\t{}\t{}", dismissal.at, dismissal.reason)?;
        }
        writeln!(out)?;
    }
    let more = letters.total.saturating_sub(u64::try_from(letters.events.len()).unwrap_or(0));
    if more > 0 {
        writeln!(out, "{service}\tand {more} more")?;
    }
    Ok(())
}

async fn retry(owner: OwnerArgs, id: EventId) -> Result<(), BoxError> {
    owner.dead_letters()?.retry(id).await?;
    writeln!(io::stdout(), "{id} applied")?;
    Ok(())
}

/// Lists again while that shows dead letters that were not tried yet: one list is not all of them.
async fn retry_all(owner: OwnerArgs) -> Result<(), BoxError> {
    let letters = owner.dead_letters()?;
    let (mut tried, mut kept) = (BTreeSet::new(), 0);
    loop {
        let listed = letters.list(false).await?.events.into_iter();
        let ids = listed.map(|it| EventId { source: it.source.0, sequence: it.sequence });
        let new: Vec<_> = ids.filter(|id| tried.insert(*id)).collect();
        if new.is_empty() {
            break;
        }
        for id in new {
            match letters.retry(id).await {
                Ok(()) => writeln!(io::stdout(), "{id} applied")?,
                Err(error) => {
                    kept += 1;
                    writeln!(io::stdout(), "{}", error_chain(&*error))?;
                }
            }
        }
    }
    let left = letters.list(false).await?.total;
    writeln!(io::stdout(), "{} applied, {left} dead letters left", tried.len() - kept)?;
    if kept == 0 && left == 0 { Ok(()) } else { Err("not every dead letter was applied".into()) }
}

async fn dismiss(owner: OwnerArgs, id: EventId, reason: String) -> Result<(), BoxError> {
    owner.dead_letters()?.dismiss(id, reason).await?;
    writeln!(io::stdout(), "{id} dismissed")?;
    Ok(())
}

impl OwnerArgs {
    fn dead_letters(&self) -> Result<DeadLetters, BoxError> {
        DeadLetters::of(self.service, &Env::of_process(), self.port_offset)
    }
}

/// The dead letters of a running service.
struct DeadLetters(Client);

impl DeadLetters {
    fn of(service: &Service, env: &Env, port_offset: u16) -> Result<Self, BoxError> {
        Ok(Self(Client::new(services::url(service, env, port_offset)?)))
    }

    async fn list(&self, dismissed: bool) -> Result<DeadLetteredEvents, BoxError> {
        let path = format!("/events/dead-letters?dismissed={dismissed}");
        Ok(self.0.get(&path, RESPONSE_TIMEOUT).await?)
    }

    async fn retry(&self, id: EventId) -> Result<(), BoxError> {
        let path = format!("/events/dead-letters/{id}/retry");
        self.change(id, Call::post(&path, "application/json", &json!({}))?).await
    }

    async fn dismiss(&self, id: EventId, reason: String) -> Result<(), BoxError> {
        let path = format!("/events/dead-letters/{id}");
        self.change(id, Call::delete(&path, &DismissDeadLetter { reason })?).await
    }

    /// A refusal is the detail of its problem.
    async fn change(&self, id: EventId, call: Call) -> Result<(), BoxError> {
        let response = self.0.send(call, Instant::now() + RESPONSE_TIMEOUT).await?;
        if response.status().is_success() {
            return Ok(());
        }
        let problem = serde_json::from_slice::<Value>(response.body()).unwrap_or_default();
        match problem["detail"].as_str() {
            Some(detail) => Err(format!("{id}: {detail}").into()),
            None => Err(format!("{id}: answered {}", response.status()).into()),
        }
    }
}
