//! `anticorona audit`: whether the ledgers of all services agree, in a running or a stopped system.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use drill::{
    Acknowledged, Audit, CONVERGE_WITHIN, Ledgers, ServiceProcess, System, Target, TestEnvironment,
};
use platform_service::{Env, run as run_process};
use platform_telemetry::{
    BoxError,
    logs::{self, LogFormat},
};

use crate::services;

#[derive(Args)]
pub(crate) struct AuditArgs {
    /// Audits the data in this folder while nothing runs: starts it on loopback for that, with the
    /// settings of this environment
    #[arg(long, value_name = "DIR", conflicts_with = "port_offset")]
    data: Option<PathBuf>,
    /// As the running system was started with; `VACCINE_URL`, `BOOKING_URL`, … say where its services
    /// listen, if not on this machine
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=50_000))]
    port_offset: u16,
    /// How long events in flight may take to arrive, in seconds
    #[arg(long, default_value_t = CONVERGE_WITHIN.as_secs(), value_name = "S", value_parser = clap::value_parser!(u64).range(..=3_600))]
    converge_within: u64,
    /// Prints every figure as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &AuditArgs) -> ExitCode {
    logs::start(LogFormat::Pretty);
    run_process(|_| audit(args))
}

async fn audit(args: &AuditArgs) -> Result<(), BoxError> {
    let audit = match &args.data {
        None => compare(args, &running(args.port_offset)?).await?,
        Some(folder) => {
            if !folder.is_dir() {
                return Err(format!("{} is not a folder", folder.display()).into());
            }
            let environment = TestEnvironment::of_this_program(services::PORTS)?.with_data(folder);
            let system = System::start(environment, &[ServiceProcess::ALL]).await?;
            compare(args, &system.ledgers()?).await?
        }
    };
    print(args, &audit)?;
    if audit.is_clean() { Ok(()) } else { Err("the ledgers do not agree".into()) }
}

async fn compare(args: &AuditArgs, ledgers: &Ledgers) -> Result<Audit, BoxError> {
    let within = Duration::from_secs(args.converge_within);
    ledgers.audit(&Acknowledged::default(), within).await
}

fn running(port_offset: u16) -> Result<Ledgers, BoxError> {
    let env = Env::of_process();
    let locate = |name| {
        let service = services::named(name)?;
        let url = services::url(service, &env, port_offset).map_err(|error| error.to_string())?;
        Ok(Target::anywhere(&url.to_string())?)
    };
    Ledgers::of_services(locate)
}

fn print(args: &AuditArgs, audit: &Audit) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{}", serde_json::to_string_pretty(audit)?);
    }
    for finding in &audit.findings {
        writeln!(out, "{finding}")?;
    }
    writeln!(out, "{audit}, in {} vaccines and {} bookings", audit.vaccines, audit.bookings)
}
