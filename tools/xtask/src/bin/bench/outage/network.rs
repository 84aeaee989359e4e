//! A network between booking and vaccine that can drop packets silently.
//!
//! Vaccine runs in a network namespace of its own, behind a pair of virtual interfaces. To drop
//! packets, the near end is limited (`tbf`) to one byte per second, so that no packet fits. This needs
//! root and Linux; the namespace is deleted at the end.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{self, Child, Command, Stdio},
    time::Duration,
};

use drill::{DrillError, ServiceProcess, System};
use servers::poll;

/// The two ends of the pair.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 2);

/// The port of vaccine, before the offset.
const PORT: u16 = 8081;

const VACCINE: ServiceProcess = ServiceProcess::vaccine(0);

const START_WITHIN: Duration = Duration::from_secs(10);

/// A network namespace with its interface on our side, and the vaccine in it. Dropping it ends all.
pub(super) struct Network {
    name: String,
    near: String,
    vaccine: Option<Child>,
    address: SocketAddr,
}

impl Network {
    /// Kills the vaccine of the system and starts it again, with its data, in the namespace.
    pub(super) fn around(system: &mut System) -> Result<Self, DrillError> {
        let (pid, offset) = (process::id(), system.port_offset());
        let (name, near) = (format!("anticorona-{pid}"), format!("ac{pid}"));
        let address = SocketAddr::from((FAR, PORT + offset));
        let mut network = Self { name, near, vaccine: None, address };
        let Self { name, near, .. } = &network;
        for command in [
            format!("ip netns add {name}"),
            format!("ip link add {near} type veth peer name far netns {name}"),
            format!("ip addr add {NEAR}/30 dev {near}"),
            format!("ip link set {near} up"),
            format!("ip -n {name} addr add {FAR}/30 dev far"),
            format!("ip -n {name} link set far up"),
        ] {
            run(&command)?;
        }
        system.kill(VACCINE)?;
        let plain = system.command(&["vaccine", "--faults", "--bind", &FAR.to_string()]);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name]).arg(plain.get_program()).args(plain.get_args());
        command.args(["--port-offset", &offset.to_string(), "--data"]);
        command.arg(system.data(VACCINE)).env("RUST_LOG", "warn").stdout(Stdio::null());
        network.vaccine = Some(command.spawn()?);
        let ready = poll(START_WITHIN, || TcpStream::connect(address).ok());
        ready.map(|_| network).ok_or_else(|| "vaccine is not ready in its namespace".into())
    }

    /// The URL of vaccine in the namespace.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn drop_packets(&self) -> Result<(), DrillError> {
        run(&format!("tc qdisc add dev {} root tbf rate 8bit burst 1 latency 1ms", self.near))
    }

    pub(super) fn pass_packets(&self) -> Result<(), DrillError> {
        run(&format!("tc qdisc del dev {} root", self.near))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(vaccine) = &mut self.vaccine {
            drop(vaccine.kill());
            drop(vaccine.wait());
        }
        drop(run(&format!("ip netns del {}", self.name)));
    }
}

fn run(command: &str) -> Result<(), DrillError> {
    let mut words = command.split(' ');
    let status = Command::new(words.next().unwrap_or_default()).args(words).status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{command}: {status}; dropping packets needs root").into())
}
