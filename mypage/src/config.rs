//! Settings of `mypage`.

use std::net::SocketAddr;

use chassis::{
    config::{ConfigError, Env},
    process::PartArgs,
};
use eventing::EventsUrl;
use storage::database::Database;

/// The port of `mypage`.
pub const PORT: u16 = 8083;

/// What `mypage` needs to know to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where views are kept. `MYPAGE_DATABASE_URL`, else `DATABASE_URL`, else the file
    /// `DIR/mypage.sqlite`.
    pub database: Database,
    /// How events travel. `EVENTS_URL`, default `in-process`.
    pub events: EventsUrl,
}

impl Config {
    /// From the arguments and the environment.
    pub fn from_env(args: &PartArgs, env: &Env) -> Result<Self, ConfigError> {
        let file = Database::Sqlite(args.data.join("mypage.sqlite"));
        Ok(Self {
            listen: args.net.listen(PORT),
            database: env.first(["MYPAGE_DATABASE_URL", "DATABASE_URL"])?.unwrap_or(file),
            events: env.first(["EVENTS_URL"])?.unwrap_or_default(),
        })
    }
}
