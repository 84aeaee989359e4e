#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod api;
pub mod bell;
pub mod bus;
pub mod hearing;
pub mod metrics;
pub mod part;
pub mod relay;

pub use bell::Bell;
pub use bus::Bus;
pub use hearing::{Hearing, Hears};
pub use part::{EventsUrl, Part};
