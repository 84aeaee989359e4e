#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod audit;
mod balancer;
mod chart;
mod clients;
mod connection;
mod cpu;
pub mod drills;
mod error;
mod hpa;
mod http;
mod ledgers;
mod load;
mod observations;
mod open;
mod page;
mod pool;
mod progress;
mod reference;
mod report;
mod request;
mod response;
mod service;
mod siege;
mod system;
mod target;

pub use audit::{Acknowledged, Audit};
pub use balancer::Balancer;
pub use chart::{Chart, Mark, Series, Style, axis::Scale};
pub use connection::HttpConnection;
pub use error::DrillError;
pub use http::send;
pub use ledgers::{CONVERGE_WITHIN, Ledgers};
pub use load::{
    Load, Requests,
    stop::Stop,
    summary::{Outcome, Summary},
};
pub use observations::{Observation, Observations, Recorder};
pub use open::{
    OpenLoad,
    measurement::{Measurement, Span},
    schedule::Schedule,
};
pub use reference::{booking_request, register_vaccine, set_faults};
pub use request::{Prepared, Reconnect, Request};
pub use response::{RESPONSE_BYTES_MAX, RESPONSE_TIMEOUT, RequestError, Response};
pub use service::{ServiceList, ServiceProcess, TestEnvironment};
pub use siege::{Siege, SiegeLimit, SiegeSummary};
pub use system::{System, ports::free_port_offset};
pub use target::{Target, TargetError};
