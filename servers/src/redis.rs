//! Redis that keeps each write on disk before it answers.

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
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
    command.args(["--appendonly", "yes", "--appendfsync", "always"]);
    // It would write the file anew in the middle of somebody else's turn.
    command.args(["--auto-aof-rewrite-percentage", "0", "--dir"]).arg(folder.path());
    command.current_dir(&folder);
    let mut server = Running::launch(&mut command, folder.path().join("log"), TERMS)?;
    server.up("Ready to accept connections", port)?;
    Ok(Service { address: format!("redis://127.0.0.1:{port}"), server, folder })
}
