//! Where bookings are kept.
//!
//! Writing: [`storage::writer::Store`], all commands of a batch in one transaction, with the events
//! that they cause.
//! Reading: [`Reads`], the last commit.

pub mod sqlite;

pub use sqlite::{Reads, Sqlite};
