//! NATS with its streams, as tests use it.

use std::process::Command;

use rustix::process::Signal;

use crate::{
    Service,
    failure::Failure,
    free_port, no_folder,
    running::{Running, Terms},
};

const TERMS: Terms = Terms::stop_with(Signal::TERM);

pub(crate) fn start() -> Result<Service, Failure> {
    let folder = tempfile::tempdir().map_err(|error| no_folder(&error))?;
    let port = free_port()?;
    let mut command = Command::new("nats-server");
    command
        .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"])
        .arg(folder.path().join("data"))
        .current_dir(&folder);
    let mut server = Running::launch(&mut command, folder.path().join("log"), TERMS)?;
    server.up("Server is ready", port)?;
    Ok(Service { address: format!("nats://127.0.0.1:{port}"), server, folder })
}
