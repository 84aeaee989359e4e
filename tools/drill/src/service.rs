//! The services of the program under test, known by name and port only.

use std::{env, fmt, path::PathBuf, process::Command};

use crate::error::DrillError;

/// Every service of the program: its name, as the subcommand is called, and its port, in start order.
/// The ports lie within 8081 to 8090.
pub type ServiceList = &'static [(&'static str, u16)];

/// One process of a system: a service, and which of its replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceProcess {
    name: &'static str,
    replica: u16,
}

/// The program under test, and how its processes are started.
#[derive(Clone, Debug)]
pub struct TestEnvironment {
    program: PathBuf,
    pub(crate) services: ServiceList,
    settings: Vec<(String, String)>,
    pub(crate) has_faults: bool,
    /// Whether the settings of this process apply too.
    inherits: bool,
    /// Where data is kept, if not in the temporary folder.
    pub(crate) data: Option<PathBuf>,
}

impl ServiceProcess {
    /// All services in one process.
    pub const ALL: Self = Self::new("serve", 0);

    /// Replica `replica` of that service.
    pub const fn new(name: &'static str, replica: u16) -> Self {
        Self { name, replica }
    }

    /// Of several vaccine processes on one database.
    pub const fn vaccine(replica: u16) -> Self {
        Self::new("vaccine", replica)
    }

    /// Of several booking processes.
    pub const fn booking(replica: u16) -> Self {
        Self::new("booking", replica)
    }

    /// The subcommand.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// From 0.
    pub fn replica(self) -> u16 {
        self.replica
    }

    /// The ports of its process, before the offset.
    pub(crate) fn ports(self, services: ServiceList) -> Result<Vec<u16>, DrillError> {
        let listed = services.iter().filter(|(name, _)| self == Self::ALL || *name == self.name);
        let ports: Vec<u16> = listed.map(|(_, port)| *port).collect();
        if ports.is_empty() { Err(format!("unknown service {self}").into()) } else { Ok(ports) }
    }
}

impl fmt::Display for ServiceProcess {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.name, self.replica)
    }
}

impl TestEnvironment {
    /// That program on SQLite without a message broker. The settings of this process do not apply: a
    /// drill must not reach a database that is in use.
    pub fn new(program: impl Into<PathBuf>, services: ServiceList) -> Self {
        let (program, settings) = (program.into(), Vec::new());
        Self { program, services, settings, has_faults: false, inherits: false, data: None }
    }

    /// This very program.
    pub fn of_this_program(services: ServiceList) -> Result<Self, DrillError> {
        Ok(Self::new(env::current_exe()?, services))
    }

    /// The data in that folder, with the settings of this process.
    #[must_use]
    pub fn with_data(self, folder: impl Into<PathBuf>) -> Self {
        Self { inherits: true, data: Some(folder.into()), ..self }
    }

    /// With one more setting.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// With `--faults`: [`crate::set_faults`] works.
    #[must_use]
    pub fn with_faults(self) -> Self {
        Self { has_faults: true, ..self }
    }

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// The program with these settings; `defaults` do not override them.
    pub(crate) fn command(&self, defaults: Vec<(String, String)>) -> Command {
        let mut command = Command::new(&self.program);
        if !self.inherits {
            command.env_clear();
        }
        command.envs(defaults).envs(self.settings.iter().cloned());
        command
    }
}
