//! The drills: the reference's two experiments and the failures of a real opening day, one command each.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
};

use self::context::{Context, Entries};
use crate::{
    error::DrillError,
    page,
    progress::Progress,
    report::Report,
    service::{ServiceList, TestEnvironment},
    target::Target,
};

mod autoscale;
mod breaker;
mod context;
mod crash;
mod deploy;
mod opening_day;
mod oversell;
mod self_heal;

/// The exit code of a drill without a verdict; 1 is for one that failed.
const EXIT_ERROR: u8 = 2;

/// `anticorona drill …`
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    drill: Drill,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Drill {
    /// Vaccine slow, then dead, under the reference's 100 users: every request has a prompt response
    Breaker(breaker::Options),
    /// 200 users, and as many booking processes as the reference's autoscaler requests
    Autoscale(autoscale::Options),
    /// A rolling restart under load: 100 % of the requests are served
    Deploy(deploy::Options),
    /// One service hangs and another dies: they are restarted, and bookings continue
    SelfHeal(self_heal::Options),
    /// `kill -9` at random moments: nothing is lost or leaked
    Crash(crash::Options),
    /// More clients than doses, every request twice, responses delayed: exactly as many bookings
    Oversell(oversell::Options),
    /// A load spike: how long it takes to serve every client, go or no-go
    OpeningDay(opening_day::Options),
}

#[derive(Debug, Args)]
struct Common {
    /// Loads the system at this address (its gateway, or booking) instead of one of the drill's own
    #[arg(long, global = true, value_name = "URL")]
    target: Option<String>,
    /// Where that system registers vaccines, if not at the same address
    #[arg(long, global = true, value_name = "URL")]
    vaccine: Option<String>,
    /// Declares that the target, which is not this machine, is yours to put load and faults on
    #[arg(long, global = true)]
    i_own_this_target: bool,
    /// Writes a page with charts to this file
    #[arg(long, global = true, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Writes every figure to this file as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Tests the drill: its own system lacks what the drill tests, so that it must fail
    #[arg(long, global = true, hide = true)]
    without_protection: bool,
}

/// Carries out a drill on the terminal. The system under test is this very program with these services.
pub fn main(command: &Command, services: ServiceList) -> ExitCode {
    match carry_out(command, services) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let causes = causes(&*error);
            // A closed stderr does not change the exit code.
            drop(writeln!(io::stderr(), "the drill could not be carried out: {causes}"));
            ExitCode::from(EXIT_ERROR)
        }
    }
}

/// Whether it passed.
fn carry_out(command: &Command, services: ServiceList) -> Result<bool, DrillError> {
    let Command { drill, common } = command;
    allow_open_files();
    let context = Context {
        environment: TestEnvironment::of_this_program(services)?,
        external: common.external()?,
        without_protection: common.without_protection,
        progress: Progress::start(),
    };
    if context.without_protection && context.external.is_some() {
        return Err("--without-protection needs a system of the drill's own".into());
    }
    // One core for the generator, the others for the system under test.
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let (mut term, mut int) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        select! {
            report = drill.run(&context) => report,
            _ = term.recv() => Err("SIGTERM".into()),
            _ = int.recv() => Err("interrupted".into()),
        }
    })?;
    context.progress.finish();
    write!(io::stdout(), "{report}")?;
    if let Some(file) = &common.report {
        fs::write(file, page::html(&report))?;
        writeln!(io::stdout(), "The report is {}.", file.display())?;
    }
    if let Some(file) = &common.json {
        fs::write(file, report.json())?;
    }
    Ok(report.passed())
}

impl Drill {
    async fn run(&self, context: &Context) -> Result<Report, DrillError> {
        match self {
            Self::Breaker(options) => breaker::run(options, context).await,
            Self::Autoscale(options) => autoscale::run(options, context).await,
            Self::Deploy(options) => deploy::run(options, context).await,
            Self::SelfHeal(options) => self_heal::run(options, context).await,
            Self::Crash(options) => crash::run(options, context).await,
            Self::Oversell(options) => oversell::run(options, context).await,
            Self::OpeningDay(options) => opening_day::run(options, context).await,
        }
    }
}

impl Common {
    fn external(&self) -> Result<Option<Entries>, DrillError> {
        let Some(url) = &self.target else { return Ok(None) };
        let parse = if self.i_own_this_target { Target::anywhere } else { Target::parse };
        let hint = |error| format!("{error}; if it is yours, add --i-own-this-target");
        let bookings = vec![parse(url).map_err(hint)?];
        let vaccine = parse(self.vaccine.as_ref().unwrap_or(url)).map_err(hint)?;
        Ok(Some(Entries { vaccine, bookings }))
    }
}

/// A drill opens many connections; the default limit is far below what the system allows.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Fails only where the system refuses its own maximum; the default applies then.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
