//! What the binaries of this crate share: running and installing other programs, background
//! servers, the list of services.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool prints to its terminal"
)]

pub mod background;
pub mod child;
pub mod services;
pub mod tools;
