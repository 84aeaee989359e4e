//! Settings of `booking`.

use std::{net::SocketAddr, path::PathBuf};

use chassis::{
    client::BaseUrl,
    config::{ConfigError, Env},
    process::PartArgs,
};

/// The port of `booking`.
pub const PORT: u16 = 8082;

/// Names where `vaccine` listens; in a cluster a `ConfigMap` sets it.
pub const VACCINE_URL: &str = "VACCINE_URL";

/// What `booking` needs to know to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The bookings' file, `DIR/booking.sqlite`.
    pub database: PathBuf,
    /// Where `vaccine` listens. `VACCINE_URL`, no default.
    pub vaccine: BaseUrl,
}

impl Config {
    /// From the arguments and the environment.
    pub fn from_env(args: &PartArgs, env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            listen: args.net.listen(PORT),
            database: args.data.join("booking.sqlite"),
            vaccine: env.required(VACCINE_URL, "where vaccine listens", "http://127.0.0.1:8081")?,
        })
    }
}
