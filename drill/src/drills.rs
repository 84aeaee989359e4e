//! The drills: the seed's two experiments and the failures of a real opening day, one command each.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
};

use crate::{
    ask::book,
    client::{reply::Reply, request::Reconnect, target::Target},
    load::{Load, stop::Stop, summary::Summary},
    progress::Progress,
    report::Report,
    seen::Answers,
    system::{Broken, Ground},
};

mod autoscale;
mod breaker;
mod crash;
mod deploy;
mod opening_day;
mod oversell;
mod self_heal;

/// The exit code of a drill that could not be carried out; 1 is for one that failed.
pub const EXIT_BROKEN: u8 = 2;

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
    /// Vaccine slow, then dead, under the seed's 100 users: everybody is answered, and told at once
    Breaker(breaker::Options),
    /// 200 users, and as many processes of booking as the seed's autoscaler wants
    Autoscale(autoscale::Options),
    /// A rolling restart under load: 100 % of the requests are served
    Deploy(deploy::Options),
    /// A part hangs and another dies: they are started anew, and bookings go on
    SelfHeal(self_heal::Options),
    /// `kill -9` at random moments: nothing is lost or leaked
    Crash(crash::Options),
    /// More people than doses, every request twice, answers delayed: exactly as many bookings
    Oversell(oversell::Options),
    /// The doors open: how long it takes to serve everybody, and whether to open them
    OpeningDay(opening_day::Options),
}

#[derive(Debug, Args)]
struct Common {
    /// Drills the system at this address (its gateway, or booking) instead of one of its own
    #[arg(long, global = true, value_name = "URL")]
    target: Option<String>,
    /// Where that system registers vaccines, if not at the same address
    #[arg(long, global = true, value_name = "URL")]
    vaccine: Option<String>,
    /// Says that the target, which is not this machine, is yours to put load and faults on
    #[arg(long, global = true)]
    i_own_this_target: bool,
    /// Writes a page with charts to this file
    #[arg(long, global = true, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Writes every figure to this file as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Shows that the drill would notice: its own system lacks what the drill is about
    #[arg(long, global = true, hide = true)]
    without_protection: bool,
}

/// Where a drill plays.
struct Stage {
    /// What it starts, unless it has a site.
    ground: Ground,
    /// Somebody's running system.
    site: Option<Site>,
    /// Whether its own system lacks what the drill is about.
    without_protection: bool,
    progress: Progress,
}

/// A running system, from outside.
#[derive(Clone, Debug)]
struct Site {
    /// Takes bookings.
    entry: Target,
    /// Registers vaccines.
    vaccine: Target,
}

/// Carries out a drill on the terminal, with this very program as what is drilled.
pub fn main(command: &Command) -> ExitCode {
    let ended = std::env::current_exe()
        .map_err(Broken::from)
        .and_then(|program| carry_out(&program, command));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(broken) => {
            // Whoever closed the other end does not want to know.
            drop(writeln!(
                io::stderr(),
                "the drill could not be carried out: {}",
                causes(&*broken)
            ));
            ExitCode::from(EXIT_BROKEN)
        }
    }
}

/// Whether it passed.
fn carry_out(program: &Path, Command { drill, common }: &Command) -> Result<bool, Broken> {
    allow_open_files();
    let stage = Stage {
        ground: Ground::of(program),
        site: common.site()?,
        without_protection: common.without_protection,
        progress: Progress::over(drill.takes()),
    };
    if stage.without_protection && stage.site.is_some() {
        return Err("--without-protection is for a system of the drill's own".into());
    }
    // One core for the generator, the others for what it drills.
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let (mut term, mut int) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        select! {
            report = drill.play(&stage) => report,
            () = stage.progress.moves() => Err("nobody waits any more".into()),
            _ = term.recv() => Err("SIGTERM".into()),
            _ = int.recv() => Err("interrupted".into()),
        }
    })?;
    stage.progress.done();
    write!(io::stdout(), "{report}")?;
    if let Some(file) = &common.report {
        fs::write(file, report.html())?;
        writeln!(io::stdout(), "The report is {}.", file.display())?;
    }
    if let Some(file) = &common.json {
        fs::write(file, report.json())?;
    }
    Ok(report.passed())
}

impl Drill {
    async fn play(&self, stage: &Stage) -> Result<Report, Broken> {
        match self {
            Self::Breaker(options) => breaker::play(options, stage).await,
            Self::Autoscale(options) => autoscale::play(options, stage).await,
            Self::Deploy(options) => deploy::play(options, stage).await,
            Self::SelfHeal(options) => self_heal::play(options, stage).await,
            Self::Crash(options) => crash::play(options, stage).await,
            Self::Oversell(options) => oversell::play(options, stage).await,
            Self::OpeningDay(options) => opening_day::play(options, stage).await,
        }
    }

    /// About how long, for the bar.
    fn takes(&self) -> Duration {
        match self {
            Self::Breaker(options) => options.takes(),
            Self::Autoscale(options) => options.takes(),
            Self::Deploy(options) => options.takes(),
            Self::SelfHeal(options) => options.takes(),
            Self::Crash(options) => options.takes(),
            Self::Oversell(options) => options.takes(),
            Self::OpeningDay(options) => options.takes(),
        }
    }
}

impl Common {
    fn site(&self) -> Result<Option<Site>, Broken> {
        let Some(url) = &self.target else { return Ok(None) };
        let parse = if self.i_own_this_target { Target::anywhere } else { Target::parse };
        let hint = |error| format!("{error}; if it is yours, say --i-own-this-target");
        let entry = parse(url).map_err(hint)?;
        let vaccine = parse(self.vaccine.as_ref().unwrap_or(url)).map_err(hint)?;
        Ok(Some(Site { entry, vaccine }))
    }
}

/// Users who book without pause, each time on a connection of its own, as siege's do.
struct Users {
    count: u16,
    lasting: Duration,
    vaccine: i64,
}

impl Users {
    /// Notes every answer.
    async fn book(self, entry: &Target, stage: &Stage, answers: &Answers) -> Summary {
        let Self { count, lasting, vaccine } = self;
        let load = Load {
            users: count,
            reconnect: Reconnect::EachRequest,
            stop: Stop::after(lasting),
            request: book(vaccine).into(),
        };
        load.run_observed(entry, stage.note(answers)).await
    }
}

impl Stage {
    /// Notes answers, and shows that there is one more.
    fn note(
        &self,
        answers: &Answers,
    ) -> impl Fn(Result<&Reply, &crate::Error>) + Send + Sync + use<> {
        let (answers, progress) = (answers.clone(), self.progress.clone());
        move |ended| {
            answers.note(ended);
            progress.answered();
        }
    }

    /// A drill that needs to end processes cannot do that to somebody's system.
    fn own(&self, instead: &str) -> Result<(), Broken> {
        match &self.site {
            None => Ok(()),
            Some(_) => Err(format!(
                "this drill starts and ends processes, so it drills a system of its own; {instead}"
            )
            .into()),
        }
    }
}

/// A drill opens many connections; the usual limit is far below what the system allows.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Fails only where the system forbids what it says is allowed: then the default has to do.
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
