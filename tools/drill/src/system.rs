//! A running system: processes on free ports of loopback, data in a temporary folder.
//!
//! The program is known only by what an operator types: its subcommands, its settings, its signals.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use self::ports::free_port_offset;
use crate::{
    error::DrillError,
    http::send,
    ledgers::Ledgers,
    request::Request,
    service::{ServiceProcess, TestEnvironment},
    target::Target,
};

pub(crate) mod ports;

/// How long a process may take to start: a debug build on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(30);

/// How long a process may take to shut down; its own limit is 15 s.
const SHUT_DOWN_WITHIN: Duration = Duration::from_secs(30);

const POLL_EVERY: Duration = Duration::from_millis(5);

/// How many lines of a log an error quotes.
const LOG_LINES: usize = 10;

/// A running system. On drop its processes are killed and its data removed.
#[derive(Debug)]
pub struct System {
    folder: TempDir,
    environment: TestEnvironment,
    /// One for each replica.
    port_offsets: Vec<u16>,
    /// Vaccine processes, over which the other services' replicas are spread.
    vaccines: u16,
    running: Vec<(ServiceProcess, Child)>,
}

impl System {
    /// Starts these processes, one after the other.
    pub async fn start(
        environment: TestEnvironment,
        services: &[ServiceProcess],
    ) -> Result<Self, DrillError> {
        let folder = tempfile::Builder::new().prefix("anticorona-drill-").tempdir()?;
        let vaccines =
            services.iter().filter(|it| it.name() == ServiceProcess::vaccine(0).name()).count();
        let vaccines = u16::try_from(vaccines)?.max(1);
        let (port_offsets, running) = (Vec::new(), Vec::new());
        let mut system = Self { folder, environment, port_offsets, vaccines, running };
        system.reserve_ports(services.iter().map(|it| it.replica()).max().unwrap_or(0))?;
        for service in services {
            system.start_service(*service).await?;
        }
        Ok(system)
    }

    /// Starts every service in a process of its own.
    pub async fn start_each(environment: TestEnvironment) -> Result<Self, DrillError> {
        let services = environment.services.iter().map(|(name, _)| ServiceProcess::new(name, 0));
        let services: Vec<ServiceProcess> = services.collect();
        Self::start(environment, &services).await
    }

    /// Starts a process with its data, if it has any, and waits until it responds.
    pub async fn start_service(&mut self, service: ServiceProcess) -> Result<(), DrillError> {
        self.reserve_ports(service.replica())?;
        let log = File::options().create(true).append(true).open(self.log_file(service))?;
        let child = self.service_command(service).stdout(Stdio::null()).stderr(log).spawn()?;
        self.running.push((service, child));
        let start = Instant::now();
        for port in service.ports(self.environment.services)? {
            let target = Target::parse(&self.url(port, service.replica()))?;
            while send(&target, &Request::get("/actuator/health")).await.is_err() {
                self.check_start(service, start)?;
                sleep(POLL_EVERY).await;
            }
        }
        Ok(())
    }

    fn check_start(&mut self, service: ServiceProcess, since: Instant) -> Result<(), DrillError> {
        let what = match self.child(service)?.try_wait()? {
            None if since.elapsed() < START_WITHIN => return Ok(()),
            None => "does not respond".to_owned(),
            Some(status) => format!("exited: {status}"),
        };
        let log = self.log(service);
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        Err(format!("{service} {what}; end of its log:\n{last}").into())
    }

    fn service_command(&self, service: ServiceProcess) -> Command {
        let url_of = |(name, port): &(&str, u16)| {
            let is_vaccine = *name == ServiceProcess::vaccine(0).name();
            let replica = if is_vaccine { service.replica() % self.vaccines } else { 0 };
            (format!("{}_URL", name.to_uppercase()), self.url(*port, replica))
        };
        let urls = self.environment.services.iter().map(url_of).collect();
        let mut command = self.environment.command(urls);
        let port_offset = self.port_offsets[usize::from(service.replica())];
        command
            .arg(service.name())
            .args(["--port-offset", &port_offset.to_string()])
            .arg("--data")
            .arg(self.data(service))
            .args(self.environment.has_faults.then_some("--faults"))
            .stdin(Stdio::null());
        command
    }

    /// The program with other arguments, and with the settings of this system.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.environment.command(Vec::new());
        command.args(arguments);
        command
    }

    /// One more setting for processes started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.set(name, value);
    }

    /// Ends a process at once (SIGKILL), if it runs.
    pub fn kill(&mut self, service: ServiceProcess) -> Result<(), DrillError> {
        let child = self.child(service)?;
        child.kill()?;
        child.wait()?;
        self.running.retain(|(running, _)| *running != service);
        Ok(())
    }

    /// Asks a process to shut down (SIGTERM); its exit code, none if a signal ended it.
    pub async fn terminate(&mut self, service: ServiceProcess) -> Result<Option<i32>, DrillError> {
        self.signal(service, Signal::TERM)?;
        let since = Instant::now();
        loop {
            if let Some(status) = self.child(service)?.try_wait()? {
                self.running.retain(|(running, _)| *running != service);
                return Ok(status.code());
            }
            if since.elapsed() > SHUT_DOWN_WITHIN {
                return Err(format!("{service} does not shut down").into());
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Suspends a process (SIGSTOP): it accepts connections and does nothing more, until it is killed.
    pub fn suspend(&mut self, service: ServiceProcess) -> Result<(), DrillError> {
        self.signal(service, Signal::STOP)
    }

    fn signal(&mut self, service: ServiceProcess, signal: Signal) -> Result<(), DrillError> {
        Ok(kill_process(Pid::from_child(self.child(service)?), signal)?)
    }

    /// The id of a process.
    pub fn pid(&mut self, service: ServiceProcess) -> Result<u32, DrillError> {
        Ok(self.child(service)?.id())
    }

    /// Processes that were started and neither killed nor asked to shut down since.
    pub fn running(&self) -> impl Iterator<Item = ServiceProcess> {
        self.running.iter().map(|(service, _)| *service)
    }

    fn child(&mut self, service: ServiceProcess) -> Result<&mut Child, DrillError> {
        let found = self.running.iter_mut().find(|(running, _)| *running == service);
        found.map(|(_, child)| child).ok_or_else(|| format!("{service} is not running").into())
    }

    /// The address of a service, also of one that runs in the process [`ServiceProcess::ALL`].
    pub fn target(&self, service: ServiceProcess) -> Result<Target, DrillError> {
        let ports = service.ports(self.environment.services)?;
        Ok(Target::parse(&self.url(ports[0], service.replica()))?)
    }

    /// The ledgers of the first replica of each service.
    pub fn ledgers(&self) -> Result<Ledgers, DrillError> {
        Ledgers::of_services(|name| self.target(ServiceProcess::new(name, 0)))
    }

    /// The program and its settings.
    pub fn environment(&self) -> &TestEnvironment {
        &self.environment
    }

    /// What is added to every port of the first replicas.
    pub fn port_offset(&self) -> u16 {
        self.port_offsets[0]
    }

    /// The folder of a process's data.
    pub fn data(&self, service: ServiceProcess) -> PathBuf {
        let own = || self.folder().join(service.to_string());
        self.environment.data.clone().unwrap_or_else(own)
    }

    /// Everything that a process has logged.
    pub fn log(&self, service: ServiceProcess) -> String {
        fs::read_to_string(self.log_file(service)).unwrap_or_default()
    }

    fn reserve_ports(&mut self, replica: u16) -> Result<(), DrillError> {
        while self.port_offsets.len() <= usize::from(replica) {
            self.port_offsets.push(free_port_offset()?);
        }
        Ok(())
    }

    fn url(&self, port: u16, replica: u16) -> String {
        let offset = self.port_offsets.get(usize::from(replica)).copied().unwrap_or_default();
        format!("http://127.0.0.1:{}", port + offset)
    }

    fn log_file(&self, service: ServiceProcess) -> PathBuf {
        self.folder().join(format!("{service}.log"))
    }

    fn folder(&self) -> &Path {
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
