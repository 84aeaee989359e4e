//! What the programs of this crate share: failures that say what to do, other programs, where they
//! come from, and servers in the background.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks on its terminal"
)]

pub mod child;
pub mod failure;
pub mod look;
pub mod services;
pub mod tools;
