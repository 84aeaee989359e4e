#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod ask;
mod audit;
mod balancer;
mod chart;
mod client;
mod cpu;
mod crowd;
mod dice;
pub mod drills;
pub mod hpa;
mod load;
mod open;
mod progress;
mod report;
mod seen;
mod siege;
mod system;

pub use ask::{book, register, set_faults};
pub use audit::{Audit, Ledgers, Promised, SETTLE_WITHIN};
pub use chart::{Chart, Mark, Scale, Series, Style};
pub use client::{
    ANSWER_TIMEOUT, Connection, Error, REPLY_BYTES_MAX,
    reply::Reply,
    request::{Method, Prepared, Reconnect, Request},
    send,
    target::{Target, TargetError},
};
pub use dice::Dice;
pub use load::{
    Load, PAUSE_AFTER_FAILURE, Requests, User,
    stop::{LASTING_MAX, REQUESTS_MAX, Stop},
    summary::{Outcome, Summary},
};
pub use open::{
    IN_FLIGHT_MAX, Open,
    measured::{Class, Measured, Span},
    schedule::{OPENING_FACTOR, OPENING_RISE, RATE_MAX, Schedule},
};
pub use progress::Progress;
pub use report::{Check, Report};
pub use seen::{Answer, Answers, Seen};
pub use siege::{Besieged, Siege, Until};
pub use system::{Broken, Ground, Part, System, ports::free_offset};
