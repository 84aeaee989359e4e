#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod chart;
mod client;
mod load;
mod open;

pub use chart::{Chart, Mark, Scale, Series, Style};
pub use client::{
    ANSWER_TIMEOUT, Connection, Error, REPLY_BYTES_MAX,
    reply::Reply,
    request::{Method, Prepared, Reconnect, Request},
    send,
    target::{Target, TargetError},
};
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
