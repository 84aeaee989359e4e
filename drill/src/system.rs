//! A running system: processes on free ports of loopback, data in a temporary folder.
//!
//! The program is known only by what an operator types: its subcommands, its settings, its signals.

use std::{
    error::Error,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    audit::Ledgers,
    client::{request::Request, send, target::Target},
    system::ports::free_offset,
};

pub(crate) mod ports;

/// Why something could not be carried out at all; it is printed with its causes.
pub type Broken = Box<dyn Error + Send + Sync>;

/// How long a process may take to come up: a debug build on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(30);

/// How long a process may take to end in order; it promises to do so within 15 s.
const END_WITHIN: Duration = Duration::from_secs(30);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How much of a log stands in an error.
const LAST_LINES: usize = 10;

const VACCINE_PORT: u16 = 8081;
const BOOKING_PORT: u16 = 8082;
const MYPAGE_PORT: u16 = 8083;
const INJECTION_PORT: u16 = 8084;
const GATEWAY_PORT: u16 = 8088;

/// What can be started and ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything in one process.
    Together,
    /// One of several vaccine processes on one database.
    Vaccine(u16),
    /// One of several booking processes.
    Booking(u16),
    /// The injection desk.
    Injection,
    /// What citizens see.
    Mypage,
    /// The public edge.
    Gateway,
}

/// What a system is built on.
#[derive(Clone, Debug)]
pub struct Ground {
    program: PathBuf,
    settings: Vec<(String, String)>,
    faults: bool,
    /// Whether the settings of our own environment count too.
    inherits: bool,
    /// Where data is kept, if not in the temporary folder.
    kept: Option<PathBuf>,
}

/// A running system. Whatever still runs is killed when it goes, and its data is removed.
#[derive(Debug)]
pub struct System {
    folder: TempDir,
    ground: Ground,
    /// One for each of several processes of a kind.
    offsets: Vec<u16>,
    /// Vaccine processes that bookings ask in turn.
    vaccines: u16,
    running: Vec<(Part, Child)>,
}

impl Part {
    /// Which of several of its kind.
    pub fn number(self) -> u16 {
        match self {
            Self::Vaccine(n) | Self::Booking(n) => n,
            Self::Together | Self::Injection | Self::Mypage | Self::Gateway => 0,
        }
    }

    /// As the program calls it.
    pub fn subcommand(self) -> &'static str {
        match self {
            Self::Together => "serve",
            Self::Vaccine(_) => "vaccine",
            Self::Booking(_) => "booking",
            Self::Injection => "injection",
            Self::Mypage => "mypage",
            Self::Gateway => "gateway",
        }
    }

    fn ports(self) -> &'static [u16] {
        match self {
            Self::Together => {
                &[VACCINE_PORT, BOOKING_PORT, MYPAGE_PORT, INJECTION_PORT, GATEWAY_PORT]
            }
            Self::Vaccine(_) => &[VACCINE_PORT],
            Self::Booking(_) => &[BOOKING_PORT],
            Self::Injection => &[INJECTION_PORT],
            Self::Mypage => &[MYPAGE_PORT],
            Self::Gateway => &[GATEWAY_PORT],
        }
    }
}

impl Ground {
    /// That program, SQLite, and nothing between the parts, whatever our own environment says: a
    /// drill must not find its way to a database that somebody needs.
    pub fn of(program: impl Into<PathBuf>) -> Self {
        let (program, settings) = (program.into(), Vec::new());
        Self { program, settings, faults: false, inherits: false, kept: None }
    }

    /// The data in that folder, with the settings of our own environment: somebody's system.
    #[must_use]
    pub fn kept_in(self, folder: &Path) -> Self {
        Self { inherits: true, kept: Some(folder.to_owned()), ..self }
    }

    /// With one more setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, but each part has the switch that makes it fail.
    #[must_use]
    pub fn with_faults(self) -> Self {
        Self { faults: true, ..self }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if !self.inherits {
            command.env_clear();
        }
        command
    }

    /// What a setting says, if it is set.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl System {
    /// One more setting for whoever is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.ground.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Starts these parts, one after the other.
    pub async fn start(ground: Ground, parts: &[Part]) -> Result<Self, Broken> {
        let folder = tempfile::Builder::new().prefix("anticorona-drill-").tempdir()?;
        let most = parts.iter().map(|part| part.number()).max().unwrap_or(0);
        let vaccines = parts.iter().filter(|part| matches!(part, Part::Vaccine(_))).count();
        let vaccines = u16::try_from(vaccines)?.max(1);
        let mut system =
            Self { folder, ground, offsets: Vec::new(), vaccines, running: Vec::new() };
        system.make_room(most)?;
        for part in parts {
            system.start_part(*part).await?;
        }
        Ok(system)
    }

    /// Starts a part with its data, if it has any, and waits until it answers.
    pub async fn start_part(&mut self, part: Part) -> Result<(), Broken> {
        self.make_room(part.number())?;
        let log = File::options().create(true).append(true).open(self.log_path(part))?;
        let child = self.command(part).stdout(Stdio::null()).stderr(log).spawn()?;
        self.running.push((part, child));
        let start = Instant::now();
        for port in part.ports() {
            let target = self.target(*port, part.number())?;
            while send(&target, &Request::get("/actuator/health")).await.is_err() {
                self.is_starting(part, start)?;
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    fn is_starting(&mut self, part: Part, since: Instant) -> Result<(), Broken> {
        let ended = self.child(part)?.try_wait()?;
        if ended.is_none() && since.elapsed() < START_WITHIN {
            return Ok(());
        }
        let what =
            ended.map_or_else(|| "does not answer".to_owned(), |code| format!("ended: {code}"));
        Err(format!("{} {what}; it said last:\n{}", part.subcommand(), self.last_lines(part))
            .into())
    }

    fn command(&self, part: Part) -> Command {
        let mut command = self.ground.command();
        let offset = self.offsets[usize::from(part.number())];
        command
            .arg(part.subcommand())
            .args(["--port-offset", &offset.to_string()])
            .arg("--data")
            .arg(self.data(part))
            .args(self.ground.faults.then_some("--faults"))
            .env("VACCINE_URL", self.url(VACCINE_PORT, part.number() % self.vaccines))
            .env("BOOKING_URL", self.url(BOOKING_PORT, 0))
            .env("INJECTION_URL", self.url(INJECTION_PORT, 0))
            .env("MYPAGE_URL", self.url(MYPAGE_PORT, 0))
            .envs(self.ground.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// The program with other arguments, and with the settings of this system.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = self.ground.command();
        command.args(arguments);
        command.envs(self.ground.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Ends a part at once, as a power cut would end it for everybody else.
    pub fn kill(&mut self, part: Part) -> Result<(), Broken> {
        let mut child = self.take(part)?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks a part to end; the exit code says how it did, none if a signal ended it.
    pub async fn terminate(&mut self, part: Part) -> Result<Option<i32>, Broken> {
        self.signal(part, Signal::TERM)?;
        let since = Instant::now();
        loop {
            if let Some(ended) = self.child(part)?.try_wait()? {
                self.take(part)?;
                return Ok(ended.code());
            }
            if since.elapsed() > END_WITHIN {
                return Err(format!("{} does not end", part.subcommand()).into());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Lets a part hang: it takes connections and does nothing more, until it is killed.
    pub fn freeze(&mut self, part: Part) -> Result<(), Broken> {
        self.signal(part, Signal::STOP)
    }

    fn signal(&mut self, part: Part, signal: Signal) -> Result<(), Broken> {
        Ok(kill_process(Pid::from_child(self.child(part)?), signal)?)
    }

    /// Whether a part was started and neither killed nor asked to end since.
    pub fn runs(&self, part: Part) -> bool {
        self.running.iter().any(|(running, _)| *running == part)
    }

    /// Whether a part has ended by itself.
    pub fn has_ended(&mut self, part: Part) -> Result<bool, Broken> {
        Ok(self.child(part)?.try_wait()?.is_some())
    }

    /// The number of a part's process.
    pub fn pid(&mut self, part: Part) -> Result<u32, Broken> {
        Ok(self.child(part)?.id())
    }

    fn child(&mut self, part: Part) -> Result<&mut Child, Broken> {
        let found = self.running.iter_mut().find(|(running, _)| *running == part);
        found.map(|(_, child)| child).ok_or_else(|| format!("{part:?} does not run").into())
    }

    fn take(&mut self, part: Part) -> Result<Child, Broken> {
        let place = self.running.iter().position(|(running, _)| *running == part);
        let place = place.ok_or_else(|| format!("{part:?} does not run"))?;
        Ok(self.running.remove(place).1)
    }

    /// Where a vaccine process listens.
    pub fn vaccine(&self, n: u16) -> Result<Target, Broken> {
        self.target(VACCINE_PORT, n)
    }

    /// Where a booking process listens.
    pub fn booking(&self, n: u16) -> Result<Target, Broken> {
        self.target(BOOKING_PORT, n)
    }

    /// Where the injection desk listens.
    pub fn injection(&self) -> Result<Target, Broken> {
        self.target(INJECTION_PORT, 0)
    }

    /// Where what citizens see is.
    pub fn mypage(&self) -> Result<Target, Broken> {
        self.target(MYPAGE_PORT, 0)
    }

    /// Where the public edge listens.
    pub fn gateway(&self) -> Result<Target, Broken> {
        self.target(GATEWAY_PORT, 0)
    }

    /// Where the first of each kind keeps its books.
    pub fn ledgers(&self) -> Result<Ledgers, Broken> {
        Ok(Ledgers {
            vaccine: self.vaccine(0)?,
            bookings: vec![self.booking(0)?],
            injection: Some(self.injection()?),
            mypage: Some(self.mypage()?),
            only: None,
        })
    }

    /// What it is built on.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// What is added to every port of the first of each kind.
    pub fn offset(&self) -> u16 {
        self.offsets[0]
    }

    /// The folder of a part's data.
    pub fn data(&self, part: Part) -> PathBuf {
        let own = || self.folder.path().join(format!("{part:?}"));
        self.ground.kept.clone().unwrap_or_else(own)
    }

    /// Everything that a part has logged.
    pub fn log(&self, part: Part) -> String {
        fs::read_to_string(self.log_path(part)).unwrap_or_default()
    }

    fn last_lines(&self, part: Part) -> String {
        let log = self.log(part);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// What still runs, to be looked at when something went wrong.
    pub fn running(&self) -> impl Iterator<Item = Part> {
        self.running.iter().map(|(part, _)| *part)
    }

    fn make_room(&mut self, number: u16) -> Result<(), Broken> {
        while self.offsets.len() <= usize::from(number) {
            self.offsets.push(free_offset()?);
        }
        Ok(())
    }

    fn target(&self, port: u16, n: u16) -> Result<Target, Broken> {
        Ok(Target::parse(&self.url(port, n))?)
    }

    fn url(&self, port: u16, n: u16) -> String {
        let offset = self.offsets.get(usize::from(n)).copied().unwrap_or_default();
        format!("http://127.0.0.1:{}", port + offset)
    }

    fn log_path(&self, part: Part) -> PathBuf {
        self.folder.path().join(format!("{part:?}.log"))
    }

    /// The temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
