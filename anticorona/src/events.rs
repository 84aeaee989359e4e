//! What the parts of a running system have put aside.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use chassis::{
    client::{BaseUrl, Client},
    config::Env,
    process::{self, Fatal, NetArgs},
    telemetry,
};
use clap::Subcommand;
use contracts::event::ParkedEvents;

/// How long a part may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

#[derive(Subcommand)]
pub(crate) enum What {
    /// Lists them, one a line: part, since when, type, source and place, why, the event itself.
    /// `VACCINE_URL`, `BOOKING_URL`, `INJECTION_URL` and `MYPAGE_URL` say where parts listen, if not
    /// here
    Parked(NetArgs),
}

pub(crate) fn run(What::Parked(net): What) -> ExitCode {
    telemetry::start(net.log);
    process::run(|_| parked(net))
}

async fn parked(net: NetArgs) -> Result<(), Fatal> {
    let env = Env::of_process();
    let parts = [
        ("vaccine", "VACCINE_URL", vaccine::config::PORT),
        ("booking", "BOOKING_URL", booking::config::PORT),
        ("injection", "INJECTION_URL", injection::config::PORT),
        ("mypage", "MYPAGE_URL", mypage::config::PORT),
    ];
    let mut total = 0;
    for (part, setting, port) in parts {
        let here = net.neighbour(port).parse();
        let url: BaseUrl = env.first([setting])?.map_or(here, Ok)?;
        let parked: ParkedEvents = Client::new(url)
            .get("/events/parked", ANSWER_WITHIN)
            .await
            .map_err(|cause| format!("{part}: {}", telemetry::causes(&cause)))?;
        total += parked.total;
        list(part, &parked)?;
    }
    writeln!(io::stdout(), "{total} parked")?;
    Ok(())
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
