//! Whether the ledgers of all parts agree, in a system that runs or in one that does not.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use chassis::{
    config::Env,
    process::{self, Fatal},
    telemetry::{self, LogFormat},
};
use clap::Args;
use drill::{Audit, Ground, Ledgers, Promised, SETTLE_WITHIN, System, Target};

use crate::part::Part;

#[derive(Args)]
pub(crate) struct AuditArgs {
    /// Audits what is kept in this folder while nothing runs: starts it on loopback for that, with the
    /// settings of this environment
    #[arg(long, value_name = "DIR", conflicts_with = "port_offset")]
    data: Option<PathBuf>,
    /// As the running system was started with; `VACCINE_URL`, `BOOKING_URL`, `INJECTION_URL` and
    /// `MYPAGE_URL` say where its parts listen, if not here
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=50_000))]
    port_offset: u16,
    /// How long what is on its way may take to arrive, in seconds
    #[arg(long, default_value_t = SETTLE_WITHIN.as_secs(), value_name = "S", value_parser = clap::value_parser!(u64).range(..=3_600))]
    settle_within: u64,
    /// Prints every figure as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &AuditArgs) -> ExitCode {
    telemetry::start(LogFormat::Pretty);
    process::run(|_| audit(args))
}

async fn audit(args: &AuditArgs) -> Result<(), Fatal> {
    let audit = match &args.data {
        None => look(args, &running(args.port_offset)?).await?,
        Some(folder) => {
            if !folder.is_dir() {
                return Err(format!("{} is no folder", folder.display()).into());
            }
            let ground = Ground::of(std::env::current_exe()?).kept_in(folder);
            let system = System::start(ground, &[drill::Part::Together]).await?;
            look(args, &system.ledgers()?).await?
        }
    };
    print(args, &audit)?;
    if audit.is_clean() { Ok(()) } else { Err("the ledgers do not agree".into()) }
}

async fn look(args: &AuditArgs, ledgers: &Ledgers) -> Result<Audit, Fatal> {
    ledgers.audit(&Promised::default(), Duration::from_secs(args.settle_within)).await
}

fn running(port_offset: u16) -> Result<Ledgers, Fatal> {
    let env = Env::of_process();
    let at = |part: Part| -> Result<Target, Fatal> {
        Ok(Target::anywhere(&part.url(&env, port_offset)?.to_string())?)
    };
    Ok(Ledgers {
        vaccine: at(Part::Vaccine)?,
        bookings: vec![at(Part::Booking)?],
        injection: Some(at(Part::Injection)?),
        mypage: Some(at(Part::Mypage)?),
        only: None,
    })
}

fn print(args: &AuditArgs, audit: &Audit) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{:#}", audit.json());
    }
    for what in &audit.named {
        writeln!(out, "{what}")?;
    }
    writeln!(out, "{audit}, in {} vaccines and {} bookings", audit.vaccines, audit.bookings)
}
