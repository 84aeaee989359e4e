//! What the parts of a running system have put aside.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use chassis::{
    client::Client,
    config::Env,
    process::{self, Fatal},
    telemetry::{self, LogFormat},
};
use clap::Subcommand;
use contracts::event::ParkedEvents;

use crate::part::Part;

/// How long a part may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

#[derive(Subcommand)]
pub(crate) enum What {
    /// Lists them, one a line: part, since when, type, source and place, why, the event itself.
    /// `VACCINE_URL`, `BOOKING_URL`, `INJECTION_URL` and `MYPAGE_URL` say where parts listen, if not
    /// here
    Parked {
        /// As the system was started with
        #[arg(long, default_value_t = 0, value_name = "N")]
        port_offset: u16,
    },
}

pub(crate) fn run(What::Parked { port_offset }: What) -> ExitCode {
    telemetry::start(LogFormat::Pretty);
    process::run(|_| parked(port_offset))
}

async fn parked(port_offset: u16) -> Result<(), Fatal> {
    let env = Env::of_process();
    let (mut total, mut silent) = (0, Vec::new());
    for part in Part::KEEPING {
        let (part, url) = (part.name(), part.url(&env, port_offset)?);
        match Client::new(url).get::<ParkedEvents>("/events/parked", ANSWER_WITHIN).await {
            Ok(parked) => {
                total += parked.total;
                list(part, &parked)?;
            }
            Err(cause) => silent.push(format!("{part}: {}", telemetry::causes(&cause))),
        }
    }
    writeln!(io::stdout(), "{total} parked")?;
    if silent.is_empty() { Ok(()) } else { Err(silent.join("; ").into()) }
}

fn list(part: &str, parked: &ParkedEvents) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for event in &parked.events {
        let place = format!("{}/{}", event.source, event.sequence);
        writeln!(
            out,
            "{part}\t{}\t{}\t{place}\t{}\t{}",
            event.since, event.r#type, event.why, event.data
        )?;
    }
    let more = parked.total.saturating_sub(u64::try_from(parked.events.len()).unwrap_or(0));
    if more > 0 {
        writeln!(out, "{part}\tand {more} more")?;
    }
    Ok(())
}
