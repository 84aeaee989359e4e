//! The circuit breaker as its callers see it.

#![expect(clippy::unwrap_used, reason = "a call that should be permitted fails the test")]

#[path = "breaker/caller.rs"]
mod caller;
#[path = "breaker/closing.rs"]
mod closing;
#[path = "breaker/config.rs"]
mod config;
#[path = "breaker/model.rs"]
mod model;
#[path = "breaker/modes.rs"]
mod modes;
#[path = "breaker/opening.rs"]
mod opening;
#[path = "breaker/threads.rs"]
mod threads;
