//! The parts, as an operator names them.

use chassis::{client::BaseUrl, config::Env, process::Fatal};
use clap::ValueEnum;

/// A part that can run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Vaccine,
    Booking,
    Injection,
    Mypage,
    Gateway,
}

impl Part {
    pub(crate) const ALL: [Self; 5] =
        [Self::Vaccine, Self::Booking, Self::Injection, Self::Mypage, Self::Gateway];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vaccine => "vaccine",
            Self::Booking => "booking",
            Self::Injection => "injection",
            Self::Mypage => "mypage",
            Self::Gateway => "gateway",
        }
    }

    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Vaccine => vaccine::config::PORT,
            Self::Booking => booking::config::PORT,
            Self::Injection => injection::config::PORT,
            Self::Mypage => mypage::config::PORT,
            Self::Gateway => gateway::config::PORT,
        }
    }

    /// Those that keep data.
    pub(crate) const KEEPING: [Self; 4] =
        [Self::Vaccine, Self::Booking, Self::Injection, Self::Mypage];

    /// Where it listens: where the environment says, or on this machine.
    pub(crate) fn url(self, env: &Env, port_offset: u16) -> Result<BaseUrl, Fatal> {
        let said = match self {
            Self::Vaccine => env.first([booking::config::VACCINE_URL])?,
            Self::Booking => env.first([gateway::config::BOOKING_URL])?,
            Self::Injection => env.first([gateway::config::INJECTION_URL])?,
            Self::Mypage => env.first([gateway::config::MYPAGE_URL])?,
            Self::Gateway => None,
        };
        let port = self.port().saturating_add(port_offset);
        said.map_or_else(|| Ok(format!("http://127.0.0.1:{port}").parse()?), Ok)
    }
}
