//! The parts, as an operator names them.

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
}
