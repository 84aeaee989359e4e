//! The whole system as its users meet it: real processes, real sockets, real crashes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot be set up fails; it says what it saw, and runs its own tasks"
)]

#[path = "../overlay/overlay.rs"]
mod overlay;

mod cancel;
mod crash;
mod drills;
mod envoy;
mod follow;
mod functions;
mod health;
mod mesh;
mod outage;
mod oversell;
mod promql;
mod restore;
mod rolling;
mod service;
mod settings;
mod shutdown;
mod siege;
mod start;
mod tickets;
mod town;
