//! The whole system as an operator runs it: real processes, real sockets, real crashes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot be set up fails; it prints what it measured, and spawns its own tasks"
)]

#[path = "../overlay/overlay.rs"]
mod overlay;

mod cancel;
mod clock;
mod crash;
mod dead_letters;
mod demo;
mod drills;
mod environment;
mod envoy;
mod follow;
mod functions;
mod health;
mod mesh;
mod outage;
mod oversell;
mod promql;
mod requests;
mod restore;
mod rolling;
mod schemathesis;
mod series;
mod settings;
mod shutdown;
mod siege;
mod slots;
mod start;
mod test_system;
mod tickets;
