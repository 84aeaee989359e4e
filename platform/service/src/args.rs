//! The command-line arguments of every service.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use clap::Args;
use platform_telemetry::logs::LogFormat;

/// Where a process listens, and its log.
#[derive(Clone, Debug, Args)]
pub struct ListenArgs {
    /// Address to listen on; a loopback address is reachable from this machine only
    #[arg(long, env = "BIND_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDR")]
    pub bind: IpAddr,
    /// Added to every port, so that several systems can run side by side
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=50_000))]
    pub port_offset: u16,
    /// Format of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Pretty)]
    pub log: LogFormat,
    /// Enables fault injection at /actuator/faults, for drills; never in production: every client
    /// that reaches a service can make it fail
    #[arg(long)]
    pub faults: bool,
}

impl ListenArgs {
    /// The address of a port, offset included.
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.bind, port.saturating_add(self.port_offset))
    }

    /// The URL at which another service of the same process reaches that port.
    pub fn local_url(&self, port: u16) -> String {
        let mut address = self.address(port);
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}")
    }
}

/// The arguments of a service.
#[derive(Clone, Debug, Args)]
pub struct ServiceArgs {
    /// Folder for the data of this process; created if it does not exist
    #[arg(long, default_value = "anticorona-data", value_name = "DIR")]
    pub data: PathBuf,
    /// Where it listens, and its log
    #[command(flatten)]
    pub listen: ListenArgs,
}
