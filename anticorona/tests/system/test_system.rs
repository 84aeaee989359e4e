//! A running system for one test: processes on free ports, data in a temporary folder.

use std::path::PathBuf;

use drill::{
    Acknowledged, Audit, CONVERGE_WITHIN, Ledgers, ServiceProcess, System, Target, TestEnvironment,
};

use crate::environment;

pub(crate) const VACCINE: ServiceProcess = ServiceProcess::vaccine(0);
pub(crate) const BOOKING: ServiceProcess = ServiceProcess::booking(0);
pub(crate) const CAMPAIGN: ServiceProcess = ServiceProcess::new(campaign::SERVICE.name, 0);
pub(crate) const INJECTION: ServiceProcess = ServiceProcess::new(injection::SERVICE.name, 0);
pub(crate) const MYPAGE: ServiceProcess = ServiceProcess::new(mypage::SERVICE.name, 0);
pub(crate) const GATEWAY: ServiceProcess = ServiceProcess::new(gateway::SERVICE.name, 0);

/// A running system. Its processes are killed on drop; their logs are printed if the test failed.
pub(crate) struct TestSystem(System);

impl TestSystem {
    /// All services in one process.
    pub(crate) async fn in_one_process() -> Self {
        Self::start(environment::sqlite(), &[ServiceProcess::ALL]).await
    }

    /// Each service in a process of its own; booking in several.
    pub(crate) async fn in_processes(bookings: u16) -> Self {
        Self::in_processes_of(environment::sqlite(), 1, bookings).await
    }

    /// As [`Self::in_processes`]; several vaccine processes need one PostgreSQL database.
    pub(crate) async fn in_processes_of(
        environment: TestEnvironment,
        vaccines: u16,
        bookings: u16,
    ) -> Self {
        let mut services: Vec<_> = (0..vaccines).map(ServiceProcess::vaccine).collect();
        services.extend((0..bookings).map(ServiceProcess::booking));
        services.extend([CAMPAIGN, INJECTION, MYPAGE, GATEWAY]);
        Self::start(environment, &services).await
    }

    pub(crate) async fn start(environment: TestEnvironment, services: &[ServiceProcess]) -> Self {
        Self(System::start(environment, services).await.unwrap())
    }

    /// Starts a process with its data, and waits until it responds.
    pub(crate) async fn start_service(&mut self, service: ServiceProcess) {
        self.0.start_service(service).await.unwrap();
    }

    /// Runs `anticorona mypage rebuild` on the data of this system.
    pub(crate) fn rebuild_mypage(&self) {
        let mut rebuild = self.0.command(&["mypage", "rebuild", "--data"]);
        assert!(rebuild.arg(self.data(MYPAGE)).status().unwrap().success());
    }

    /// Ends a process at once (SIGKILL).
    pub(crate) fn kill(&mut self, service: ServiceProcess) {
        self.0.kill(service).unwrap();
    }

    /// Asks a process to shut down (SIGTERM); its exit code.
    pub(crate) async fn terminate(&mut self, service: ServiceProcess) -> Option<i32> {
        self.0.terminate(service).await.unwrap()
    }

    pub(crate) fn target(&self, service: ServiceProcess) -> Target {
        self.0.target(service).unwrap()
    }

    pub(crate) fn vaccine(&self) -> Target {
        self.target(VACCINE)
    }

    pub(crate) fn booking(&self, replica: u16) -> Target {
        self.target(ServiceProcess::booking(replica))
    }

    pub(crate) fn gateway(&self) -> Target {
        self.target(GATEWAY)
    }

    pub(crate) fn mypage(&self) -> Target {
        self.target(MYPAGE)
    }

    pub(crate) fn injection(&self) -> Target {
        self.target(INJECTION)
    }

    /// Whether the ledgers of all services agree, as soon as they do.
    pub(crate) async fn audit(&self) -> Audit {
        let locate = |name| Ok(self.target(ServiceProcess::new(name, 0)));
        let ledgers = Ledgers::of_services(locate).unwrap();
        ledgers.audit(&Acknowledged::default(), CONVERGE_WITHIN).await.unwrap()
    }

    pub(crate) fn setting(&self, name: &str) -> &str {
        self.0.environment().setting(name).unwrap()
    }

    /// One more setting for processes started from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.set(name, value);
    }

    pub(crate) fn port_offset(&self) -> u16 {
        self.0.port_offset()
    }

    pub(crate) fn data(&self, service: ServiceProcess) -> PathBuf {
        self.0.data(service)
    }

    pub(crate) fn log(&self, service: ServiceProcess) -> String {
        self.0.log(service)
    }
}

impl Drop for TestSystem {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for service in self.0.running() {
                eprintln!("--- {service}\n{}", self.log(service));
            }
        }
    }
}
