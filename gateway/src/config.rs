//! Settings of `gateway`.

use std::net::SocketAddr;

use chassis::{
    client::BaseUrl,
    config::{ConfigError, Env},
    process::PartArgs,
};
use resilience::breaker::BreakerConfig;

/// The port of `gateway`.
pub const PORT: u16 = 8088;

/// Names where `vaccine` listens.
pub const VACCINE_URL: &str = "VACCINE_URL";

/// Names where `booking` listens.
pub const BOOKING_URL: &str = "BOOKING_URL";

/// Names where `injection` listens.
pub const INJECTION_URL: &str = "INJECTION_URL";

/// Names where `mypage` listens.
pub const MYPAGE_URL: &str = "MYPAGE_URL";

/// What `gateway` needs to know to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where `vaccine` listens. `VACCINE_URL`, no default.
    pub vaccine: BaseUrl,
    /// Where `booking` listens. `BOOKING_URL`, no default.
    pub booking: BaseUrl,
    /// When a part is left in peace. `BREAKER`, for instance `open-for-ms=500`.
    pub breaker: BreakerConfig,
    /// Where `injection` listens. `INJECTION_URL`; without it, nothing leads there.
    pub injection: Option<BaseUrl>,
    /// Where `mypage` listens. `MYPAGE_URL`; without it, nothing leads there.
    pub mypage: Option<BaseUrl>,
}

impl Config {
    /// From the arguments and the environment.
    pub fn from_env(args: &PartArgs, env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            listen: args.net.listen(PORT),
            vaccine: env.required(VACCINE_URL, "where vaccine listens", "http://127.0.0.1:8081")?,
            booking: env.required(BOOKING_URL, "where booking listens", "http://127.0.0.1:8082")?,
            breaker: env.breaker(BreakerConfig::default())?,
            injection: env.first([INJECTION_URL])?,
            mypage: env.first([MYPAGE_URL])?,
        })
    }
}
