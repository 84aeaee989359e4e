//! A network between booking and vaccine in which packets can be dropped without a word.
//!
//! Vaccine runs in a network namespace of its own, behind a pair of virtual interfaces. To drop
//! packets, the near end may send so little (`tbf`, a byte per second) that none fits. It takes
//! root and Linux, and leaves nothing behind.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{self, Command},
    time::{Duration, Instant},
};

use drill::{Broken, Target};

use crate::server::Server;

/// The two ends; nobody else's network in a bench.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 213, 77, 2);

/// How long vaccine may take to come up there.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(super) struct Network {
    namespace: String,
    near: String,
}

impl Network {
    /// Ends the vaccine and starts it again, with its data, where packets can be dropped.
    pub(super) async fn around(vaccine: &mut Server) -> Result<Self, Broken> {
        let number = process::id();
        let network =
            Self { namespace: format!("anticorona-{number}"), near: format!("ac{number}") };
        network.build()?;
        vaccine.kill()?;
        vaccine
            .wrap(&["ip", "netns", "exec", &network.namespace], &["--bind", &FAR.to_string()])?;
        let port = port(&vaccine.entry)?;
        let start = Instant::now();
        while TcpStream::connect_timeout(&SocketAddr::from((FAR, port)), LOOK_EVERY).is_err() {
            if start.elapsed() > START_WITHIN {
                return Err("vaccine does not come up in its namespace".into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(network)
    }

    /// Where vaccine is now.
    pub(super) fn url(vaccine: &Target) -> Result<String, Broken> {
        Ok(format!("http://{FAR}:{}", port(vaccine)?))
    }

    pub(super) fn drop_packets(&self) -> Result<(), Broken> {
        let tbf = ["root", "tbf", "rate", "8bit", "burst", "1", "latency", "1ms"];
        done("tc", &[&["qdisc", "add", "dev", &self.near], tbf.as_slice()].concat())
    }

    pub(super) fn pass_packets(&self) -> Result<(), Broken> {
        done("tc", &["qdisc", "del", "dev", &self.near, "root"])
    }

    fn build(&self) -> Result<(), Broken> {
        let Self { namespace, near } = self;
        let ends = [NEAR, FAR].map(|address| format!("{address}/30"));
        let [near_address, far_address] = &ends;
        done("ip", &["netns", "add", namespace])?;
        let pair = ["link", "add", near, "type", "veth", "peer", "name", "far", "netns", namespace];
        done("ip", &pair)?;
        done("ip", &["addr", "add", near_address, "dev", near])?;
        done("ip", &["link", "set", near, "up"])?;
        done("ip", &["-n", namespace, "addr", "add", far_address, "dev", "far"])?;
        done("ip", &["-n", namespace, "link", "set", "far", "up"])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Its interfaces go with it.
        drop(done("ip", &["netns", "del", &self.namespace]));
    }
}

fn port(target: &Target) -> Result<u16, Broken> {
    let (_, port) = target.authority().rsplit_once(':').ok_or("a target without a port")?;
    Ok(port.parse()?)
}

fn done(program: &str, arguments: &[&str]) -> Result<(), Broken> {
    let ended = Command::new(program).args(arguments).status()?;
    if ended.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {ended}; dropping packets takes root", arguments.join(" ")).into())
}
