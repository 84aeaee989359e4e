#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod accept;
mod base_url;
pub mod breaker_registry;
mod call;
mod call_outcome;
pub mod client;
mod connections;
mod counted_stream;
pub mod csv;
mod endpoints;
pub mod etag;
pub mod fault_injection;
mod forwarded;
pub mod hal;
pub mod headers;
pub mod index;
mod ingress;
pub mod json;
pub mod listener;
pub mod openapi;
pub mod pagination;
pub mod problem;
mod request_head;
mod retry_page;
pub mod runtime;
mod sockets;

pub use forwarded::{TrustedProxies, TrustedProxiesError};
pub use ingress::{CountItems, RequestDeadline};
