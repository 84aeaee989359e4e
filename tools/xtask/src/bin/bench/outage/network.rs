//! A network between booking and vaccine that can drop packets silently.
//!
//! Vaccine runs in a network namespace of its own, behind a pair of virtual interfaces. To drop
//! packets, the near end is limited (`tbf`) to one byte per second, so that no packet fits. This needs
//! root and Linux; the namespace is deleted at the end.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{self, Child, Command, Stdio},
    time::{Duration, Instant},
};

use drill::{DrillError, ServiceProcess, System};

/// The two ends of the pair.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 2);

/// The port of vaccine, before the offset.
const PORT: u16 = 8081;

const VACCINE: ServiceProcess = ServiceProcess::vaccine(0);

const START_WITHIN: Duration = Duration::from_secs(10);

const POLL_INTERVAL: Duration = Duration::from_millis(5);

pub(super) struct Network {
    namespace: Namespace,
    vaccine: Child,
    address: SocketAddr,
}

impl Network {
    /// Kills the vaccine of the system and starts it again, with its data, in the namespace.
    pub(super) async fn around(system: &mut System) -> Result<Self, DrillError> {
        let namespace = Namespace::create()?;
        system.kill(VACCINE)?;
        let offset = system.port_offset();
        let plain = system.command(&["vaccine", "--faults", "--bind", &FAR.to_string()]);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace.name]);
        command.arg(plain.get_program()).args(plain.get_args());
        command.args(["--port-offset", &offset.to_string(), "--data"]);
        command.arg(system.data(VACCINE)).env("RUST_LOG", "warn").stdout(Stdio::null());
        let address = SocketAddr::from((FAR, PORT + offset));
        let network = Self { vaccine: command.spawn()?, namespace, address };
        let start = Instant::now();
        while TcpStream::connect_timeout(&address, POLL_INTERVAL).is_err() {
            if start.elapsed() > START_WITHIN {
                return Err("vaccine is not ready in its namespace".into());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(network)
    }

    /// The URL of vaccine in the namespace.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn drop_packets(&self) -> Result<(), DrillError> {
        let tbf = ["root", "tbf", "rate", "8bit", "burst", "1", "latency", "1ms"];
        run("tc", &[&["qdisc", "add", "dev", &self.namespace.near], tbf.as_slice()].concat())
    }

    pub(super) fn pass_packets(&self) -> Result<(), DrillError> {
        run("tc", &["qdisc", "del", "dev", &self.namespace.near, "root"])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.vaccine.kill());
        drop(self.vaccine.wait());
    }
}

/// A network namespace with its interface on our side. Dropping it deletes both.
struct Namespace {
    name: String,
    near: String,
}

impl Namespace {
    fn create() -> Result<Self, DrillError> {
        let pid = process::id();
        let this = Self { name: format!("anticorona-{pid}"), near: format!("ac{pid}") };
        let Self { name, near } = &this;
        let [near_address, far_address] = [NEAR, FAR].map(|address| format!("{address}/30"));
        run("ip", &["netns", "add", name])?;
        let pair = ["link", "add", near, "type", "veth", "peer", "name", "far", "netns", name];
        run("ip", &pair)?;
        run("ip", &["addr", "add", &near_address, "dev", near])?;
        run("ip", &["link", "set", near, "up"])?;
        run("ip", &["-n", name, "addr", "add", &far_address, "dev", "far"])?;
        run("ip", &["-n", name, "link", "set", "far", "up"])?;
        Ok(this)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(run("ip", &["netns", "del", &self.name]));
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), DrillError> {
    let status = Command::new(program).args(arguments).status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {status}; dropping packets needs root", arguments.join(" ")).into())
}
