//! Settings of `vaccine`.

use std::{net::SocketAddr, path::PathBuf};

use chassis::{
    config::{ConfigError, Env},
    process::PartArgs,
};

/// The port of `vaccine`.
pub const PORT: u16 = 8081;

/// What `vaccine` needs to know to run. It reads no environment variable yet.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The ledger's file, `DIR/vaccine.sqlite`.
    pub database: PathBuf,
}

impl Config {
    /// From the arguments and the environment.
    pub fn from_env(args: &PartArgs, _: &Env) -> Result<Self, ConfigError> {
        Ok(Self { listen: args.net.listen(PORT), database: args.data.join("vaccine.sqlite") })
    }
}
