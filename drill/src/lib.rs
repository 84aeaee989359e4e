#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod client;
mod load;

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
