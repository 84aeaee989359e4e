//! What the programs of this crate share: other programs, where they come from, and servers in the
//! background.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks on its terminal"
)]

pub mod child;
pub mod services;
pub mod tools;
