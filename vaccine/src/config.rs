//! Settings of `vaccine`.

use std::net::SocketAddr;

use chassis::{
    config::{ConfigError, Env},
    process::PartArgs,
};
use eventing::EventsUrl;
use storage::database::Database;

/// The port of `vaccine`.
pub const PORT: u16 = 8081;

/// What `vaccine` needs to know to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the ledger is kept. `VACCINE_DATABASE_URL`, else `DATABASE_URL`, else the file
    /// `DIR/vaccine.sqlite`.
    pub database: Database,
    /// How events travel. `EVENTS_URL`, default `in-process`.
    pub events: EventsUrl,
}

impl Config {
    /// From the arguments and the environment.
    pub fn from_env(args: &PartArgs, env: &Env) -> Result<Self, ConfigError> {
        let file = Database::Sqlite(args.data.join("vaccine.sqlite"));
        Ok(Self {
            listen: args.net.listen(PORT),
            database: env.first(["VACCINE_DATABASE_URL", "DATABASE_URL"])?.unwrap_or(file),
            events: env.first(["EVENTS_URL"])?.unwrap_or_default(),
        })
    }
}
